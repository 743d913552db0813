"""Facts about the machine on which settings depend, gathered here and nowhere else.

CPUs are counted as the scheduler would let this process use them: its affinity, and the CPU quota of its control group
and of all groups above that one. Memory is the least of what the machine has and of what those groups may take. Finding
the groups is the business of `cgroups`. Platform, user and limits are read as they are.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tricorn.config.cgroups import groups, lines

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
    memory: int | None
    """Bytes that the server may use; None if nobody knows."""
    control_directory: Path
    """Where a control socket goes when no path is stated."""


def gather(variables: Mapping[str, str]) -> Machine:
    """Look at this machine, and at what the environment says about it."""
    return Machine(
        cpus=usable_cpus(allowed_cpus(), cpu_quota(ROOT)),
        platform=sys.platform,
        user=os.geteuid(),
        group=os.getegid(),
        memory=usable_memory(ROOT),
        control_directory=control_directories(os.geteuid(), variables)[0],
    )


def usable_cpus(allowed: int, quota: float | None) -> int:
    """The whole CPUs that `allowed` ones under a `quota` of CPU seconds per second make; a fraction counts as one."""
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def allowed_cpus() -> int:
    """The CPUs of this process's affinity, or all where there is no such thing."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux and FreeBSD; not macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def cpu_quota(root: Path) -> float | None:
    """CPUs' worth of time that control groups allow, None without a quota. `root` is where proc and sys are mounted."""
    quotas = [quota for group in groups(root, "cpu") if (quota := group_quota(group)) is not None]
    return min(quotas, default=None)


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


def usable_memory(root: Path) -> int | None:
    """Bytes that this process and its children may use: the least of the machine's memory and the groups' limits.

    None where the system tells neither.
    """
    bounds = [machine_memory(root), *(group_memory(group) for group in groups(root, "memory"))]
    return min((bound for bound in bounds if bound is not None), default=None)


def machine_memory(root: Path) -> int | None:
    """Bytes of memory that the machine has, as Linux or else POSIX (macOS, the BSDs) tells it."""
    for line in lines(root / "proc/meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemTotal" and (words := rest.split()) and words[0].isdecimal():
            return int(words[0]) << 10  # the file speaks of kB and means KiB
    if root != ROOT:
        return None
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    return total if total > 0 else None


def group_memory(group: Path) -> int | None:
    """The bytes that one control group may take; v1 says a number beyond all machines where there is no limit."""
    for name in ("memory.max", "memory.limit_in_bytes"):  # v2 (a number, or max), v1
        if (text := " ".join(lines(group / name)).strip()).isdecimal():
            return int(text) or None
    return None


def free_space(directory: Path) -> int | None:
    """Bytes that may still be written into `directory` by anybody; None where the system does not tell."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def control_directories(user: int, variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Where control sockets of `user` are when no path is stated: the first one is for new ones.

    A server that a service manager starts has another environment than the shell from which it is asked, so whoever
    looks for a server looks into all of them. root has one place, whatever the environment of its shell says.
    """
    if user == 0:
        return (Path("/run/tricorn"),)
    own = Path(tempfile.gettempdir()) / f"tricorn-{user}"
    runtime = Path(variables.get("XDG_RUNTIME_DIR", ""))
    return (runtime / "tricorn", own) if runtime.is_absolute() else (own,)
