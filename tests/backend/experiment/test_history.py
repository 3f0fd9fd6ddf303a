"""The history's format: what a hash says and keeps."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from gimel.backend.experiment.history import (
    BEGAN,
    MOST,
    Layout,
    Snapshot,
    decode,
    encode,
    is_valid,
    outdated,
    visitors_in,
)

LAYOUT = Layout(["a", "b"], ["signup"])
HOUR = 490_000


def snapshot_text(visitors: int, minute: int = 0, layout: Layout = LAYOUT) -> str:
    row = dict.fromkeys(layout.variants, visitors)
    return encode(layout, minute, row, dict.fromkeys(layout.goals, row))


def written(numbers: dict[int, int], layout: Layout = LAYOUT) -> dict[str, str]:
    """A hash with a snapshot for each hour, thinned as the writer does, and at the end."""
    held = {BEGAN: ""}
    for number, (hour, visitors) in enumerate(numbers.items()):
        held |= {layout.field: layout.text, str(hour): snapshot_text(visitors, 0, layout)}
        # Each time, for many hours every hundredth time: it takes half a millisecond.
        if len(numbers) < 1000 or number % 100 == 0 or number == len(numbers) - 1:
            for field in outdated(held):
                del held[field]
    return held


def hours(held: dict[str, str]) -> list[int]:
    return [int(field) for field in held if field.isdigit()]


def test_what_is_written_is_read() -> None:
    text = encode(LAYOUT, 7, {"b": 12, "a": 10}, {"signup": {"a": 0, "b": 3}})
    assert text == f"1 {LAYOUT.id} 7 10 12 0 3"
    held = {LAYOUT.field: LAYOUT.text, str(HOUR): text, BEGAN: ""}
    time = datetime.fromtimestamp(HOUR * 3600 + 420, UTC)
    assert decode(held) == [Snapshot(time, {"a": 10, "b": 12}, {"signup": {"a": 0, "b": 3}})]
    assert visitors_in(held, str(HOUR)) == 22
    assert all(is_valid(*each) for each in held.items())


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (str(HOUR), f"2 {LAYOUT.id} 7 10 12 0 3"),
        (str(HOUR), f"1 {LAYOUT.id} 7 10 12 0"),
        (str(HOUR), f"1 {LAYOUT.id} 7 10 12 0 -3"),
        (str(HOUR), f"1 {LAYOUT.id} 60 10 12 0 3"),
        (str(HOUR), "1 00000000 7 10 12 0 3"),
        (str(HOUR), ""),
        ("9999999", f"1 {LAYOUT.id} 7 10 12 0 3"),
    ],
)
def test_what_this_version_does_not_know_is_left_out(field: str, text: str) -> None:
    known = {LAYOUT.field: LAYOUT.text, str(HOUR + 1): snapshot_text(1)}
    assert [each.visitors for each in decode(known | {field: text})] == [2]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "[[],[]]", '[["a"],[1]]', '["ab","c"]', '[["a"],["b"],["c"]]', "[" * 9999],
)
def test_a_damaged_layout_hides_its_snapshots_alone(text: str) -> None:
    other = Layout(["x"], [])
    held = written({HOUR: 1}) | {other.field: other.text}
    held |= {str(HOUR + 1): snapshot_text(5, 0, other)}
    assert not is_valid(LAYOUT.field, text)
    assert [each.visitors for each in decode(held | {LAYOUT.field: text})] == [5]


def test_hours_are_kept_for_ten_days_and_days_for_400_days() -> None:
    years = range(HOUR, HOUR + 3 * 365 * 24)
    held = written({hour: hour - HOUR for hour in years})
    found = hours(held)
    assert found[-240:] == list(years[-240:])
    daily = found[:-240]
    assert all(hour % 24 == 23 for hour in daily)
    assert [later - hour for hour, later in pairwise(daily)] == [24] * 388
    assert len(found) <= MOST
    assert years[-1] // 24 - found[0] // 24 == 399


def test_a_missed_hour_is_a_gap() -> None:
    held = written({HOUR: 1, HOUR + 1: 2, HOUR + 5: 9})
    assert hours(held) == [HOUR, HOUR + 1, HOUR + 5]


def test_while_nothing_is_counted_the_first_and_the_last_snapshot_stand_for_all() -> None:
    idle = dict.fromkeys(range(HOUR, HOUR + 100), 5)
    assert hours(written(idle)) == [HOUR, HOUR + 99]
    assert hours(written(idle | {HOUR + 100: 6, HOUR + 101: 7})) == [
        *(HOUR, HOUR + 99, HOUR + 100, HOUR + 101)
    ]


def test_the_minute_alone_makes_no_difference_between_snapshots() -> None:
    held = written({HOUR: 5, HOUR + 1: 5}) | {str(HOUR + 2): snapshot_text(5, minute=17)}
    assert outdated(held) == [str(HOUR + 1)]


def test_a_layout_without_snapshots_goes_and_what_a_later_version_has_stays() -> None:
    later = {"shape": "of a later version", **written({HOUR: 1}, Layout(["old"], []))}
    held = later | written({HOUR + 24 * 401: 1})
    assert set(outdated(held)) == {str(HOUR), Layout(["old"], []).field}


def test_hours_in_the_future_are_bounded_too() -> None:
    text = snapshot_text(1)
    forged = {str(HOUR + 1000 + number): f"{text}{number}" for number in range(3000)}
    held = written({HOUR: 1}) | forged
    assert len(held) - len(outdated(held)) <= MOST + 1


def test_a_layout_is_short() -> None:
    assert json.loads(LAYOUT.text) == [["a", "b"], ["signup"]]
    assert Layout(["b", "a"], ["signup"]).id != LAYOUT.id
