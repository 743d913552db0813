"""Slow clients for real: each stage of `request_read_timeout` is kept by an honest client and exceeded by another.

Where the outcome of each deadline is tested; here and in the modules named beside it each test runs under all three MPMs:

| deadline                  | outcome           | with a fake clock (rust/engine/tests) | both drivers      | for real               |
| ------------------------- | ----------------- | ------------------------------------- | ----------------- | ---------------------- |
| handshake                 | closed in silence | rates: silence_from_the_accept_on     | slow              | here                   |
| header, no byte has come  | closed in silence | lifetimes: a_silent_client            | drive: deadlines  | test_deadlines         |
| header, a byte has come   | 408               | rates: a_byte_of_a_head, the maximum  | drive: deadlines  | here, test_deadlines   |
| body                      | 408               | rates: a_body_that_came_fast          | slow              | here, test_deadlines   |
| response                  | reset             | rates: a_reader_that_takes_nothing    | slow              | here, test_deadlines   |
| keep_alive                | closed in silence | lifetimes: keep_alive_ends            | drive: deadlines  | here, test_deadlines   |
| lingering                 | closed            | lifetimes: lingering_is_bounded       | slow              | here                   |
| retired and idle          | closed in silence | lifetimes: retiring_ends_idle         | drive: retiring   | here                   |
| max_queue_time (event)    | 503               | overload (no clock of its own)        | overload          | test_overload          |

That the rates hold for any arrivals is tested by properties in `rates`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.server.client import Client, request
from tests.server.conftest import Serving, Start

SERVING = Serving(
    "plain.py:application",
    options=(
        "--request-read-timeout=handshake=0.6 header=1.5-2.5,MinRate=100 body=0.6,MinRate=200",
        "--request-read-timeout=response=0.6,MinRate=200000 keep_alive=0.5",
    ),
)
LATE = 10.0
"""Seconds by which a busy machine may be late. Those who keep a rate keep ten times as much."""

Connect = Callable[..., Client]


def until_answered(connect: Connect, head: bytes, data: bytes, piece: int) -> tuple[float, int]:
    """Send `head`, and `data` in pieces, twenty a second, until there is an answer: the seconds it took, and its status.

    They are counted from before the connection is made, so that a pause here cannot make a deadline seem to strike early.
    """
    began = time.monotonic()
    client = connect().send(head)
    for position in range(0, len(data), piece):
        try:
            client.send(data[position : position + piece])
        except (BrokenPipeError, ConnectionResetError):
            break
        if not client.silent(0.05):
            break
    answer = client.response()
    return time.monotonic() - began, answer.status


def test_a_client_that_says_nothing_is_closed_in_silence_by_the_handshake(connect: Connect) -> None:
    began = time.monotonic()
    assert connect().closed()
    assert 0.55 < time.monotonic() - began < 0.6 + LATE


def test_a_first_byte_ends_the_handshake(client: Client) -> None:
    data = request("/")
    client.send(data[:1])
    assert client.silent(0.9)
    client.send(data[1:])
    assert client.response().body == b"Hello"


def test_a_head_byte_by_byte_renews_nothing(connect: Connect) -> None:
    took, status = until_answered(connect, b"", request("/", "X: " + "y" * 2000), 1)
    assert status == 408
    assert 1.45 < took < 2 + LATE


def test_a_head_that_keeps_the_rate_is_ended_by_the_maximum(connect: Connect) -> None:
    took, status = until_answered(connect, b"", request("/", "X: " + "y" * 8000), 50)
    assert status == 408
    assert 2.4 < took < 2.5 + LATE


def test_a_body_that_keeps_the_rate_may_take_its_time(connect: Connect) -> None:
    head = request("/count", "Content-Length: 5000", method="POST")
    took, status = until_answered(connect, head, b"x" * 5000, 100)
    assert status == 200
    assert took > 1.5


def test_a_body_that_came_fast_may_not_rest_on_it(connect: Connect) -> None:
    began = time.monotonic()
    client = connect().send(request("/count", "Content-Length: 100000", method="POST") + b"x" * 90000)
    answer = client.response()
    assert (answer.status, answer.closes()) == (408, True)
    assert 0.5 < time.monotonic() - began < 0.6 + LATE


def test_a_body_byte_by_byte_renews_nothing(connect: Connect) -> None:
    head = request("/count", "Content-Length: 5000", method="POST")
    took, status = until_answered(connect, head, b"x" * 5000, 1)
    assert status == 408
    assert 0.5 < took < 0.8 + LATE


def test_a_reader_that_keeps_the_rate_gets_its_answer(client: Client) -> None:
    with Client(client.socket.getpeername(), receive_buffer=16384) as reader:
        reader.send(request("/sized?6000000", "Connection: close"))
        began = time.monotonic()
        taken = 0
        while piece := reader.socket.recv(16384):
            taken += len(piece)
            time.sleep(0.01)
    assert taken > 6_000_000
    assert time.monotonic() - began > 1.2, "the reader was not slow"


def test_a_reader_that_takes_nothing_is_given_up(client: Client) -> None:
    with Client(client.socket.getpeername(), receive_buffer=4096) as reader:
        reader.send(request("/sized?30000000"))
        reader.socket.recv(1)
        time.sleep(1.5)  # longer than the deadline: taking nothing for that long is what is tested
        taken = 0
        with pytest.raises(ConnectionResetError):
            while piece := reader.socket.recv(65536):
                taken += len(piece)
        assert taken < 30_000_000


def test_a_kept_connection_is_closed_in_silence_by_the_stage_keep_alive(connect: Connect) -> None:
    began = time.monotonic()
    client = connect()
    assert client.get("/").body == b"Hello"
    assert client.closed()
    assert 0.45 < time.monotonic() - began < 0.5 + LATE


def test_after_a_408_late_bytes_are_taken_for_two_seconds_and_no_longer(client: Client) -> None:
    began = time.monotonic()
    client.send(request("/count", "Content-Length: 5000", method="POST"))
    assert client.response().status == 408
    assert client.closed(), "the server sends nothing more"
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() - began < 2.6 + LATE:
            client.send(b"x" * 100)
            time.sleep(0.02)  # a client that has not heard of it yet
    assert time.monotonic() - began > 2.6


def test_an_idle_connection_of_a_retired_child_is_closed_in_silence_after_a_moment(start: Start) -> None:
    server = start(Serving("plain.py:application", options=("--keep-alive-timeout=60",)))
    with Client(server.address) as idle:
        assert idle.get("/").body == b"Hello"
        server.signal(signal.SIGHUP)
        began = time.monotonic()
        assert idle.closed()
        assert time.monotonic() - began < 60
