"""The embedded Valkey of `gimel local`, where its folder takes no file for a while."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gimel.client import BackendError
from tests.support.gimel_local import LocalBackend
from tests.support.waiting import wait

pytestmark = pytest.mark.slow


def test_it_is_started_again_once_the_folder_takes_files(tmp_path: Path) -> None:
    """Valkey ends itself when the disk is full."""
    configuration = tmp_path / "valkey.conf"
    with LocalBackend(tmp_path) as local:
        (valkey,) = local.children()
        configuration.unlink()
        configuration.mkdir()
        os.kill(valkey, signal.SIGKILL)
        time.sleep(2.5)
        assert local.children() == []
        configuration.rmdir()

        def is_counted() -> bool:
            with suppress(BackendError):
                return "queued" not in local.client.track("e", "a", "participate", "1")
            return False

        wait(is_counted)
