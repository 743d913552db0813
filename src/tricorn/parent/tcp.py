"""Listening on TCP: names and literal addresses, IPv4 and IPv6, and sentences for what can go wrong."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from typing import Any, Final

from tricorn.config.settings import TcpAddress
from tricorn.errors import ListenError

_EVERY_INTERFACE: Final = ("0.0.0.0", "::")
_FAMILY_ABSENT: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})

_SO_ATTACH_FILTER: Final = 26
"""Linux, asm-generic/socket.h; the socket module does not have it."""
_NO_NEW_HANDSHAKE: Final = (
    # Classic BPF (struct sock_filter: code, jump if true, jump if false, operand), on a segment from its TCP header on.
    (0x30, 0, 0, 13),  # load the flags (RFC 9293, section 3.1)
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone begins a handshake:
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # pass everything else, whole
)


def listen(address: TcpAddress, backlog: int) -> list[socket.socket]:
    """One socket for each address that the host stands for; they share the port. Raises ListenError.

    IPv6 sockets take IPv6 only, so that both families can be had, or either, whatever the system's default is.
    """
    opened: list[socket.socket] = []
    port = address.port
    absent: OSError | None = None
    try:
        for family, place in _resolve(address):
            try:
                end = _open(family, (place[0], port, *place[2:]), backlog)
            except OSError as error:
                # A name may stand for a family that this system has not; one that works is enough.
                if error.errno not in _FAMILY_ABSENT:
                    raise
                absent = error
                continue
            opened.append(end)
            # Port 0 lets the system choose; the other addresses of the same name follow it.
            port = end.getsockname()[1]
        if not opened and absent is not None:
            raise absent
    except OSError as error:
        for end in opened:
            end.close()
        raise ListenError(_sentence(address, port, error)) from error
    return opened


def take_no_more(end: socket.socket) -> None:
    """Have the kernel pass over new connections, while those that it has stay acceptable (Linux; nothing elsewhere).

    Only the first segment of a handshake is dropped: a client that has begun one finishes it and is accepted; one that
    comes now tries again after a second, and is refused when the socket is closed by then. Closing it at once, or
    shutting it down, would reset those who wait in its queue. Connections that are accepted later carry the filter
    along, where it does nothing. Raises OSError when the system does not allow filters.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in _NO_NEW_HANDSHAKE))
    end.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(_NO_NEW_HANDSHAKE), ctypes.addressof(program))
    )


def _resolve(address: TcpAddress) -> list[tuple[int, tuple[Any, ...]]]:
    hosts = [address.host] if address.host else _EVERY_INTERFACE
    found: dict[tuple[int, tuple[Any, ...]], None] = {}
    for host in hosts:
        try:
            answers = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (socket.gaierror, UnicodeError) as error:
            if not address.host:
                continue
            reason = error.strerror if isinstance(error, socket.gaierror) else "it is no host name"
            message = f"{_shown(address, address.port)}: the host cannot be resolved: {reason}"
            raise ListenError(message) from error
        for family, _, _, _, place in answers:
            found[family, tuple(place)] = None
    return list(found)


def _open(family: int, place: tuple[Any, ...], backlog: int) -> socket.socket:
    end = socket.socket(family, socket.SOCK_STREAM)
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it; an answer is written whole, so waiting for more to send only delays it.
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        end.bind(place)
        end.listen(backlog)
    except BaseException:
        end.close()
        raise
    return end


def _shown(address: TcpAddress, port: int) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{port}"


def _sentence(address: TcpAddress, port: int, error: OSError) -> str:
    shown = _shown(address, port)
    match error.errno:
        case errno.EADDRINUSE:
            finder = f"ss -ltnp 'sport = :{port}'" if sys.platform == "linux" else f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
            return f"{shown}: port {port} is in use by another program; `{finder}` tells by which"
        case errno.EACCES | errno.EPERM:
            return (
                f"{shown}: this user may not listen on port {port}; use a port from 1024 on, "
                "start as root with --user, or let systemd pass the socket on"
            )
        case errno.EADDRNOTAVAIL:
            return f"{shown}: no interface of this machine has the address {address.host}"
        case errno.EAFNOSUPPORT:
            return f"{shown}: this system has no {'IPv6' if ':' in address.host else 'such address family'}"
        case _:
            return f"{shown}: cannot listen: {error.strerror}"
