"""More than can be served: who is refused, who makes room for whom, and where it shows how long a request has waited."""

from __future__ import annotations

import re
import resource
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.control.client import wait_until_busy
from tests.server.client import Client, request
from tests.server.conftest import Serving, Start

SMALL = {
    "prefork": ("--workers=1",),
    "worker": ("--workers=1", "--threads-per-child=2"),
    "event": ("--workers=1", "--threads-per-child=2", "--max-open-connections=2"),
}
HOLDS = {"prefork": 1, "worker": 2, "event": 2}
ONE_THREAD = {**SMALL, "event": ("--workers=1", "--threads-per-child=1")}
MANY = {**SMALL, "event": ("--workers=1", "--threads-per-child=2")}
PATIENT = ("--keep-alive-timeout=60",)
SOON = 20.0
"""Seconds: far below the keep-alive timeout, far above the tenth of a second for which an idle client is left alone."""


def test_idle_connections_make_room_for_newcomers(start: Start, mpm: str) -> None:
    server = start(Serving("plain.py:application", options=PATIENT, capacity=SMALL))
    with ExitStack() as stack:
        held = [stack.enter_context(Client(server.address)) for _ in range(HOLDS[mpm])]
        assert all(client.get("/").body == b"Hello" for client in held)
        for _ in range(5):
            began = monotonic()
            assert stack.enter_context(Client(server.address)).get("/").body == b"Hello"
            assert monotonic() - began < SOON
        assert all(client.closed() for client in held)


def test_nobody_is_given_up_without_need_or_in_the_middle_of_something(start: Start, mpm: str) -> None:
    options = (*PATIENT, "--contended-timeout=header=0")
    server = start(Serving("plain.py:application", options=options, capacity=SMALL))
    with ExitStack() as stack:
        held = [stack.enter_context(Client(server.address)) for _ in range(HOLDS[mpm])]
        assert all(client.get("/").body == b"Hello" for client in held)
        sleep(0.3)
        for client in held:
            client.send(b"GET /echo?late HTTP/1.1\r\n")
        newcomer = stack.enter_context(Client(server.address)).send(request("/"))
        assert newcomer.silent(0.5)
        for client in held:
            client.send(b"Host: a\r\n\r\n")
            assert client.response().body == b"GET late "
        assert newcomer.response().body == b"Hello"


def test_idle_connections_make_room_when_descriptors_are_exhausted(start: Start, mpm: str) -> None:
    server = start(Serving("plain.py:application", options=PATIENT, capacity=MANY))
    (child,) = server.child_pids()
    few = len(list(Path(f"/proc/{child}/fd").iterdir())) + 10
    resource.prlimit(child, resource.RLIMIT_NOFILE, (few, few))
    with ExitStack() as stack:
        for _ in range(20):
            began = monotonic()
            assert stack.enter_context(Client(server.address)).get("/").body == b"Hello"
            assert monotonic() - began < SOON


def test_more_than_may_wait_are_refused_with_a_time_to_come_back(start: Start, mpm: str) -> None:
    if mpm != "event":
        pytest.skip("there clients wait in the kernel's queue")
    bounds = ("--max-queued-requests=2", "--max-queue-time=1")
    server = start(Serving("plain.py:application", options=bounds, capacity=ONE_THREAD))
    with ExitStack() as stack:
        slow = stack.enter_context(Client(server.address)).send(request("/sleep?3"))
        wait_until_busy(server)
        waiting = []
        for _ in range(2):
            waiting.append(stack.enter_context(Client(server.address)).send(request("/")))
            sleep(0.1)
        beyond = stack.enter_context(Client(server.address)).get("/")
        assert (beyond.status, beyond.closes()) == (503, True)
        assert beyond["Retry-After"] == "1"
        for client in waiting:  # no thread is free before their time is over
            answer = client.response()
            assert (answer.status, answer.closes()) == (503, True)
            assert int(answer["Retry-After"]) == 2
        assert slow.response().body == b"slept"
        assert slow.get("/").body == b"Hello"
    server.log.wait_for("refused with 503: too many requests wait already")
    server.log.wait_for("refused with 503: the request has waited too long")


def test_the_access_log_tells_the_time_in_the_queue(start: Start, mpm: str) -> None:
    log = ("--access-log=-", "--access-log-format=%U %s waited=%Q took=%D")
    server = start(Serving("plain.py:application", options=log, capacity=ONE_THREAD))
    with Client(server.address) as slow, Client(server.address) as other:
        slow.send(request("/sleep?2"))
        wait_until_busy(server)
        other.send(request("/echo"))
        assert slow.response().body == b"slept"
        slow.close()
        assert other.response().status == 200
    line = server.output.wait_for("/echo 200")
    match = re.search(r"waited=(\d+) took=(\d+)", line)
    assert match, line
    waited, took = int(match[1]), int(match[2])
    assert waited <= took
    assert (waited > 300_000) == (mpm == "event"), line


def test_server_timing_is_told_when_it_is_wanted(start: Start) -> None:
    server = start(Serving("plain.py:application", options=("--server-timing=on",)))
    with Client(server.address) as client:
        assert re.fullmatch(r"queue;dur=\d+\.\d{3}, app;dur=\d+\.\d{3}", client.get("/")["Server-Timing"])
