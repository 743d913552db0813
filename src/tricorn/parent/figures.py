"""What the system tells of the memory that one process, or a control group, takes: read from /proc and cgroup files.

Each look costs, see `memory_use`, which decides when to look. Whatever cannot be read, or makes no sense, is None.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tricorn.config import cgroups

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Figures:
    """One process, in bytes."""

    rss: int
    """Everything resident, what is shared included."""
    pss: int
    """What is shared, divided by those who share it. An estimate when `uss` is None."""
    uss: int | None
    """Its own alone; None when the system does not let the parent look."""
    anonymous: int
    """What it has written, shared with forks or not: a second import of the same application would take it again."""


def of_process(process: Path, shared: int = 0) -> Figures | None:
    """The figures of the process with this directory below /proc; None when it is gone.

    `shared` is how much it may share with the process it was forked from: an estimate, when its maps cannot be read,
    takes half of that for shared, because running code parts it bit by bit.
    """
    for name in ("smaps_rollup", "smaps"):  # the first one exists since Linux 4.14
        figures = _from_maps(process / name)
        if figures is not None:
            return figures
    try:
        # proc(5): size, resident, resident and shared (files and shared memory), and so on; in pages.
        resident, of_files = (int(word) * _PAGE for word in (process / "statm").read_bytes().split()[1:3])
    except (OSError, ValueError):
        return None
    if resident == 0:
        # A zombie, which has given everything back.
        return None
    anonymous = max(0, resident - of_files)
    return Figures(resident, anonymous - min(anonymous, shared) // 2, None, anonymous)


def _from_maps(path: Path) -> Figures | None:
    sums = {b"Rss": 0, b"Pss": 0, b"Private_Clean": 0, b"Private_Dirty": 0, b"Anonymous": 0}
    try:
        lines = path.read_bytes().splitlines()
        for line in lines:
            name, _, value = line.partition(b":")
            if name in sums:
                sums[name] += int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    if sums[b"Rss"] == 0:
        return None
    return Figures(sums[b"Rss"], sums[b"Pss"], sums[b"Private_Clean"] + sums[b"Private_Dirty"], sums[b"Anonymous"])


def of_control_group(root: Path) -> int | None:
    """What the control group of this process takes, without files that the kernel would give up at once.

    `root` is where proc and sys are mounted. Strangers in the same group are counted in.
    """
    for group in cgroups.groups(root, "memory"):
        for name, cached in (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file")):
            try:
                taken = int((group / name).read_bytes())
            except (OSError, ValueError):
                continue
            for line in cgroups.lines(group / "memory.stat"):
                match line.split():
                    case [label, count] if label == cached and count.isdecimal():
                        taken -= int(count)
            return max(0, taken)
    return None
