"""Which signals reach a process below the parent, and what they do there: a table.

A terminal's Ctrl-C reaches the whole foreground group, and systemd's stop reaches the whole control group. The parent
decides what they mean; below it they are ignored, by handlers that do nothing rather than by SIG_IGN, because programs
that the application starts would inherit the latter.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

Handler = Callable[[int, FrameType | None], None]

PARENTS_BUSINESS: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
"""Meant for the parent, whoever else gets them. Taken back from an application that has set handlers of its own."""
LEFT_TO_APPLICATION: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
"""Would end or stop the process by default; an application may have a use for them."""


def do_nothing(number: int, frame: FrameType | None) -> None:
    """The handler of a signal that is somebody else's business."""
    del number, frame


def shield(on_term: Handler) -> None:
    """Before the application is imported: no signal that is meant for the parent ends this process."""
    signal.set_wakeup_fd(-1)
    for number in LEFT_TO_APPLICATION:
        signal.signal(number, do_nothing)
    reclaim(on_term)


def reclaim(on_term: Handler) -> None:
    """After the application was imported: take back what the server depends on."""
    signal.signal(signal.SIGTERM, on_term)
    for number in PARENTS_BUSINESS:
        signal.signal(number, do_nothing)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Whoever has started the server, or the application, may have blocked them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM, *PARENTS_BUSINESS})
