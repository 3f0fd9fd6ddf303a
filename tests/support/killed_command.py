"""`python -m tests.support.killed_command K ARGUMENT...`: `gimel`, killed at its K-th request.

SIGKILL ends all its threads wherever they are: no handler runs, no request in flight is awaited.
"""

import itertools
import os
import signal
import sys
from typing import Any

from botocore.httpsession import URLLib3Session

from gimel.cli import main

_send = URLLib3Session.send
_numbers = itertools.count(1)


def _deadly(self: Any, request: Any) -> Any:
    # next() of a count is atomic: requests go out from several threads.
    if next(_numbers) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return _send(self, request)


if __name__ == "__main__":
    URLLib3Session.send = _deadly
    main(sys.argv[2:])
