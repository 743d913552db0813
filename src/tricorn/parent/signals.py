"""The signals that the parent understands: a table, handlers that only note, and a descriptor that wakes the loop."""

from __future__ import annotations

import signal
import socket
from collections import deque
from dataclasses import dataclass
from enum import Enum
from types import FrameType
from typing import Final


class Word(Enum):
    """What a signal asks for."""

    STOP = "stop"
    STOP_AT_ONCE = "stop at once"
    RELOAD = "reload"
    REOPEN_LOGS = "reopen logs"
    UPGRADE = "upgrade"
    MORE = "more"
    FEWER = "fewer"
    REAP = "reap"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One line of the table."""

    number: signal.Signals
    word: Word
    text: str


TABLE: Final = (
    Meaning(signal.SIGTERM, Word.STOP, "stop gracefully; a second time: at once"),
    Meaning(signal.SIGINT, Word.STOP, "as TERM; what Ctrl-C sends"),
    Meaning(signal.SIGQUIT, Word.STOP_AT_ONCE, "stop at once"),
    Meaning(signal.SIGHUP, Word.RELOAD, "reload configuration and application"),
    Meaning(signal.SIGUSR1, Word.REOPEN_LOGS, "reopen the log files"),
    Meaning(signal.SIGUSR2, Word.UPGRADE, "start the program anew with the same sockets, and leave when it serves"),
    Meaning(signal.SIGTTIN, Word.MORE, "raise the limit by one child"),
    Meaning(signal.SIGTTOU, Word.FEWER, "lower the limit by one child"),
    Meaning(signal.SIGWINCH, Word.NOTHING, "does nothing; a resized terminal sends it"),
    Meaning(signal.SIGCHLD, Word.REAP, "a process below has ended"),
)


ECHO: Final = 0.25
"""Seconds in which the same signal to stop is taken for the same wish; nobody asks twice so quickly."""


class Signals:
    """Takes the signals over; `noted` gives what came, in order. One at a time in a process."""

    def __init__(self) -> None:
        self._noted: deque[Meaning] = deque()
        self._meanings = {meaning.number: meaning for meaning in TABLE}
        self._wake_end, self._wake = socket.socketpair()
        for end in (self._wake_end, self._wake):
            end.setblocking(False)
        self._before = {meaning.number: signal.signal(meaning.number, self._note) for meaning in TABLE}
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        # Whoever has started the server may have blocked them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)

    def fileno(self) -> int:
        """Readable when a signal came."""
        return self._wake_end.fileno()

    def noted(self) -> list[Meaning]:
        """The signals that came since the last call."""
        try:
            while self._wake_end.recv(4096):
                pass
        except BlockingIOError:
            pass
        noted = []
        while self._noted:
            noted.append(self._noted.popleft())
        return noted

    def abandon(self) -> None:
        """In a forked process: let go of the descriptors; it sets handlers of its own."""
        signal.set_wakeup_fd(-1)
        self._wake_end.close()
        self._wake.close()

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self.abandon()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._noted.append(self._meanings[signal.Signals(number)])
