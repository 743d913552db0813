"""How long a request has waited in front of the server, as a trusted proxy tells it, and what comes of that."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.server.client import Client
from tests.server.conftest import Serving, Start

TELLS = ("--server-timing=on", "--access-log=-", "--access-log-format=%U %s waited=%Q took=%D")
HOUR = 3600.0


def start_field(ago: float, name: str = "X-Request-Start") -> str:
    return f"{name}: t={time.time() - ago:.3f}"


def queued(answer: object) -> float:
    """Seconds in the queue, as Server-Timing tells them."""
    match = re.match(r"queue;dur=([0-9.]+), app;dur=([0-9.]+)$", answer["Server-Timing"])  # type: ignore[index]
    assert match
    assert float(match[2]) < 10_000, "the time before is none of the application's"
    return float(match[1]) / 1000


def test_a_trusted_front_end_tells_since_when_it_has_the_request(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "unix"
    listen = ("--listen=127.0.0.1:0", f"--listen=unix:{path}", "--trusted-proxies=127.0.0.2")
    server = start(Serving("plain.py:application", options=(*TELLS, *listen)))
    for peer in (Client(str(path)), Client(server.address, source="127.0.0.2")):
        with peer as client:
            in_milliseconds = f"X-Request-Start: {round((time.time() - 20) * 1000)}"
            for field in (start_field(20), start_field(20, "x-queue-start"), in_milliseconds):
                assert 19.9 < queued(client.get("/", field)) < HOUR
            # Clocks that are wrong, and what is no time.
            for odd in (start_field(-60), start_field(2 * HOUR), "X-Request-Start: yesterday"):
                assert queued(client.get("/", odd)) < 10
            assert queued(client.get("/")) < 10
    match = re.search(r"waited=(\d+) took=(\d+)", server.output.wait_for("/ 200 waited="))
    assert match
    assert 19_900_000 < int(match[1]) <= int(match[2])


def test_nobody_else_is_believed(start: Start) -> None:
    server = start(Serving("plain.py:application", options=(*TELLS, "--trusted-proxies=127.0.0.2")))
    with Client(server.address) as client:
        assert queued(client.get("/", start_field(20))) < 10


def test_a_request_that_has_waited_too_long_in_front_is_refused(start: Start, mpm: str) -> None:
    bound = ("--max-queue-time=30",) if mpm == "event" else ()
    server = start(Serving("plain.py:application", options=(*bound, "--trusted-proxies=127.0.0.1")))
    with Client(server.address) as client:
        assert client.get("/", start_field(5)).status == 200
        late = client.get("/", start_field(100))
        if mpm != "event":  # there the bound does not exist
            assert late.status == 200
            return
        assert (late.status, late.closes()) == (503, True)
        assert 100 <= int(late["Retry-After"]) <= 120
    server.log.wait_for("refused with 503: the request has waited too long")
