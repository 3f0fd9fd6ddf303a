"""What the commands print about a stack: checks, plans, deploys, status."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from gimel.terminal.backlog import describe_backlog
from gimel.terminal.hints import command_line
from gimel.terminal.progress import waiting
from gimel.terminal.text import plain, plural, print_cropped, print_line

if TYPE_CHECKING:
    from gimel.backend.counting.migration import Finding
    from gimel.config.redis import ManagedRedis
    from gimel.deploy import Deployed
    from gimel.stack.cache import CacheFigures
    from gimel.stack.change import Change
    from gimel.stack.preflight.check import Check
    from gimel.stack.status import Status

_CHECK_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}
_CHANGE_MARKS = {"create": ("+", "green"), "delete": ("-", "red"), "detach": ("-", "red")}


def show_checks(console: Console, checks: "Iterable[Check]", *, in_short: bool = False) -> bool:
    """Print each check as soon as it is made. Returns whether none failed.

    In short, the checks that passed are counted; only the account, where a mistake costs most, is
    printed.
    """
    passed, counted = True, 0
    with ExitStack() as below:
        for check in checks:
            passed = passed and check.state != "failed"
            if in_short and check.state == "ok" and check.name != "AWS":
                counted += 1
                continue
            mark, colour = _CHECK_MARKS[check.state]
            line = f" {check.name:<12} {plain(check.found)}"
            print_line(console, Text.assemble((mark, colour), line), indent=15)
            # Up to this check, the login may have to ask for an MFA code.
            if check.name == "AWS":
                below.enter_context(waiting("checking permissions and Redis"))
    if counted:
        line = f" {plural(counted, 'more check')} passed"
        print_line(console, Text.assemble(("✓", "green"), line))
    return passed


def show_deployed(console: Console, deployed: "Deployed", config_file: Path | None) -> None:
    """Print the result of a deploy and the next steps."""
    dashboard, snippet = (
        command_line(word, config_file=config_file) for word in ("dashboard", "snippet")
    )
    done = "Deployed" if deployed.changes else "Nothing to change"
    seconds = f"{deployed.seconds:.0f} s"
    print_line(console, Text(f"✓ {done}; a probe event was counted ({seconds}).", "green"))
    print_line(console, f"Events      {deployed.events_url}")
    print_line(console, f"Dashboard   {deployed.dashboard_url}")
    if deployed.dns_target:
        print_line(console, f"DNS record  {deployed.domain} CNAME {deployed.dns_target}")
        print_line(console, f"            Until it exists, use {deployed.url}")
    if deployed.email_to_confirm:
        print_line(console, f"Alarms      AWS sent a mail to {deployed.email_to_confirm}")
        print_line(console, "            No alarm arrives until you click the link in it")
    print_line(console, f"`{dashboard}` opens the dashboard with its key.")
    if deployed.is_new:
        print_line(console, f"Paste this into your page (`{snippet} --help`: your own names):\n")
    else:
        print_line(console, f"`{snippet}` prints the HTML for a page.")


def describe_migration(finding: "Finding", dry_run: bool) -> str:
    """Return one line on an experiment that `gimel migrate` found."""
    experiment = finding.experiment
    visitors = sum(experiment.trials.values())
    goals = ", ".join(
        f"{plain(goal)} {sum(counts.values()):,}"
        for goal, counts in sorted(experiment.goals.items())
    )
    outcome = "would be moved" if dry_run else "moved"
    if finding.stays:
        outcome = f"not moved, keeps counting: {plain(finding.stays)}"
    return (
        f"{plain(finding.namespace)}  {plain(experiment.name)}  {finding.maker}, "
        f"{plural(visitors, 'visitor')}{f' ({goals})' if goals else ''}: {outcome}"
    )


def show_plan(
    console: Console, changes: "list[Change]", notes: list[str], *, verbose: bool = False
) -> None:
    """Print a line for each planned change and, if `verbose`, a line for each of its fields."""
    for note in notes:
        print_line(console, f"! {plain(note)}")
    print_change = print_line if verbose else print_cropped
    for change in changes:
        mark, colour = _CHANGE_MARKS.get(change.verb, ("~", "yellow"))
        print_change(console, Text.assemble((mark, colour), f" {plain(str(change))}"))
        if verbose:
            _show_fields(console, change)
    print_line(console, f"{plural(len(changes), 'change')}." if changes else "Nothing to change.")


def _show_fields(console: Console, change: "Change") -> None:
    for call in change.calls:
        for name, (before, after) in call.fields().items():
            old_value = "" if before is None else f"{_format_value(before)} → "
            print_line(console, f"      {plain(name)}: {old_value}{_format_value(after)}")


def _format_value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return plain(text)


def _print_fact(console: Console, name: str, text: str, style: str = "") -> None:
    line = f"{name:<13}{text}"
    print_line(console, Text(line, style), indent=13)


def show_dangers(console: Console, dangers: list[str]) -> None:
    """Print each danger as an alarm, in red."""
    for danger in dangers:
        _print_fact(console, "ALARM", plain(danger), "bold red")


def show_status(console: Console, status: "Status") -> None:
    """Print what is deployed, how it differs from the configuration, and how it performs."""
    backend, planned = status.backend, status.planned
    _print_fact(console, "Stack", f"{planned.wanted.names.stack} in {planned.wanted.home.region}")
    _print_fact(console, "Events", backend.events_url)
    _print_fact(console, "Dashboard", backend.dashboard_url)
    for domain in planned.observed.domains:
        _print_fact(console, "Domain", f"{domain.name} (CNAME {domain.target})")
    if status.last_deploy:
        _print_fact(console, "Last change", f"{status.last_deploy:%Y-%m-%d %H:%M} UTC")
    for name, version in status.versions.items():
        calls = f"{status.invocations[name]} calls, {status.errors[name]} errors in 24 hours"
        print_line(console, f"  {name}: version {version}, {calls}", indent=4)
    _print_fact(console, "Versions", f"{', '.join(status.rollbacks)} (`gimel rollback --to N`)")
    if planned.observed.legacy:
        api = planned.observed.legacy.api
        _print_fact(
            console, "gimel 1.x", f"REST API {api} still runs (`gimel destroy --legacy` removes it)"
        )
    _show_drift(console, planned.changes)
    for note in planned.notes:
        _print_fact(console, "Note", plain(note))
    _show_redis(console, status)
    _show_queues(console, status)
    _show_alarms(console, status)


def _show_redis(console: Console, status: "Status") -> None:
    _print_fact(console, "Redis", describe_redis(status))
    if status.cache and (limits := status.planned.wanted.managed):
        _print_fact(console, "Managed", _describe_cache(status, status.cache, limits))
    if used := status.redis.get("limits"):
        use = {what: f"{count} of {most} {what}" for what, (count, most) in used.items()}
        _print_fact(
            console,
            "Limits",
            f"{use['namespaces']}; most in one namespace: {use['experiments']}; "
            f"most in one experiment: {use['variants']}, {use['goals']}",
        )
    if ignored := status.redis.get("ignored"):
        tallies = "; ".join(describe_ignored(*tally) for tally in ignored.items())
        _print_fact(console, "Ignored", tallies)


def _describe_cache(status: "Status", figures: "CacheFigures", limits: "ManagedRedis") -> str:
    """Return the size and the cost of the managed Redis, and its limits."""
    from gimel.stack.cost import max_cost

    size = figures.size or status.redis.get("used_memory")
    return (
        f"{f'{size / 1e6:,.1f} MB' if size else 'an unknown part'} of {limits.gigabytes:,} GB; "
        f"about ${figures.dollars:,.2f} this month so far, at most about "
        f"${max_cost(limits):,.0f} a month (us-east-1 prices)"
    )


def describe_ignored(namespace: str, reasons: dict[str, int]) -> str:
    """Return how many events of a namespace were ignored, and why."""
    counts = ", ".join(f"{plain(reason)} {count:,}" for reason, count in reasons.items())
    place = f"in {plain(namespace)}" if namespace else "in namespaces that nobody uses"
    return f"at least {plural(sum(reasons.values()), 'event')} {place} ({counts})"


def _show_queues(console: Console, status: "Status") -> None:
    lines = list(describe_backlog(status.backlog))
    if not lines:
        _print_fact(console, "Queue", "nothing waits to be counted, nothing was set aside")
    for sentence, is_urgent in lines:
        _print_fact(console, "Queue", sentence, "bold red" if is_urgent else "")


def _show_alarms(console: Console, status: "Status") -> None:
    for name, alarm in status.planned.observed.alarms.items():
        if alarm.is_raised:
            sentence = plain(alarm.settings["AlarmDescription"])
            _print_fact(console, "Alarm", f"{name}: {sentence}")


def _show_drift(console: Console, changes: "list[Change]") -> None:
    if not changes:
        _print_fact(console, "Drift", "none: a deploy would change nothing")
        return
    _print_fact(console, "Drift", f"`gimel deploy` would make {plural(len(changes), 'change')}:")
    for change in changes:
        print_line(console, f"  {plain(str(change))}", indent=4)


def describe_redis(status: "Status") -> str:
    """Return the memory and connections that Redis reports, or what is wrong and what to do."""
    figures, seen_from = status.redis, f"seen from {status.redis_seen_from}"
    if trouble := figures.get("trouble"):
        from gimel.stack.deployed import REDIS_TROUBLE

        return f"trouble, {seen_from}: {REDIS_TROUBLE.get(trouble, trouble)}"
    if "used_memory" not in figures:
        return "answers, but does not report its memory"
    available = figures.get("maxmemory") or figures.get("total_system_memory")
    memory = f"{figures['used_memory'] / 1e6:.1f} MB"
    if available:
        free = 1 - figures["used_memory"] / available
        memory += f" of {available / 1e6:.0f} MB, {free:.0%} free"
    connected, limit = figures.get("connected_clients", "?"), figures.get("maxclients", "?")
    return f"{memory}; {connected} of {limit} connections; {seen_from}"
