"""Telling systemd what the server is doing (sd_notify(3)): ready, reloading, stopping, a status line, a sign of life.

Silent where nobody asked. Works with `Type=notify` and `Type=notify-reload` (systemd.service(5)). Nothing here waits: a
message for which there is no room is kept and sent when the loop comes by again.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Final

_NO_ROOM: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Errors that pass; with any other, nobody is there to listen."""
_RETRY: Final = 0.2
"""Seconds until a message is tried again for which there was no room."""
_MOST_KEPT: Final = 16
"""Messages that are kept; beyond that the oldest is lost, since newer ones say what is the case now."""
_STATUS_EVERY: Final = 1.0
"""Seconds between two status lines."""
_LONGEST_STATUS: Final = 400
"""Characters of the line that `systemctl status` shows."""
_LONGEST_PERIOD: Final = 10**15
"""Microseconds of WATCHDOG_USEC that are believed, some thirty years."""


class Notifier:
    """Speaks to the socket that NOTIFY_SOCKET names; used by the parent's only thread.

    The variables are taken out of `environ`, so that neither the application nor what it starts speaks in our name.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None, pid: int | None = None) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. `pid` is that of this process."""
        environ = os.environ if environ is None else environ
        taken = {
            name: value
            for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
            if (value := environ.pop(name, None)) is not None
        }
        self._path = taken.get("NOTIFY_SOCKET", "")
        period = _microseconds(taken.get("WATCHDOG_USEC", ""))
        meant = taken.get("WATCHDOG_PID", "")
        ours = meant in ("", str(os.getpid() if pid is None else pid))
        self._period = period / 1e6 if ours and period and self._speaks() else None
        self._petted: float | None = None
        self._status = self._status_told = ""
        self._status_at: float | None = None
        self._unsent: deque[bytes] = deque(maxlen=_MOST_KEPT)

    def environment(self) -> dict[str, str]:
        """The variables for a process that takes this one's place (a binary upgrade): it is then the one to speak."""
        variables = {"NOTIFY_SOCKET": self._path} if self._speaks() else {}
        if self._period is not None:
            variables["WATCHDOG_USEC"] = str(round(self._period * 1e6))
        return variables

    def ready(self, pid: int) -> None:
        """The server serves, for the first time or again after `reloading`; `pid` is the process to watch and signal."""
        self.tell("READY=1", f"MAINPID={pid}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it, however it ended."""
        # systemd compares this with the moment at which it asked, in order not to take an older message for an answer.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """The server begins to stop."""
        self.tell("STOPPING=1")

    def mainpid(self, pid: int) -> None:
        """Another process is the server from now on."""
        self.tell(f"MAINPID={pid}")

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows. `pet` sends it, if it has changed, and not more often than one reads."""
        self._status = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())[:_LONGEST_STATUS]

    def watchdog_due(self, now: float) -> float | None:
        """When `pet` is wanted next (monotonic seconds): twice a period, as sd_watchdog_enabled(3) advises; or sooner, for
        what is still to be sent.
        """
        times = []
        if self._period is not None:
            times.append(now if self._petted is None else self._petted + self._period / 2)
        if self._speaks() and self._status != self._status_told:
            times.append(now if self._status_at is None else self._status_at + _STATUS_EVERY)
        if self._unsent:
            times.append(now + _RETRY)
        return min(times, default=None)

    def pet(self, now: float) -> None:
        """Give the sign of life if it is due; also sends what could not be sent earlier. Called by a loop that turns."""
        self._flush()
        if self._status != self._status_told and (self._status_at is None or now >= self._status_at + _STATUS_EVERY):
            self._status_told, self._status_at = self._status, now
            self.tell(f"STATUS={self._status}")
        if self._period is not None and (self._petted is None or now >= self._petted + self._period / 2):
            self._petted = now
            self._send(b"WATCHDOG=1")  # one that finds no room is not kept: the next one says the same

    def tell(self, *lines: str) -> None:
        """Send a state, for example "READY=1"; a supervisor that is gone changes nothing."""
        if self._speaks():
            self._unsent.append("\n".join(lines).encode("utf-8", "replace"))
            self._flush()

    def _speaks(self) -> bool:
        # "vsock:" exists too, for virtual machines whose service manager is outside.
        return self._path.startswith(("/", "@")) and len(self._path) > 1

    def _flush(self) -> None:
        while self._unsent and self._send(self._unsent[0]):
            self._unsent.popleft()

    def _send(self, message: bytes) -> bool:
        """Whether it is done with: sent, or nobody is there."""
        path = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.setblocking(False)
                end.sendto(message, path)
        except OSError as error:
            return error.errno not in _NO_ROOM
        except ValueError:  # a name that is none
            return True
        return True


def _microseconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 and int(text) <= _LONGEST_PERIOD else 0
