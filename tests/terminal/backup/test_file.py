"""The file of `gimel export`: whole or absent, readable without Gimel, refused when damaged."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gimel.terminal.backup import file as module
from gimel.terminal.backup.file import File, write
from gimel.terminal.backup.section import BackupError, Record, Section

HYPERLOGLOG = b"HYLL\1" + bytes(11) + b"\x7f\xff"
COUNTER = "<ns>:counters:<experiment>:<goal>:<variant>"
SECTION = Section("ns", "e", summary={"counts": {"participate": {"a": 0}}})
RECORDS = [
    Record("ns:e:settings", "<ns>:<experiment>:settings", {"shards": "64", "link": "é"}),
    Record("ns:counters:e:participate:a", COUNTER, HYPERLOGLOG),
    Record("ns:counters:e:participate:b", COUNTER, b"17"),
    Record(
        "ns:{counters:e:participate:a#3}64:3",
        "<ns>:{counters:<experiment>:<goal>:<variant>#<i mod 16>}<n>:<i>",
        ["-5", "7"],
    ),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl.gz"
    write(path, iter([(SECTION, iter(RECORDS))]))
    return path


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the lines, and let the checksum be right."""
    found = [json.loads(line) for line in lines_of(path)[:-1]]
    change(found)
    body = b"".join(json.dumps(line).encode() + b"\n" for line in found)
    end = {"lines": len(found), "sha256": hashlib.sha256(body).hexdigest()}
    path.write_bytes(gzip.compress(body + json.dumps(end).encode() + b"\n"))


def test_what_was_written_is_read(path: Path) -> None:
    ((section, records),) = [(section, list(found)) for section, found in File(path).sections()]
    assert (section, records) == (SECTION._replace(summary=None), RECORDS)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_it_is_read_without_gimel(path: Path) -> None:
    header, section, *keys, end = (json.loads(line) for line in lines_of(path))
    assert (header["gimel_export"], header["data_model"]) == (1, 4)
    assert section == {
        "namespace": "ns",
        "experiment": "e",
        "layout": 2,
        "counts": {"participate": {"a": 0}},
    }
    assert keys[0]["value"] == {"shards": "64", "link": "é"}
    assert [key["value"] for key in keys[2:]] == [17, ["-5", "7"]]
    body = b"".join(lines_of(path)[:-1])
    assert end == {"lines": 6, "sha256": hashlib.sha256(body).hexdigest()}


def test_a_failure_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    before = path.read_bytes()

    def failing() -> Iterator[Record]:
        yield RECORDS[0]
        raise BackupError("it fails")

    with pytest.raises(BackupError, match="it fails"):
        write(path, iter([(SECTION, failing())]))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "x.gz"
    with pytest.raises(BackupError) as raised:
        write(path, iter([]))
    assert str(raised.value) == f"{path} cannot be written: No such file or directory"


def complaint(path: Path) -> str:
    with pytest.raises(BackupError) as raised:
        File(path).check()
    return str(raised.value).removeprefix(str(path))


def test_each_byte_that_is_wrong_is_found(path: Path) -> None:
    whole, refused = path.read_bytes(), 0
    for at in range(10, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        try:
            ((_, found),) = [(each, list(records)) for each, records in File(path).sections()]
        except BackupError:
            refused += 1
            continue
        # A few bits of gzip carry nothing.
        assert found == RECORDS
    assert refused > len(whole) - 30


def test_each_end_that_is_missing_is_found(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert "damaged" in complaint(path)
    lines = gzip.decompress(whole).splitlines(keepends=True)
    for left_out in range(len(lines)):
        kept = lines[:left_out] + lines[left_out + 1 :]
        path.write_bytes(gzip.compress(b"".join(kept)))
        assert complaint(path)


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        (0, {"gimel_export": 2}, ": a newer Gimel wrote it: update Gimel"),
        (0, {"data_model": 5}, ": a newer Gimel wrote it: update Gimel"),
        (1, {"namespace": 5}, " holds a line that this Gimel does not know: a newer Gimel"),
        (2, {"kind": "<ns>:<experiment>:later"}, " holds a kind of key that is not known"),
        (2, {"key": "other:e:settings"}, ": a key is not one of ns/e: the file is damaged"),
        (2, {"key": "user:7"}, ": a key is not one of ns/e: the file is damaged"),
        (2, {"value": ["a"]}, ": a value of ns/e: the file is damaged"),
        (2, {"value": {"shards": 64}}, ": a value of ns/e: the file is damaged"),
        (3, {"value": "SFlMTAEA"}, ": a value of ns/e: the file is damaged"),
        (3, {"value": "no base64!"}, ": a value of ns/e: the file is damaged"),
        (4, {"value": -1}, ": a value of ns/e: the file is damaged"),
        (5, {"value": []}, ": a value of ns/e: the file is damaged"),
        (5, {"value": [5]}, ": a value of ns/e: the file is damaged"),
    ],
)
def test_what_is_not_known_is_refused(
    path: Path, place: int, change: dict[str, Any], said: str
) -> None:
    rewrite(path, lambda lines: lines[place].update(change))
    assert complaint(path).startswith(said)


def test_a_file_of_data_model_2_is_read(path: Path) -> None:
    sets = {"key": "ns:counters:e:participate:a#64:3", "kind": f"{COUNTER}#<n>:<i>"}

    def age(lines: list[dict[str, Any]]) -> None:
        lines[0]["data_model"] = 2
        lines[5].update(sets)

    rewrite(path, age)
    ((_, records),) = [(section, list(found)) for section, found in File(path).sections()]
    assert records[3] == Record(sets["key"], sets["kind"], ["-5", "7"])


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert complaint(path) == " does not exist"
    path.write_bytes(b'{"gimel_export": 1}')
    assert complaint(path) == " is not a file of `gimel export`, or is damaged"
    path.write_bytes(gzip.compress(b'{"a": 1}\n{"b": 2}\n'))
    assert complaint(path) == " is not a file of `gimel export`, or is damaged"


def test_the_document_says_what_the_first_line_says() -> None:
    text = (Path(__file__).parents[3] / "docs" / "export-format.md").read_text("utf-8")
    assert f'"gimel_export": {module.VERSION}' in text
    for kind in module.KINDS:
        assert f"`{kind}`" in text, kind
