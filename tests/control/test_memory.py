"""Memory: a limit that holds, and children that are replaced when they have grown, are old, or have served enough."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from tests.control.client import ask, status, until
from tests.control.conftest import APPS
from tests.control.held import Held
from tests.control.load import Load
from tricorn.testing import NotLoggedError, Server

MIB = 1 << 20
GROWN = 40
"""MiB that a child of `gated.py` takes at its first request."""
LIMIT = 320
"""MiB for the whole server: room for some such children, not for as many as the load wants."""
WANTED = 16

Serve = Callable[..., Server]


@pytest.fixture
def serve(site: Path, control: Path, mpm: str) -> Iterator[Serve]:
    """Start servers of `gated.py` (or `counted.py`) with one thread for each child, under each MPM."""
    for name in ("gated.py", "counted.py"):
        (site / name).write_text((APPS / name).read_text())
    threads = () if mpm == "prefork" else ("--threads-per-child", "1")
    with ExitStack() as stack:

        def started(*options: str, application: str = "gated", **more: Any) -> Server:
            mine = ("--control-socket", str(control), "--graceful-timeout", "20", "--log-level", "debug", *threads)
            server = Server(application, mpm=mpm, options=(*mine, *options), directory=site, **more)
            return stack.enter_context(server)

        yield started


class Scale(threading.Thread):
    """Weighs all processes of a server again and again: proportional set size, in bytes, as the kernel counts it."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._ended = threading.Event()
        self.heaviest = 0

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self.heaviest = max(self.heaviest, sum(pss(process.pid) for process in self._server.processes()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def pss(pid: int) -> int:
    """Bytes; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def test_no_child_is_started_that_does_not_fit(serve: Serve, site: Path, control: Path, mpm: str) -> None:
    spare = "servers" if mpm == "prefork" else "threads"
    band = ("--start-servers", "2", f"--min-spare-{spare}", "1", f"--max-spare-{spare}", "3")
    server = serve(*band, "--max-request-workers", str(WANTED), "--memory-limit", f"{LIMIT}M")
    with Scale(server) as scale, Held(server, site) as held:
        held.add(1, f"/grow?{GROWN}")
        # The first one has grown, and has been measured: from here on the server knows what a child comes to.
        until(lambda: (status(control)["memory"]["child"] or 0) > GROWN * MIB, "it was measured", timeout=25)
        for _ in range(3 * WANTED):
            held.add(1, f"/grow?{GROWN}")
            with suppress(NotLoggedError):
                server.log.wait_for("memory_limit", timeout=0.2)
                break
        held.add(WANTED)
        told = status(control)
        assert told["memory"]["limit"] == LIMIT * MIB
        assert 2 <= len(told["children"]) < WANTED
        assert set(held.let_go()) == {"let go"}
        assert len(held.answers) == held.sent
        for _ in range(20):
            assert ask(server, f"/took?{GROWN}")
    print(f"{mpm}: {len(told['children'])} children of {WANTED} wanted, at most {scale.heaviest / MIB:.0f} MiB")
    assert scale.heaviest <= LIMIT * MIB, "the limit holds"
    assert len([line for line in server.log.lines() if "memory_limit" in line and "warning" in line]) <= 1
    assert "killed" not in server.log.text()
    assert "ended unasked" not in server.log.text()


def test_a_child_that_has_grown_is_replaced(serve: Serve, control: Path) -> None:
    server = serve("--workers", "2", "--max-child-memory", "64M")
    before = set(server.child_pids())
    grown = int(ask(server, "/took?80"))
    assert grown in before
    until(lambda: grown not in server.child_pids(), "it has left", timeout=40)
    until(lambda: len(server.child_pids()) == 2, "and has a successor")
    assert before - {grown} <= set(server.child_pids()), "the other stays"
    server.log.wait_for("max_child_memory")
    assert status(control)["capacity"]["children"] == 2
    assert "ended unasked" not in server.log.text()


@pytest.mark.parametrize(
    ("bound", "value"),
    [("max_requests_per_child", "150"), ("max_connections_per_child", "6"), ("max_child_lifetime", "2")],
)
def test_a_worn_child_is_replaced_first_and_no_request_is_lost(
    serve: Serve, control: Path, bound: str, value: str
) -> None:
    server = serve("--workers", "3", f"--{bound.replace('_', '-')}", value, application="counted")
    before = set(server.child_pids())
    fewest = len(before)
    with Load(server, 2) as load:

        def all_new() -> bool:
            nonlocal fewest
            children = status(control)["children"]
            fewest = min(fewest, sum(child["state"] == "ready" for child in children))
            return not before & {child["pid"] for child in children}

        until(all_new, "all children are others", timeout=30)
        seen = load.answered
        until(lambda: load.answered > seen + 200, "it serves on")
    print(load.told())
    assert load.lost == []
    assert load.raced == []
    assert fewest == 3, "a successor is ready before its predecessor leaves"
    assert bound in server.log.text()
    assert "ended unasked" not in server.log.text()


def test_sharing_is_shown(serve: Serve, control: Path) -> None:
    server = serve("--workers", "3", "--max-child-memory", "1G")

    def measured() -> dict[str, Any]:
        told = status(control)
        memory: dict[str, Any] = told["memory"]
        return memory if memory["saved"] and all(child["pss"] for child in told["children"]) else {}

    memory = until(measured, "all are measured", timeout=30)
    assert memory["rss"] - memory["pss"] == memory["saved"] > 0
    assert memory["pss"] <= memory["rss"]
    assert abs(memory["pss"] - sum(pss(process.pid) for process in server.processes())) < 32 * MIB
