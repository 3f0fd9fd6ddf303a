"""The operation of a deployed stack: rollback and logs."""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from gimel.backend.counting.keys import DATA_MODEL
from gimel.config.settings import Config
from gimel.stack.apply import apply
from gimel.stack.aws import Aws, AwsError
from gimel.stack.deployed import no_such_stack
from gimel.stack.keys import MAIN, Key, entries
from gimel.stack.lock import exclusive
from gimel.stack.observe.observe import observe
from gimel.stack.observed import Observed
from gimel.stack.plan.plan import newest_first, point_alias
from gimel.stack.progress import Say
from gimel.stack.wanted import LATEST, TRACK, DeployError, Names, log_group

_RELEASE = re.compile(r"release (\w+)$")


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
    with exclusive(aws, names, say) as lock:
        target = _target(observed := observe(aws, names), names, aws, to, say)
        changes = [
            point_alias(name, observed.functions[name].live, version, "rolled back")
            for name, version in target.items()
            if observed.functions[name].live != version
        ]
        apply(aws, changes, {}, say, lock.confirm)
        return target[names.function(TRACK)]


def _target(observed: Observed, names: Names, aws: Aws, to: str | None, say: Say) -> dict[str, str]:
    """Return the release to roll back to: function -> version. Raises DeployError."""
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
    return target


def _refuse_other_keys(observed: Observed, target: Mapping[str, str]) -> None:
    """Raise DeployError if a version of the release does not fit today's keys.

    A version that accepts an earlier key is refused: the key may have been revoked because it
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

    A version that does not know the salt would count every visitor of a new experiment again. One
    that does not know the slots of exact counters would miss what is in them.
    """
    for name, version in target.items():
        if not has_current_data_model(observed, name, version):
            raise DeployError(
                f"version {version} does not know how today's counters are stored: it would count "
                "visitors twice or not at all. Deploy a Gimel that knows it: `gimel deploy`"
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
        asked = time.time()
        # Events of the same millisecond keep the order that AWS gives them.
        events = sorted(_log_events(aws, names, start), key=lambda event: event[0])
        for moment, name, id, message in events:
            if id not in shown:
                yield name, f"{datetime.fromtimestamp(moment / 1000, UTC):%H:%M:%S} {message}"
        if not follow:
            return
        # Events may arrive out of order, so the next call asks for the last 10 s again.
        shown = {id for _, _, id, _ in events}
        start = max(start, int((asked - 10) * 1000))
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
