from __future__ import annotations

from pathlib import Path

import pytest

from tricorn.parent.oom import OomWatch


class Machine:
    """The part of a machine's proc and sys that tells control groups and their counters."""

    def __init__(self, root: Path, kind: str) -> None:
        (root / "proc/self").mkdir(parents=True)
        group = root / "sys/fs/cgroup/app"
        group.mkdir(parents=True)
        if kind == "v2":
            (root / "proc/self/cgroup").write_text("0::/app\n")
            (root / "proc/self/mountinfo").write_text("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        elif kind == "v1":
            (root / "proc/self/cgroup").write_text("4:memory:/app\n")
            (root / "proc/self/mountinfo").write_text("31 23 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n")
        self.counter = {
            "v2": group / "memory.events",
            "v1": group / "memory.oom_control",
            "system": root / "proc/vmstat",
        }[kind]
        self.kill(0)

    def kill(self, count: int) -> None:
        self.counter.write_text(f"under_oom 0\noom 9\noom_kill {count}\noom_group_kill 9\n")


@pytest.mark.parametrize(
    ("kind", "whose"), [("v2", "the control group"), ("v1", "the control group"), ("system", "the system")]
)
def test_each_kill_explains_one_death(tmp_path: Path, kind: str, whose: str) -> None:
    machine = Machine(tmp_path, kind)
    machine.kill(7)
    watch = OomWatch(tmp_path)
    assert watch.explain(1.0) == "", "what was before the server is not its own"
    machine.kill(9)
    phrases = [watch.explain(2.0), watch.explain(2.0), watch.explain(2.0)]
    assert phrases == [f"; the kernel was out of memory (oom_kill of {whose} rose to 9)"] * 2 + [""]


def test_a_rise_of_long_ago_explains_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "v2")
    watch = OomWatch(tmp_path)
    machine.kill(1)
    watch.look(100.0)
    assert watch.explain(200.0) == ""
    machine.kill(2)
    assert watch.explain(201.0) != ""
    assert watch.explain(201.0) == "", "the old one is not counted in"


@pytest.mark.parametrize("content", ["", "oom_kill\n", "oom_kill many\n", "oom_kill -1\n", "\x00\xff"])
def test_a_system_that_does_not_count_explains_nothing(tmp_path: Path, content: str) -> None:
    machine = Machine(tmp_path, "v2")
    machine.counter.write_text(content)
    assert OomWatch(tmp_path).explain(1.0) == ""
    machine.counter.unlink()
    assert OomWatch(tmp_path).explain(1.0) == ""


def test_a_counter_that_vanishes_stops_nobody(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "v2")
    watch = OomWatch(tmp_path)
    machine.counter.unlink()
    assert watch.explain(1.0) == ""


def test_on_this_machine_it_can_be_asked() -> None:
    OomWatch().look(1.0)
