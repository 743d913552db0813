"""Limits on what a client may send: each exceeded for real, each with its status and its log line."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.server.client import Client, chunked, request
from tests.server.conftest import Serving, Start
from tricorn.testing import Server

SERVING = Serving(
    "plain.py:application",
    options=(
        "--limit-request-line=200",
        "--limit-request-fields=10",
        "--limit-request-field-size=300",
        "--limit-request-head=1K",
        "--limit-request-body=1000",
        "--max-keep-alive-requests=3",
    ),
)


def test_the_longest_request_line_that_is_allowed(client: Client) -> None:
    line = "GET /echo?{} HTTP/1.1"
    query = "x" * (200 - len(line) + 2)
    assert client.get(f"/echo?{query}").body == f"GET {query} ".encode()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/echo?" + "x" * 185), 414),
        (b"GET /" + b"x" * 300, 414),
        (request("/", *[f"X-{number}: 1" for number in range(10)]), 431),
        (request("/", "X-Long: " + "x" * 293), 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 400, 431),
        (request("/", *[f"X-{number}: {'x' * 210}" for number in range(5)]), 431),
        (request("/count", "Content-Length: 1001", method="POST"), 413),
        (request("/count", "Content-Length: 99999999999999999999999", method="POST"), 400),
        (request("/count", "Transfer-Encoding: chunked", method="POST") + chunked(b"x" * 600, b"x" * 401), 413),
    ],
    ids=["line", "endless-line", "fields", "field", "endless-field", "head", "body", "overflow", "chunks"],
)
def test_a_limit_is_answered_closed_and_logged(server: Server, client: Client, data: bytes, status: int) -> None:
    mark = server.log.mark()
    client.send(data)
    answer = client.response()
    assert answer.status == status
    assert answer.closes()
    if status != 400:
        server.log.wait_for(str(status), after=mark)
    client.half_close()
    assert client.closed()


def test_ten_fields_and_a_body_of_the_exact_limit_are_allowed(client: Client) -> None:
    fields = [f"X-{number}: {'x' * 50}" for number in range(8)]
    client.send(request("/count", *fields, method="POST", body=b"x" * 1000))
    assert client.response().body == b"1000"


def test_requests_on_one_connection_are_counted(client: Client) -> None:
    assert [client.get("/").closes() for _ in range(3)] == [False, False, True]
    assert client.closed()


def test_keep_alive_can_be_turned_off(start: Start) -> None:
    with_none = start(Serving("plain.py:application", options=("--keep-alive-timeout=0",)))
    with Client(with_none.address) as client:
        assert client.get("/").closes()
        assert client.closed()


def test_a_child_is_replaced_after_its_number_of_connections(start: Start, mpm: str) -> None:
    capacity = {
        "prefork": ("--workers=1",),
        "worker": ("--workers=1", "--threads-per-child=2"),
        "event": ("--workers=1", "--threads-per-child=2"),
    }
    server = start(Serving("plain.py:application", options=("--max-connections-per-child=10",), capacity=capacity))
    served: Counter[str] = Counter()
    # A child that has had its number serves on until its replacement is there, so none has less, and some have more.
    for _ in range(1000):
        with Client(server.address) as client:
            served[client.get("/pid", "Connection: close").body.decode().split()[0]] += 1
        if len(served) > 3:
            break
    assert len(served) == 4, "children in 1000 connections"
    # The first may have had connections before the test began, the last has not come to its end.
    assert min([*served.values()][1:-1]) >= 9, "each draws its number from the last tenth below the bound"
