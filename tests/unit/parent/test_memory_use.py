from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import IO

import pytest

from tests.forks import Forked
from tricorn.parent.figures import Figures, of_control_group, of_process
from tricorn.parent.memory_use import MemoryFacts, Meter, Role

MIB = 1 << 20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


class Clock:
    """A clock that moves when it is told to, and by `cost` for each look at it."""

    def __init__(self) -> None:
        self.now, self.cost = 100.0, 0.0

    def __call__(self) -> float:
        self.now += self.cost
        return self.now


class World:
    """A /proc with processes of our making, and a meter that measures them."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, Clock()
        self.meter = Meter(self.clock, root)

    def process(self, pid: int, *, rss: int, pss: int, uss: int, anonymous: int) -> None:
        directory = self.root / "proc" / str(pid)
        directory.mkdir(exist_ok=True, parents=True)
        values = {"Rss": rss, "Pss": pss, "Private_Clean": 0, "Private_Dirty": uss, "Anonymous": anonymous}
        lines = [f"{name}: {size * 1024} kB" for name, size in values.items()]
        (directory / "smaps_rollup").write_text("\n".join(["559c-7fff ---p 0 00:00 0 [rollup]", *lines]))

    def pass_time(self, seconds: float, limit: int | None = None) -> int:
        """Do what a loop does for so long; how often it woke."""
        end, woken = self.clock.now + seconds, 0
        while (deadline := self.meter.deadline()) is not None and deadline <= end:
            self.clock.now = max(self.clock.now, deadline)
            self.meter.measure(limit)
            woken += 1
        self.clock.now = end
        return woken


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# A process of its own, and a mapping of its own: what the allocator of the tests' process has kept, or its threads do
# meanwhile, changes nothing. Each line that it is sent makes it go on, and it answers with a line.
WRITES = f"""
import mmap, sys
block = mmap.mmap(-1, {40 * MIB}, flags=mmap.MAP_PRIVATE)
print("mapped", flush=True)
sys.stdin.readline()
for place in range(0, {20 * MIB}, mmap.PAGESIZE):
    block[place] = 1
print("has written", flush=True)
sys.stdin.readline()
"""
FORKS = f"""
import mmap, os, sys
block = mmap.mmap(-1, {40 * MIB}, flags=mmap.MAP_PRIVATE)
for place in range(0, {40 * MIB}, mmap.PAGESIZE):
    block[place] = 1
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
else:
    print(os.getpid(), flush=True)
    sys.stdin.readline()
    for place in range(0, {40 * MIB}, mmap.PAGESIZE):
        block[place] = 2
    print("has written", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other(program: str) -> Iterator[tuple[int, IO[str], IO[str]]]:
    """A process that runs this: its id, what it reads, what it writes. It ends when it reads the end."""
    with subprocess.Popen([sys.executable, "-c", program], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield process.pid, process.stdin, process.stdout


def figures(pid: int) -> tuple[int, int, int]:
    """Resident, proportional and own of a process that lives, and whose maps can be read."""
    read = of_process(Path(f"/proc/{pid}"))
    assert read is not None and read.uss is not None
    return read.rss, read.pss, read.uss


def test_a_process_that_writes_takes_what_it_has_written() -> None:
    with other(WRITES) as (pid, told, tells):
        assert tells.readline() == "mapped\n"
        _, _, before = figures(pid)
        print("write", file=told, flush=True)
        assert tells.readline() == "has written\n"
        rss, pss, uss = figures(pid)
    # A huge page more may have been given to it; pages of the interpreter's files are its own, or shared, as others go and come.
    assert 16 * MIB < uss - before < 28 * MIB
    assert uss <= pss <= rss


def test_a_fork_shares_until_it_writes() -> None:
    with other(FORKS) as (_, told, tells):
        fork = int(tells.readline())
        rss, pss, sharing = figures(fork)
        print("write", file=told, flush=True)
        assert tells.readline() == "has written\n"
        _, _, parted = figures(fork)
    assert pss < rss - 18 * MIB, "each of the two counts half of it"
    assert parted - sharing > 36 * MIB


def test_one_who_is_gone_or_a_zombie_has_no_figures() -> None:
    with Forked(lambda: 0) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert of_process(Path(f"/proc/{child.pid}")) is None
        child.wait()
        assert of_process(Path(f"/proc/{child.pid}")) is None


@pytest.mark.parametrize("text", ["", "Rss:\nPss:\n", "Rss: many kB\n", "Rss: 0 kB\n", "\x00\xff"])
def test_a_file_that_makes_no_sense_is_no_figure(tmp_path: Path, text: str) -> None:
    (tmp_path / "smaps_rollup").write_text(text)
    assert of_process(tmp_path) is None


def test_without_a_summary_every_mapping_is_added_up(tmp_path: Path) -> None:
    mapping = "7f00-7f10 rw-p 00000000 fd:00 12 /lib/x.so\nRss: 8 kB\nPss: 6 kB\nPrivate_Dirty: 4 kB\nAnonymous: 4 kB\n"
    (tmp_path / "smaps").write_text(mapping * 2)
    assert of_process(tmp_path) == Figures(16384, 12288, 8192, 8192)


def test_maps_that_cannot_be_read_give_an_estimate(tmp_path: Path) -> None:
    (tmp_path / "statm").write_text("9000 5000 1000 10 0 10 0")
    page = os.sysconf("SC_PAGE_SIZE")
    assert of_process(tmp_path, 3000 * page) == Figures(5000 * page, 2500 * page, None, 4000 * page)
    assert of_process(tmp_path, 9000 * page) == Figures(5000 * page, 2000 * page, None, 4000 * page)


def test_the_facts(world: World) -> None:
    world.process(1, rss=30, pss=10, uss=9, anonymous=8)
    world.process(2, rss=200, pss=60, uss=20, anonymous=150)
    world.process(3, rss=210, pss=70, uss=25, anonymous=160)
    world.process(4, rss=230, pss=90, uss=45, anonymous=160)
    assert world.meter.facts(None) is None, "nothing is known yet"
    world.meter.watch(1, Role.PARENT)
    world.meter.watch(2, Role.TEMPLATE)
    world.meter.watch(3, Role.CHILD)
    world.meter.watch(4, Role.CHILD)
    world.meter.watch(5, Role.STARTING)
    world.pass_time(1)
    used = 10 + 60 + 70 + 90 + 45 + 2 * 45
    # The third process is young, and may become as large as the fourth.
    reserve = 150 + 45 + (45 - 25)
    assert world.meter.facts(1000 * MIB, expected=2) == MemoryFacts(1000 * MIB, used * MIB, 45 * MIB, reserve * MIB)
    world.pass_time(30)
    grown = world.meter.facts(1000 * MIB)
    assert grown is not None and grown.reserve == (150 + 45) * MIB, "it has had its time to grow"
    assert world.meter.total == Figures(670 * MIB, 230 * MIB, 99 * MIB, 478 * MIB)
    for pid in (3, 4, 5):
        world.meter.forget(pid)
    assert world.meter.of(3) is None
    facts = world.meter.facts(None)
    assert facts is not None and (facts.used, facts.child) == (70 * MIB, 45 * MIB), "the prediction is remembered"


def test_a_child_is_measured_soon_after_it_is_ready_and_then_less_often(world: World) -> None:
    world.process(7, rss=20, pss=10, uss=5, anonymous=5)
    world.meter.watch(7, Role.STARTING)
    assert world.meter.deadline() is None
    world.meter.watch(7, Role.CHILD)
    assert world.meter.deadline() == 100.25
    moments = []
    for _ in range(9):
        deadline = world.meter.deadline()
        assert deadline is not None
        world.clock.now = deadline
        world.meter.measure(None)
        moments.append(deadline)
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert pauses[0] < 1 and pauses[-1] == 10
    assert pauses == sorted(pauses)


def test_near_the_limit_everybody_is_measured_every_second(world: World) -> None:
    for pid in range(10, 30):
        world.process(pid, rss=20, pss=10, uss=5, anonymous=5)
        world.meter.watch(pid, Role.CHILD)
    world.pass_time(60)
    assert world.pass_time(100) <= 12, "together, so that the parent wakes seldom"
    assert 9 <= world.pass_time(20, 240 * MIB) <= 22
    world.pass_time(30, 400 * MIB)
    assert world.pass_time(100, 400 * MIB) <= 12


def test_measuring_takes_little_of_the_time(world: World) -> None:
    for pid in range(10, 210):
        world.process(pid, rss=20, pss=10, uss=5, anonymous=5)
        world.meter.watch(pid, Role.CHILD)
    world.clock.cost = 0.004  # of every look at the clock, which is once for each process, and once at the beginning
    busy = 0.0
    end = world.clock.now + 20
    while (deadline := world.meter.deadline()) is not None and deadline < end:
        world.clock.now = began = max(deadline, world.clock.now)
        world.meter.measure(1)
        assert world.clock.now - began < 0.015
        busy += world.clock.now - began
    assert busy < 0.15 * 20
    facts = world.meter.facts(None)
    assert facts is not None and facts.used == 2000 * MIB, "everybody's turn has come"


@pytest.mark.parametrize("way", ["it never was", "it went"])
def test_one_who_cannot_be_measured_stops_nobody(world: World, way: str) -> None:
    world.process(8, rss=20, pss=10, uss=5, anonymous=5)
    world.meter.watch(8, Role.CHILD)
    world.meter.watch(9, Role.CHILD)
    if way == "it went":
        world.process(9, rss=20, pss=10, uss=5, anonymous=5)
        world.pass_time(1)
        (world.root / "proc/9/smaps_rollup").unlink()
    world.pass_time(30)
    facts = world.meter.facts(None)
    assert facts is not None and facts.used == (10 + (10 if way == "it went" else 5)) * MIB


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_estimates_are_bounded_by_what_the_control_group_takes(world: World, version: str) -> None:
    """A container takes the right to look into others away: 10 children share nearly all of 400 MiB with a template."""
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in range(100, 111):
        (world.root / f"proc/{pid}").mkdir(parents=True)
        (world.root / f"proc/{pid}/statm").write_text(f"0 {410 * MIB // page} {10 * MIB // page} 0 0 0 0")
        world.meter.watch(pid, Role.TEMPLATE if pid == 100 else Role.CHILD)
    world.pass_time(20)
    assert world.meter.estimates
    assert world.meter.facts(None) == MemoryFacts(None, 2400 * MIB, 200 * MIB, 600 * MIB), (
        "half of it is held for shared"
    )
    group = world.root / "sys/fs/cgroup/app"
    group.mkdir(parents=True)
    (world.root / "proc/self").mkdir()
    if version == "v2":
        (world.root / "proc/self/cgroup").write_text("0::/app\n")
        (world.root / "proc/self/mountinfo").write_text("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        (group / "memory.current").write_text(f"{800 * MIB}\n")
        (group / "memory.stat").write_text(f"anon 1\ninactive_file {300 * MIB}\n")
    else:
        (world.root / "proc/self/cgroup").write_text("4:memory:/app\n")
        (world.root / "proc/self/mountinfo").write_text("31 23 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n")
        (group / "memory.usage_in_bytes").write_text(f"{800 * MIB}\n")
        (group / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {300 * MIB}\n")
    world.pass_time(20)
    assert world.meter.facts(None, expected=1) == MemoryFacts(None, 510 * MIB, 10 * MIB, 410 * MIB)
    (group / "memory.stat").write_text(f"total_inactive_file {10000 * MIB}\ninactive_file {10000 * MIB}\n")
    assert of_control_group(world.root) == 0
    (group / "memory.stat").unlink()
    for path in group.iterdir():
        path.write_text("max\n")
    assert of_control_group(world.root) is None
