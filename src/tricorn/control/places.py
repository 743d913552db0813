"""The directories of control sockets that nobody named: making one, trusting one, looking into one.

Which directories there are is said in `config.machine`. A server that was not told where puts its socket into the first,
named after its pid; the client looks into all of them. What others could have put there is neither used nor believed.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Final

SUFFIX: Final = ".sock"
_MOST_SOCKETS: Final = 256
"""Files of one directory that are looked at."""


def distrust(directory: Path, user: int) -> str | None:
    """Why a directory cannot be trusted with a control socket; None if it can. Raises OSError if it is not there."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "it is no directory"
    if status.st_uid != user:
        return f"it belongs to another user ({status.st_uid})"
    if status.st_mode & 0o022:
        return f"others may write to it (mode {stat.S_IMODE(status.st_mode):o}); make that 700"
    return None


def make_directory(directory: Path, user: int) -> None:
    """Have the directory, for its owner alone. Raises OSError, and PermissionError if it cannot be trusted."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        if reason := distrust(directory, user):
            raise PermissionError(f"{directory} is not used: {reason}") from None


def sockets(directory: Path, user: int) -> list[Path]:
    """The control sockets of a directory, living or not; none if it is not there or cannot be trusted."""
    try:
        if distrust(directory, user):
            return []
        with os.scandir(directory) as entries:
            found = [Path(entry.path) for entry, _ in zip(entries, range(_MOST_SOCKETS), strict=False)]
    except OSError:
        return []
    return sorted(path for path in found if path.suffix == SUFFIX and path.is_socket())


def is_alive(path: Path) -> bool:
    """Whether somebody listens at this socket. Does not wait: a Unix socket answers at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:  # its queue is full: somebody listens, and is busy
            return True
        except OSError:
            return False
    return True
