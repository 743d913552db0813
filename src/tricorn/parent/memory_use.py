"""What the processes of the server really take of memory: measured a few at a time, by the parent, from /proc.

Sharing is counted once: the sum of PSS over the tree is what the tree takes; USS is what would be free without a
process. What follows from the figures is decided in `policy`. Linux only; elsewhere nothing is known, and said so.

The kernel walks a process's page tables for a figure, about 10 ms for each GiB that is resident, and the parent's loop
waits for it. So there is a budget for one call, and a pause of nine times what was spent before the next.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

_ROUND: Final = 10.0
"""Seconds in which everybody is measured once, ordinarily."""
_ROUND_WHEN_TIGHT: Final = 1.0
_TIGHT: Final = 0.8
"""Share of the limit from which on figures have to be fresh."""
_FIRST: Final = 0.25
"""Seconds from ready to the first figure; the pause doubles from there, since a young child grows the most."""
_BUDGET: Final = 0.005
"""Seconds of one call; the process that is being measured when it ends is measured to the end."""
_REST: Final = 9.0
"""How many times longer than it measured the meter then rests: it takes at most a tenth of the parent's time."""
_LEAST_CHILD: Final = 1 << 20
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class MemoryFacts(NamedTuple):
    """What decisions about memory rest on; bytes."""

    limit: int | None
    used: int
    """PSS of the whole tree; children without a figure are counted as `child`."""
    child: int
    """What one more child is predicted to take."""
    reserve: int
    """What growth has to leave: a reload needs a second template and a first child beside everything that is there."""


class Role(Enum):
    """What a process is to the meter."""

    PARENT = "parent"
    TEMPLATE = "template"
    STARTING = "starting"
    """A child that is not ready: not measured, since it has not grown yet, and counted as predicted."""
    CHILD = "child"


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


@dataclass(slots=True)
class _Entry:
    role: Role
    due: float
    interval: float = _FIRST
    measured: float | None = None
    figures: Figures | None = None


class Meter:
    """Measures the processes it was told of. Used by the parent's only thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, proc: Path = Path("/proc")) -> None:
        self._clock = clock
        self._proc = proc
        self._entries: dict[int, _Entry] = {}
        self._next: float | None = None
        self._rests_until = 0.0
        self._round = _ROUND
        self._child = _LEAST_CHILD
        self._works = sys.platform == "linux"

    def watch(self, pid: int, role: Role) -> None:
        """Measure a process from now on, or know it in another role: a child that has become ready is measured soon."""
        entry = self._entries.get(pid)
        if entry is None:
            self._entries[pid] = entry = _Entry(role, 0.0)
        elif entry.role is role:
            return
        entry.role = role
        entry.interval = _FIRST
        entry.due = self._clock() + _FIRST
        self._schedule()

    def forget(self, pid: int) -> None:
        """The process is gone, or its pid may be somebody else's."""
        self._entries.pop(pid, None)

    def of(self, pid: int) -> Figures | None:
        """The last figures of a process; None before there are any."""
        entry = self._entries.get(pid)
        return entry.figures if entry is not None else None

    @property
    def total(self) -> Figures | None:
        """Of all that were measured; `rss - pss` is what sharing saves. `uss` is None when one process has none."""
        known = [entry.figures for entry in self._entries.values() if entry.figures is not None]
        if not known:
            return None
        own = [figures.uss for figures in known if figures.uss is not None]
        return Figures(
            sum(figures.rss for figures in known),
            sum(figures.pss for figures in known),
            sum(own) if len(own) == len(known) else None,
            sum(figures.anonymous for figures in known),
        )

    @property
    def estimates(self) -> bool:
        """Whether some process cannot be looked into, so that `used` is an estimate and its USS is not known.

        A parent that is root may not look at children of another user without CAP_SYS_PTRACE, which containers take
        away.
        """
        return any(entry.figures is not None and entry.figures.uss is None for entry in self._entries.values())

    def deadline(self) -> float | None:
        """When `measure` has something to do (monotonic seconds); None for never."""
        if self._next is None or not self._works:
            return None
        return max(self._next, self._rests_until)

    def measure(self, limit: int | None) -> None:
        """Measure those whose turn it is, within the budget. Cheap when it is nobody's turn. Never raises."""
        began = self._clock()
        deadline = self.deadline()
        if deadline is None or began < deadline:
            return
        # Those whose turn is soon are taken along, so that the parent wakes seldom.
        turn = sorted((entry.due, pid) for pid, entry in self._entries.items() if self._has_turn(entry, began))
        shared = self._template()
        now = began
        for _, pid in turn:
            self._measure(pid, shared, now)
            now = self._clock()
            if now - began > _BUDGET:
                break
        self._rests_until = now + _REST * (now - began)
        self._learn()
        self._pace(limit)
        self._schedule()

    def facts(self, limit: int | None, *, expected: int = 0) -> MemoryFacts | None:
        """The figures that decisions rest on; None where nothing can be measured.

        `expected` is how many children were ordered whose pids are not known yet.
        """
        entries = self._entries.values()
        if not self._works or all(entry.figures is None for entry in entries):
            return None
        used = expected * self._child
        for entry in entries:
            if entry.figures is not None:
                used += entry.figures.pss
            elif entry.role in (Role.STARTING, Role.CHILD):
                used += self._child
        # Of a template, what it has written: its PSS says only how many it shares that with, and the next one shares
        # with none of them.
        return MemoryFacts(limit, used, self._child, self._template() + self._child)

    def _has_turn(self, entry: _Entry, now: float) -> bool:
        return entry.role is not Role.STARTING and entry.due <= now + entry.interval / 10

    def _template(self) -> int:
        """What the largest template has written."""
        return max(
            (
                entry.figures.anonymous
                for entry in self._entries.values()
                if entry.role is Role.TEMPLATE and entry.figures is not None
            ),
            default=0,
        )

    def _measure(self, pid: int, shared: int, now: float) -> None:
        entry = self._entries[pid]
        figures = read(self._proc / str(pid), shared if entry.role is Role.CHILD else 0)
        if figures is not None:
            entry.figures = figures
        entry.measured = now
        entry.interval = min(entry.interval * 2, self._round)
        entry.due = now + entry.interval

    def _learn(self) -> None:
        """What a child takes: as much as the largest one. Kept while there is none, for the next one to be predicted."""
        costs = [
            entry.figures.pss if entry.figures.uss is None else entry.figures.uss
            for entry in self._entries.values()
            if entry.role is Role.CHILD and entry.figures is not None
        ]
        if costs:
            self._child = max(_LEAST_CHILD, *costs)

    def _pace(self, limit: int | None) -> None:
        facts = self.facts(limit)
        tight = limit is not None and facts is not None and facts.used > _TIGHT * limit
        self._round = _ROUND_WHEN_TIGHT if tight else _ROUND
        for entry in self._entries.values():
            if entry.measured is not None:
                entry.interval = min(entry.interval, self._round)
                entry.due = min(entry.due, entry.measured + self._round)

    def _schedule(self) -> None:
        dues = (entry.due for entry in self._entries.values() if entry.role is not Role.STARTING)
        self._next = min(dues, default=None)


def read(process: Path, shared: int = 0) -> Figures | None:
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
