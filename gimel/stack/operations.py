"""A deployed stack's keeping: destroy, rollback, status, logs, another read key."""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gimel.backend.inspection import look_at_redis
from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import Backend, Client
from gimel.config.settings import Config
from gimel.stack.apply import Say, apply
from gimel.stack.aws import Aws, AwsError
from gimel.stack.change import Change
from gimel.stack.deployed import find, look_inside
from gimel.stack.observe import observe
from gimel.stack.observed import Seen
from gimel.stack.plan.plan import alias, newest_first
from gimel.stack.prepare import Planned, prepare
from gimel.stack.teardown import legacy_teardown, teardown
from gimel.stack.wanted import LATEST, TRACK, DeployError, Names, key_hash, log_group

_RELEASE = re.compile(r"release (\w+)$")


def _silent(line: str) -> None:
    pass


def doomed(config: Config, aws: Aws, legacy: bool = False, warn: Say = _silent) -> list[Change]:
    """What `gimel destroy` would delete: the stack or, with `legacy`, what gimel 1.x left.

    `warn` is told of what the stack's end breaks.
    """
    seen = observe(aws, Names(config.stack))
    if legacy:
        return legacy_teardown(seen.legacy)
    changes = teardown(Names(config.stack), aws.region, seen)
    if changes and seen.legacy:
        warn(
            f"gimel 1.x's REST API {seen.legacy.api} stays, but leads to functions that will be "
            "gone: pages with its URL lose their events. `gimel destroy --legacy` removes it"
        )
    return changes


def destroy(aws: Aws, changes: list[Change], say: Say) -> None:
    """Delete it. Raises AwsError; doing it again goes on from whatever stands."""
    apply(aws, changes, {}, say)


def releases(seen: Seen, names: Names) -> dict[str, dict[str, str]]:
    """Which versions belong together: function -> version, by release, the newest first.

    Only those that are whole: a version of every function.
    """
    found: dict[str, dict[str, str]] = {}
    for name, function in seen.functions.items():
        for version in newest_first(number for number in function.versions if number != LATEST):
            release = _RELEASE.search(function.versions[version].get("Description") or "")
            if release:
                found.setdefault(release[1], {}).setdefault(name, version)
    whole = {key: of for key, of in found.items() if set(of) == set(names.functions)}
    first = names.function(TRACK)
    return dict(sorted(whole.items(), key=lambda item: int(item[1][first]), reverse=True))


def rollback(config: Config, aws: Aws, to: str | None, say: Say) -> str:
    """Lead the API to an earlier release, to the one before or to that of version `to`.

    Returns the version of the function that counts. Raises AwsError and DeployError.
    """
    names = Names(config.stack)
    seen = observe(aws, names)
    track = names.function(TRACK)
    choices = list(releases(seen, names).values())
    live = seen.functions[track].live if track in seen.functions else None
    numbers = [choice[track] for choice in choices]
    if not numbers:
        raise DeployError(
            f"no stack called {names.stack} in region {aws.region}: `gimel deploy` makes it"
        )
    if to is None:
        earlier = [number for number in numbers if live and int(number) < int(live)]
        to = earlier[0] if earlier else None
    if to not in numbers:
        raise DeployError(
            f"there is no such earlier version; live is {live}, there are {', '.join(numbers)}"
        )
    target = choices[numbers.index(to)]
    _refuse_other_key(seen, target)
    changes = [
        alias(name, seen.functions[name].live, version, "rolled back")
        for name, version in target.items()
        if seen.functions[name].live != version
    ]
    apply(aws, changes, {}, say)
    return to


def _refuse_other_key(seen: Seen, target: Mapping[str, str]) -> None:
    """A key that was rotated away may have leaked: an old version would let it in again."""
    for name, version in target.items():
        if not _knows_key(seen, name, version):
            raise DeployError(
                f"version {version} knows another read key than today's: `gimel deploy` with an "
                "earlier Gimel or config.json brings its behaviour back under today's key"
            )


def _knows_key(seen: Seen, function: str, version: str) -> bool:
    variables = seen.functions[function].versions[version]["Environment"]["Variables"]
    wanted = key_hash([seen.parameter.key]) if seen.parameter else ""
    return bool(variables.get("GIMEL_KEY_SHA256") == wanted)


@dataclass(frozen=True)
class Status:
    """What `gimel status` tells. Counts are of the last 24 hours, memory is in bytes."""

    backend: Backend
    planned: Planned
    versions: Mapping[str, str | None]
    rollbacks: list[str]
    last_deploy: datetime | None
    invocations: Mapping[str, int]
    errors: Mapping[str, int]
    redis: Mapping[str, Any]
    redis_seen_from: str = field(default="here")


def status(config: Config, aws: Aws) -> Status:
    """Look at a deployed stack. Raises AwsError and DeployError."""
    names = Names(config.stack)
    backend = find(config, aws)
    with ThreadPoolExecutor(4) as pool:
        counts = {
            metric: pool.submit(_last_day, aws, names, metric)
            for metric in ("Invocations", "Errors")
        }
        redis = pool.submit(_redis, config, aws)
        planned = prepare(config, _silent, aws)
        place, figures = redis.result()
        seen = planned.seen
        choices = releases(seen, names)
        return Status(
            backend=backend,
            planned=planned,
            versions={name: function.live for name, function in seen.functions.items()},
            rollbacks=[
                of[names.function(TRACK)]
                for of in choices.values()
                if all(_knows_key(seen, name, version) for name, version in of.items())
            ],
            last_deploy=_last_deploy(aws, names),
            invocations=counts["Invocations"].result(),
            errors=counts["Errors"].result(),
            redis=figures,
            redis_seen_from=place,
        )


def _last_deploy(aws: Aws, names: Names) -> datetime | None:
    """When the code or a setting last changed. AWS says it of the function itself."""
    found = aws.find(
        "lambda", "get_function", "Configuration.LastModified", FunctionName=names.function(TRACK)
    )
    return datetime.strptime(found, "%Y-%m-%dT%H:%M:%S.%f%z") if found else None


def _last_day(aws: Aws, names: Names, metric: str) -> dict[str, int]:
    now = datetime.now(UTC)
    queries = [
        {
            "Id": f"f{place}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "FunctionName", "Value": name}],
                },
                "Period": 3600,
                "Stat": "Sum",
            },
        }
        for place, name in enumerate(names.functions)
    ]
    found = aws.call(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults[].[Id, Values]",
        MetricDataQueries=queries,
        StartTime=now - timedelta(days=1),
        EndTime=now,
    )
    sums = {id: int(sum(values)) for id, values in found}
    return {name: sums.get(f"f{place}", 0) for place, name in enumerate(names.functions)}


def _redis(config: Config, aws: Aws) -> tuple[str, dict[str, Any]]:
    """Redis as the functions see it; from here when they cannot be asked."""
    try:
        return "the functions", look_inside(aws, Names(config.stack))
    except AwsError:
        return "here", look_at_redis(
            {**config.redis.environment, "GIMEL_LIMITS": config.limits.model_dump_json()}
        )


def lines(aws: Aws, names: Names, since: timedelta, follow: bool) -> Iterator[tuple[str, str]]:
    """The functions' log: (function, line), the oldest first, from `since` ago; it may go on."""
    start = int((time.time() - since.total_seconds()) * 1000)
    shown: set[str] = set()
    while True:
        # Within a millisecond, the order is the one that AWS gives.
        events = sorted(_events(aws, names, start), key=lambda event: event[0])
        for moment, name, id, message in events:
            if id not in shown:
                yield name, f"{datetime.fromtimestamp(moment / 1000, UTC):%H:%M:%S} {message}"
        if not follow:
            return
        # An event may arrive later than one that is younger: the last 10 s are asked for again.
        shown = {id for _, _, id, _ in events}
        start = max(start, int((time.time() - 10) * 1000))
        time.sleep(2)


def _events(aws: Aws, names: Names, start: int) -> Iterator[tuple[int, str, str, str]]:
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


def forget_all(client: Client) -> int:
    """Delete every experiment of every namespace. Returns how many. Raises BackendError.

    The backend is asked to, since Redis may be out of reach from here.
    """
    gone = 0
    for namespace in {DEFAULT_NAMESPACE, *client.namespaces()}:
        for found in client.experiments(namespace):
            gone += client.delete(found["experiment"], namespace, forget=True)
    return gone
