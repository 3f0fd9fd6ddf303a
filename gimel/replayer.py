"""The replayer: a thread that counts the events of the spool, in each process of a server.

All processes try once a second. The spool's lock lets one of them replay. If that process dies, the
next one goes on. Without the variable GIMEL_SPOOL there is no spool and no thread.
"""

import atexit
import os
import threading

from gimel.backend.log import log
from gimel.backend.process import intake, queue
from gimel.backend.spool import Spool

# Seconds between two replays, and for the last one to end
_PERIOD, _PATIENCE = 1.0, 3.0

_thread: threading.Thread | None = None
_stopping = threading.Event()


def start() -> None:
    """Start this process's thread, once. A request calls this, so that a forked worker has one."""
    global _thread
    if _thread is None:
        _thread = threading.Thread(target=_run, name="replayer", daemon=True)
        if isinstance(queue(), Spool):
            _thread.start()
            # A thread that prints while Python ends would abort the process.
            atexit.register(stop)


def stop() -> None:
    """End the thread. Wait for the replay that is running."""
    _stopping.set()
    if _thread is not None and _thread.is_alive():
        _thread.join(_PATIENCE)
    _forget()


def _run() -> None:
    stopping = _stopping
    failure = replay()
    while not stopping.wait(_PERIOD):
        failure = replay(failure)


def replay(last_failure: str = "") -> str:
    """Count the events that wait in the spool. Return the kind of failure, or "".

    A failure is logged once, not every second.
    """
    spool = queue()
    try:
        if isinstance(spool, Spool):
            spool.replay(intake().count)
    except Exception as error:
        # Whatever it is: the thread goes on, or nothing would be replayed any more.
        failure = type(error).__name__
        if failure != last_failure:
            log("warning", replay=failure)
        return failure
    return ""


def _forget() -> None:
    """Let the next `start` start a thread. A forked process has none of its parent's."""
    global _thread, _stopping
    _thread, _stopping = None, threading.Event()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
