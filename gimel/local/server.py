"""The server of `gimel local`: the handlers of the backend, counting in an embedded Valkey.

The counts stay in a folder. Events that Valkey does not take wait in the same folder, in the spool.
"""

import asyncio
import hashlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlencode

from redis import Redis
from redis.exceptions import RedisError

from gimel import background, rsgi
from gimel.backend.limits import DEMO_NAMESPACE
from gimel.backend.process import connection, counters
from gimel.backend.spool import hold
from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.config.local_backends import read_key, recorded
from gimel.config.redis import advice, check_url
from gimel.local import demo, made_up
from gimel.local.errors import LocalError
from gimel.local.http import HTTPServer
from gimel.local.valkey import embedded_valkey

Say = Callable[[str], None]

# Seconds between two checks of Valkey
_CHECK_PERIOD = 1.0
# Windows has no SIGHUP.
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def serve(
    *,
    host: str,
    port: int,
    data_dir: Path,
    redis_url: str | None,
    with_demo: bool,
    results: Callable[..., str],
    say: Say,
) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises LocalError if the server cannot start.

    `results` returns the command that shows the results of a `namespace` at a `url`.
    """
    # SIGINT too: a shell that starts a command in the background makes it ignore SIGINT.
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)
    # Whatever is written holds salts, keys or events. Only its owner may read it.
    os.umask(0o077)
    _create_folder(data_dir)
    with _alone_in(data_dir, with_demo), _open_redis(data_dir, redis_url) as (address, restart):
        key = _key(data_dir)
        os.environ["GIMEL_REDIS_URL"] = address
        os.environ["GIMEL_SPOOL"] = str(data_dir)
        os.environ["GIMEL_KEY_SHA256"] = f"{_sha256(key)},read:{_sha256(read_key(key))}"
        server = HTTPServer(rsgi.App(demo.answer) if with_demo else rsgi.app, host, port)
        with recorded(server.url, key) as is_alone, _checked(restart):
            if not is_alone:
                raise LocalError(
                    f"another `gimel local` has port {server.port}: choose another --port"
                )
            if with_demo:
                _fill_demo()
            namespace = DEMO_NAMESPACE if with_demo else DEFAULT_NAMESPACE
            command = results(namespace=namespace, url=server.url)
            lines = _addresses(server.url, key, data_dir, redis_url, namespace, command)
            try:
                asyncio.run(server.serve(partial(_announce, server, lines, say)))
            finally:
                background.stop()
            say("Stopped.")


def _fill_demo() -> None:
    try:
        made_up.fill(connection(), counters(), time.time())
    except RedisError as error:
        raise LocalError(f"the demo cannot be counted: {advice(error)}") from None


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _announce(server: HTTPServer, lines: list[str], say: Say) -> None:
    for number in _SIGNALS:
        signal.signal(number, lambda *_: server.stop())
    try:
        say("\n".join(lines))
    except OSError:
        # Nobody would learn the key. The command's last line fails as well, and says why.
        server.stop()


@contextmanager
def _checked(restart: Callable[[], None]) -> Iterator[None]:
    """Restart Valkey if it has died, once a second during the context."""
    stopping = Event()

    def check() -> None:
        while not stopping.wait(_CHECK_PERIOD):
            restart()

    thread = Thread(target=check)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _addresses(
    url: str, key: str, data_dir: Path, redis_url: str | None, namespace: str, results: str
) -> list[str]:
    """Return what the command prints. Only the dashboard's fragment holds the key."""
    is_demo = namespace == DEMO_NAMESPACE
    fragment = urlencode({"key": key} | ({"namespace": namespace} if is_demo else {}))
    return [
        *([f"Demo page   {url}/"] if is_demo else []),
        f"Dashboard   {url}/dashboard#{fragment}",
        f"Results     {results}",
        f"Events      {url}/e",
        f"Key         in {data_dir / 'key'}; commands with --url {url} find it",
        f"Counters    in {'the Redis of --redis-url' if redis_url else data_dir}",
        "Ctrl-C stops the server.",
    ]


def _key(data_dir: Path) -> str:
    """Return the key of the folder. Create it if there is none, for its owner only."""
    path, whole = data_dir / "key", data_dir / "key.new"
    try:
        if not path.exists() or not path.read_text("utf-8").strip():
            whole.write_text(secrets.token_urlsafe(32) + "\n", "utf-8")
            # A key is there as a whole or not at all, also on a full disk.
            whole.replace(path)
        path.chmod(0o600)
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise LocalError(f"cannot write the key to {path}: {error.strerror}") from None


def _create_folder(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LocalError(f"cannot create the folder {data_dir}: {error.strerror}") from None
    if not os.access(data_dir, os.W_OK):
        raise LocalError(f"cannot write to the folder {data_dir}: choose another --data-dir")


@contextmanager
def _alone_in(data_dir: Path, with_demo: bool) -> Iterator[None]:
    """Keep the folder for this process: Valkey's data, and the events that wait for Redis."""
    with hold(data_dir / "local.lock") as is_alone:
        if not is_alone:
            raise LocalError(
                f"another `gimel local` is using the folder {data_dir}: stop it, or choose another "
                "--data-dir"
            )
        _keep_apart(data_dir, with_demo)
        yield


def _keep_apart(data_dir: Path, with_demo: bool) -> None:
    """Raise LocalError if the folder has real counts and is to get the demo's, or the reverse."""
    mark = data_dir / "demo"
    if with_demo and not (data_dir / "key").exists():
        mark.touch()
    if mark.exists() != with_demo:
        content = "real counts" if with_demo else "the demo"
        raise LocalError(f"the folder {data_dir} holds {content}: choose another --data-dir")


@contextmanager
def _open_redis(data_dir: Path, redis_url: str | None) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the URL of the given Redis, or of an embedded Valkey that runs during the context.

    The second value restarts that Valkey if it has died.
    """
    if redis_url is not None:
        _check_redis(redis_url)
        yield redis_url, lambda: None
        return
    with embedded_valkey(data_dir) as opened:
        yield opened


def _check_redis(redis_url: str) -> None:
    """Raise LocalError unless Redis replies. Otherwise only the first event would find out."""
    try:
        if not redis_url.startswith("unix://"):
            check_url(redis_url)
        with Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except ValueError as error:
        raise LocalError(f"--redis-url: {error}") from None
    except RedisError as error:
        raise LocalError(f"the Redis of --redis-url: {advice(error)}") from None
