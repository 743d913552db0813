"""What one client address may have at once, in the whole server, and whom that does not concern."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.server.client import Client, request
from tests.server.conftest import Serving, Start
from tricorn.testing import Server

PATIENCE = 15.0
FEW = {
    "prefork": ("--workers=6",),
    "worker": ("--workers=2", "--threads-per-child=6"),
    "event": ("--workers=2", "--threads-per-child=6"),
}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as loopback:
            loopback.bind(("::1", 0))
    except OSError:
        return False
    return True


def limited(*options: str, directory: Path) -> Serving:
    control = f"--control-socket={directory / 'control'}"
    return Serving("plain.py:application", options=("--keep-alive-timeout=60", control, *options), capacity=FEW)


def status(directory: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tricorn", "status", "--json", "--socket", str(directory / "control")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(shown.stdout)["data"]
    assert isinstance(found, dict)
    return found


def refused(directory: Path) -> int:
    return sum(int(child["refused_by_address"]) for child in status(directory)["children"])


def open_connection(server: Server, stack: ExitStack, source: str = "127.0.0.1") -> Client:
    """A kept-alive connection from `source` whose first request has been answered."""
    client = stack.enter_context(Client(server.address, source=source))
    assert client.get("/").body == b"Hello"
    return client


def turned_back(server: Server, source: str = "127.0.0.1") -> bool:
    """Whether a new connection is refused; if not, it has been closed again."""
    with Client(server.address, source=source) as client:
        answer = client.get("/")
        assert answer.status in (200, 429), answer
        if answer.status == 429:
            assert answer["Retry-After"] == "1"
            assert answer.closes() and client.closed()
        return answer.status == 429


def eventually(condition: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)


def test_connections_of_one_address_are_bounded_over_all_children(start: Start, tmp_path: Path) -> None:
    server = start(limited("--max-connections-per-address=3", directory=tmp_path))
    with ExitStack() as stack:
        held = [open_connection(server, stack) for _ in range(3)]
        for _ in range(10):
            assert turned_back(server)
        other = [open_connection(server, stack, "127.0.0.2") for _ in range(2)]
        assert all(client.get("/").body == b"Hello" for client in (*held, *other))
        assert refused(tmp_path) == 10
        held.pop().close()
        eventually(lambda: not turned_back(server))
    server.log.wait_for("refused with 429: too many connections from this address client=127.0.0.1:")


def test_unfinished_requests_of_one_address_are_bounded_over_all_children(start: Start, tmp_path: Path) -> None:
    server = start(limited("--max-unfinished-requests-per-address=2", directory=tmp_path))
    with ExitStack() as stack:
        idle = open_connection(server, stack)
        slow = [stack.enter_context(Client(server.address)) for _ in range(2)]
        for client in slow:  # which have begun when they are asked to go on
            client.send(request("/count", "Expect: 100-continue", "Content-Length: 5", method="POST"))
            assert client.interim().status == 100
        assert turned_back(server)
        assert not turned_back(server, "127.0.0.2")
        answer = idle.get("/")
        assert (answer.status, answer.closes(), answer["Retry-After"]) == (429, True, "1")
        for client in slow:
            client.send(b"12345")
            assert client.response().body == b"5"
        # Their answers are taken, so they have none unfinished.
        for client in slow:
            assert client.get("/").body == b"Hello"
        eventually(lambda: not turned_back(server))
    server.log.wait_for("refused with 429: too many unfinished requests from this address client=127.0.0.1:")


def test_what_a_killed_child_had_counts_no_more(start: Start, tmp_path: Path) -> None:
    server = start(limited("--max-connections-per-address=4", directory=tmp_path))
    with ExitStack() as stack:
        for _ in range(3):
            eventually(lambda: not any(child["connections"] for child in status(tmp_path)["children"]))
            held = [open_connection(server, stack) for _ in range(4)]
            assert turned_back(server)
            for child in status(tmp_path)["children"]:
                if child["connections"]:
                    os.kill(child["pid"], signal.SIGKILL)
            eventually(lambda held=held: all(client.closed() for client in held))
            for client in held:
                client.close()
            eventually(lambda: not turned_back(server))


def test_trusted_proxies_and_unix_sockets_have_no_limit(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "unix"
    limits = ("--max-connections-per-address=1", "--max-unfinished-requests-per-address=1")
    trusted = ("--trusted-proxies=127.0.0.8/31,::1", "--listen=127.0.0.1:0", f"--listen=unix:{path}")
    server = start(limited(*limits, *trusted, directory=tmp_path))
    with ExitStack() as stack:
        for source in ("127.0.0.8", "127.0.0.9"):
            for _ in range(2):
                open_connection(server, stack, source)
        on_unix = stack.enter_context(Client(str(path)))
        assert on_unix.get("/").body == b"Hello"
        open_connection(server, stack)
        assert turned_back(server)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_an_ipv6_address_is_a_client_too(start: Start, tmp_path: Path) -> None:
    options = ("--max-connections-per-address=1", "--address-prefix-ipv6=128", "--listen=[::1]:0")
    server = start(limited(*options, directory=tmp_path))
    with ExitStack() as stack:
        open_connection(server, stack, "::1")
        assert turned_back(server, "::1")


def test_connections_of_an_old_generation_count_for_the_new_one(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    server = start(limited("--max-connections-per-address=1", "--graceful-timeout=60", directory=tmp_path))
    with Client(server.address) as slow:
        slow.send(request(f"/hang?{gate}"))
        eventually(lambda: any("handler" in child["stages"] for child in status(tmp_path)["children"]))
        assert turned_back(server)
        os.kill(server.pid, signal.SIGHUP)
        server.log.wait_for("generation 2 serves")
        eventually(lambda: status(tmp_path)["reload"] is None)
        assert turned_back(server)
        gate.unlink()
        assert slow.response().body == b"went on"
    eventually(lambda: not turned_back(server))
