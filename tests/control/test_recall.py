"""A child that was surplus and rests is called back when the load returns, and serves again: nothing is forked for that."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.control.client import status, tell, until
from tests.control.conftest import APPS
from tests.control.held import Held
from tests.control.side_by_side import under_each_mpm
from tricorn.testing import Server

LIMIT = 6
"""Units, each a child of its own, under each MPM."""
ATTEMPTS = 4
"""One child rests after the other, each for a second at least; a machine that is too busy may be late for some."""


def options(mpm: str, control: Path) -> tuple[str, ...]:
    """From one child to `LIMIT`, of which one or two are to be idle."""
    words = ("servers",) if mpm == "prefork" else ("threads", "--threads-per-child", "1")
    band = ("--start-servers", "1", f"--min-spare-{words[0]}", "1", f"--max-spare-{words[0]}", "2", *words[1:])
    limit = ("--max-request-workers", str(LIMIT), "--graceful-timeout", "20", "--log-level", "info")
    return (*band, *limit, "--control-socket", str(control))


def states(control: Path) -> dict[int, str]:
    """By pid."""
    return {child["pid"]: child["state"] for child in status(control)["children"]}


def settled(control: Path, pid: int) -> dict[int, str]:
    """The states, when that child does not rest any more; nothing until then."""
    now = states(control)
    return {} if now.get(pid) == "resting" else now


def called_back(server: Server, control: Path, held: Held) -> int | None:
    """Wait until a child rests, take all units of the others, and give the child if it was called back for that.

    The parent stands still meanwhile: what it sees next is all of that load, however long it took to come.
    """
    resting = until(
        lambda: [pid for pid, state in states(control).items() if state == "resting"], "one rests", timeout=60
    )
    os.kill(server.pid, signal.SIGSTOP)
    try:
        held.fill(len(set(server.child_pids()) - set(resting)))
    finally:
        os.kill(server.pid, signal.SIGCONT)
    after = until(lambda: settled(control, resting[0]), "it is decided about")
    return resting[0] if after.get(resting[0]) == "ready" else None


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_child_that_rests_serves_again_when_the_load_returns(site: Path) -> None:
    under_each_mpm(rests_and_serves_again, site, [APPS / "gated.py"])


def rests_and_serves_again(mpm: str, site: Path, control: Path) -> None:
    with Server("gated", mpm=mpm, options=options(mpm, control), directory=site) as server:
        with Held(server, site) as held:
            held.fill(LIMIT)
        for _ in range(ATTEMPTS):
            (site / "begun").unlink()
            with Held(server, site) as held:
                before = states(control)
                recalled = called_back(server, control, held)
                if recalled is not None:
                    break
        else:
            pytest.fail("whoever rested was retired each time before the load had returned")
        assert recalled in before
        decisions = tell(control, "why", "--json").data["decisions"]
        assert any("is recalled" in entry["what"] and "idle" in entry["reason"] for entry in decisions)
        (site / "begun").unlink()
        with Held(server, site) as held:
            held.fill(len(server.child_pids()))
            assert recalled in {pid for _, pid in held.begun()}, "it serves again"
            assert set(held.let_go()) == {"let go"}
        assert "ended unasked" not in server.log.text()
        assert "is killed" not in server.log.text()
