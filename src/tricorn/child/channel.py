"""Typed records over a Unix stream socket: framing, bounds, descriptors. What the records mean is not known here.

A record is a frozen dataclass of strings, integers, booleans and tuples of strings. On the wire: four bytes of length
(big-endian), then a JSON object whose "kind" is the class name. Records may carry descriptors (SCM_RIGHTS). Whatever
comes from the other side is checked: too long, malformed, unknown or wrongly typed records raise ProtocolError, and the
reader then gets rid of the peer.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final, Generic, TypeVar

Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")

_LENGTH: Final = struct.Struct("!I")
LONGEST: Final = 256 * 1024
"""Bytes of one record."""
_DESCRIPTORS_AT_ONCE: Final = 8
_DESCRIPTORS_UNREAD: Final = 64
"""Descriptors that are received before their records are looked at."""
_NUMBER: Final = range(-(2**31), 2**31)
"""What the system calls that records are about can take."""


class ProtocolError(Exception):
    """The other side sent what is no record of this channel."""


class Channel(Generic[Incoming, Outgoing]):
    """One end of a conversation. Not thread-safe."""

    def __init__(self, end: socket.socket, incoming: Iterable[type[Incoming]], *, carries: bool = False) -> None:
        """`carries` tells whether incoming records may carry descriptors; others are refused by the system itself."""
        self._end = end
        self._ancillary = socket.CMSG_SPACE(_DESCRIPTORS_AT_ONCE * 4) if carries else 0
        self._kinds: Mapping[str, type[Incoming]] = {kind.__name__: kind for kind in incoming}
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self.closed = False
        """Whether the other side has closed its end, or is dead."""

    def fileno(self) -> int:
        """The descriptor to wait on for something to receive."""
        return self._end.fileno()

    def send(self, record: Outgoing, descriptors: Iterable[int] = ()) -> None:
        """Send one record; raises OSError (BlockingIOError when the peer does not read and this end does not wait)."""
        rights = array.array("i", descriptors)
        body = {"kind": type(record).__name__, "descriptors": len(rights)} | asdict(record)  # type: ignore[call-overload]
        text = json.dumps(body).encode()
        if len(text) > LONGEST:
            raise ValueError(f"a record of {len(text)} bytes is too long for a channel")
        data = _LENGTH.pack(len(text)) + text
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        sent = self._end.sendmsg([data], ancillary)
        if sent == len(data):
            return
        if self._end.getblocking():
            self._end.sendall(data[sent:])
        else:
            # Half a record cannot be taken back: whoever cannot take a few hundred bytes is stuck, and is given up.
            raise BlockingIOError

    def receive(self) -> list[Incoming]:
        """Everything that has arrived, without waiting; sets `closed`. Raises ProtocolError."""
        if len(self._descriptors) > _DESCRIPTORS_AT_ONCE:
            # All whole records were attended to, and took theirs.
            raise ProtocolError("descriptors that nobody asked for")
        self._fill()
        records = []
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            if length > LONGEST:
                raise ProtocolError(f"a record of {length} bytes")
            end = _LENGTH.size + length
            if len(self._received) < end:
                break
            text = bytes(self._received[_LENGTH.size : end])
            del self._received[:end]
            records.append(self._decode(text))
        return records

    def take_descriptor(self) -> int:
        """The oldest descriptor received and not yet taken; raises ProtocolError if there is none."""
        if not self._descriptors:
            raise ProtocolError("a descriptor is missing")
        return self._descriptors.popleft()

    def give_up(self) -> None:
        """Listen no more: the other side has sent what cannot be understood."""
        self.closed = True
        self._received.clear()

    def close(self) -> None:
        """Close this end, and descriptors nobody took."""
        while self._descriptors:
            os.close(self._descriptors.popleft())
        self._end.close()

    def _fill(self) -> None:
        while not self.closed:
            try:
                data, ancillary, _, _ = self._end.recvmsg(65536, self._ancillary, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                return
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._keep(content)
            if not data:
                self.closed = True
            self._received += data
            if len(self._received) > 4 * LONGEST or len(self._descriptors) > _DESCRIPTORS_UNREAD:
                return

    def _keep(self, content: bytes) -> None:
        rights = array.array("i")
        rights.frombytes(content[: len(content) - len(content) % rights.itemsize])
        for fd in rights:
            os.set_inheritable(fd, False)
            self._descriptors.append(fd)

    def _decode(self, text: bytes) -> Incoming:
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:  # no text, no JSON, too deep
            raise ProtocolError("a record that is no JSON") from error
        if not isinstance(body, dict):
            raise ProtocolError("a record that is no object")
        kind = self._kinds.get(str(body.get("kind")))
        if kind is None:
            raise ProtocolError(f"a record of the unknown kind {body.get('kind')!r:.60}")
        return kind(**{field.name: _checked(body, field.name, str(field.type)) for field in fields(kind)})  # type: ignore[arg-type]


def _checked(body: dict[str, Any], name: str, annotation: str) -> object:
    """The value of one field, if it is of the type that the record declares."""
    value = body.get(name)
    match annotation:
        case "str" if isinstance(value, str):
            return value
        case "int" if isinstance(value, int) and not isinstance(value, bool) and value in _NUMBER:
            return value
        case "bool" if isinstance(value, bool):
            return value
        case "tuple[str, ...]" if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    raise ProtocolError(f"a record whose {name} is not {annotation}")
