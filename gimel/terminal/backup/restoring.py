"""Merging a file into a Redis: first everything is checked, then everything is written."""

from collections.abc import Callable, Sequence

from gimel.terminal.backup.file import File
from gimel.terminal.backup.merging import Merger
from gimel.terminal.backup.section import BackupError, Section
from gimel.terminal.text import plain


def restore(
    file: File, merger: Merger, experiments: Sequence[str], say: Callable[[str], None]
) -> int:
    """Merge a file, or only these experiments of it. Return how many experiments.

    Nothing is written if the file is damaged, holds what is not known, or has an experiment that is
    not the same one here. Raises BackupError and redis.RedisError.
    """
    _check(file, merger, experiments)
    merged = 0
    for section, records in file.sections():
        if not _is_wanted(section, experiments):
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


def _check(file: File, merger: Merger, experiments: Sequence[str]) -> None:
    """Read the whole file. Raises BackupError."""
    missing, conflicts = set(experiments), []
    for section, records in file.sections():
        settings = {}
        for record in records:
            if record.kind == "<ns>:<experiment>:settings":
                settings = record.value
        if section.experiment is None or section.is_deleted:
            continue
        if _is_wanted(section, experiments) and not merger.is_deleted(section):
            missing.discard(section.experiment)
            conflicts.append(merger.conflict(section, settings))
    if missing:
        raise BackupError(f"the file has no experiment {plain(min(missing))}")
    if found := [conflict for conflict in conflicts if conflict]:
        raise BackupError("\n".join(found))


def _is_wanted(section: Section, experiments: Sequence[str]) -> bool:
    return not experiments or section.experiment in experiments
