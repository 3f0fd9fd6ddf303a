"""The history of an experiment: its counts at past hours, as a hash in Redis.

    began           a hash of the experiment's salt, or without a salt its `created_at`. If it
                    differs, the history belongs to a deleted experiment that had this name.
    layout <id>     JSON: the variants and the goals that snapshots with this id count
    <hour>          a snapshot; hours since 1970, UTC: `1 <id> <minute> <number> <number> …`

`1` is the version of the format. The minute says when within the hour the events were counted. The
numbers are the visitors by variant, then for each goal the conversions by variant. The id is a hash
of the layout, so that two writers agree on it.

The snapshots of ten days are kept, and then one for each day of 400 days. While nothing is counted,
the first and the last snapshot stand for all between: counts only grow, so they were the same.
A missing hour is a gap, and nothing is made up for it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from gimel.backend.counting.keys import ExperimentName, Keys
from gimel.backend.counting.salt import beginning
from gimel.backend.redis.connection import Command, Connection

BEGAN = "began"
_LAYOUT = "layout "
_VERSION = "1"
_HOUR = re.compile("[1-9][0-9]{5}")
_SNAPSHOT = re.compile("1 [0-9a-f]{8} [1-5]?[0-9]( (0|[1-9][0-9]{0,18}))+")
# Hours for which every snapshot is kept, and days for which one a day is
_HOURLY, _DAILY = 240, 400
# Snapshots that an experiment can have
MOST = _HOURLY + _DAILY

Table = dict[str, dict[str, int]]


class Layout(NamedTuple):
    """The variants and goals that a snapshot counts, in this order."""

    variants: Sequence[str]
    goals: Sequence[str]

    @property
    def text(self) -> str:
        """The layout as a value of the hash."""
        content = [list(self.variants), list(self.goals)]
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    @property
    def id(self) -> str:
        """A hash of the layout, in 8 characters."""
        return blake2b(self.text.encode(), digest_size=4).hexdigest()

    @property
    def field(self) -> str:
        """The layout's field in the hash."""
        return _LAYOUT + self.id


class Snapshot(NamedTuple):
    """An experiment's counts at a time: visitors by variant, and conversions by goal and variant.

    `time` is in UTC, to the minute. Of an undeclared experiment with very many counters, the most
    visited variants and the most reached goals are in it.
    """

    time: datetime
    trials: dict[str, int]
    goals: Table

    @property
    def visitors(self) -> int:
        """The visitors of all variants together."""
        return sum(self.trials.values())


def encode(layout: Layout, minute: int, trials: Mapping[str, int], goals: Mapping[str, Any]) -> str:
    """Return a snapshot as a value of the hash."""
    rows = (trials, *(goals[goal] for goal in layout.goals))
    numbers = (str(row[variant]) for row in rows for variant in layout.variants)
    return " ".join((_VERSION, layout.id, str(minute), *numbers))


def questions(keys: Keys) -> list[Command]:
    """Return the commands that read a history, and the settings that say whether it is current."""
    ask_settings = [("HGET", keys.settings, field) for field in ("salt", "created_at")]
    return [("HGETALL", keys.history), *ask_settings]


def history(connection: Connection, experiment: ExperimentName) -> list[Snapshot]:
    """Return the snapshots of an experiment, the oldest first. Raises redis.RedisError."""
    held, *settings = connection.query(questions(Keys(*experiment)))
    held = dict(held)
    return decode(held) if held.get(BEGAN) == beginning(*settings) else []


def decode(held: Mapping[str, str]) -> list[Snapshot]:
    """Return the snapshots in a hash, the oldest first. Leave out those of unknown versions."""
    layouts = {
        field.removeprefix(_LAYOUT): Layout(*json.loads(text))
        for field, text in held.items()
        if field.startswith(_LAYOUT) and is_valid(field, text)
    }
    found = (_decode_one(hour, held[str(hour)], layouts) for hour in _hours(held))
    return [snapshot for snapshot in found if snapshot]


def _decode_one(hour: int, text: str, layouts: Mapping[str, Layout]) -> Snapshot | None:
    if not _SNAPSHOT.fullmatch(text):
        return None
    _, id, minute, *rest = text.split(" ")
    layout, numbers = layouts.get(id), [int(number) for number in rest]
    if layout is None or len(numbers) != len(layout.variants) * (1 + len(layout.goals)):
        return None
    width = len(layout.variants)
    trials, *goals = (
        dict(zip(layout.variants, numbers[start : start + width], strict=True))
        for start in range(0, len(numbers), width)
    )
    time = datetime.fromtimestamp(3600 * hour + 60 * int(minute), UTC)
    return Snapshot(time, trials, dict(zip(layout.goals, goals, strict=True)))


def leave_out(
    held: Mapping[str, str], goal: str | None, variant: str | None
) -> dict[str, str | None]:
    """Return the fields that change when all snapshots lose a goal or a variant.

    None removes a field. The next snapshot removes the layouts that are left over.
    """
    fields: dict[str, str | None] = {}
    for time, trials, goals in decode(held):
        left = [label for label in trials if label != variant]
        layout = Layout(left, [each for each in goals if each != goal])
        hour = str(int(time.timestamp()) // 3600)
        if (left, layout.goals) == (list(trials), list(goals)):
            continue
        fields[layout.field] = layout.text
        fields[hour] = encode(layout, time.minute, trials, goals) if left else None
    return fields


def is_valid(field: str, text: str) -> bool:
    """Return whether a field of the hash, and its value, are as this module writes them."""
    if field == BEGAN:
        return True
    if _HOUR.fullmatch(field):
        return _SNAPSHOT.fullmatch(text) is not None
    try:
        layout = Layout(*json.loads(text))
        is_named = all(isinstance(name, str) for names in layout for name in names)
        return bool(is_named and layout.variants and layout.field == field)
    except (TypeError, ValueError, RecursionError):
        return False


def is_hour(field: str) -> bool:
    """Return whether a field of the hash holds a snapshot."""
    return _HOUR.fullmatch(field) is not None


def visitors_in(held: Mapping[str, str], hour: str) -> int:
    """Return the visitors of one snapshot in a hash; -1 if it cannot be read."""
    layouts = {field: text for field, text in held.items() if field.startswith(_LAYOUT)}
    found = decode(layouts | {hour: held[hour]})
    return found[0].visitors if found else -1


def _hours(held: Iterable[str]) -> list[int]:
    return sorted(int(field) for field in held if is_hour(field))


def outdated(held: Mapping[str, str]) -> list[str]:
    """Return the fields to delete from a hash that has just got another snapshot."""
    hours = _hours(held)
    last = hours[-1]
    of_days = {day: each for each in hours if (day := each // 24) > last // 24 - _DAILY}
    keep = {*of_days.values(), *(each for each in hours if each > last - _HOURLY)}
    left = [each for each in hours if each in keep][-MOST:]
    if len({_numbers(held[str(each)]) for each in left[-3:]}) == 1 and len(left) > 2:
        del left[-2]
    used = {str(each) for each in left} | {_LAYOUT + _id(held[str(each)]) for each in left}
    return [field for field in held if _is_ours(field) and field not in used]


def _is_ours(field: str) -> bool:
    # A later version may have fields of other kinds.
    return is_hour(field) or field.startswith(_LAYOUT)


def _numbers(text: str) -> tuple[str, ...]:
    """Return a snapshot without its minute."""
    head, _, rest = text.partition(" ")
    id, _, rest = rest.partition(" ")
    return head, id, rest.partition(" ")[2]


def _id(text: str) -> str:
    return text.partition(" ")[2].partition(" ")[0]
