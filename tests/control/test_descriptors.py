"""The limit of open descriptors: raised for what max_open_connections needs, or told where that is not allowed."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.client import ask, until
from tests.control.conftest import Start
from tricorn.testing import Server


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """The limits of this process, put back afterwards; what a test sets, its servers inherit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def limits_of(pid: int) -> tuple[int, int]:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            soft, hard = line.split()[3:5]
            return int(soft), int(hard)
    raise AssertionError("the system tells no limit")


def test_the_soft_limit_is_raised_for_every_process(limits: tuple[int, int], start: Start, mpm: str) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, limits[1]))
    server: Server = start(*(("--max-open-connections", "1000") if mpm == "event" else ()))
    needed = 2256 if mpm == "event" else 256
    for pid in (*server.template_pids(), *server.child_pids()):
        assert limits_of(pid)[0] > needed
    assert "descriptors in a child" not in server.log.text()


class Poor(Server):
    """A server started by a shell that lowers its own hard limit: ours could not be put back without privileges."""

    def command(self) -> list[str]:
        return ["sh", "-c", 'ulimit -n 300; exec "$@"', "sh", *super().command()]


def test_too_low_a_hard_limit_is_told(site: Path) -> None:
    with Poor("told", options=("--workers", "1", "--max-open-connections", "5000"), directory=site) as server:
        assert "may need 10257 descriptors in a child, and 300 are allowed" in server.log.text()


def test_a_parent_without_descriptors_waits_and_keeps_its_template(start: Start) -> None:
    server = start()
    (template,) = server.template_pids()
    victim = server.child_pids()[0]
    # So low that the channel to a successor cannot be made, whatever is closed on behalf of the victim.
    before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    os.kill(victim, signal.SIGKILL)
    server.log.wait_for("no child can be ordered: Too many open files")
    assert ask(server, "/word") == "first"
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
    until(lambda: len(server.child_pids()) == 2 and victim not in server.child_pids(), "it is replaced", timeout=20)
    assert server.template_pids() == [template]
