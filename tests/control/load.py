"""Honest clients that keep their connections: each sends one request after the other and accounts for every one of them.

What is normal: an answer that says `Connection: close`, and a kept connection that is closed before a request was sent on
it. What is a race that HTTP/1.1 cannot avoid (RFC 9112, section 9.5): the server closes a kept connection that waits, and
not one byte of the next request has reached its system by then; the kernel tells (bytes that nobody has acknowledged).
A server of ours waits for a while before it closes, so a client that goes on at once has no such race; on a machine that
is too busy to let the client go on at once it may have, and is late. Everything else that gets no whole and right answer is lost, and the reason is kept.
"""

from __future__ import annotations

import fcntl
import random
import re
import select
import socket
import struct
import termios
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tricorn.testing import Server

PATIENCE = 30.0
"""Seconds without an answer after which a request is lost."""
PROMPT = 0.1
"""Seconds of silence below which no kept connection may be closed: `IDLE_ENOUGH` of the engine."""
MOST_LATE = 0.001
"""Share of the requests that may be late before that is no accident of the machine."""
STAY = 60
"""Requests on one connection, in the mean, until the client itself asks for its end: so that new children get their share."""


@dataclass(frozen=True, slots=True)
class Lost:
    """One request that was not answered as it should have been."""

    name: str
    method: str
    how: str
    holder: int | None
    """The child that had answered on this connection before; None if it was a new one."""


class Interrupted(Exception):  # noqa: N818 - no error of this program
    """The connection ended, or broke, where an answer should have come."""


class Client(threading.Thread):
    """One client of one server, with at most one connection at a time."""

    def __init__(self, address: tuple[str, int], seed: int, *, pace: float, stay: int, slow: float) -> None:
        super().__init__(name=f"client-{seed}", daemon=True)
        self._address = address
        self._seed = seed
        self._pace = pace
        self._stay = stay
        self._slow = slow
        self._chance = random.Random(seed)
        self._end: socket.socket | None = None
        self._pending = b""
        self._leaving = threading.Event()
        self._began = 0.0
        """When the first byte of the last request was sent: the server has not been waiting for the next one for longer."""
        self.holder: int | None = None
        """The child that answered last on the open connection."""
        self.answered = 0
        self.posted = 0
        self.connections = 0
        self.closed_idle = 0
        """Kept connections that were closed before a request was sent."""
        self.raced: list[str] = []
        self.late: list[str] = []
        """Those that had such a race after a silence of their own."""
        self.lost: list[Lost] = []
        self.refused = 0
        self.editions: dict[str, int] = {}

    def leave(self) -> None:
        """Send no further request."""
        self._leaving.set()

    def run(self) -> None:
        """Until told to leave, or until the server is not there any more."""
        number = 0
        while not self._leaving.is_set() and self._connected():
            number += 1
            self._exchange(f"{self._seed}-{number}")
            if self._pace:
                self._leaving.wait(self._pace)
        self._close()

    def _connected(self) -> bool:
        """Have a connection that is open as far as one can know. False: nobody listens."""
        if self._end is not None and select.select([self._end], [], [], 0)[0]:
            with suppress(ConnectionResetError):
                if unasked := self._end.recv(65536):
                    self._lose("(none)", "(none)", f"got what nobody asked for: {unasked[:200]!r}")
            self.closed_idle += 1
            self._close()
        if self._end is not None:
            return True
        try:
            self._end = socket.create_connection(self._address, timeout=PATIENCE)
        except OSError:  # refused; or reset while it was queued, which the caller sees as a refusal as well
            self.refused += 1
            return False
        self._end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""
        self.holder = None
        self.connections += 1
        return True

    def _exchange(self, name: str) -> None:
        method, pieces, expected = self._request(name)
        assert self._end is not None
        kept = self.holder is not None
        before, self._began = self._began, time.monotonic()
        sent = self._began
        try:
            for piece in pieces:
                self._end.sendall(piece)
                sent = time.monotonic()
            self._answer(name, expected)
        except TimeoutError:
            self._lose(name, method, f"no answer within {PATIENCE:g} s")
        except (Interrupted, OSError) as error:
            whole = sum(map(len, pieces))
            if kept and not self._pending and _unacknowledged(self._end) >= whole:
                (self.raced if sent - before < PROMPT else self.late).append(name)
            else:
                self._lose(name, method, f"{error!r} after {self._pending[:200]!r}")
            self._close()
        else:
            self.answered += 1
            self.posted += method == "POST"

    def _request(self, name: str) -> tuple[str, list[bytes], bytes]:
        """The method, the segments to send, and how the answer must begin."""
        chance = self._chance
        wait = f"&{self._milliseconds()}" if self._slow or chance.random() < 0.2 else ""
        fields = "Host: here\r\n" + ("Connection: close\r\n" if chance.random() < 1 / self._stay else "")
        if chance.random() < 0.6:
            return "GET", [f"GET /?{name}{wait} HTTP/1.1\r\n{fields}\r\n".encode()], _expected(name, b"")
        body = chance.randbytes(chance.choice([1, 100, 3000, 20000]))
        start = f"POST /?{name}{wait} HTTP/1.1\r\n{fields}"
        if chance.random() < 0.2:
            framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            request = start.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + framed
        else:
            request = f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body
        cut = chance.randrange(1, len(request)) if chance.random() < 0.3 else len(request)
        return "POST", [piece for piece in (request[:cut], request[cut:]) if piece], _expected(name, body)

    def _milliseconds(self) -> int:
        return round(1000 * self._slow) or self._chance.randint(1, 4)

    def _answer(self, name: str, expected: bytes) -> None:
        head = self._until_blank_line()
        status = head.split(b"\r\n", 1)[0]
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not status.startswith(b"HTTP/1.1 200 ") or length is None:
            raise Interrupted(f"an answer of another kind: {head!r}")
        while len(self._pending) < int(length[1]):
            self._more()
        body, self._pending = self._pending[: int(length[1])], self._pending[int(length[1]) :]
        if not body.startswith(expected) or self._pending:
            raise Interrupted(f"{body!r} and {self._pending!r} instead of {expected!r}")
        edition, holder = body[len(expected) :].decode().split()
        self.editions[edition] = self.editions.get(edition, 0) + 1
        self.holder = int(holder)
        if re.search(rb"(?i)\r\nconnection: *close\b", head):
            self._close()

    def _until_blank_line(self) -> bytes:
        while b"\r\n\r\n" not in self._pending:
            self._more()
        head, _, self._pending = self._pending.partition(b"\r\n\r\n")
        return head

    def _more(self) -> None:
        assert self._end is not None
        piece = self._end.recv(65536)
        if not piece:
            raise Interrupted("closed")
        self._pending += piece

    def _lose(self, name: str, method: str, how: str) -> None:
        self.lost.append(Lost(name, method, how, self.holder))
        self._close()

    def _close(self) -> None:
        if self._end is not None:
            self._end.close()
        self._end, self._pending, self.holder = None, b"", None


def _expected(name: str, body: bytes) -> bytes:
    return f"{name} {len(body)} {zlib.crc32(body)} ".encode()


def _unacknowledged(end: socket.socket) -> int:
    """Bytes sent that the other side's system has never acknowledged; a close acknowledges all that came before it."""
    if end.fileno() < 0:
        return 0
    answer = fcntl.ioctl(end, termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


class Load:
    """Several clients at once, as a context manager: leaving it ends them."""

    def __init__(self, server: Server, clients: int, *, pace: float = 0.0, stay: int = STAY, slow: float = 0.0) -> None:
        """`pace`: seconds between an answer and the next request; `stay`: requests on one connection, in the mean.

        `slow`: seconds that the application takes for each request; 0 is for few of them, and a few milliseconds.
        """
        self.clients = [Client(server.address, seed, pace=pace, stay=stay, slow=slow) for seed in range(clients)]

    def __enter__(self) -> Self:
        for client in self.clients:
            client.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.leave()
        for client in self.clients:
            client.join(PATIENCE + 10)
        assert not any(client.is_alive() for client in self.clients)

    @property
    def answered(self) -> int:
        """Requests that were answered as they should be."""
        return sum(client.answered for client in self.clients)

    @property
    def posted(self) -> int:
        """Those of them that were POST requests with a body."""
        return sum(client.posted for client in self.clients)

    @property
    def lost(self) -> list[Lost]:
        return [lost for client in self.clients for lost in client.lost]

    @property
    def raced(self) -> list[str]:
        """Requests that an unasked close has met, although the client was not to blame; or too many to be its blame."""
        late = [name for client in self.clients for name in client.late]
        raced = [name for client in self.clients for name in client.raced]
        return raced + late if len(late) > max(2, MOST_LATE * self.answered) else raced

    @property
    def refused(self) -> int:
        """Clients that found nobody listening, and ended."""
        return sum(client.refused for client in self.clients)

    @property
    def editions(self) -> set[str]:
        """The editions of the application that have answered."""
        return {edition for client in self.clients for edition in list(client.editions)}

    def holders(self) -> list[int]:
        """The children that hold the connections of the clients at this moment."""
        return [holder for client in self.clients if (holder := client.holder) is not None]

    def told(self) -> str:
        """The account, in one line."""
        clients = self.clients
        return (
            f"{self.answered} answered ({self.posted} POST), {sum(client.connections for client in clients)} connections, "
            f"{sum(client.closed_idle for client in clients)} closed while idle, {len(self.raced)} raced, "
            f"{sum(len(client.late) for client in clients)} late, "
            f"{len(self.lost)} lost"
        )


def begun(directory: Path) -> Iterator[tuple[str, int]]:
    """The journal of `counted.py`: each request that a child has begun to handle, with that child."""
    for line in (directory / "journal").read_text().splitlines():
        name, _, pid = line.partition(" ")
        yield name, int(pid)
