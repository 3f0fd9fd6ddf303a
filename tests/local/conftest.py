"""A running `gimel local`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gimel_local import LocalBackend


@pytest.fixture(scope="module", name="running")
def running_fixture(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LocalBackend, Path]]:
    """One with the demo, for what leaves the made-up experiments as they are, and its folder."""
    folder = tmp_path_factory.mktemp("local") / "data"
    with LocalBackend(folder, "--demo") as local:
        yield local, folder
