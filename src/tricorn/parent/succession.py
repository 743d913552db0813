"""An upgrade as the new server sees it: take what the running one has passed on, say that it serves, wait for the word.

The way there: `inherited_from_upgrade` before anything is opened; `take` and `pid_file` while it starts; `finish` when
it has what it needs; `tell_serving` when its children serve; `hear` until that says that everything is its own. The old
server's side is `upgrade.py`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from pathlib import Path

from tricorn.config.environment import UPGRADE_VARIABLE
from tricorn.logs.files import STANDARD_ERROR
from tricorn.parent import handover
from tricorn.parent.handover import Handover, PassedSocket, Serving
from tricorn.parent.pid_file import PidFile


class Succession:
    """What a running server has passed on, and the line to it. Used by the parent's only thread."""

    def __init__(self, passed: Handover, line: socket.socket) -> None:
        self._line = line
        self._sockets = list(passed.sockets)
        self._pid_file = passed.pid_file
        self._taken: set[int] = set()
        self._pid_file_taken = False

    def take(self, name: tuple[str | int, ...]) -> list[PassedSocket]:
        """The sockets that were opened for `name`; whoever takes them closes them."""
        found = [passed for passed in self._sockets if passed.name == name]
        self._sockets = [passed for passed in self._sockets if passed.name != name]
        self._taken |= {passed.fd for passed in found}
        return found

    def pid_file(self, path: Path) -> PidFile | None:
        """The pid file, held by both servers for now, if the old one has the same. Call `PidFile.confirm` at the end.

        Raises:
            ConfigError: what was handed over is not this file.
        """
        if self._pid_file is None or self._pid_file[0] != path.absolute():
            return None
        fd = self._pid_file[1]
        self._pid_file = None
        self._pid_file_taken = True
        return PidFile(path, fd)

    def finish(self) -> None:
        """Close what the configuration of this server has no use for; the old one goes on having it until it ends."""
        for fd in (*(passed.fd for passed in self._sockets), *(() if self._pid_file is None else (self._pid_file[1],))):
            if fd <= STANDARD_ERROR:
                # A server that inetd has started; what is opened next must not become a standard stream.
                continue
            try:
                os.close(fd)
            except OSError:
                # It was never open; nobody has missed it.
                continue
        self._sockets, self._pid_file = [], None

    def tell_serving(self) -> None:
        """Say that this server serves. Never raises: if the old one is gone, `hear` says so."""
        try:
            self._line.send(Serving(os.getpid(), frozenset(self._taken), self._pid_file_taken).encode())
        except OSError:
            return

    def fileno(self) -> int:
        """Readable when there is something to hear."""
        return self._line.fileno()

    def hear(self) -> bool:
        """Whether everything is this server's own now: the old one has said so, or is gone. Does not wait.

        Then: `Listeners.take_over`, `PidFile.confirm`, and `close`.
        """
        try:
            # Whatever it says: it says one thing only, and nothing at all when it has died.
            self._line.recv(len(handover.GO))
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def abandon(self) -> None:
        """In a forked template: let go of the line, so that its end is the end of the parent."""
        self._line.close()

    def close(self) -> None:
        """At the end of the upgrade, or of a start that failed."""
        self.finish()
        self._line.close()


def inherited_from_upgrade(environ: MutableMapping[str, str]) -> Succession | None:
    """What a running server has handed to this one; None for an ordinary start. The variable is taken out.

    Raises:
        ConfigError: the variable was not set by a running server.
    """
    text = environ.pop(UPGRADE_VARIABLE, None)
    if text is None:
        return None
    passed = handover.decode_handover(text)
    for fd in (passed.pair, *(entry.fd for entry in passed.sockets)):
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            raise handover.refusal(f"descriptor {fd} is not open") from error
    try:
        line = socket.socket(fileno=passed.pair)
    except OSError as error:
        raise handover.refusal(f"descriptor {passed.pair} is no socket") from error
    if line.family != socket.AF_UNIX or line.type != socket.SOCK_STREAM or not _connected(line):
        line.detach()
        raise handover.refusal(f"descriptor {passed.pair} is no line to another server")
    line.setblocking(False)
    return Succession(passed, line)


def _connected(end: socket.socket) -> bool:
    try:
        end.getpeername()
    except OSError:
        return False
    return True
