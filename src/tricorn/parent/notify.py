"""Telling systemd that the server is ready, reloads, or stops (sd_notify(3), `Type=notify`); silent elsewhere."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Speaks to the socket that NOTIFY_SOCKET named at the start; the variable is taken out of the environment."""

    def __init__(self) -> None:
        self._path = os.environ.pop("NOTIFY_SOCKET", "")

    def tell(self, *lines: str) -> None:
        """Send a state, for example "READY=1". Never waits, never fails: a supervisor that is gone changes nothing."""
        if not self._path.startswith(("/", "@")):
            return
        path = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            try:
                end.sendto("\n".join(lines).encode(), path)
            except OSError:
                return
