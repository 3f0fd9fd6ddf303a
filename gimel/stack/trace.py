"""What `gimel --debug` writes: each call to AWS with its outcome, never what it carries."""

import sys
import time
import traceback
from pathlib import Path
from typing import Any

_started = time.monotonic()
_is_on = False


def switch_on() -> None:
    """From now on, tell on standard error what goes to AWS."""
    global _is_on
    _is_on = True


def is_on() -> bool:
    """Whether `--debug` was given."""
    return _is_on


def explain(error: BaseException) -> None:
    """Tell where an error came from: the calls that led to it, without their values."""
    for frame in traceback.extract_tb(error.__traceback__):
        where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        print(f"debug   {type(error).__name__} by way of {where}", file=sys.stderr)


def watch(client: Any) -> None:
    """Tell of each attempt of the client's calls."""
    client.meta.events.register("response-received", _tell)


def _tell(
    response_dict: Any, parsed_response: Any, exception: Any, event_name: str, **_: Any
) -> None:
    """One line: when, which call, what came of it. Arguments and answers may hold secrets."""
    if not _is_on:
        return
    if exception is not None:
        outcome = type(exception).__name__
    else:
        code = (parsed_response or {}).get("Error", {}).get("Code", "")
        about = (parsed_response or {}).get("ResponseMetadata", {})
        outcome = f"{response_dict['status_code']} {code} {about.get('RequestId', '')}"
    name = event_name.removeprefix("response-received.")
    seconds = time.monotonic() - _started
    sys.stderr.write(f"debug {seconds:7.3f} s  {name}  {' '.join(outcome.split())}\n")
