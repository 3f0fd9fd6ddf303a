"""Merging a file into a Redis: first everything is checked, then everything is written."""

from collections.abc import Callable, Iterator, Sequence

from gimel.terminal.backup.checking import SETTINGS
from gimel.terminal.backup.file import File
from gimel.terminal.backup.merging import Merger, Settings
from gimel.terminal.backup.section import BackupError, Record, Section
from gimel.terminal.text import plain


def restore(
    file: File,
    merger: Merger,
    experiments: Sequence[str],
    say: Callable[[str], None],
    namespace: str | None = None,
) -> int:
    """Merge a file, or only these experiments or this namespace of it. Return how many experiments.

    Nothing is written if the file is damaged, holds what is not known, or has an experiment that
    differs from the one of this name here. Raises BackupError and redis.RedisError.
    """
    _check(file, merger, experiments, namespace)
    merged = 0
    for section, records in file.sections():
        if not _is_wanted(section, experiments, namespace):
            continue
        is_experiment = section.experiment is not None and not section.is_deleted
        if is_experiment and merger.is_deleted(section):
            say(
                f"! left out {section.label}, which was deleted here. To restore it, name it: "
                "`gimel import FILE EXPERIMENT`"
            )
            continue
        merger.revive(section)
        for record in records:
            merger.add(section, record)
        merger.finish(section)
        merged += is_experiment
    return merged


def _check(file: File, merger: Merger, experiments: Sequence[str], namespace: str | None) -> None:
    """Read the whole file. Raises BackupError."""
    missing, conflicts, namespaces = set(experiments), [], set()
    for section, records in file.sections():
        namespaces.add(section.namespace)
        settings = _settings_in(records)
        if section.experiment is None or section.is_deleted:
            continue
        if _is_wanted(section, experiments, namespace) and not merger.is_deleted(section):
            missing.discard(section.experiment)
            conflicts.append(merger.conflict(section, settings))
    where = "" if namespace is None else f" in namespace {plain(namespace)}"
    if missing:
        raise BackupError(f"the file has no experiment {plain(min(missing))}{where}")
    if where and namespace not in namespaces:
        raise BackupError(f"the file has nothing{where}")
    if found := [conflict for conflict in conflicts if conflict]:
        raise BackupError("\n".join(found))


def _settings_in(records: Iterator[Record]) -> Settings:
    """Read all records of a section. Return the last settings among them."""
    settings: Settings = {}
    for record in records:
        if record.kind == SETTINGS:
            settings = record.value
    return settings


def _is_wanted(section: Section, experiments: Sequence[str], namespace: str | None) -> bool:
    is_named = not experiments or section.experiment in experiments
    return is_named and namespace in (None, section.namespace)
