"""The listening sockets, owned by the parent for the life of the server: opened before any fork, closed at the end.

Which kind is opened how: `tcp.py`, `unix_socket.py`, `inherited.py`. How they go from one server to its successor:
`upgrade.py` and `succession.py`.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tricorn.config.settings import InheritedAddress, Listen, TcpAddress, UnixAddress
from tricorn.errors import ListenError
from tricorn.parent import inherited, tcp, unix_socket
from tricorn.parent.handover import PassedSocket
from tricorn.parent.succession import Succession
from tricorn.parent.unix_socket import SocketFile


class Claim(Enum):
    """Whose a listening socket is: who may end it for everybody that has it."""

    OURS = "ours"
    SHARED = "shared"
    """Another server serves it as well: during an upgrade the new one has not taken over yet, or the old one has."""
    FOREIGN = "foreign"
    """Opened by somebody else (systemd, `fd://`), who goes on holding it when this server is gone."""


@dataclass(slots=True)
class Listener:
    """One listening socket, non-blocking, and not inherited by programs that anybody starts."""

    socket: socket.socket
    address: str
    """As the operator reads it: `http://127.0.0.1:8000` or `unix:/run/app.sock`."""
    name: tuple[str | int, ...]
    """What it was opened for; a successor that is configured alike looks for it under this name."""
    claim: Claim
    file: SocketFile | None = None
    """What it leaves in the file system; None when there is nothing of ours."""


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

    def stop_listening(self) -> str | None:
        """At a stop: nothing new gets into the kernel's queues, and what is there can still be accepted by children.

        Returns a sentence for the log when the system does not allow that for TCP: connections that arrive between the
        last look into the queue and `shut` are then reset.
        """
        refusal = None
        for listener in self._ours():
            if listener.file is not None:
                listener.file.remove()
                listener.file = None
            elif listener.socket.family != socket.AF_UNIX:
                try:
                    tcp.take_no_more(listener.socket)
                except OSError as error:
                    refusal = (
                        f"{listener.address}: the system allows no filter on the listening socket ({error.strerror}); "
                        "a client that connects in the last moment of this stop may be reset instead of refused"
                    )
        return refusal

    def is_empty(self) -> bool:
        """Whether nobody waits in a queue of ours to be accepted. Does not wait."""
        poll = select.poll()
        for listener in self._ours():
            poll.register(listener.socket, select.POLLIN)
        return not poll.poll(0)

    def shut(self) -> None:
        """End the sockets that are ours for everybody who has them, children that drain included; then close all.

        From here on clients are refused at once. Those who were still waiting to be accepted are reset: see `is_empty`.
        """
        for listener in self._ours():
            try:
                listener.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                # Not on macOS: there they end when the last process has closed them.
                continue
        self.close()

    def close(self) -> None:
        """Stop listening, and remove the files of Unix sockets. Children that drain hold the sockets for a while yet."""
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            listener.socket.close()
            if listener.file is not None and listener.claim is Claim.OURS:
                listener.file.remove()

    # An upgrade: two servers have the same sockets for a while.

    def passed_on(self) -> list[PassedSocket]:
        """All of them, described for a successor."""
        return [PassedSocket(one.name, one.socket.fileno(), one.file) for one in self._listeners]

    def hand_over(self, taken: Collection[int]) -> None:
        """The old server: the successor serves these descriptors from now on, so this one ends none of them."""
        for listener in self._listeners:
            if listener.claim is Claim.OURS and listener.socket.fileno() in taken:
                listener.claim = Claim.SHARED

    def take_over(self) -> None:
        """The new server: the old one has let go, so they are ours alone."""
        for listener in self._listeners:
            if listener.claim is Claim.SHARED:
                listener.claim = Claim.OURS

    def _ours(self) -> list[Listener]:
        return [listener for listener in self._listeners if listener.claim is Claim.OURS]


def open_listeners(listen: Listen, succession: Succession | None = None) -> Listeners:
    """Open every address, or take those that systemd or, in an upgrade, the running server has passed on instead.

    Raises:
        ListenError: with one sentence that names the address and what to do.
    """
    opened: list[Listener] = []
    try:
        if not _from_systemd(opened, succession):
            for address in listen.addresses:
                name = _name(address)
                passed = succession.take(name) if succession is not None else []
                if passed:
                    claim = Claim.FOREIGN if isinstance(address, InheritedAddress) else Claim.SHARED
                    opened += [_listener(inherited.take(one.fd), name, claim, one.file) for one in passed]
                else:
                    opened += _open(address, name, listen)
        if not opened:
            raise ListenError("there is no address to listen on")
    except ListenError:
        Listeners(tuple(opened)).close()
        raise
    for listener in opened:
        listener.socket.setblocking(False)
    return Listeners(tuple(opened))


def _open(
    address: TcpAddress | UnixAddress | InheritedAddress, name: tuple[str | int, ...], how: Listen
) -> list[Listener]:
    match address:
        case TcpAddress():
            return [_listener(end, name, Claim.OURS) for end in tcp.listen(address, how.backlog)]
        case UnixAddress():
            end, file = unix_socket.open_at(Path(address.path), how)
            return [_listener(end, name, Claim.OURS, file)]
        case InheritedAddress():
            return [_listener(inherited.take(address.fd), name, Claim.FOREIGN)]


def _from_systemd(opened: list[Listener], succession: Succession | None) -> bool:
    """Sockets of systemd replace what is configured, in this server and in all its successors."""
    name = ("systemd",)
    fds = inherited.from_systemd()
    if not fds and succession is not None:
        fds = tuple(passed.fd for passed in succession.take(name))
    opened += [_listener(inherited.take(fd), name, Claim.FOREIGN) for fd in fds]
    return bool(fds)


def _name(address: TcpAddress | UnixAddress | InheritedAddress) -> tuple[str | int, ...]:
    match address:
        case TcpAddress(host, port):
            return ("tcp", host, port)
        case UnixAddress(path):
            return ("unix", path)
        case InheritedAddress(fd):
            return ("fd", fd)


def _listener(
    end: socket.socket, name: tuple[str | int, ...], claim: Claim, file: SocketFile | None = None
) -> Listener:
    place = end.getsockname()
    if end.family == socket.AF_UNIX:
        shown = file.path if file is not None else place if isinstance(place, str) else place.decode()
        return Listener(end, f"unix:{shown}", name, claim, file)
    host, port = place[:2]
    return Listener(end, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", name, claim)
