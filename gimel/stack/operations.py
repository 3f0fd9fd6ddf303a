"""The operation of a deployed stack: destroy, rollback, logs, deletion of all counts."""

import re
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from gimel.backend.counting.keys import DATA_MODEL
from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import Client
from gimel.config.settings import Config
from gimel.stack.apply import apply
from gimel.stack.aws import Aws, AwsError
from gimel.stack.change import Change
from gimel.stack.deployed import no_such_stack
from gimel.stack.keys import MAIN, Key, entries
from gimel.stack.lock import exclusive, is_locked
from gimel.stack.observe.observe import observe
from gimel.stack.observed import Observed
from gimel.stack.plan.plan import newest_first, point_alias
from gimel.stack.progress import Say
from gimel.stack.teardown import lock_deletion, plan_legacy_teardown, plan_teardown
from gimel.stack.wanted import LATEST, TRACK, DeployError, Names, log_group

_RELEASE = re.compile(r"release (\w+)$")
# Seconds until a resource that AWS still shows counts as left. SQS takes up to 60 s:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
_DELETION_TIMEOUT = 75.0
# Lambda takes up to 20 minutes, but a destroy that waits so long looks stuck.
_RELEASE_TIMEOUT = 300.0
# For some seconds after a function has left its VPC, EC2 may show no interfaces:
# https://github.com/go-to-k/cdkd/blob/main/src/provisioning/providers/lambda-function-provider.ts
_RELEASE_DELAY = 10.0


def _silent(line: str) -> None:
    pass


def plan_destroy(
    config: Config,
    aws: Aws,
    legacy: bool = False,
    warn: Say = _silent,
    deleted: Collection[str] = (),
) -> list[Change]:
    """Plan the deletion of the stack or, with `legacy`, of what gimel 1.x left behind.

    `warn` receives a line if the deletion breaks something else. `deleted` names what this command
    has already deleted. Raises AwsError.
    """
    names = Names(config.stack)
    observed = observe(aws, names)
    if legacy:
        return plan_legacy_teardown(observed.legacy)
    changes = plan_teardown(names, aws.region, observed, deleted)
    if not changes and is_locked(aws, names):
        # A destroy that was killed at its very end left its lock.
        return [lock_deletion(names)]
    if changes and observed.legacy:
        warn(
            f"gimel 1.x's REST API {observed.legacy.api} stays, but its functions are deleted: "
            "pages with its URL lose their events. `gimel destroy --legacy` deletes the API"
        )
    return changes


def destroy(
    config: Config, aws: Aws, changes: list[Change], say: Say, legacy: bool = False
) -> None:
    """Make the deletions of `plan_destroy`, and the ones that only then become possible.

    Return when AWS shows nothing of the stack any more. Raises AwsError, and DeployError if
    something is left; call both again to continue.
    """
    with exclusive(aws, Names(config.stack), say):
        _delete(config, aws, changes, say, legacy)


def _delete(config: Config, aws: Aws, changes: list[Change], say: Say, legacy: bool) -> None:
    apply(aws, changes, {}, say)
    deleted = {change.what for change in changes if change.calls}
    if len(deleted) < len(changes):
        time.sleep(_RELEASE_DELAY)
    since, has_said, pause = time.monotonic(), False, 0.5
    while left := plan_destroy(config, aws, legacy, deleted=deleted):
        new = [change for change in left if change.calls and change.what not in deleted]
        if new:
            apply(aws, new, {}, say)
            deleted |= {change.what for change in new}
            since = time.monotonic()
        elif not has_said:
            say(f"waiting: AWS still has {_titles(left)}")
            has_said = True
        apply(aws, [change for change in left if change not in new], {}, _silent)
        timeout = _DELETION_TIMEOUT if all(each.calls for each in left) else _RELEASE_TIMEOUT
        if time.monotonic() - since > timeout:
            raise _leftovers_error(left)
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def _titles(changes: list[Change]) -> str:
    return ", ".join(change.what for change in changes)


def _leftovers_error(left: list[Change]) -> DeployError:
    role = next((change for change in left if not change.calls), None)
    if role is None:
        return DeployError(f"AWS still has {_titles(left)}: run the same command again to continue")
    return DeployError(
        f"AWS still has {_titles(left)}: {role.what} is deleted {role.why}, which can take 20 "
        "minutes. Run the same command again then. If another function uses the same subnets and "
        "security groups, the interfaces stay: delete the role in IAM"
    )


def releases(observed: Observed, names: Names) -> dict[str, dict[str, str]]:
    """Group the published versions by release: release -> function -> version, the newest first.

    A release that lacks a version of one of the functions is left out.
    """
    found: dict[str, dict[str, str]] = {}
    for name, function in observed.functions.items():
        for version in newest_first(number for number in function.versions if number != LATEST):
            release = _RELEASE.search(function.versions[version].get("Description") or "")
            if release:
                found.setdefault(release[1], {}).setdefault(name, version)
    complete = {
        release: versions
        for release, versions in found.items()
        if set(versions) == set(names.functions)
    }
    track = names.function(TRACK)
    return dict(sorted(complete.items(), key=lambda item: int(item[1][track]), reverse=True))


def rollback(config: Config, aws: Aws, to: str | None, say: Say) -> str:
    """Roll the API back to the release of version `to`, by default to the previous release.

    Return the version of the tracking function that is live now. Raises AwsError and DeployError.
    """
    names = Names(config.stack)
    with exclusive(aws, names, say):
        return _roll_back(names, aws, to, say)


def _roll_back(names: Names, aws: Aws, to: str | None, say: Say) -> str:
    observed = observe(aws, names)
    track = names.function(TRACK)
    choices = list(releases(observed, names).values())
    live = observed.functions[track].live if track in observed.functions else None
    numbers = [choice[track] for choice in choices]
    if not numbers:
        raise no_such_stack(names, aws.region)
    if to is None:
        earlier = [number for number in numbers if live and int(number) < int(live)]
        to = earlier[0] if earlier else None
    if to not in numbers:
        raise DeployError(
            f"there is no such earlier version: version {live} is live, "
            f"the available versions are {', '.join(numbers)}"
        )
    target = choices[numbers.index(to)]
    _refuse_other_keys(observed, target)
    _refuse_other_data_model(observed, target)
    _warn_of_missing_keys(observed, target, say)
    changes = [
        point_alias(name, observed.functions[name].live, version, "rolled back")
        for name, version in target.items()
        if observed.functions[name].live != version
    ]
    apply(aws, changes, {}, say)
    return to


def _refuse_other_keys(observed: Observed, target: Mapping[str, str]) -> None:
    """Raise DeployError if a version of the release does not fit today's keys.

    A version that accepts a key of earlier is refused: the key may have been revoked because it
    leaked. So is a version that does not accept the main key.
    """
    for name, version in target.items():
        if not has_valid_keys(observed, name, version):
            raise DeployError(
                f"version {version} accepts other keys than today's: to get its behaviour back "
                "under today's keys, run `gimel deploy` with the earlier Gimel or config.json"
            )


def has_valid_keys(observed: Observed, function: str, version: str) -> bool:
    """Return whether the version accepts the main key, and no key that is not valid today."""
    if observed.parameter is None:
        return False
    main = Key(MAIN, "owner", observed.parameter.key).entry
    valid = {main, *(key.entry for key in observed.keys)}
    return {main} <= _accepted_entries(observed, function, version) <= valid


def _accepted_entries(observed: Observed, function: str, version: str) -> frozenset[str]:
    variables = observed.functions[function].versions[version]["Environment"]["Variables"]
    return entries(variables.get("GIMEL_KEY_SHA256", ""))


def _warn_of_missing_keys(observed: Observed, target: Mapping[str, str], say: Say) -> None:
    """Say which of today's keys a version of the release does not know."""
    known = [_accepted_entries(observed, *each) for each in target.items()]
    missing = [key.id for key in observed.keys if not all(key.entry in each for each in known)]
    if missing:
        say(f"until the next deploy, newer keys get 403: {', '.join(missing)}")


def _refuse_other_data_model(observed: Observed, target: Mapping[str, str]) -> None:
    """Raise DeployError if a version of the release writes counters in another way than today's.

    A version that does not know the salt would count every visitor of a new experiment again.
    """
    for name, version in target.items():
        if not has_current_data_model(observed, name, version):
            raise DeployError(
                f"version {version} does not know the secret hash of today's counters: it would "
                "count visitors twice. Deploy a Gimel that knows it: `gimel deploy`"
            )


def has_current_data_model(observed: Observed, function: str, version: str) -> bool:
    """Return whether the version writes counters in the same way as this Gimel."""
    description = observed.functions[function].versions[version].get("Description") or ""
    return f"data {DATA_MODEL}," in description


def read_logs(aws: Aws, names: Names, since: timedelta, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield the functions' log lines since `since` ago, the oldest first, as (function, line).

    With `follow`, wait for further lines and never end.
    """
    start = int((time.time() - since.total_seconds()) * 1000)
    shown: set[str] = set()
    while True:
        # Events of the same millisecond keep the order that AWS gives them.
        events = sorted(_log_events(aws, names, start), key=lambda event: event[0])
        for moment, name, id, message in events:
            if id not in shown:
                yield name, f"{datetime.fromtimestamp(moment / 1000, UTC):%H:%M:%S} {message}"
        if not follow:
            return
        # Events may arrive out of order, so the next call asks for the last 10 s again.
        shown = {id for _, _, id, _ in events}
        start = max(start, int((time.time() - 10) * 1000))
        time.sleep(2)


def _log_events(aws: Aws, names: Names, start: int) -> Iterator[tuple[int, str, str, str]]:
    for name in names.functions:
        try:
            found = aws.pages(
                "logs",
                "filter_log_events",
                "events[].[timestamp, eventId, message]",
                logGroupName=log_group(name),
                startTime=start,
            )
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            continue
        for moment, id, message in found:
            yield moment, name, id, message.rstrip()


def delete_all_experiments(client: Client) -> int:
    """Delete every experiment of every namespace. Return how many. Raises BackendError.

    The backend deletes them, since Redis may be unreachable from this machine.
    """
    deleted = 0
    for namespace in {DEFAULT_NAMESPACE, *client.namespaces()}:
        for found in client.experiments(namespace, view="summary"):
            deleted += client.delete(found["experiment"], namespace, forget=True)
    return deleted
