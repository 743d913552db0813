"""Who is at the other end of a Unix socket: asked of the kernel, which has noted it when the connection was made."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

_UCRED: Final = struct.Struct("iII")
"""pid, uid, gid (unix(7), SO_PEERCRED)."""
_XUCRED: Final = struct.Struct("II")
"""The version and the uid, with which BSD's answer begins (unix(4), LOCAL_PEERCRED)."""
_SOL_LOCAL: Final = 0
_LOCAL_PEERCRED: Final = 1


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end: of a client the one that has connected, of a server the one that listens."""

    pid: int | None
    """None where the system does not tell, or the process is in a namespace that cannot be seen from here."""
    user: int


def peer_of(end: socket.socket) -> Peer | None:
    """Who it is; None if the system does not say."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            pid, user, _ = _UCRED.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
            return Peer(pid or None, user)
        _, user = _XUCRED.unpack(end.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
        return Peer(None, user)
    except (OSError, struct.error):
        return None
