"""Reloads, kills and stops while honest clients go on sending: what is lost, to the last request.

Altogether 50 reloads, 200 killed children and more than 20,000 requests, GET and POST, on kept connections.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.client import until
from tests.control.conftest import APPS
from tests.control.load import Load, begun
from tricorn.testing import Server

Start = Callable[..., Server]
CLIENTS = 4
RELOADS = {"prefork": 15, "worker": 15, "event": 20}
REQUESTS = 7000
"""For each MPM, beside its reloads."""
KILLS = {"prefork": 67, "worker": 67, "event": 66}
THREADS = {"prefork": 1, "worker": 2, "event": 2}
MANY = 34
"""Children for the kills: twice as many crashes in a row are answered at once, without waiting between them."""


@pytest.fixture(autouse=True)
def _counted(site: Path) -> None:
    shutil.copy(APPS / "counted.py", site)
    # A child may be of another user than the test.
    (site / "journal").touch()
    (site / "journal").chmod(0o666)


def edit(site: Path, edition: str) -> None:
    """The next import of the application finds this edition."""
    (site / "edition.new").write_text(edition)
    (site / "edition.new").rename(site / "edition")


def children(mpm: str, number: int) -> tuple[str, ...]:
    """Options for so many children."""
    threads = () if mpm == "prefork" else ("--threads-per-child", str(THREADS[mpm]))
    return ("--workers", str(number), *threads, "--graceful-timeout", "20", "--log-level", "info")


@pytest.mark.timeout(120)
def test_reloads_and_a_stop_lose_nothing(site: Path, mpm: str) -> None:
    # One place more than clients: who has no place waits for another client's kept connection to end.
    options = children(mpm, CLIENTS + 1 if mpm == "prefork" else 3)
    with Server("counted", mpm=mpm, options=options, directory=site) as server, Load(server, CLIENTS) as load:
        until(lambda: load.answered > 100, "it is busy")
        last = RELOADS[mpm] + 1
        for generation in range(2, last + 1):
            edit(site, f"edition-{generation}")
            server.signal(signal.SIGHUP)
            server.log.wait_for(f"reloaded: generation {generation} serves", timeout=30)
        until(lambda: f"edition-{last}" in load.editions, "the last edition serves")
        until(lambda: load.answered >= REQUESTS, "enough was asked", timeout=60)
        assert load.refused == 0
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    print(f"{mpm}, {last - 1} reloads and a stop: {load.told()}")
    assert load.lost == []
    assert load.refused == CLIENTS, "each client goes on until nobody listens"
    assert load.posted > load.answered / 4
    # A connection is told to close with an answer, or closed when it has been silent; these clients never are.
    assert load.raced == []
    assert len(list(begun(site))) == load.answered, "the application was called once for each answer"
    assert "ended unasked" not in server.log.text()
    assert "is killed" not in server.log.text()


@pytest.mark.timeout(120)
def test_a_killed_child_costs_at_most_what_it_was_executing(site: Path, mpm: str) -> None:
    with Server("counted", mpm=mpm, options=children(mpm, MANY), directory=site) as server:
        killed: set[int] = set()
        with Load(server, CLIENTS * THREADS[mpm]) as load:
            while len(killed) < KILLS[mpm]:
                seen = load.answered
                until(lambda seen=seen: load.answered > seen + 30, "it is busy", timeout=30)  # type: ignore[misc]
                victim = until(lambda: next((pid for pid in load.holders() if pid not in killed), 0), "one serves")
                killed.add(victim)
                os.kill(victim, signal.SIGKILL)
            until(lambda: len(set(server.child_pids()) - killed) == MANY, "all are replaced", timeout=30)
            lost_until_then = len(load.lost)
            seen = load.answered
            until(lambda: load.answered > seen + 200, "it serves on")
            assert len(load.lost) == lost_until_then, "only kills cost anything"
            assert load.refused == 0
        print(f"{mpm}, {len(killed)} killed: {load.told()}")
        text = server.log.text()
        assert text.count("ended unasked: killed by SIGKILL") == len(killed)
        assert "crashes in a row" not in text
    executing = dict(begun(site))
    held = Counter(lost.holder or executing.get(lost.name) for lost in load.lost)
    assert set(held) <= killed | {None}, "a request was lost that no killed child had"
    in_handlers = Counter(executing[lost.name] for lost in load.lost if lost.name in executing)
    assert all(count <= THREADS[mpm] for count in in_handlers.values()), "more than a child can execute at once"
    # A thread has one connection under prefork and worker; a child of event has those that wait as well.
    most = CLIENTS * THREADS[mpm] if mpm == "event" else THREADS[mpm]
    assert all(count <= most for pid, count in held.items() if pid is not None)
    assert len(load.lost) <= len(killed) * most
