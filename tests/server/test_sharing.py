"""How connections are shared out: evenly among children, and in the event MPM without a thread for those that wait."""

from __future__ import annotations

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.client import Client, chunked, request
from tests.server.conftest import Serving, Start

ONE_THREAD = {
    "prefork": ("--workers=2",),
    "worker": ("--workers=1", "--threads-per-child=2"),
    "event": ("--workers=1", "--threads-per-child=1"),
}
FOUR_CHILDREN = {
    "prefork": ("--workers=4",),
    "worker": ("--workers=4", "--threads-per-child=4"),
    "event": ("--workers=4", "--threads-per-child=2"),
}
CONNECTIONS = {"prefork": 4, "worker": 16, "event": 64}
"""As many as the four children can hold at once."""


def test_children_share_kept_connections_evenly(start: Start, mpm: str) -> None:
    server = start(Serving("plain.py:application", capacity=FOUR_CHILDREN))
    count = CONNECTIONS[mpm]
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.address)) for _ in range(count)]
        held = Counter(client.get("/pid").body.split()[0] for client in clients)
        again = Counter(client.get("/pid").body.split()[0] for client in clients)
    assert again == held, "a kept connection changed its child"
    fair = count // 4
    # Under event, a child that does not get to run for some milliseconds is passed over for four connections at a time.
    slack = {"prefork": 0, "worker": 2, "event": 8}[mpm]
    assert len(held) == 4, held
    assert all(abs(connections - fair) <= slack for connections in held.values()), held


def test_a_slow_reader_holds_no_thread(start: Start, mpm: str) -> None:
    server = start(Serving("plain.py:application", capacity=ONE_THREAD))
    size = 30_000_000
    with Client(server.address, receive_buffer=4096) as slow, Client(server.address) as other:
        slow.send(request(f"/sized?{size}"))
        slow.socket.recv(1, socket.MSG_PEEK)
        for _ in range(20):
            assert other.get("/").body == b"Hello"
        answer = slow.response()
        assert (len(answer.body), answer.complete) == (size, True)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", request("/count", "Content-Length: 9", method="POST") + b"12"])
def test_slow_senders_hold_no_thread_under_event(start: Start, mpm: str, sent: bytes) -> None:
    if mpm == "event":
        waiting, capacity = 50, ONE_THREAD
    else:  # one process or thread is held by each, and one more is free
        waiting, capacity = (
            3,
            {"prefork": ("--workers=4",), "worker": ("--workers=1", "--threads-per-child=4")},
        )
    server = start(Serving("plain.py:application", capacity=capacity))
    with ExitStack() as stack:
        for _ in range(waiting):
            stack.enter_context(Client(server.address)).send(sent)
        with Client(server.address) as other:
            for _ in range(10):
                assert other.get("/").body == b"Hello"


def test_uploads_are_gathered_while_the_only_thread_is_busy(start: Start, mpm: str) -> None:
    if mpm != "event":
        pytest.skip("only the event MPM has a listener that gathers while every thread is busy")
    server = start(Serving("plain.py:application", capacity=ONE_THREAD))
    body = b"x" * 1_000_000
    with Client(server.address) as busy, ExitStack() as stack:
        busy.send(request("/sleep?1"))
        uploads = [stack.enter_context(Client(server.address)) for _ in range(4)]
        for upload in uploads[:2]:
            upload.send(request("/count", method="POST", body=body))
        for upload in uploads[2:]:
            upload.send(request("/count", "Transfer-Encoding: chunked", method="POST") + chunked(*[body[:9999]] * 100))
        assert busy.response().body == b"slept"
        assert [upload.response().body for upload in uploads] == [b"1000000"] * 2 + [b"999900"] * 2


def test_clients_at_two_addresses_at_once_are_both_served(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "unix")
    options = ("--listen=127.0.0.1:0", f"--listen=unix:{path}")
    server = start(Serving("plain.py:application", options=options, capacity=FOUR_CHILDREN))
    with ThreadPoolExecutor(2) as pool:
        for _ in range(150):
            # Both stay until both are served: no child has two of them.
            with ExitStack() as stack:
                for client in [stack.enter_context(client) for client in pool.map(Client, (path, server.address))]:
                    assert client.get("/").body == b"Hello"


def test_connections_beyond_the_bound_wait_their_turn(start: Start, mpm: str) -> None:
    capacity = {
        "prefork": ("--workers=1",),
        "worker": ("--workers=1", "--threads-per-child=2"),
        "event": ("--workers=1", "--threads-per-child=2", "--max-open-connections=4"),
    }
    holds = {"prefork": 1, "worker": 2, "event": 4}[mpm]
    server = start(Serving("plain.py:application", capacity=capacity))
    with ExitStack() as stack:
        held = [stack.enter_context(Client(server.address)) for _ in range(holds)]
        assert all(client.get("/").body == b"Hello" for client in held)
        for client in held:  # or it would be idle, and given up
            client.send(b"GET / HTTP/1.1\r\n")
        beyond = stack.enter_context(Client(server.address)).send(request("/"))
        assert beyond.silent(0.5), "more connections are held than the bound allows"
        held[0].close()
        assert beyond.response().body == b"Hello"
