"""How an address to listen on is written. Opening it is the business of `parent`."""

# ruff: noqa: D102  (what the methods of a kind do is said once, in `Kind`)
from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from tricorn.config.kinds import Kind
from tricorn.config.settings import Address, InheritedAddress, TcpAddress, UnixAddress

DEFAULT_PORT = 8000


@dataclass(frozen=True)
class AddressKind(Kind[Address]):
    """HOST:PORT, :PORT, [IPv6]:PORT, unix:PATH or fd://N. Apache: the argument of `Listen`; gunicorn: `--bind`."""

    metavar: str = "ADDRESS"
    allowed: str = "HOST:PORT, :PORT (every interface), [IPV6]:PORT, unix:PATH or fd://N"

    def from_text(self, text: str) -> Address:
        if re.search(r"[\x00-\x20\x7f]", text):
            raise ValueError("it holds a space or a control character")
        for scheme in ("http://", "https://"):
            if text.startswith(scheme):
                raise ValueError(f"an address has no {scheme} in front")
        if text.startswith("unix:"):
            return self._unix(text.removeprefix("unix:"))
        if text.startswith("fd://"):
            return self._inherited(text.removeprefix("fd://"))
        if text.startswith(("/", ".")):
            raise ValueError(f"for a Unix socket write unix:{text}")
        return self._tcp(text.removeprefix("tcp://"))

    def to_text(self, value: Address) -> str:
        if isinstance(value, UnixAddress):
            return f"unix:{value.path}"
        if isinstance(value, InheritedAddress):
            return f"fd://{value.fd}"
        host = f"[{value.host}]" if ":" in value.host else value.host
        return f"{host}:{value.port}"

    @staticmethod
    def _unix(path: str) -> UnixAddress:
        path = path.removeprefix("//")
        if not path:
            raise ValueError("the path of the socket is missing")
        if path.startswith("@"):
            raise ValueError("abstract sockets are not offered, because anybody on the machine may connect to one")
        return UnixAddress(path)

    @staticmethod
    def _inherited(number: str) -> InheritedAddress:
        if re.fullmatch(r"[0-9]{1,7}", number) is None:
            raise ValueError("after fd:// comes the number of an open descriptor")
        return InheritedAddress(int(number))

    @staticmethod
    def _tcp(text: str) -> TcpAddress:
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise ValueError("an IPv6 address is written like [::1]:8000")
            try:
                ipaddress.IPv6Address(host)
            except ValueError:
                raise ValueError(f"{host!r} is not an IPv6 address") from None
            return TcpAddress(host, port_number(rest[1:]) if rest else DEFAULT_PORT)
        if text.count(":") > 1:
            raise ValueError("an IPv6 address is written like [::1]:8000")
        if text.isascii() and text.isdigit():  # as Apache's `Listen 8000`
            return TcpAddress("", port_number(text))
        host, colon, port = text.partition(":")
        if re.fullmatch(r"[A-Za-z0-9._-]*", host) is None:
            raise ValueError(f"{host!r} is not the name or address of a host")
        if re.fullmatch(r"[0-9.]+", host):
            try:
                ipaddress.IPv4Address(host)
            except ValueError:
                raise ValueError(f"{host!r} is not an IPv4 address") from None
        if not host and not colon:
            raise ValueError("it is empty")
        return TcpAddress(host, port_number(port) if colon else DEFAULT_PORT)


def port_number(text: str) -> int:
    """Read a TCP port; 0 lets the system choose one. Raises ValueError."""
    if re.fullmatch(r"[0-9]{1,5}", text) is None or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port (0 to 65535)")
    return int(text)
