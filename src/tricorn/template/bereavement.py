"""While a template imports the application, the end of the parent is its own: nobody is served by it yet, and an import
that hangs would keep the listening sockets open for ever. Afterwards it hears of that end by its channel (`main.py`).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


@contextmanager
def ends_with_parent(channel: int) -> Iterator[None]:
    """Within this, the kernel kills the process when its parent ends (Linux; elsewhere it lives on until its next wait).

    To be entered after privileges were dropped, which would take it back; `channel` is the descriptor to the parent.
    """
    _ask_for(signal.SIGKILL)
    try:
        if _has_ended(channel):
            # Before the kernel was asked; nobody hears what this process would say.
            os._exit(0)
        yield
    finally:
        _ask_for(0)


def _ask_for(number: int) -> None:
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    except (OSError, AttributeError):
        # A C library without it: as on other systems.
        return


def _has_ended(channel: int) -> bool:
    poll = select.poll()
    poll.register(channel, 0)
    return bool(poll.poll(0))
