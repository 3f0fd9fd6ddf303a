"""What Lambda starts to take events: `direct.track`, imported with the garbage collector at rest.

Nothing that an import makes is garbage; looking for some all the same takes a twelfth of the time
that they take. All that is there then stays for good: frozen, later collections pass it by.
"""

import gc

gc.disable()

from gimel.direct import track  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["track"]
