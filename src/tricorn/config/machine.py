"""Facts about the machine on which settings depend, gathered here and nowhere else.

CPUs are counted as the scheduler would let this process use them: its affinity, and the CPU quota of its control group
(cgroup v1 and v2) and of all groups above that one. Platform, user and limits are read as they are.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True)
class Machine:
    """What settings depend on."""

    cpus: int
    """CPUs that the server may run on at once: affinity and quota, at least 1."""
    platform: str
    """As `sys.platform`."""
    user: int
    """The effective user that starts the server."""
    group: int
    """The effective group that starts the server."""


def gather() -> Machine:
    """Look at this machine."""
    return Machine(usable_cpus(allowed_cpus(), cpu_quota(ROOT)), sys.platform, os.geteuid(), os.getegid())


def usable_cpus(allowed: int, quota: float | None) -> int:
    """The whole CPUs that `allowed` ones under a `quota` of CPU seconds per second make; a fraction counts as one."""
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def allowed_cpus() -> int:
    """The CPUs of this process's affinity, or all where there is no such thing."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux and FreeBSD; not macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def cpu_quota(root: Path) -> float | None:
    """CPUs' worth of time that control groups allow, None without a quota. `root` is where proc and sys are mounted."""
    quotas = [quota for group in cpu_groups(root) if (quota := group_quota(group)) is not None]
    return min(quotas, default=None)


def cpu_groups(root: Path) -> Iterator[Path]:
    """The directories of this process's control groups that may bound CPU time, each with all above it."""
    memberships: dict[str, str] = {}  # "" is cgroup v2, "cpu" the controller of v1
    for line in lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            memberships["cpu" if controllers else ""] = path
    for line in lines(root / "proc/self/mountinfo"):
        mount, _, filesystem = line.partition(" - ")
        fields, (kind, *_, options) = mount.split(" "), filesystem.split(" ")
        if kind == "cgroup2":
            controller = ""
        elif kind == "cgroup" and "cpu" in options.split(","):
            controller = "cpu"
        else:
            continue
        if controller not in memberships:
            continue
        path = memberships[controller]
        top = root / fields[4].lstrip("/")
        # In a container the membership may be told as the host sees it, while only its own subtree is mounted.
        inner = path.removeprefix(fields[3]) if fields[3] != "/" else path
        group = top / inner.lstrip("/")
        if ".." in group.parts or not group.is_dir():
            group = top
        yield group
        while group != top:
            group = group.parent
            yield group


def group_quota(group: Path) -> float | None:
    """The quota that one control group states."""
    try:
        if words := " ".join(lines(group / "cpu.max")).split():  # v2: "max 100000" or "150000 100000"
            return None if words[0] == "max" else int(words[0]) / int(words[1])
        period = " ".join(lines(group / "cpu.cfs_period_us"))  # v1: a quota of -1 is none
        quota = " ".join(lines(group / "cpu.cfs_quota_us"))
        return int(quota) / int(period) if quota and int(quota) > 0 else None
    except (ValueError, IndexError, ZeroDivisionError):
        return None


def lines(path: Path) -> list[str]:
    """The lines of a small file, none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
