"""Deadlines of a client: each exceeded for real. How rates extend them is in `test_slow_clients.py`.

Time is taken before the connection is made, so that no pause of the test can make a deadline seem to strike early.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.server.client import Client, request
from tests.server.conftest import Serving
from tricorn.testing import Server

SERVING = Serving(
    "plain.py:application",
    options=("--keep-alive-timeout=0.4", "--request-read-timeout=header=0.5 body=0.5 response=2"),
)
AT_LEAST, AT_MOST = 0.39, 10.0
"""Seconds between which each of them has to strike, on a busy machine too."""

Connect = Callable[..., Client]


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout(connect: Connect) -> None:
    client = connect()
    began = time.monotonic()
    assert client.get("/").body == b"Hello"
    assert client.closed()
    assert AT_LEAST < time.monotonic() - began < AT_MOST


def test_a_client_that_says_nothing_is_closed_without_an_answer(connect: Connect) -> None:
    began = time.monotonic()
    client = connect()
    assert client.closed()
    assert AT_LEAST < time.monotonic() - began < AT_MOST


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
    ],
    ids=["head", "body", "chunk"],
)
def test_a_client_that_stops_inside_a_request_gets_408(connect: Connect, begun: bytes) -> None:
    began = time.monotonic()
    client = connect().send(begun)
    answer = client.response()
    assert AT_LEAST < time.monotonic() - began < AT_MOST
    assert answer.status == 408
    assert answer.closes()


def test_a_head_that_trickles_has_one_deadline_for_all_of_it(connect: Connect) -> None:
    began = time.monotonic()
    client = connect()
    status = None
    for byte in request("/", "X: " + "y" * 200):
        try:
            client.send(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            break
        if not client.silent(0.05):
            status = client.response().status
            break
    assert status == 408
    assert AT_LEAST < time.monotonic() - began < AT_MOST


def test_a_reader_that_takes_nothing_is_given_up(server: Server) -> None:
    with Client(server.address, receive_buffer=4096) as reader:
        reader.send(request("/sized?30000000"))
        reader.socket.recv(1)
        time.sleep(3.0)  # longer than the deadline: taking nothing for that long is what is tested
        taken = len(reader.rest())
    assert taken < 30_000_000
