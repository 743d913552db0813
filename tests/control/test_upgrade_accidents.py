"""Upgrades in which something dies, stops or is missing at the worst moment. What ordinary ones do is in `test_verbs.py`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.client import alive, ask, status, until, wait_until_busy
from tricorn.control.client import NoAnswerError
from tricorn.testing import Server

Start = Callable[..., Server]


def begin(server: Server) -> int:
    """Ask for an upgrade; the pid of the new parent."""
    server.signal(signal.SIGUSR2)
    return int(server.log.wait_for_match(r"a new server \(pid (\d+)\) is tried out", timeout=15)[1])


def until_it_serves(server: Server, successor: int) -> None:
    """Wait for the word of the new parent, which the old one may not hear at the moment."""
    server.log.wait_for_match(rf" serves .*, pid {successor}\b", timeout=30)


def who_answers(control: Path) -> int:
    """The parent at the control socket; 0 while there is none."""
    try:
        return int(status(control)["pid"])
    except NoAnswerError:
        return 0


def end(pid: int) -> None:
    """Stop a parent that this test's process has not started."""
    os.kill(pid, signal.SIGTERM)
    until(lambda: not alive(pid), "it has stopped")


def test_a_stop_of_every_process_lets_the_old_server_answer_what_it_has_read(start: Start) -> None:
    server = start()
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(ask(server, "/slow?2")))
    asking.start()
    wait_until_busy(server)
    new = begin(server)
    server.log.wait_for("this one leaves")
    server.signal(signal.SIGTERM)
    end(new)
    asking.join()
    assert answers == ["slow"]
    assert server.wait() == 0


def test_a_second_stop_of_an_old_server_does_not_wait(start: Start) -> None:
    server = start()

    def ask_in_vain() -> None:
        with pytest.raises(OSError):
            ask(server, "/slow?20")

    asking = threading.Thread(target=ask_in_vain)
    asking.start()
    wait_until_busy(server)
    new = begin(server)
    server.log.wait_for("this one leaves")
    server.signal(signal.SIGTERM)
    server.log.wait_for("leaves already")
    server.signal(signal.SIGINT)
    assert server.wait(5) == 0
    asking.join()
    end(new)


def test_a_server_that_takes_over_serves_even_without_its_control_socket(start: Start, control: Path) -> None:
    directory = control.parent / "place"
    directory.mkdir()
    server = start("--control-socket", str(directory / "socket"))
    new = begin(server)
    server.signal(signal.SIGSTOP)
    until_it_serves(server, new)
    directory.rename(control.parent / "elsewhere")
    server.signal(signal.SIGCONT)
    assert server.wait() == 0
    server.log.wait_for("the server goes on without a control socket: control_socket: ")
    assert ask(server, "/word") == "first"
    end(new)


def test_a_successor_that_dies_as_soon_as_it_serves_costs_nothing(start: Start, control: Path) -> None:
    server = start("--control-socket", str(control))
    new = begin(server)
    server.signal(signal.SIGSTOP)
    until_it_serves(server, new)
    os.kill(new, signal.SIGKILL)
    until(lambda: not alive(new), "it is dead")
    server.signal(signal.SIGCONT)
    server.log.wait_for("the upgrade failed, this server goes on: ")
    assert ask(server, "/word") == "first"
    assert status(control)["pid"] == server.pid


def test_a_successor_goes_on_when_the_old_server_is_killed(start: Start, site: Path, control: Path) -> None:
    server = start("--control-socket", str(control))
    told = (site / "told.py").read_text()
    (site / "told.py").write_text(told + 'time.sleep(1)\nWORD = "second"\n')
    new = begin(server)
    server.signal(signal.SIGKILL)
    until(lambda: who_answers(control) == new, "it has taken over")
    assert ask(server, "/word") == "second"
    end(new)
    assert not control.exists()
