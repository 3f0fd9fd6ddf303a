"""The work of a server's process besides requests: threads replay the spool and write snapshots.

Each process of a server tries both: the spool once a second, snapshots once a minute. The spool's
lock, and a key in Redis, let one of them work at a time. If that process dies, the next one goes
on. Without the variable GIMEL_SPOOL there is no spool and no thread for it.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable

from gimel.backend.log import log
from gimel.backend.process import intake, queue, write_snapshots
from gimel.backend.spool import Spool

# Seconds between two replays, and between two attempts to write snapshots
_REPLAY_PERIOD, _SNAPSHOT_PERIOD = 1.0, 60.0
# Seconds for the snapshots of one attempt, and for the work of a thread to end
_SNAPSHOT_SECONDS, _PATIENCE = 5.0, 3.0

_threads: list[threading.Thread] = []
_starting, _stopping = threading.Lock(), threading.Event()
# The hour whose snapshots are known to be written
_done = 0


def start() -> None:
    """Start this process's threads, once. A request calls this, so a forked worker has them."""
    if _threads:
        return
    with _starting:
        if not _threads:
            _start()


def _start() -> None:
    works: list[tuple[float, Callable[[str], str]]] = [(_SNAPSHOT_PERIOD, snapshot)]
    if isinstance(queue(), Spool):
        works.append((_REPLAY_PERIOD, replay))
    for period, work in works:
        arguments = (period, work, _stopping)
        thread = threading.Thread(target=_run, args=arguments, name=work.__name__, daemon=True)
        thread.start()
        _threads.append(thread)
    # A thread that prints while Python ends would abort the process.
    atexit.register(stop)


def stop() -> None:
    """End the threads. Wait for the work that is under way."""
    _stopping.set()
    for thread in _threads:
        thread.join(_PATIENCE)
    _forget()


def _run(period: float, work: Callable[[str], str], stopping: threading.Event) -> None:
    failure = ""
    while not stopping.wait(period):
        failure = work(failure)


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
        return _logged("replay", type(error).__name__, last_failure)
    return ""


def snapshot(last_failure: str = "") -> str:
    """Write this hour's snapshots, if some may be missing. Return the kind of failure, or ""."""
    global _done
    hour = int(time.time()) // 3600
    if hour == _done:
        return ""
    try:
        done = write_snapshots(_SNAPSHOT_SECONDS)
    except Exception as error:
        return _logged("snapshot", type(error).__name__, last_failure)
    if done and done.is_complete:
        _done = hour
    return ""


def _logged(work: str, failure: str, last_failure: str) -> str:
    if failure != last_failure:
        log("warning", **{work: failure})
    return failure


def _forget() -> None:
    """Let the next `start` start threads. A forked process has none of its parent's."""
    global _starting, _stopping
    _threads.clear()
    _starting, _stopping = threading.Lock(), threading.Event()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
