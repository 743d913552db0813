"""What clients see when the code is slow to import, when the server is stopped, and when a child is killed.

The scenes are those in which servers of this kind are known to fail: no answers while the new code is imported, requests
reset that waited in the kernel's queue, late ones accepted and then reset, a server that ends because a child did.
"""

from __future__ import annotations

import http.client
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.control.client import alive, ask, until, wait_until_busy
from tests.control.conftest import APPS
from tests.control.load import Load
from tricorn.testing import Server

Start = Callable[..., Server]
IMPORT = 3.0
"""Seconds that the new code takes to import."""
PERIOD = 0.1
PATIENCE = 1.0
"""Seconds a probing client waits."""
DRAIN = 3.0
LATE = 0.5
"""Seconds after the signal at which the late request is sent."""


class Probe(threading.Thread):
    """One request over a connection of its own, and what became of it."""

    def __init__(self, server: Server, path: str, timeout: float = 15.0) -> None:
        super().__init__(daemon=True)
        self._server, self._path, self._timeout = server, path, timeout
        self._outcome = ""
        self.closes = False
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self._server.address, timeout=self._timeout)
        try:
            connection.connect()
        except OSError as error:
            self._outcome = f"refused: {error!r}"
            return
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            self._outcome = answer.read().decode()
            self.closes = answer.getheader("Connection") == "close"
        except (OSError, http.client.HTTPException) as error:
            self._outcome = f"broken: {error!r}"
        finally:
            connection.close()

    def outcome(self) -> str:
        """The body of the answer; or why there is none."""
        self.join(self._timeout + 5)
        return self._outcome


class Probes:
    """A probe each tenth of a second while the context lasts, whatever the others get."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent: list[Probe] = []

    def _send(self) -> None:
        while not self._ended.wait(PERIOD):
            self.sent.append(Probe(self._server, "/word", PATIENCE))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def probe_a_slow_reload(server: Server, site: Path) -> None:
    """Reload code that takes its time to import, asking all the while."""
    told = site / "told.py"
    slow = f'import time\ntime.sleep({IMPORT})\nWORD = "second"'
    told.write_text(told.read_text().replace('WORD = "first"', slow))
    with Probes(server) as probes:
        began = time.monotonic()
        server.signal(signal.SIGHUP)
        server.log.wait_for("reloaded: generation 2 serves", timeout=30)
        took = time.monotonic() - began
        until(lambda: len(server.processes()) == 4, "the old generation has left", timeout=30)
        seen = len(probes.sent)
        until(lambda: len(probes.sent) > seen + 5, "the new one is asked")
    outcomes = [probe.outcome() for probe in probes.sent]
    assert set(outcomes) == {"first", "second"}, outcomes
    assert outcomes[-1] == "second"
    assert took >= IMPORT
    assert len(outcomes) >= IMPORT / PERIOD * 0.5, "it was probed all the while"


def test_a_reload_of_code_that_is_slow_to_import(start: Start, site: Path) -> None:
    probe_a_slow_reload(start(), site)


def test_a_reload_of_code_that_each_child_imports_slowly(site: Path) -> None:
    with Server("told", options=("--workers", "2", "--preload", "off"), directory=site) as server:
        probe_a_slow_reload(server, site)


def one_place(mpm: str) -> tuple[str, ...]:
    return ("--workers", "1", *(() if mpm == "prefork" else ("--threads-per-child", "1")))


def serving(site: Path, mpm: str, *options: str) -> Server:
    """A server that can handle one request at a time."""
    return Server("told", mpm=mpm, options=(*one_place(mpm), "--graceful-timeout", "15", *options), directory=site)


def test_a_stop_with_a_drain_delay_answers_the_late_one_too(site: Path, mpm: str) -> None:
    with serving(site, mpm, "--drain-delay", str(DRAIN)) as server:
        in_service = Probe(server, "/slow?2")
        wait_until_busy(server)
        waiting = Probe(server, "/word")
        signalled = time.monotonic()
        server.signal(signal.SIGTERM)
        time.sleep(LATE)  # what is probed is a client that comes then
        late = Probe(server, "/word")
        assert [in_service.outcome(), waiting.outcome(), late.outcome()] == ["slow", "first", "first"]
        # Whose answer is made before the signal is noticed may be told nothing; the others have been parted with.
        assert late.closes
        assert waiting.closes
        assert server.wait() == 0
        assert time.monotonic() - signalled >= DRAIN, "it goes on accepting for that long"


def test_a_stop_without_a_drain_delay_answers_all_that_wait_and_refuses_the_late_one(site: Path, mpm: str) -> None:
    with serving(site, mpm, "--drain-delay", "0") as server:
        in_service = Probe(server, "/slow?1")
        wait_until_busy(server)
        waiting = [Probe(server, "/word") for _ in range(3)]
        until(lambda: connected(server) >= 4, "all of them wait at the server")
        server.signal(signal.SIGTERM)
        time.sleep(LATE)
        late = Probe(server, "/word")
        assert in_service.outcome() == "slow"
        assert [probe.outcome() for probe in waiting] == ["first"] * 3
        assert late.outcome().startswith("refused")
        assert server.wait() == 0


def connected(server: Server) -> int:
    """Established connections at the server's port, those in the kernel's queue too."""
    established = "01"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[1].rpartition(":")[2], 16) == server.port and row[3] == established for row in rows)


def test_a_stop_at_once_does_not_wait_for_the_drain_delay(site: Path, mpm: str) -> None:
    with serving(site, mpm, "--drain-delay", "30") as server:
        in_service = Probe(server, "/slow?30")
        wait_until_busy(server)
        server.signal(signal.SIGQUIT)
        assert server.wait(5) == 0
        assert in_service.outcome().startswith("broken")


def test_a_crash_during_the_drain_delay_is_made_good(site: Path, mpm: str) -> None:
    with serving(site, mpm, "--drain-delay", "3") as server:
        server.signal(signal.SIGTERM)
        server.log.wait_for("stops gracefully")
        victim = server.child_pids()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: not alive(victim), "it is dead")
        assert Probe(server, "/word").outcome() == "first"
        assert server.wait() == 0


def test_one_of_two_children_is_killed(start: Start) -> None:
    server = start()
    victim, other = server.child_pids()
    with Probes(server) as probes:
        until(lambda: len(probes.sent) > 5, "it is probed")
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(server.child_pids()) == 2 and victim not in server.child_pids(), "there are two again")
        seen = len(probes.sent)
        until(lambda: len(probes.sent) > seen + 10, "it is probed")
    outcomes = [probe.outcome() for probe in probes.sent]
    assert outcomes.count("first") >= len(outcomes) - 1, f"at most the one that the child was serving: {outcomes}"
    assert alive(other)
    assert server.exit_code() is None
    assert "crashes" not in server.log.text()


@pytest.mark.parametrize("delay", ["0", "1"])
def test_term_for_every_process_of_the_tree_at_once(site: Path, mpm: str, delay: str) -> None:
    shutil.copy(APPS / "counted.py", site)
    (site / "journal").touch()
    (site / "journal").chmod(0o666)
    threads = () if mpm == "prefork" else ("--threads-per-child", "2")
    options = ("--workers", "5", *threads, "--drain-delay", delay)
    with Server("counted", mpm=mpm, options=options, directory=site) as server, Load(server, 4) as load:
        until(lambda: load.answered > 200, "it is busy")
        pids = [process.pid for process in server.processes()]
        random.Random(int(delay)).shuffle(pids)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        assert server.wait() == 0
    assert load.lost == []
    assert load.raced == []
    assert load.refused == 4, "each client went on until nobody listened"
    assert "is killed" not in server.log.text()
    assert "ended unasked" not in server.log.text()


def test_a_child_that_is_told_to_leave_is_replaced_first(start: Start) -> None:
    server = start()
    leaving = int(ask(server, "/pid"))
    os.kill(leaving, signal.SIGTERM)
    fewest = len(server.child_pids())

    def replaced() -> bool:
        nonlocal fewest
        now = server.child_pids()
        fewest = min(fewest, len(now))
        return leaving not in now and len(now) == 2

    until(replaced, "it is replaced")
    assert fewest == 2, "the successor came first"
