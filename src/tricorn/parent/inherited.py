"""Listening sockets that somebody else has opened: systemd's socket activation, and `fd://N`."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from tricorn.errors import ListenError

_FIRST: Final = 3
"""systemd's first descriptor (sd_listen_fds(3))."""
_MOST: Final = 4096
"""More than anybody passes; descriptors that are not there are refused one by one."""


def from_systemd() -> tuple[int, ...]:
    """The descriptors that systemd has passed to this very process; the variables are taken out of the environment.

    Raises:
        ListenError: the variables make no sense.
    """
    pid, count = os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")
    if pid != str(os.getpid()) or count is None:
        # Meant for another process, whose environment was handed on.
        return ()
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if not count.isdecimal() or int(count[:9]) > _MOST:
        raise ListenError(f"LISTEN_FDS is {count!r}, which is no number of sockets")
    return tuple(range(_FIRST, _FIRST + int(count)))


def take(fd: int) -> socket.socket:
    """Make a descriptor ours; raises ListenError if it is no socket that listens for streams."""
    try:
        os.set_inheritable(fd, False)
        end = socket.socket(fileno=fd)
    except OSError as error:
        raise ListenError(f"fd://{fd}: this descriptor is {_what(error)}; pass an open listening socket") from error
    if end.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) or end.type != socket.SOCK_STREAM:
        end.detach()
        raise ListenError(f"fd://{fd}: this socket is neither TCP nor a Unix stream socket")
    if not end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        end.detach()
        raise ListenError(f"fd://{fd}: this socket does not listen; systemd: use Accept=no and ListenStream=")
    return end


def _what(error: OSError) -> str:
    return "not open" if error.errno == errno.EBADF else "no socket"
