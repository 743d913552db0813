"""Each signal of the parent's table, under each MPM."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.control.client import alive, ask, until, wait_until_busy
from tricorn.parent.signals import ECHO
from tricorn.testing import Server

Start = Callable[..., Server]


class Asking(threading.Thread):
    """Asks in a thread of its own, so that the test can signal meanwhile."""

    def __init__(self, server: Server, path: str) -> None:
        super().__init__()
        self._server, self._path = server, path
        self.answer = ""
        self.start()

    def run(self) -> None:
        try:
            self.answer = ask(self._server, self._path)
        except OSError as error:
            self.answer = f"no answer: {error}"

    def given(self) -> str:
        self.join(20)
        return self.answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_answers_what_was_read_and_leaves_with_code_0(start: Start, number: signal.Signals) -> None:
    server = start()
    asking = Asking(server, "/slow?1")
    wait_until_busy(server)
    server.signal(number)
    assert asking.given() == "slow"
    assert server.wait() == 0
    server.log.wait_for(f"tricorn has stopped: told to by {number.name}")


def test_ctrl_c_reaches_the_whole_group_and_is_still_graceful(start: Start) -> None:
    server = start()
    asking = Asking(server, "/slow?1")
    wait_until_busy(server)
    os.killpg(server.pid, signal.SIGINT)
    assert asking.given() == "slow"
    assert server.wait() == 0
    assert "Traceback" not in server.log.text()


def test_a_service_manager_that_signals_every_process_is_still_graceful(start: Start) -> None:
    server = start()
    asking = Asking(server, "/slow?1")
    wait_until_busy(server)
    os.killpg(server.pid, signal.SIGTERM)
    assert asking.given() == "slow"
    assert server.wait() == 0


def test_a_second_stop_does_not_wait(start: Start) -> None:
    server = start()
    asking = Asking(server, "/slow?30")
    wait_until_busy(server)
    server.signal(signal.SIGTERM)
    server.log.wait_for("stops gracefully")
    time.sleep(ECHO)  # what the rule says: sooner it would be taken for the same wish
    server.signal(signal.SIGTERM)
    assert server.wait(5) == 0
    assert asking.given().startswith("no answer")
    server.log.wait_for("is killed: told to stop at once")


def test_a_stop_that_is_signalled_twice_at_once_is_one_stop(start: Start) -> None:
    server = start()
    asking = Asking(server, "/slow?1")
    wait_until_busy(server)
    server.signal(signal.SIGTERM)
    server.log.wait_for("stops gracefully")
    os.killpg(server.pid, signal.SIGTERM)
    assert server.wait(10) == 0
    assert not asking.given().startswith("no answer")
    assert "at once" not in server.log.text()


def test_quit_stops_at_once(start: Start) -> None:
    server = start()
    asking = Asking(server, "/slow?30")
    wait_until_busy(server)
    server.signal(signal.SIGQUIT)
    assert server.wait(5) == 0
    assert asking.given().startswith("no answer")


def test_the_graceful_timeout_ends_a_stop(start: Start) -> None:
    server = start("--graceful-timeout", "0.5")
    asking = Asking(server, "/slow?30")
    wait_until_busy(server)
    server.signal(signal.SIGTERM)
    assert server.wait(5) == 0
    assert asking.given().startswith("no answer")
    server.log.wait_for_match(r"child=\d gen=1 pid=\d+: is killed: .*graceful_timeout")


def test_a_resized_terminal_harms_nobody(start: Start) -> None:
    server = start()
    pids = [process.pid for process in server.processes()]
    for pid in pids:
        os.kill(pid, signal.SIGWINCH)
    server.log.wait_for("SIGWINCH: ")
    assert ask(server, "/word") == "first"
    assert [process.pid for process in server.processes()] == pids


def test_a_child_that_is_told_to_leave_by_term_is_replaced(start: Start) -> None:
    server = start()
    leaving = server.child_pids()[0]
    os.kill(leaving, signal.SIGTERM)
    until(lambda: not alive(leaving), "the child has left")
    until(lambda: len(server.child_pids()) == 2 and leaving not in server.child_pids(), "it is replaced")
    server.log.wait_for("is retired: asked by a signal")
    assert "crashes" not in server.log.text()
    assert ask(server, "/word") == "first"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_children_and_template_leave_the_parents_signals_to_the_parent(start: Start, number: signal.Signals) -> None:
    server = start()
    pids = [process.pid for process in server.processes()]
    for pid in pids[1:]:
        os.kill(pid, number)
    for _ in range(4):
        assert ask(server, "/word") == "first"
    assert [process.pid for process in server.processes()] == pids
