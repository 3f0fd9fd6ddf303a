"""The file of `gimel export`: JSON lines in gzip. docs/export-format.md describes it.

The first line names the version, the last one the checksum of all lines before. In between, a line
with `namespace` begins a section, and a line with `key` is one key of it.
"""

import base64
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from gimel import __version__
from gimel.backend.counting.hyperloglog import is_hyperloglog
from gimel.backend.counting.keys import DATA_MODEL
from gimel.terminal.backup.checking import decoded, is_own
from gimel.terminal.backup.kinds import KINDS
from gimel.terminal.backup.section import BackupError, Record, Section, Sections
from gimel.terminal.text import plain

# Rises when a reader of this version would misread a file.
VERSION = 1
# Bytes of a line. A small file can unpack to a line that no memory holds.
_LONGEST = 64 * 1024 * 1024
_OTHER = "is not a file of `gimel export`, or is damaged"
_DAMAGED = "the file is damaged or incomplete"
_NEWER = "a newer Gimel wrote it: update Gimel"


class Written(NamedTuple):
    """The number of experiments in a file, and its size in bytes."""

    experiments: int
    size: int


def write(path: Path, sections: Sections) -> Written:
    """Write the file under another name, then rename it: a file is whole, or it is not there.

    Only its owner may read it. Raises BackupError, and what `sections` raises.
    """
    if not path.name:
        raise BackupError("the file to write has no name: give one with --output")
    # The rename would replace a device.
    if os.path.lexists(path) and not path.is_file():
        raise BackupError(f"{path} is no regular file: choose another --output")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                experiments = _write_lines(file, sections)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
        return Written(experiments, path.stat().st_size)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _write_lines(file: gzip.GzipFile, sections: Sections) -> int:
    """Write all lines. Return the number of experiments."""
    digest, numbers = hashlib.sha256(), {"lines": 0, "experiments": 0}

    def write_line(content: dict[str, Any]) -> None:
        line = json.dumps(content, ensure_ascii=False).encode() + b"\n"
        if len(line) > _LONGEST:
            key = plain(str(content.get("key")))
            raise BackupError(f"key {key} takes more than {_LONGEST:,} bytes: no file can hold it")
        digest.update(line)
        file.write(line)
        numbers["lines"] += 1

    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    program = {"gimel": __version__, "data_model": DATA_MODEL, "created_at": now}
    write_line({"gimel_export": VERSION, **program})
    for section, records in sections:
        is_experiment = section.experiment is not None and not section.is_deleted
        numbers["experiments"] += is_experiment
        write_line(_describe(section))
        for record in records:
            write_line({"key": record.key, "kind": record.kind, "value": _encoded(record.value)})
    write_line({"lines": numbers["lines"], "sha256": digest.hexdigest()})
    return numbers["experiments"]


def _describe(section: Section) -> dict[str, Any]:
    names: dict[str, Any] = {"namespace": section.namespace}
    if section.experiment is not None:
        names |= {"experiment": section.experiment, "layout": 1 if section.is_legacy else 2}
        names |= {"deleted": True} if section.is_deleted else {}
    return names | (section.summary or {})


def _encoded(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    # lamed's numbers are readable; HyperLogLogs are not.
    return base64.b64encode(value).decode() if is_hyperloglog(value) else int(value)


class File:
    """A file of `gimel export`, read. Each method reads it from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # What is being read
        self.at = ""

    def check(self) -> None:
        """Read all of it. Raises BackupError if it is damaged or holds what is not known."""
        for _, records in self.sections():
            for _ in records:
                pass

    def sections(self) -> Sections:
        """Yield each section with its records. Raises BackupError."""
        lines = self._lines()
        header = next(lines, {})
        if "gimel_export" not in header:
            raise BackupError(f"{self._path} {_OTHER}")
        version, data_model = header["gimel_export"], header.get("data_model")
        if type(version) is not int or type(data_model) is not int:
            raise BackupError(f"{self._path}: {_DAMAGED}")
        if version != VERSION or data_model > DATA_MODEL:
            raise BackupError(f"{self._path}: {_NEWER}")
        line: dict[str, Any] | None = next(lines, None)
        while line is not None:
            section = self._section(line)
            self.at = section.label
            ends: list[dict[str, Any] | None] = [None]
            records = self._records(section, lines, ends)
            yield section, records
            for _ in records:
                pass
            line = ends[0]

    def _records(
        self, section: Section, lines: Iterator[dict[str, Any]], ends: list[dict[str, Any] | None]
    ) -> Iterator[Record]:
        """Yield the records of a section, and put the line after it into `ends`."""
        for line in lines:
            if "key" not in line:
                ends[0] = line
                return
            yield self._record(section, line)

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Yield each line but the last, which has to be the checksum of the others."""
        digest, number, last = hashlib.sha256(), 0, b""
        try:
            with gzip.open(self._path) as file:
                for line in iter(lambda: self._next_line(file), b""):
                    if last:
                        digest.update(last)
                        number += 1
                        yield self._parsed(last)
                    last = line
        except FileNotFoundError:
            raise BackupError(f"{self._path} does not exist") from None
        except gzip.BadGzipFile:
            raise BackupError(f"{self._path} {_OTHER}") from None
        except (EOFError, zlib.error):
            raise BackupError(f"{self._path}: {_DAMAGED}") from None
        except OSError as error:
            raise BackupError(f"{self._path} cannot be read: {error.strerror}") from None
        if self._parsed(last) != {"lines": number, "sha256": digest.hexdigest()}:
            raise BackupError(f"{self._path}: {_DAMAGED}")

    def _next_line(self, file: gzip.GzipFile) -> bytes:
        line = file.readline(_LONGEST + 1)
        if len(line) > _LONGEST:
            raise BackupError(f"{self._path} has a line that is too long: {_DAMAGED}")
        return line

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            # Decoded here: json would accept other encodings, and lone surrogates.
            content = json.loads(line.decode())
            if b"\\u" in line:
                json.dumps(content, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise BackupError(f"{self._path}: {_DAMAGED}") from None
        if not isinstance(content, dict):
            raise BackupError(f"{self._path}: {_DAMAGED}")
        return content

    def _section(self, line: dict[str, Any]) -> Section:
        namespace, experiment = line.get("namespace"), line.get("experiment")
        layout, is_deleted = line.get("layout", 2), line.get("deleted", False)
        is_known = type(layout) is int and layout in (1, 2) and isinstance(is_deleted, bool)
        if not isinstance(namespace, str) or not isinstance(experiment, str | None) or not is_known:
            raise BackupError(f"{self._path} holds a line that this Gimel does not know: {_NEWER}")
        return Section(namespace, experiment, layout == 1, is_deleted)

    def _record(self, section: Section, line: dict[str, Any]) -> Record:
        key, kind = line["key"], line.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise BackupError(f"{self._path} holds a kind of key that is not known: {_NEWER}")
        if not isinstance(key, str) or section.kind_of(key, KINDS[kind]) != kind:
            raise BackupError(f"{self._path}: a key is not one of {section.label}: {_DAMAGED}")
        try:
            record = Record(key, kind, decoded(line.get("value"), kind))
        except ValueError:
            raise BackupError(f"{self._path}: a value of {section.label}: {_DAMAGED}") from None
        if not is_own(section, record):
            raise BackupError(
                f"{self._path}: a value of {section.label} names what is not its own: {_DAMAGED}"
            )
        return record
