"""Applications that raise, return garbage, hang, exit or are killed: a clear outcome each, and others undisturbed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.client import Client, ClosedError, request
from tests.server.conftest import Serving, Start
from tricorn.testing import Server

SERVING = Serving("plain.py:application")

Connect = Callable[..., Client]


def _serves(server: Server) -> None:
    """The server answers new clients."""
    with Client(server.address) as client:
        assert client.get("/").body == b"Hello"


@pytest.mark.parametrize(
    ("path", "words"), [("/raise", "ValueError: raised on purpose"), ("/garbage", "the application returned int")]
)
def test_an_error_is_a_500_with_its_reason_in_the_log(server: Server, client: Client, path: str, words: str) -> None:
    mark = server.log.mark()
    answer = client.get(path)
    assert answer.status == 500
    assert "Traceback" not in answer.text
    assert "purpose" not in answer.text
    server.log.wait_for(f"GET {path}", after=mark)
    server.log.wait_for(words, after=mark)


def test_an_answer_that_breaks_off_is_visibly_broken(server: Server, client: Client) -> None:
    mark = server.log.mark()
    answer = client.get("/raise-late")
    assert (answer.status, answer.framing, answer.complete) == (200, "chunked", False)
    assert answer.body == b"the beginning"
    server.log.wait_for("ValueError: raised late on purpose", after=mark)
    _serves(server)


def test_sys_exit_in_a_handler_ends_that_request_only(server: Server, client: Client) -> None:
    before = set(server.child_pids())
    mark = server.log.mark()
    assert client.get("/exit").status == 500
    server.log.wait_for("SystemExit", after=mark)
    _serves(server)
    assert set(server.child_pids()) == before


def test_a_handler_that_hangs_does_not_hold_up_others(server: Server, connect: Connect, tmp_path: Path) -> None:
    until = tmp_path / "hang"
    until.touch()
    hanging = connect().send(request(f"/hang?{until}"))
    for _ in range(10):
        with Client(server.address) as other:
            assert other.get("/").body == b"Hello"
    assert hanging.silent()
    until.unlink()
    assert hanging.response().body == b"went on"


@pytest.mark.parametrize("path", ["/os-exit", "/kill", "/segv"])
def test_a_child_that_dies_is_told_and_replaced(start: Start, path: str) -> None:
    server = start(SERVING)
    before = server.child_pids()
    with Client(server.address) as other, Client(server.address) as victim:
        # Until the two are in different processes, another client takes the next turn.
        pid = other.get("/pid").body.split()[0]
        tries = [victim]
        try:
            while tries[-1].get("/pid").body.split()[0] == pid:
                tries.append(Client(server.address))
                assert len(tries) < 50, "every connection goes to one child"
            mark = server.log.mark()
            tries[-1].send(request(path))
            with pytest.raises(ClosedError):
                tries[-1].response()
            assert other.get("/pid").body.split()[0] == pid, "the client of another child is disturbed"
        finally:
            for client in tries[1:]:
                client.close()
    server.log.wait_for({"/os-exit": "7", "/kill": "KILL", "/segv": "SEGV"}[path], after=mark)
    _serves(server)
    _until(lambda: len(server.child_pids()) == len(before))
    assert set(server.child_pids()) != set(before)


def test_every_child_killed_at_once(start: Start) -> None:
    server = start(SERVING)
    before = server.child_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    _until(lambda: len(server.child_pids()) == len(before) and not set(server.child_pids()) & set(before))
    _serves(server)


def test_a_stop_waits_for_the_request_that_runs(start: Start, tmp_path: Path) -> None:
    server = start(SERVING)
    until = tmp_path / "hang"
    until.touch()
    with Client(server.address) as client:
        client.send(request(f"/hang?{until}"))
        assert client.silent()
        mark = server.log.mark()
        server.signal(signal.SIGTERM)
        server.log.wait_for("stop", after=mark)
        assert client.silent()
        until.unlink()
        answer = client.response()
    assert answer.body == b"went on"
    assert server.wait() == 0


def test_a_hanging_handler_does_not_hold_up_a_stop_for_ever(start: Start, tmp_path: Path) -> None:
    server = start(Serving("plain.py:application", options=("--graceful-timeout=1",)))
    until = tmp_path / "hang"
    until.touch()
    with Client(server.address) as client:
        client.send(request(f"/hang?{until}"))
        assert client.silent()
        server.signal(signal.SIGTERM)
        server.wait()
        assert client.rest() == b""


def test_idle_connections_do_not_hold_up_a_stop(start: Start) -> None:
    server = start(SERVING)
    with Client(server.address) as idle, Client(server.address) as silent:
        assert idle.get("/").body == b"Hello"
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10, "the stop took as long as the deadlines of idle connections"
        assert idle.closed()
        assert silent.closed()


def _until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells."""
    done = threading.Event()
    for _ in range(500):
        if condition():
            return
        done.wait(0.02)
    raise AssertionError("it did not come to be within ten seconds")
