"""Crafted files of `gimel export`, with a correct checksum: refused in one line."""

import gzip
import hashlib
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gimel.backend.counting.keys import Generation, Keys
from gimel.terminal.backup import file as module
from gimel.terminal.backup.file import File, write
from gimel.terminal.backup.section import BackupError, Record, Section
from tests.support.commands import complaint, run, said
from tests.support.counting import exact_counters_of
from tests.support.redis_content import content
from tests.support.servers import url_of

HEADER = {"gimel_export": 1, "data_model": 4}
SECTION = {"namespace": "shop", "experiment": "y", "layout": 2}
COUNTER = "shop:counters:y:participate:a"
OF_COUNTER = "<ns>:counters:<experiment>:<goal>:<variant>"
OF_SETS = "<ns>:{counters:<experiment>:<goal>:<variant>#<i mod 16>}<n>:<i>"
OWN = "shop:y:settings"
FOREIGN = ["otherprogram:session", "alephbet:x:settings"]
DAMAGED = ": a value of shop/y: the file is damaged or incomplete"
OF_OTHERS = ": a value of shop/y names what is not its own: the file is damaged or incomplete"


def line(key: str, kind: str, value: Any) -> dict[str, Any]:
    return {"key": key, "kind": kind, "value": value}


def settings(**fields: Any) -> dict[str, Any]:
    return line(OWN, "<ns>:<experiment>:settings", {"shards": "64", "salt": "ab" * 16} | fields)


def counter_keys(*members: str) -> dict[str, Any]:
    return line("shop:y:counter_keys", "<ns>:<experiment>:counter_keys", list(members))


def verdicts(**fields: str) -> dict[str, Any]:
    named = {field.replace("_", " ", 1): text for field, text in fields.items()}
    return line("shop:y:verdicts", "<ns>:<experiment>:verdicts", named)


def parts(*members: str) -> dict[str, Any]:
    return line("shop:y:deleted", "<ns>:<experiment>:deleted", list(members))


def crafted(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    """Write a file of these lines after the first one, with the checksum that belongs to them."""
    whole = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    body = b"".join(each + b"\n" for each in [json.dumps(HEADER).encode(), *whole])
    end = {"lines": len(lines) + 1, "sha256": hashlib.sha256(body).hexdigest()}
    path.write_bytes(gzip.compress(body + json.dumps(end).encode() + b"\n"))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.gz"


def refusal(path: Path) -> str:
    with pytest.raises(BackupError) as raised:
        File(path).check()
    return str(raised.value).removeprefix(str(path))


def test_a_delete_after_an_import_unlinks_no_key_of_others(store: redis.Redis, path: Path) -> None:
    for key in FOREIGN:
        store.set(key, "precious")
    before = content(store)
    crafted(path, SECTION, settings(), counter_keys(*FOREIGN))
    done = run("import", str(path), "--redis-url", url_of(store))
    exact_counters_of(store).delete("shop", "y")
    assert [store.get(key) for key in FOREIGN] == ["precious", "precious"]
    assert complaint(done) == f"{path}{OF_OTHERS}"
    assert before.items() <= content(store).items()


@pytest.mark.parametrize(
    "wrong",
    [
        *[counter_keys(COUNTER, key) for key in FOREIGN],
        counter_keys("shop:counters:other:participate:a"),
        counter_keys("shop:counters:y:participate"),
        counter_keys("shop:counters:y:participate:a:b"),
        counter_keys(COUNTER + "#1"),
        line("shop:counter_keys", "<ns>:counter_keys", [COUNTER, FOREIGN[0]]),
        line("shop:experiments", "<ns>:experiments", ["y", "other"]),
        line("shop:experiments", "<ns>:experiments", ["other"]),
        line("gimel:namespaces", "gimel:namespaces", ["other"]),
        line("gimel:declared", "gimel:declared", ["shop:y", "shop:other"]),
        settings(**{f"grown 64 {FOREIGN[0]}": "0"}),
        settings(**{f"sets 99999999999 {COUNTER}": "0"}),
        settings(**{f"grown x {COUNTER}": "0"}),
    ],
)
def test_what_names_keys_of_others_is_refused(path: Path, wrong: dict[str, Any]) -> None:
    crafted(path, SECTION, settings(), wrong)
    assert refusal(path) == OF_OTHERS


@pytest.mark.parametrize(
    "part",
    [
        FOREIGN[0],
        f"shards 1 {FOREIGN[0]}",
        f"shards 4097 {COUNTER}",
        f"shards 0 {COUNTER}",
        f"shards x {COUNTER}",
        f"shards 64  {COUNTER}",
        f"grown 64 {FOREIGN[1]}",
        f"sets 99999999 {COUNTER}",
        f"other 1 {COUNTER}",
        "shards 1 shop:counters:other:participate:a",
        "",
    ],
)
def test_what_a_deleted_experiment_leaves_is_its_own(path: Path, part: str) -> None:
    crafted(path, SECTION | {"deleted": True}, parts(f"shards 64 {COUNTER}", part))
    assert refusal(path) == OF_OTHERS


@pytest.mark.parametrize("name", ["y", "a:b#%1", "{a}", "", "é"])
@pytest.mark.parametrize("legacy", [False, True])
def test_keys_of_any_name_are_its_own(path: Path, name: str, legacy: bool) -> None:
    keys = Keys("s:x", name, legacy=legacy)
    counter = keys.counter("g:1#", "v:2")
    sets = [
        each.field(keys.sets("g:1#", "v:2")) for each in (Generation(64), Generation(16, 0, True))
    ]
    of_settings = {"salt": "00" * 16} | dict.fromkeys(sets, "0")
    records = [
        Record(keys.settings, "<ns>:<experiment>:settings", of_settings),
        Record(keys.experiments, "<ns>:experiments", [name]),
        Record(keys.counters, "<ns>:<experiment>:counter_keys", [counter]),
    ]
    left = Record(keys.deleted_parts, "<ns>:<experiment>:deleted", [f"shards 1 {counter}", *sets])
    section = Section("s:x", name, legacy)
    deleted = Section("s:x", name, is_deleted=True)
    write(path, iter([(section, iter(records)), (deleted, iter([left]))]))
    found = [record for _, of_one in File(path).sections() for record in of_one]
    assert found == [*records, left]


@pytest.mark.parametrize(
    "wrong",
    [
        verdicts(final_now="{"),
        verdicts(final_now="[" * 10**5),
        verdicts(final_now="[]"),
        verdicts(final_now='{"at": "now", "trials": {"a": -1}, "goals": {}}'),
        verdicts(final_now='{"at": "now", "trials": {"a": 1}, "goals": {"g": {"a": "1"}}}'),
        verdicts(verdict_g='{"at": "now", "state": "keep_collecting"}'),
        verdicts(other_g="{}"),
        *[settings(shards=each) for each in ("-5", "0", "4097", "1e3", "", " 64", "٣", "9" * 5000)],
        *[settings(salt=each) for each in ("zz", "", "ab", "ab" * 17, "zz" * 16)],
        settings(**{f"grown 64 {COUNTER}": "soon"}),
        *[line(COUNTER, OF_COUNTER, each) for each in (True, 1.0, None, {}, -1, 2**63, 10**30)],
        *[
            line("shop:{counters:y:participate:a#3}64:3", OF_SETS, [each])
            for each in ("x", "07", "9223372036854775808", "-9223372036854775809", True)
        ],
    ],
)
def test_a_value_that_gimel_does_not_write_is_refused(path: Path, wrong: dict[str, Any]) -> None:
    crafted(path, SECTION, wrong)
    assert refusal(path) == DAMAGED


@pytest.mark.parametrize(
    ("field", "text"),
    [("490000", "1 00000000 7 x"), ("490000", "2"), ("layout 00000000", "[]"), ("other", "1")],
)
def test_a_history_holds_snapshots(path: Path, field: str, text: str) -> None:
    history = line("shop:y:history", "<ns>:<experiment>:history", {"began": "", field: text})
    crafted(path, SECTION, settings(), history)
    assert refusal(path) == DAMAGED


@pytest.mark.parametrize("number", ["-1", "x", "9223372036854775808"])
def test_a_tally_holds_numbers(path: Path, number: str) -> None:
    crafted(path, {"namespace": "shop"}, line("shop:ignored", "<ns>:ignored", {"bot": number}))
    assert refusal(path) == ": a value of shop: the file is damaged or incomplete"


def test_the_highest_numbers_are_read(store: redis.Redis, path: Path) -> None:
    highest = line(COUNTER, OF_COUNTER, 2**63 - 1)
    sets = line("shop:{counters:y:participate:a#3}64:3", OF_SETS, [str(-(2**63)), "0"])
    crafted(path, SECTION, settings(shards="4096"), highest, sets)
    said(run("import", str(path), "--redis-url", url_of(store)))
    assert store.get(COUNTER) == str(2**63 - 1)


@pytest.mark.parametrize("data_model", ["4", None, True, [4], 4.0])
def test_a_data_model_is_a_number(
    path: Path, monkeypatch: pytest.MonkeyPatch, data_model: Any
) -> None:
    monkeypatch.setitem(HEADER, "data_model", data_model)
    crafted(path, SECTION)
    assert refusal(path) == ": the file is damaged or incomplete"


@pytest.mark.parametrize(
    "wrong",
    [
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a": ' * 200_000 + b"1" + b"}" * 200_000,
        rb'{"namespace": "\ud800"}',
        rb'{"namespace": "shop", "experiment": "\udc00y"}',
        b'{"namespace": "\xed\xa0\x80"}',
        json.dumps(SECTION).encode("utf-16"),
    ],
)
def test_what_is_no_line_of_utf_8_and_json_is_refused(path: Path, wrong: bytes) -> None:
    crafted(path, wrong)
    assert refusal(path) == ": the file is damaged or incomplete"


@pytest.mark.parametrize(
    "change", [{"layout": "1"}, {"layout": 3}, {"layout": True}, {"deleted": "no"}, {"deleted": 0}]
)
def test_a_section_has_exact_types(path: Path, change: dict[str, Any]) -> None:
    crafted(path, SECTION | change)
    assert refusal(path).startswith(" holds a line that this Gimel does not know")


def test_a_small_file_with_a_huge_line_takes_little_memory(path: Path) -> None:
    with gzip.open(path, "wb", 1) as file:
        file.write(json.dumps(HEADER).encode() + b"\n")
        for _ in range(300):
            file.write(b" " * 1_000_000)
    assert path.stat().st_size < 3_000_000
    tracemalloc.start()
    try:
        assert refusal(path).startswith(" has a line that is too long")
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()


def test_a_line_that_could_not_be_read_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 1000)

    def records(size: int) -> Iterator[Record]:
        yield Record("shop:ignored_names", "<ns>:ignored_names", ["x" * size])

    write(path, iter([(Section("shop"), records(900))]))
    File(path).check()
    with pytest.raises(BackupError, match=r"^key shop:ignored_names takes more than 1,000 bytes"):
        write(path, iter([(Section("shop"), records(1000))]))
