"""One line to a server: redis-py's connection, each step of which is bounded in time.

redis-py connects, logs in, speaks TLS and reads errors, texts and lists. Commands are packed here,
and replies that are numbers, as nearly all are, taken from the socket as they come.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from math import inf
from types import TracebackType
from typing import Any, ClassVar, NamedTuple

from redis import exceptions
from redis.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)

# Seconds for one step on the socket: a connect, a piece sent, or an answer.
_STEP = 0.5
# Bytes
_READ, _SEND = 1 << 16, 1 << 18
# Parts of what is received in turn. All at once would not fit between here and there: who sends
# would have to wait, and could work on no answer meanwhile.
_AHEAD = 10
_OF_NUMBERS = b":0123456789\r\n"
# where the key of a series goes
_KEY = b"\0"


class Series(NamedTuple):
    """A command for each of several keys that begin alike. Its reply is the list of theirs."""

    name: str
    key: str
    endings: tuple[str, ...]


# what the command is called, its arguments
Single = tuple[str, ...]
Command = Single | Series


class _Budget(threading.local):
    """Until when a thread's work may go on."""

    until = inf


_budget = _Budget()


class Within:
    """A context in which all work with Redis together ends, one way or another, in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        _budget.until = time.monotonic() + self._seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        _budget.until = inf


def _seconds_for_a_step() -> float:
    left = _budget.until - time.monotonic()
    if left <= 0:
        raise exceptions.TimeoutError("no time is left")
    return min(_STEP, left)


class _BoundedSocket:
    """A socket each step of which ends in time, whoever retries how often above."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._unread = b""
        self.sendall = self._bounded(sock.sendall)
        self._receive = self._bounded(sock.recv)

    def _bounded(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        sock = self._sock

        def bounded(argument: Any) -> Any:
            # A timeout of 0 is redis-py's way to ask whether anything has come.
            if set_to := sock.gettimeout():
                seconds = _seconds_for_a_step()
                # Setting it is a system call.
                if seconds != set_to:
                    sock.settimeout(seconds)
            return step(argument)

        return bounded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> Any:
        """What was put back, else what comes: for redis-py's parser."""
        if not self._unread:
            return self._receive(size)
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def recv_into(self, buffer: bytearray) -> int:
        """The same for hiredis's parser, where that is installed."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def numbers(self, wanted: int) -> list[int]:
        """So many replies, or those before a piece with one that is no number.

        That piece is put back: redis-py reads it, and all that follow. So is what is left over.
        """
        found: list[int] = []
        rest = b""
        while len(found) < wanted:
            piece = self.recv(_READ)
            data = rest + piece
            if not piece or data.translate(None, _OF_NUMBERS):
                self._unread = data
                break
            *whole, rest = data.split(b"\r\n", wanted - len(found))
            found += map(int, b"".join(whole).split(b":")[1:])
        else:
            self._unread = rest
        return found

    @property
    def is_ahead(self) -> bool:
        """Whether more has come than was asked for."""
        return bool(self._unread)


class _Bounded:
    """Makes a redis-py connection one of bounded steps."""

    socket_timeout: float | None
    # in this process, of all
    reconnects: ClassVar[int] = 0
    bounded: _BoundedSocket
    _was_connected = False

    # Asked for anew for each of the addresses that a name has. An error would leave a socket open.
    socket_connect_timeout: Any = property(
        lambda _: min(_STEP, max(_budget.until - time.monotonic(), 0.001)), lambda _, __: None
    )

    def _connect(self) -> Any:
        self.socket_timeout = _seconds_for_a_step()
        sock = super()._connect()  # type: ignore[misc]
        _Bounded.reconnects += self._was_connected
        self._was_connected = True
        self.bounded = _BoundedSocket(sock)
        return self.bounded


class _Tcp(_Bounded, Connection):
    pass


class _Tls(_Bounded, SSLConnection):
    pass


class _Unix(_Bounded, UnixDomainSocketConnection):
    pass


_BOUNDED: dict[type, type] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}


def reconnects() -> int:
    """How often a line of this process was made anew."""
    return _Bounded.reconnects


def count_reconnect() -> None:
    """Count one line that was made anew in the place of one that broke."""
    _Bounded.reconnects += 1


class BoundedPool(ConnectionPool):
    """redis-py's pool, of bounded connections."""

    def __init__(self, connection_class: type = Connection, **options: Any) -> None:
        super().__init__(_BOUNDED[connection_class], **options)

    def line(self) -> Any:
        """A connection beside the pool's own, which ends with the thread that keeps it."""
        line: Any = self.make_connection()
        line.connect()
        return line


def singles(commands: Iterable[Command]) -> Iterator[Single]:
    """The commands, each series taken apart."""
    for command in commands:
        if isinstance(command, Series):
            yield from ((command.name, command.key + ending) for ending in command.endings)
        else:
            yield command


def together(commands: Iterable[Command], replies: Iterable[Any]) -> list[Any]:
    """A reply for each command, given those to its `singles`."""
    given = iter(replies)
    return [
        list(islice(given, len(command.endings))) if isinstance(command, Series) else next(given)
        for command in commands
    ]


def _packed(commands: Sequence[Command]) -> Iterator[bytes]:
    """The commands as the protocol has them, in pieces: Redis works on one as the next is made."""
    # A piece that is no larger can be sent in one step's time, where a series may be a megabyte.
    piece = bytearray()
    for command in commands:
        piece += _pack(command)
        while len(piece) > _SEND:
            yield bytes(piece[:_SEND])
            del piece[:_SEND]
    yield bytes(piece)


def _pack(command: Command) -> bytes:
    if isinstance(command, Series):
        key = command.key.encode()
        # A read is tens of thousands of these. What has been replaced is not looked through again.
        return _template(command.name, len(key), command.endings).replace(_KEY, key)
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        raw = argument.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


# Few, for those of great exact counters are large: with 16,384 endings a megabyte.
@lru_cache(64)
def _template(name: str, size: int, endings: tuple[str, ...]) -> bytes:
    """A series, packed, for any key of this size."""
    return b"".join(
        b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b%b\r\n"
        % (len(name), name.encode(), size + len(ending), _KEY, ending.encode())
        for ending in endings
    )


def send(line: Any, commands: Sequence[Command]) -> None:
    """Send the commands; `receive` takes what comes back. Raises redis.RedisError."""
    line.send_packed_command(_packed(commands))


def receive(line: Any, commands: Sequence[Command]) -> list[Any]:
    """A reply for each command sent: number, bytes, list, or the error that Redis answered.

    Whatever it raises, redis.RedisError where the line breaks: close the line then, or somebody
    takes what is still to come for his answer.
    """
    (replies,) = _receive_in_turn(line, [commands])
    return replies


def exchange_in_turn(line: Any, parts: Sequence[Sequence[Command]]) -> Iterator[list[Any]]:
    """Send the parts, some ahead of what is received, and yield the replies to each.

    Of what it raises and the line, `receive` has the words.
    """
    ahead = iter(parts)
    send(line, list(chain.from_iterable(islice(ahead, _AHEAD))))
    for replies in _receive_in_turn(line, parts):
        for part in islice(ahead, 1):
            send(line, part)
        yield replies


def _receive_in_turn(line: Any, parts: Iterable[Sequence[Command]]) -> Iterator[list[Any]]:
    by_number = True
    for commands in parts:
        series = [each for each in commands if isinstance(each, Series)]
        wanted = len(commands) + sum([len(each.endings) - 1 for each in series])
        found: list[Any] = _numbers(line, wanted) if by_number else []
        # What redis-py's parser has begun to read, it has read ahead.
        by_number = len(found) == wanted
        while len(found) < wanted:
            try:
                found.append(line.read_response(disable_decoding=True))
            except exceptions.ResponseError as error:
                found.append(error)
        yield together(commands, found) if series else found
    if by_number and line.bounded.is_ahead:
        raise exceptions.ConnectionError("more answers than questions")


def _numbers(line: Any, wanted: int) -> list[int]:
    try:
        numbers: list[int] = line.bounded.numbers(wanted)
    except TimeoutError as error:
        raise exceptions.TimeoutError("no answer in time") from error
    except OSError as error:
        raise exceptions.ConnectionError("the line is broken") from error
    return numbers
