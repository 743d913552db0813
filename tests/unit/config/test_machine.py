"""CPUs and memory as the system grants them: affinity, control groups of both versions, in trees made for this."""

from __future__ import annotations

from pathlib import Path

import pytest

from tricorn.config.machine import control_directories, cpu_quota, gather, usable_cpus, usable_memory

V2 = "31 22 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw\n"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "33 31 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
MEMINFO = "MemTotal:        4194304 kB\nMemFree:          100000 kB\n"
V1_CONTAINER = "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/a/cpu.max": "150000 100000"}, 1.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "proc/self/mountinfo": V2,
                "sys/fs/cgroup/a/cpu.max": "50000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/y\n",
                "proc/self/mountinfo": V1,
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/docker/abc\n",
                "proc/self/mountinfo": V1_CONTAINER,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                "proc/self/mountinfo": V1.replace("cpu,cpuacct rw", "cpu rw"),
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        # A namespace of its own may show a group outside of what is mounted.
        ({"proc/self/cgroup": "0::/../../x\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/cpu.max": "40 20"}, 2.0),
        ({"proc/self/cgroup": "0::/gone\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/cpu.max": "40 20"}, 2.0),
        ({"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/a/cpu.max": "x y"}, None),
        ({"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/a/cpu.max": "5 0"}, None),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(tree(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("allowed", "quota", "cpus"), [(8, None, 8), (8, 1.5, 2), (8, 0.1, 1), (2, 6.0, 2), (1, None, 1), (4, 4.0, 4)]
)
def test_usable(allowed: int, quota: float | None, cpus: int) -> None:
    assert usable_cpus(allowed, quota) == cpus


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, None),
        ({"proc/meminfo": MEMINFO}, 4 << 30),
        ({"proc/meminfo": "MemTotal: none kB\n"}, None),
        ({"proc/self/cgroup": "0\n:\n\n", "proc/self/mountinfo": "x\n - cgroup2\n1 2 3 4 - cgroup2\n"}, None),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/a/b\n",
                "proc/self/mountinfo": V2,
                "sys/fs/cgroup/a/b/memory.max": "2147483648\n",
                "sys/fs/cgroup/a/memory.max": "max\n",
            },
            2 << 30,
        ),
        # What is above binds too, and the machine does where the group is more generous.
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/a/b\n",
                "proc/self/mountinfo": V2,
                "sys/fs/cgroup/a/b/memory.max": "2147483648\n",
                "sys/fs/cgroup/a/memory.max": "1073741824\n",
            },
            1 << 30,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/a\n",
                "proc/self/mountinfo": V2,
                "sys/fs/cgroup/a/memory.max": "8589934592",
            },
            4 << 30,
        ),
        # In a container the limit stands in the group that is mounted as the root.
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/\n",
                "proc/self/mountinfo": V2,
                "sys/fs/cgroup/memory.max": "536870912",
            },
            512 << 20,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/y\n",
                "proc/self/mountinfo": V1 + V1_MEMORY,
                "sys/fs/cgroup/memory/y/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            4 << 30,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/y/z\n",
                "proc/self/mountinfo": V1 + V1_MEMORY,
                "sys/fs/cgroup/memory/y/z/memory.limit_in_bytes": "3221225472\n",
                "sys/fs/cgroup/memory/y/memory.limit_in_bytes": "1073741824\n",
            },
            1 << 30,
        ),
        (
            {
                "proc/self/cgroup": "3:memory:/docker/abc\n",
                "proc/self/mountinfo": "33 31 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
            },
            256 << 20,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/a\n",
                "proc/self/mountinfo": V2,
                "sys/fs/cgroup/a/memory.max": "x",
            },
            4 << 30,
        ),
    ],
)
def test_memory(tmp_path: Path, files: dict[str, str], memory: int | None) -> None:
    assert usable_memory(tree(tmp_path, files)) == memory


def test_this_machine_has_a_cpu_and_memory() -> None:
    machine = gather({})
    assert machine.cpus >= 1
    assert machine.memory is not None
    assert machine.memory > 1 << 24


def test_without_meminfo_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tricorn.config.machine.lines", lambda _: [])  # as on macOS
    memory = gather({}).memory
    assert memory is not None
    assert memory > 1 << 24


def test_places_of_control_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / "tricorn-1000"
    assert control_directories(1000, {}) == (own,)
    assert control_directories(1000, {"XDG_RUNTIME_DIR": "/run/user/1000"}) == (Path("/run/user/1000/tricorn"), own)
    assert control_directories(1000, {"XDG_RUNTIME_DIR": "here"}) == (own,), "a relative one does not count"
    assert control_directories(0, {"XDG_RUNTIME_DIR": "/run/user/1000"}) == (Path("/run/tricorn"),)
