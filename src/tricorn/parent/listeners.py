"""The listening sockets, owned by the parent for the life of the server: opened before any fork, closed at the end.

Which kind is opened how: `tcp.py`, `unix_socket.py`, `inherited.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from tricorn.config.settings import InheritedAddress, Listen, TcpAddress, UnixAddress
from tricorn.errors import ListenError
from tricorn.parent import inherited, tcp, unix_socket


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket, non-blocking, and not inherited by programs that anybody starts."""

    socket: socket.socket
    address: str
    """As the operator reads it: `http://127.0.0.1:8000` or `unix:/run/app.sock`."""
    remove: Callable[[], None] | None
    """Removes what the socket leaves in the file system; None when there is nothing of ours."""


class Listeners:
    """All listening sockets of the server."""

    def __init__(self, listeners: tuple[Listener, ...]) -> None:
        self._listeners = listeners

    @property
    def descriptors(self) -> tuple[int, ...]:
        """For the engine."""
        return tuple(listener.socket.fileno() for listener in self._listeners)

    @property
    def addresses(self) -> tuple[str, ...]:
        """For the operator."""
        return tuple(listener.address for listener in self._listeners)

    def close(self) -> None:
        """Stop listening, and remove the files of Unix sockets. Children that drain hold the sockets for a while yet."""
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            listener.socket.close()
            if listener.remove is not None:
                listener.remove()


def open_listeners(listen: Listen) -> Listeners:
    """Open every address, or those that systemd has passed on instead.

    Raises:
        ListenError: with one sentence that names the address and what to do.
    """
    opened: list[Listener] = []
    passed = inherited.from_systemd()
    addresses = tuple(InheritedAddress(fd) for fd in passed) if passed else listen.addresses
    try:
        for address in addresses:
            match address:
                case TcpAddress():
                    opened += [_own(end) for end in tcp.listen(address, listen.backlog)]
                case UnixAddress():
                    end, remove = unix_socket.listen(address, listen)
                    opened.append(Listener(end, f"unix:{address.path}", remove))
                case InheritedAddress():
                    opened.append(_own(inherited.take(address.fd)))
        if not opened:
            raise ListenError("there is no address to listen on")
    except ListenError:
        Listeners(tuple(opened)).close()
        raise
    for listener in opened:
        listener.socket.setblocking(False)
    return Listeners(tuple(opened))


def _own(end: socket.socket) -> Listener:
    name = end.getsockname()
    if end.family == socket.AF_UNIX:
        return Listener(end, f"unix:{name if isinstance(name, str) else name.decode()}", None)
    host, port = name[:2]
    return Listener(end, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", None)
