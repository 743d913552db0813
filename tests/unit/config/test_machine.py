"""CPUs as the scheduler grants them: affinity and control groups of both versions, in trees made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tricorn.config.machine import cpu_quota, gather, usable_cpus

V2 = "31 22 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw\n"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
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


def test_this_machine_has_a_cpu() -> None:
    assert gather({}).cpus >= 1
