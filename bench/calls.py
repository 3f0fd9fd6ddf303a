"""`python calls.py FILE MODULE [ARGUMENT...]`: run a command, and write into FILE how many requests
boto3 sent meanwhile. It imports nothing of Gimel, so it runs in the peers' environments too."""

import atexit
import runpy
import sys
from pathlib import Path
from typing import Any

from botocore.httpsession import URLLib3Session

_send = URLLib3Session.send
_sent: list[str] = []


def _counting(self: Any, request: Any) -> Any:
    # list.append is atomic: calls go out from several threads.
    _sent.append(request.method)
    return _send(self, request)


if __name__ == "__main__":
    _, file, module, *arguments = sys.argv
    URLLib3Session.send = _counting
    atexit.register(lambda: Path(file).write_text(str(len(_sent))))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
