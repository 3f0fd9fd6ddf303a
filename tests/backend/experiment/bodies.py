"""Bodies of `PUT /experiment`: a full one, valid ones at random, and any JSON at all."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from gimel.backend.experiment.checks import check_name

BODY: dict[str, Any] = {
    "experiment": "button color",
    "hypothesis": "Red draws the eye",
    "owner": "ana",
    "link": "https://example.org/1",
    "variants": [
        {"name": "blue", "weight": 50, "value": "#00f"},
        {"name": "red", "weight": 50, "value": "#f00"},
    ],
    "goals": [
        {"name": "signup", "role": "primary"},
        {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.02},
        {"name": "revenue", "kind": "value", "from": "server", "cap": 500},
    ],
    "baseline": "red",
    "planned_visitors": 40000,
    "traffic": 0.5,
    "counting": "exact",
    "flag": True,
    "equivalence": 0.01,
}
BARE: dict[str, Any] = {"variants": [{"name": "a"}, {"name": "b"}]}


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return the body with another value at a path such as `goals[0].cap`; `...` removes it."""
    result = copy.deepcopy(body)
    *way, last = path.replace("]", "").replace("[", ".").split(".")
    spot: Any = result
    for step in way:
        spot = spot[int(step)] if step.isdigit() else spot[step]
    if value is ...:
        del spot[int(last) if last.isdigit() else last]
    else:
        spot[int(last) if last.isdigit() else last] = value
    return result


FIELDS = [
    *("experiment", "hypothesis", "owner", "link", "variants", "goals", "baseline"),
    *("planned_visitors", "traffic", "counting", "flag", "equivalence", "state"),
    *("name", "weight", "value", "role", "kind", "better", "margin", "cap", "from"),
    *("weights", "primary_goal", "totals"),
]
WORDS = [
    *("blue", "red", "signup", "refund", "revenue", "participate", "__proto__", "https://a"),
    *("primary", "guardrail", "secondary", "unique", "total", "value", "higher", "lower"),
    *("server", "anyone", "exact", "hyperloglog", "running", "archived"),
]
# With lone surrogates, which JSON can spell and UTF-8 cannot
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=6)
NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([0, 1, 0.5, 2**63, 10**400, 1e308, float("nan")])
)
LEAVES = st.none() | st.booleans() | NUMBERS | st.sampled_from(WORDS) | ANY_TEXT
KEYS = st.sampled_from(FIELDS + WORDS) | ANY_TEXT
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)

NAMES = st.text(min_size=1, max_size=8).filter(
    lambda name: check_name(name) is None and name.isprintable() and name != "participate"
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=40)
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)


def _nested(depth: int) -> Any:
    return {"k": _nested(depth - 1)} if depth else 1


FLAG_VALUES = [
    st.booleans(),
    TEXTS,
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20),
    st.dictionaries(TEXTS, st.none() | st.booleans() | TEXTS | st.integers(), max_size=3)
    | st.just(_nested(19)),
]


@st.composite
def valid_goals(draw: st.DrawFn) -> list[dict[str, Any]]:
    goals: list[dict[str, Any]] = []
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        role = draw(st.sampled_from(["primary", "guardrail", "secondary"])) if goals else "primary"
        kind = draw(st.sampled_from(["unique", "total", "value"]))
        optional: dict[str, Any] = {
            "better": st.sampled_from(["higher", "lower"]),
            "from": st.sampled_from(["anyone", "server"]),
        }
        if role == "guardrail":
            optional["margin"] = SHARES
        goal = {"name": name, "role": role, "kind": kind}
        goal |= draw(st.fixed_dictionaries({}, optional=optional))
        if kind == "value":
            goal["cap"] = draw(st.integers(1, 10**12) | st.floats(0.01, 1e12))
        goals.append(goal)
    return draw(st.permutations(goals))


@st.composite
def valid_bodies(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    variants: list[dict[str, Any]] = [{"name": name} for name in names]
    if draw(st.booleans()):
        for variant in variants:
            variant["weight"] = draw(st.integers(0, 10**9) | st.floats(0, 1e9))
        draw(st.sampled_from(variants))["weight"] = 1
    body: dict[str, Any] = {"variants": variants, "goals": draw(valid_goals())}
    if draw(st.booleans()):
        values = draw(st.sampled_from(FLAG_VALUES))
        for variant in variants:
            variant["value"] = draw(values)
        body["flag"] = draw(st.booleans())
    optional = {
        "hypothesis": TEXTS,
        "owner": TEXTS,
        "link": st.just("https://example.org/"),
        "baseline": st.sampled_from(names),
        "planned_visitors": st.integers(1, 10**12),
        "traffic": SHARES | st.sampled_from([1, 1.0]),
        "counting": st.sampled_from(["exact", "hyperloglog"]),
        "equivalence": SHARES,
        "state": st.sampled_from(["running", "stopped", "archived"]),
    }
    return body | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def tampered(draw: st.DrawFn, body: dict[str, Any]) -> Any:
    """The body with one or two values replaced by any JSON, or removed."""
    for _ in range(draw(st.integers(1, 2))):
        spots = list(_spots(body, ""))
        if spots:
            body = changed(body, draw(st.sampled_from(spots)), draw(st.just(...) | LEAVES | JSON))
    return body


nearly_valid_bodies = (st.just(BODY) | valid_bodies()).flatmap(tampered)


def _spots(body: Any, path: str) -> Iterator[str]:
    """Yield the path of each value in a body, as far as the keys are field names."""
    is_list = isinstance(body, list)
    for key, value in enumerate(body) if is_list else body.items():
        if is_list or key in FIELDS:
            spot = f"{path}[{key}]" if is_list else f"{path}.{key}".lstrip(".")
            yield spot
            if isinstance(value, dict | list):
                yield from _spots(value, spot)


def patched(stored: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    """Return the hash after the changes, as Redis would have it."""
    merged: dict[str, str | None] = {**stored, **changes}
    result = {field: text for field, text in merged.items() if text is not None}
    json.dumps(result, ensure_ascii=False).encode()
    return result
