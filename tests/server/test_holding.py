"""Budgets of what is held for slow clients: bodies beyond them, answers beyond them, readers that do not read."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.control.client import until
from tests.server.client import Client, request
from tests.server.conftest import Serving, Start
from tricorn.testing import Server

NOTHING = ("--buffer-memory-per-child=0", "--spool-limit=0")
"""No room at all: every answer that a socket does not take waits for its client."""
LITTLE = ("--buffer-memory-per-child=0", "--spool-limit=1M")
LARGE = 700_000
SMALL = 400_000
TWO_THREADS = {
    "prefork": ("--workers=2",),
    "worker": ("--workers=1", "--threads-per-child=2"),
    "event": ("--workers=1", "--threads-per-child=2"),
}
STILL = 100
LENGTH = 3_000_000
ELSEWHERE = "127.0.0.2"


def _begin(client: Client, length: int) -> Client:
    """Send a request and all but the last byte of its body."""
    return client.send(request("/count", f"Content-Length: {length}", method="POST") + bytes(length - 1))


def _spooled(server: Server) -> int:
    """Bytes in files without a name that children of the server have open."""
    total = 0
    for pid in server.child_pids():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it may be gone by now
                if str(descriptor.readlink()).startswith(str(server.temporary)):
                    total += descriptor.stat().st_size
    return total


def test_a_body_has_room_of_the_whole_server_or_is_refused_for_now(start: Start) -> None:
    server = start(Serving("plain.py:application", options=LITTLE))
    with ExitStack() as stack:
        first = _begin(stack.enter_context(Client(server.address)), LARGE)
        until(lambda: _spooled(server) > LARGE * 0.9, "a body in a file")
        second = _begin(stack.enter_context(Client(server.address)), SMALL)
        refusal = second.response()
        assert (refusal.status, refusal.closes()) == (503, True)
        assert int(refusal["Retry-After"]) > 0
        assert first.send(b"x").response().text == str(LARGE)
        third = _begin(stack.enter_context(Client(server.address)), SMALL)
        assert third.send(b"x").response().text == str(SMALL)
        assert _begin(stack.enter_context(Client(server.address)), 2_000_000).response().status == 507
    server.log.wait_for("refused with 503")


def test_room_that_a_killed_child_had_is_free_again(start: Start) -> None:
    server = start(Serving("plain.py:application", options=LITTLE))
    with Client(server.address) as first:
        _begin(first, LARGE)
        until(lambda: _spooled(server) > LARGE * 0.9, "a body in a file")
        before = set(server.child_pids())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert first.closed()
    until(lambda: len(set(server.child_pids()) - before) == len(before), "children that replace the killed ones")

    def served() -> bool:
        with Client(server.address) as client:
            return _begin(client, LARGE).send(b"x").response().status == 200

    until(served, "a body that has room")
    assert list(server.temporary.rglob("*")) == []


def test_an_answer_without_room_waits_for_its_client_and_is_whole(start: Start) -> None:
    server = start(Serving("plain.py:application", options=NOTHING, capacity=TWO_THREADS))
    for path in (f"/sized?{LENGTH}", f"/big?{LENGTH}"):
        with Client(server.address, receive_buffer=65_536) as client:
            assert len(client.get(path, "Connection: close").body) == LENGTH
            assert client.closed()


def test_readers_that_do_not_read_keep_nobody_from_the_threads(start: Start, mpm: str) -> None:
    if mpm != "event":
        pytest.skip("there a process or thread waits for its client, for as long as request_read_timeout allows")
    server = start(Serving("plain.py:application", options=("--spool-limit-per-child=8M",), capacity=TWO_THREADS))
    (child,) = server.child_pids()
    with ExitStack() as stack:
        with Client(server.address) as client:
            assert client.get("/").body == b"Hello"
        before = _anonymous(child)
        for number in range(STILL):
            path = ("/sized", "/big")[number % 2]
            client = stack.enter_context(Client(server.address, receive_buffer=4096))
            client.send(request(f"{path}?{LENGTH}"))
        for _ in range(20):
            with Client(server.address, source=ELSEWHERE) as client:
                assert client.get("/").body == b"Hello"
        assert _anonymous(child) - before < 64 << 20
    server.log.wait_for("applications wait for them")


def test_an_address_whose_answers_were_broken_off_is_refused_while_there_is_no_room(start: Start, mpm: str) -> None:
    if mpm != "event":
        pytest.skip("there a process or thread waits for its client, for as long as request_read_timeout allows")
    one_thread = {"event": ("--workers=1", "--threads-per-child=1")}
    options = ("--buffer-memory-per-child=0", "--spool-limit-per-child=16M", "--log-level=info")
    server = start(Serving("plain.py:application", options=options, capacity=one_thread))

    def served(source: str) -> bool:
        with Client(server.address, source=source) as client:
            return client.get("/").status == 200

    with Client(server.address, receive_buffer=65_536, source=ELSEWHERE) as holder:
        # Answers may use a quarter of the room.
        holder.send(request("/sized?4000000"))
        until(lambda: _spooled(server) > 3_000_000, "an answer in a file")
        for _ in range(3):
            with Client(server.address, receive_buffer=4096) as still:
                still.send(request(f"/sized?{LENGTH}"))
                # No other request is in the way: the one thread waits for this reader as soon as it has begun.
                assert still.socket.recv(1)
                assert served(ELSEWHERE)
        with Client(server.address) as client:
            refusal = client.get("/")
            assert (refusal.status, refusal.closes()) == (503, True)
            assert int(refusal["Retry-After"]) > 0
        assert served(ELSEWHERE)
        assert len(holder.response().body) == 4_000_000
    until(lambda: served("127.0.0.1"), "room")
    server.log.wait_for("refused with 503: answers to this address had to be broken off")


def _anonymous(pid: int) -> int:
    """Bytes of memory that a process has for itself."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) << 10
