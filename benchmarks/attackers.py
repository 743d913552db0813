"""`python -m benchmarks.attackers`: many bad clients of one kind, in one process with one epoll; loopback only.

Each attacker opens its connection, sends what its kind opens with, and then does once a second what its kind does. Whom
the server sends away comes back a second later, as a real attacker would; with `--once` it stays away. Attackers come
from many addresses of 127.0.1.0/24. At the end of its seconds, or when standard input ends, a JSON object goes to
standard output: how many connections were made, answered, closed, refused. How honest clients fare is not seen here.
"""

from __future__ import annotations

import argparse
import errno
import heapq
import json
import os
import select
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass

TARGET = "127.0.0.1"
BEAT = 1.0
"""Seconds between two acts of one attacker."""
COME_BACK = 1.0
"""Seconds after which one that was sent away comes again."""
FASTEST_OPENING = 2000
"""New connections a second at the beginning; the kernel's queue of the server is not what is tested."""
MOST_CLIENTS = 10_000
MOST_SECONDS = 300.0
SMALL_WINDOW = 4096
LONGEST_SLEEP = 0.25
PHONE_SECONDS = 30
"""An honest upload above the least rate takes longer than any first allowance."""
ADDRESSES = 50
IP_BIND_ADDRESS_NO_PORT = 24
NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of bad client does."""

    label: str
    opening: bytes
    beat: bytes = b""
    """Sent once a second."""
    beats: int | None = None
    """How often on one connection; None: without end."""
    reads: int | None = 0
    """Bytes read once a second; None: all that comes, at once."""
    leaves: bool = False
    """It resets its connection at its next beat, and comes again at once."""


_POST = b"POST /read HTTP/1.1\r\nHost: attacker\r\nContent-Length: 1000000\r\n\r\n"
_HEAD = b"GET / HTTP/1.1\r\nHost: attacker\r\n"
KINDS = {
    "silent": Kind("silent connections", b"", reads=None),
    "slow-heads": Kind("a header line a second", _HEAD, b"X-a: b\r\n", reads=None),
    "head-bytes": Kind("a byte of a head a second", _HEAD + b"X-a: ", b"a", reads=None),
    "slow-bodies": Kind("a byte of a body a second", _POST, b"a", reads=None),
    "slow-readers": Kind("50 MB, 256 bytes a second read", _HEAD.replace(b"/", b"/pieces", 1) + b"\r\n", reads=256),
    "still-readers": Kind("50 MB, nothing read", _HEAD.replace(b"/", b"/pieces", 1) + b"\r\n"),
    "large-readers": Kind("30 MB, 256 bytes a second read", _HEAD.replace(b"/", b"/large", 1) + b"\r\n", reads=256),
    "phones": Kind(
        "honest uploads, 600 bytes a second",
        _POST.replace(b"1000000", str(PHONE_SECONDS * 600).encode()),
        bytes(600),
        beats=PHONE_SECONDS,
        reads=None,
    ),
    "idle": Kind("idle after one request", _HEAD + b"\r\n", reads=None),
    "flood": Kind("connect, reset after a second", b"", reads=None, leaves=True),
}


@dataclass(slots=True)
class Account:
    """What became of the connections."""

    opened: int = 0
    answered: int = 0
    """Connections whose first answer was a success."""
    closed_by_server: int = 0
    failed: int = 0
    """Connections that did not come about."""


class Attacker:
    """One bad client and its connection of the moment."""

    __slots__ = ("connected", "descriptor", "heard", "number", "sent", "socket", "turn")

    def __init__(self, number: int) -> None:
        self.number = number
        self.socket: socket.socket | None = None
        self.descriptor = -1
        self.connected = False
        self.heard = False
        self.sent = 0
        """Beats on this connection."""
        self.turn = 0
        """Grows with each connection, so that a beat meant for an earlier one is known."""


class Attack:
    """All of them. One thread, one epoll; time is bounded by the caller."""

    def __init__(self, kind: Kind, port: int, clients: int, *, addresses: int, again: bool) -> None:
        self._kind = kind
        self._port = port
        self._addresses = addresses
        self._again = again
        self._poll = select.epoll()
        self._by_descriptor: dict[int, Attacker] = {}
        self._beats: list[tuple[float, int, int]] = []
        """A heap: when, which attacker, its turn."""
        self._clients = [Attacker(number) for number in range(clients)]
        self.account = Account()

    def run(self, seconds: float) -> None:
        """Until the time is over, or standard input says that nobody wants more."""
        began = time.monotonic()
        pace = max(len(self._clients) / FASTEST_OPENING, 1.0) / len(self._clients)
        self._beats = [(began + each.number * pace, each.number, each.turn) for each in self._clients]
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        while (now := time.monotonic()) < began + seconds:
            while self._beats and self._beats[0][0] <= now:
                _, number, turn = heapq.heappop(self._beats)
                self._act(self._clients[number], turn, now)
            rest = self._beats[0][0] - time.monotonic() if self._beats else LONGEST_SLEEP
            for descriptor, events in self._poll.poll(min(max(rest, 0.001), LONGEST_SLEEP), 512):
                if descriptor == sys.stdin.fileno():
                    return
                attacker = self._by_descriptor.get(descriptor)
                if attacker is not None:
                    self._happened(attacker, events)

    def _act(self, attacker: Attacker, turn: int, now: float) -> None:
        if turn != attacker.turn:
            return
        if attacker.socket is None:
            self._connect(attacker, now)
            return
        heapq.heappush(self._beats, (now + BEAT, attacker.number, attacker.turn))
        if not attacker.connected:
            return
        try:
            if self._kind.leaves:
                attacker.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                self._drop(attacker, now)
                return
            if self._kind.beat and attacker.sent != self._kind.beats:
                attacker.sent += 1
                attacker.socket.send(self._kind.beat)
            if self._kind.reads and (data := attacker.socket.recv(self._kind.reads)):
                self._hear(attacker, data)
        except BlockingIOError:
            pass
        except OSError:
            self._sent_away(attacker)

    def _connect(self, attacker: Attacker, now: float) -> None:
        attacker.turn += 1
        attacker.connected = attacker.heard = False
        attacker.sent = 0
        heapq.heappush(self._beats, (now + BEAT, attacker.number, attacker.turn))
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if self._kind.reads is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        try:
            connection.bind((f"127.0.1.{attacker.number % self._addresses + 1}", 0))
            problem = connection.connect_ex((TARGET, self._port))
        except OSError:
            problem = errno.EADDRNOTAVAIL
        if problem not in {0, errno.EINPROGRESS}:
            connection.close()
            self.account.failed += 1
            return
        attacker.socket, attacker.descriptor = connection, connection.fileno()
        self._by_descriptor[attacker.descriptor] = attacker
        self._poll.register(attacker.descriptor, select.EPOLLOUT)

    def _happened(self, attacker: Attacker, events: int) -> None:
        if attacker.socket is None:
            return
        try:
            if not attacker.connected:
                self._opened(attacker, attacker.socket)
            elif self._kind.reads is None and events & select.EPOLLIN:
                if data := attacker.socket.recv(65_536):
                    self._hear(attacker, data)
                else:
                    self._sent_away(attacker)
            elif events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                self._sent_away(attacker)
        except BlockingIOError:
            pass
        except OSError:
            self._sent_away(attacker)

    def _opened(self, attacker: Attacker, connection: socket.socket) -> None:
        problem = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self.account.failed += 1
            self._drop(attacker, time.monotonic() + COME_BACK)
            return
        attacker.connected = True
        self.account.opened += 1
        wanted = select.EPOLLIN if self._kind.reads is None else 0
        self._poll.modify(attacker.descriptor, wanted | select.EPOLLRDHUP)
        if self._kind.opening:
            connection.send(self._kind.opening)

    def _hear(self, attacker: Attacker, data: bytes) -> None:
        if not attacker.heard:
            attacker.heard = True
            self.account.answered += data.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))

    def _sent_away(self, attacker: Attacker) -> None:
        if attacker.connected:
            self.account.closed_by_server += 1
        else:
            self.account.failed += 1
        self._drop(attacker, time.monotonic() + COME_BACK)

    def _drop(self, attacker: Attacker, back: float) -> None:
        if attacker.socket is None:
            return
        self._by_descriptor.pop(attacker.descriptor, None)
        attacker.socket.close()
        attacker.socket = None
        attacker.turn += 1
        if self._again or self._kind.leaves:
            heapq.heappush(self._beats, (back, attacker.number, attacker.turn))


def main() -> None:
    """What the command line names, within bounds, then the account."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attackers", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("port", type=int)
    parser.add_argument("clients", type=int, help=f"at most {MOST_CLIENTS}")
    parser.add_argument("seconds", type=float, help=f"at most {MOST_SECONDS:g}")
    parser.add_argument("--addresses", type=int, default=ADDRESSES, help=f"they come from ({ADDRESSES})")
    parser.add_argument("--once", dest="again", action="store_false", help="whom the server closes stays away")
    options = parser.parse_args()
    os.nice(5)  # the honest clients, on the same core, must not wait for these
    addresses = max(1, min(options.addresses, 250))
    attack = Attack(
        KINDS[options.kind],
        options.port,
        max(1, min(options.clients, MOST_CLIENTS)),
        addresses=addresses,
        again=options.again,
    )
    attack.run(min(options.seconds, MOST_SECONDS))
    json.dump(asdict(attack.account), sys.stdout)


if __name__ == "__main__":
    main()
