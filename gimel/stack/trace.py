"""The output of `gimel --debug`: each call to AWS and its outcome, never arguments or answers."""

import sys
import time
import traceback
from pathlib import Path
from typing import Any

_started = time.monotonic()
_is_on = False


def switch_on() -> None:
    """Start to write each call to AWS to standard error."""
    global _is_on
    _is_on = True


def is_on() -> bool:
    """Return whether `--debug` was given."""
    return _is_on


def explain(error: BaseException) -> None:
    """Write where an error was raised: the functions that led to it, without their arguments."""
    for frame in traceback.extract_tb(error.__traceback__):
        where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        print(f"debug   {type(error).__name__} through {where}", file=sys.stderr)


def watch(client: Any) -> None:
    """Have the client report each attempt of its calls."""
    client.meta.events.register("response-received", _write_outcome)


def _write_outcome(
    response_dict: Any, parsed_response: Any, exception: Any, event_name: str, **_: Any
) -> None:
    """Write one line: time, call, outcome. Arguments and answers may hold secrets."""
    if not _is_on:
        return
    if exception is not None:
        outcome = type(exception).__name__
    else:
        code = (parsed_response or {}).get("Error", {}).get("Code", "")
        metadata = (parsed_response or {}).get("ResponseMetadata", {})
        outcome = f"{response_dict['status_code']} {code} {metadata.get('RequestId', '')}"
    name = event_name.removeprefix("response-received.")
    seconds = time.monotonic() - _started
    sys.stderr.write(f"debug {seconds:7.3f} s  {name}  {' '.join(outcome.split())}\n")
