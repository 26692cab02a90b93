"""``qc`` with a place in its code at which it dies, as by kill -9: ``python kill_point.py PLACE ARMED run CONFIG``.

PLACE: ``Class.method:call`` or ``:return`` (a qualified name and a moment), or ``function>other``: just before ``other`` (a qualified name, or a
system call such as ``posix.replace``) that ``function`` or what it calls makes. ARMED: the file whose existence arms it, so that the start of
the program need not count. Seen by a profile hook; the program itself is untouched.
"""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

DEPTH = 6
"""Callers that are looked at for ``function>other``."""


def spy(place: str, armed: str) -> Any:
    function, _, inner = place.partition(">")
    name, _, moment = function.partition(":")

    def here(frame: FrameType, event: str, arg: Any) -> bool:
        if not inner:
            return event == moment and frame.f_code.co_qualname == name
        called = f"{arg.__module__}.{arg.__name__}" if event == "c_call" else frame.f_code.co_qualname if event == "call" else ""
        if called != inner:
            return False
        above: FrameType | None = frame
        for _ in range(DEPTH):
            if above is None or above.f_code.co_qualname == name:
                return above is not None
            above = above.f_back
        return False

    def hook(frame: FrameType, event: str, arg: Any) -> None:
        if here(frame, event, arg) and os.path.exists(armed):  # called for every function: no objects
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


if __name__ == "__main__":
    hook = spy(sys.argv[1], sys.argv[2])
    del sys.argv[1:3]
    import qc.commands.run  # noqa: F401  # unwatched: the hook would make the imports slow
    from qc.cli import main

    threading.setprofile(hook)
    sys.setprofile(hook)
    main()
