"""What the commands of a deployed stack print: checks, plans, deploys, status."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from gimel.terminal.text import plain, print_line

if TYPE_CHECKING:
    from gimel.backend.counting.migration import Finding
    from gimel.deploy import Deployed
    from gimel.stack.change import Change
    from gimel.stack.operations import Status
    from gimel.stack.preflight import Check

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def checks(console: Console, found: "Iterable[Check]") -> bool:
    """Print each check as it is made. Returns whether none failed."""
    passed = True
    for check in found:
        mark, colour = _MARKS[check.state]
        print_line(
            console, Text.assemble((mark, colour), f" {check.name:<12} {plain(check.found)}")
        )
        passed = passed and check.state != "failed"
    return passed


def deployed(console: Console, done: "Deployed") -> None:
    """Print what a deploy came to and what to do with it."""
    print_line(
        console, Text(f"✓ A probe event came through ({done.seconds:.0f} s in all).", "green")
    )
    if not done.changes:
        print_line(console, "Nothing was changed: all was as the configuration wants it.")
    print_line(console, f"Events      {done.url}/{done.event_path}")
    print_line(
        console, f"Dashboard   {done.url}/dashboard (`gimel dashboard` opens it, with the key)"
    )
    if done.domain:
        name, target = done.domain
        print_line(console, f"Domain      https://{name}, once its DNS has: {name} CNAME {target}")
    print_line(
        console, "Paste this into your page; `gimel snippet --help` tells how to name things:\n"
    )


def migrated(found: "Finding", dry_run: bool) -> str:
    """What `gimel migrate` says of an experiment, in a line."""
    experiment = found.experiment
    visitors = sum(experiment.trials.values())
    goals = ", ".join(
        f"{plain(goal)} {sum(counts.values()):,}"
        for goal, counts in sorted(experiment.goals.items())
    )
    done = "would move" if dry_run else "moved"
    if found.stays:
        done = f"stays, and goes on counting: {plain(found.stays)}"
    return (
        f"{plain(found.namespace)}  {plain(experiment.name)}  {found.maker}, "
        f"{visitors:,} visitors{f' ({goals})' if goals else ''}: {done}"
    )


_VERBS = {"create": ("+", "green"), "delete": ("-", "red"), "detach": ("-", "red")}


def plan(console: Console, changes: "list[Change]", notes: list[str]) -> None:
    """Print what would be done, field by field."""
    for note in notes:
        print_line(console, f"! {plain(note)}")
    for change in changes:
        mark, colour = _VERBS.get(change.verb, ("~", "yellow"))
        print_line(console, Text.assemble((mark, colour), f" {plain(str(change))}"))
        for call in change.calls:
            for name, (before, after) in call.fields().items():
                was = "" if before is None else f"{_value(before)} → "
                print_line(console, f"      {plain(name)}: {was}{_value(after)}")
    print_line(console, f"{len(changes)} changes." if changes else "Nothing to change.")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return plain(text)


def status(console: Console, found: "Status") -> None:
    """Print how a stack stands and fares."""
    backend, planned = found.backend, found.planned
    print_line(
        console, f"Stack        {planned.wanted.names.stack} in {planned.wanted.home.region}"
    )
    print_line(console, f"Events       {backend.url}/{backend.event_path}")
    print_line(console, f"Dashboard    {backend.url}/dashboard")
    for domain in planned.observed.domains:
        print_line(console, f"Domain       {domain.name} (CNAME {domain.target})")
    if found.last_deploy:
        print_line(console, f"Last change  {found.last_deploy:%Y-%m-%d %H:%M} UTC")
    for name, version in found.versions.items():
        calls = f"{found.invocations[name]} calls, {found.errors[name]} errors in 24 hours"
        print_line(console, f"  {name}: version {version}, {calls}")
    print_line(console, f"Versions     {', '.join(found.rollbacks)} (`gimel rollback --to N`)")
    if planned.observed.legacy:
        api = planned.observed.legacy.api
        print_line(console, f"gimel 1.x    REST API {api} still serves (`gimel destroy --legacy`)")
    _drift(console, planned.changes)
    for note in planned.notes:
        print_line(console, f"Note         {plain(note)}")
    print_line(console, f"Redis        {_redis(found)}")
    if limits := found.redis.get("limits"):
        full = {what: f"{there} of {most} {what}" for what, (there, most) in limits.items()}
        fullest = ", ".join(full[what] for what in ("experiments", "variants", "goals"))
        print_line(console, f"Limits       {full['namespaces']}; the fullest: {fullest}")
    _queues(console, found)


def _queues(console: Console, found: "Status") -> None:
    names, queues = found.planned.wanted.names, found.planned.observed.queues
    waiting = {
        name: queues[name].waiting if name in queues else 0
        for name in (names.queue, names.dead_letters)
    }
    print_line(console, f"Queue        {waiting[names.queue]} messages wait to be counted")
    if aside := waiting[names.dead_letters]:
        print_line(console, f"  {aside} messages are set aside (`gimel replay --dead-letter`)")


def _drift(console: Console, changes: "list[Change]") -> None:
    if not changes:
        print_line(console, "Drift        none: a deploy would change nothing")
        return
    print_line(console, f"Drift        {len(changes)} changes; `gimel deploy` makes them:")
    for change in changes:
        print_line(console, f"  {plain(str(change))}")


def _redis(found: "Status") -> str:
    """Memory and connections, as the server tells."""
    seen = found.redis
    if seen.get("trouble"):
        return f"trouble, seen from {found.redis_seen_from}: {seen['trouble']}"
    if "used_memory" not in seen:
        return "answers, and tells nothing of its memory"
    most = seen.get("maxmemory") or seen.get("total_system_memory")
    memory = f"{seen['used_memory'] / 1e6:.1f} MB"
    if most:
        memory += f" of {most / 1e6:.0f} MB, {1 - seen['used_memory'] / most:.0%} free"
    clients = f"{seen.get('connected_clients', '?')} of {seen.get('maxclients', '?')} connections"
    return f"{memory}; {clients}; seen from {found.redis_seen_from}"
