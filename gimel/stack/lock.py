"""The lock of a stack: a parameter that says which command is changing the stack.

Two commands that change the same stack would undo each other's steps. So the second one waits, and
says for whom. The holder renews the lock. A lock is stale if its process on this machine has ended,
or if it was not renewed for a minute, and the next command takes it over. A command that slept so
long, as a laptop does, asks before its next call whether the lock is still its own, and stops if it
is not. The next deploy observes what exists and continues.
"""

import contextlib
import getpass
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from gimel.stack.aws import Aws, AwsError
from gimel.stack.plan.ownership import tag_list
from gimel.stack.progress import Say
from gimel.stack.wanted import DeployError, Names

# Seconds
_RENEWAL = 20.0
_STALE_AFTER = 60.0
_POLL = 2.0
# A command that takes over a stale lock waits so long, in case another one does the same. So does a
# command that AWS tells both that the lock exists and that it does not.
_CONTEST = 1.0


class Lock:
    """A lock that this process has taken. Threads may share it."""

    def __init__(self, aws: Aws, names: Names, mine: str, has_waited: bool) -> None:
        self.has_waited = has_waited
        self._aws, self._names, self._mine = aws, names, mine
        self._thread_lock = threading.Lock()
        self._holder: str | None = None
        # The wall clock goes on while the machine sleeps, the monotonic one does not.
        self._confirmed = time.time()

    def confirm(self) -> None:
        """Raise DeployError if another command has taken the lock over. Raises AwsError too.

        Asks AWS only if the lock was not renewed lately.
        """
        with self._thread_lock:
            if time.time() - self._confirmed > _STALE_AFTER / 2:
                self._renew()
            self.refuse_loss()

    def renew_until(self, ended: threading.Event) -> None:
        """Renew the lock until the event, or until another command has it."""
        while not ended.wait(_RENEWAL) and not self._holder:
            with self._thread_lock, contextlib.suppress(AwsError):
                self._renew()

    def release(self) -> None:
        """Delete the lock, unless another command has it."""
        with self._thread_lock, contextlib.suppress(AwsError):
            value = self._read()
            if value == self._mine:
                self._aws.call("ssm", "delete_parameter", Name=self._names.lock)
            elif value is not None:
                self._holder = _holder(value)

    def refuse_loss(self) -> None:
        """Raise DeployError if another command was seen to have the lock."""
        if self._holder:
            raise DeployError(
                f"stopped: this command paused for too long, and {self._holder} has taken over "
                f"stack {self._names.stack}. Run the command again to continue"
            )

    def _renew(self) -> None:
        value = self._read()
        if value == self._mine:
            _write(self._aws, self._names, self._mine)
            self._confirmed = time.time()
        else:
            self._holder = _holder(value or "")

    def _read(self) -> str | None:
        found: str | None = self._aws.find(
            "ssm", "get_parameter", "Parameter.Value", Name=self._names.lock
        )
        return found


@contextlib.contextmanager
def exclusive(aws: Aws, names: Names, say: Say) -> Iterator[Lock]:
    """Hold the stack's lock for the block.

    Raises AwsError, and DeployError if another command took the lock over meanwhile.
    """
    mine = json.dumps(
        {
            "by": f"{_user()}@{socket.gethostname()}",
            "process": os.getpid(),
            "id": secrets.token_hex(8),
        }
    )
    lock = Lock(aws, names, mine, _acquire(aws, names, mine, say))
    ended = threading.Event()
    renewal = threading.Thread(target=lock.renew_until, args=(ended,), daemon=True)
    renewal.start()
    try:
        yield lock
    finally:
        ended.set()
        renewal.join(_POLL)
        # A lock that cannot be deleted is stale as soon as this process ends.
        lock.release()
    lock.refuse_loss()


def is_locked(aws: Aws, names: Names) -> bool:
    """Return whether the lock's parameter exists, stale or not. Raises AwsError."""
    return aws.find("ssm", "get_parameter", "Parameter.Name", Name=names.lock) is not None


def _user() -> str:
    # A container may have no name for its user.
    with contextlib.suppress(KeyError, OSError):
        return getpass.getuser()
    return "unknown"


def _acquire(aws: Aws, names: Names, mine: str, say: Say) -> bool:
    """Take the lock as soon as it is free or stale. Return whether another command held it."""
    has_waited, version_seen, since = False, None, 0.0
    while not _create(aws, names, mine):
        found = aws.find("ssm", "get_parameter", "Parameter.[Value, Version]", Name=names.lock)
        if found is None:
            # It was released a moment ago, or AWS does not show it yet.
            time.sleep(_CONTEST)
            continue
        value, version = found
        if version != version_seen:
            version_seen, since = version, time.monotonic()
        if _has_ended(value) or time.monotonic() - since > _STALE_AFTER:
            if _take_over(aws, names, mine):
                return True
        else:
            if not has_waited:
                say(f"waiting: {_holder(value)} is changing stack {names.stack}")
            has_waited = True
            time.sleep(_POLL)
    return has_waited


def _create(aws: Aws, names: Names, mine: str) -> bool:
    """Create the lock. Return False if it exists."""
    try:
        aws.call_until_accepted(
            "ssm",
            "put_parameter",
            Name=names.lock,
            Description="The command that is changing this Gimel",
            Value=mine,
            Type="String",
            Tags=tag_list(names.tags),
        )
    except AwsError as error:
        if error.code != "ParameterAlreadyExists":
            raise
        return False
    return True


def _take_over(aws: Aws, names: Names, mine: str) -> bool:
    """Replace a stale lock. Return False if another command did the same a moment later."""
    _write(aws, names, mine)
    time.sleep(_CONTEST)
    return bool(aws.find("ssm", "get_parameter", "Parameter.Value", Name=names.lock) == mine)


def _write(aws: Aws, names: Names, mine: str) -> None:
    aws.call("ssm", "put_parameter", Name=names.lock, Value=mine, Type="String", Overwrite=True)


def _parsed(value: str) -> dict[str, object]:
    """Return what the lock says, or nothing if Gimel did not write it."""
    with contextlib.suppress(ValueError):
        found = json.loads(value)
        if isinstance(found, dict):
            return found
    return {}


def _holder(value: str) -> str:
    """Return the lock's command, without characters that would break or control a line."""
    by = str(_parsed(value).get("by") or "another command")
    return "".join(character if character.isprintable() else "?" for character in by)


def _has_ended(value: str) -> bool:
    """Return whether the lock's process ran on this machine and has ended.

    A process takes one lock at a time, so a lock of its own is left from an earlier failure.
    """
    found = _parsed(value)
    process = found.get("process")
    is_here = str(found.get("by", "")).endswith(f"@{socket.gethostname()}")
    if not is_here or not isinstance(process, int):
        return False
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
