"""Bad clients hold everything there is, and come back when they are closed: honest ones are served all the same."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread

import pytest

from tests.server.client import PATIENCE, Client, request
from tests.server.conftest import Serving
from tricorn.testing import Server

# No bad client is cut off by its usual deadline before a test is over.
USUAL = "--request-read-timeout=header=60,MinRate=500 body=60,MinRate=500 response=60,MinRate=500"
CONTENDED = "--contended-timeout=header=0.3 body=0.3 response=0.3"
SERVING = Serving(
    "plain.py:application",
    options=(USUAL, "--keep-alive-timeout=60"),
    capacity={
        "prefork": ("--workers", "2", CONTENDED),
        "worker": ("--workers", "1", "--threads-per-child", "2", CONTENDED),
        "event": ("--workers", "1", "--threads-per-child", "2", "--max-open-connections", "2", CONTENDED),
    },
)
BAD = 12
UPLOAD = request("/count", "Content-Length: 100000", method="POST")


@contextmanager
def besieged(server: Server, opening: bytes) -> Iterator[None]:
    """So many bad clients send `opening` and no more, and come again at once when they are closed."""
    over = Event()

    def attack(attacker: Client) -> None:
        attacker.send(opening)
        ends = select.poll()
        ends.register(attacker.socket, select.POLLRDHUP)
        while not over.is_set() and not ends.poll(50):
            pass

    def again_and_again() -> None:
        while not over.is_set():
            with suppress(ConnectionError), Client(server.address, receive_buffer=4096) as attacker:
                attack(attacker)

    attackers = [Thread(target=again_and_again) for _ in range(BAD)]
    for attacker in attackers:
        attacker.start()
    try:
        yield
    finally:
        over.set()
        for attacker in attackers:
            attacker.join()


@pytest.mark.parametrize(
    "opening",
    [b"", b"G", request("/")[:-2], UPLOAD + b"x", request("/sized?8000000"), b"no request\r\n\r\n", request("/")],
    ids=["silent", "first byte", "half a head", "half a body", "reader", "refused", "idle"],
)
def test_honest_clients_are_answered_while_bad_ones_hold_and_come_back(server: Server, opening: bytes) -> None:
    with besieged(server, opening):
        for _ in range(2):
            began = time.monotonic()
            with Client(server.address) as honest:
                assert honest.get("/", "Connection: close").body == b"Hello"
            assert time.monotonic() - began < PATIENCE


def test_nobody_is_hurried_while_nobody_waits(server: Server, connect: Callable[..., Client]) -> None:
    client = connect()
    data = request("/count", "Content-Length: 4", method="POST")
    for piece in (data[:9], data[9:], b"bo", b"dy"):
        client.send(piece)
        time.sleep(0.5)  # longer than others would be waited for if somebody needed the process or thread
    assert client.response().status == 200


def test_who_is_told_that_he_was_too_slow_is_told_so_before_the_end(server: Server) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(Client(server.address)) for _ in range(2)]
        for client in slow:
            client.send(request("/")[:-2])
            time.sleep(0.1)  # the first has to be the one that is further behind
        honest = stack.enter_context(Client(server.address))
        assert honest.get("/", "Connection: close").body == b"Hello"
        answer = slow[0].response()
        assert (answer.status, answer.closes()) == (408, True)
