"""What the processes of the server really take of memory: measured a few at a time, by the parent, from /proc.

Sharing is counted once: the sum of PSS over the tree is what the tree takes; USS is what would be free without a
process. What follows from the figures is decided in `policy`. Linux only; elsewhere nothing is known, and said so.

The kernel walks a process's page tables for a figure, about 10 ms for each GiB that is resident, and the parent's loop
waits for it. So there is a budget for one call, and a pause of nine times what was spent before the next.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from tricorn.config.machine import ROOT
from tricorn.parent.figures import Figures, of_control_group, of_process

_ROUND: Final = 10.0
"""Seconds in which everybody is measured once, ordinarily."""
_ROUND_WHEN_TIGHT: Final = 1.0
_HALF_LIFE: Final = 60.0
"""Seconds in which half of what was learnt from a child that is gone is forgotten: its successor may grow as large."""
_TIGHT: Final = 0.8
"""Share of the limit from which on figures have to be fresh."""
_FIRST: Final = 0.25
"""Seconds from ready to the first figure; the pause doubles from there, since a young child grows the most."""
_GROWN: Final = 5
"""Looks, about eight seconds of them, after which a child is believed not to grow to the size of the others any more."""
_BUDGET: Final = 0.005
"""Seconds of one call; the process that is being measured when it ends is measured to the end."""
_REST: Final = 9.0
"""How many times longer than it measured the meter then rests: it takes at most a tenth of the parent's time."""
_LEAST_CHILD: Final = 1 << 20


class MemoryFacts(NamedTuple):
    """What decisions about memory rest on; bytes."""

    limit: int | None
    used: int
    """PSS of the whole tree; children without a figure are counted as `child`."""
    child: int
    """What one more child is predicted to take."""
    reserve: int
    """What growth has to leave: a reload needs a second template and a first child beside everything that is there; and
    children that have just begun will take what the others take."""


class Role(Enum):
    """What a process is to the meter."""

    PARENT = "parent"
    TEMPLATE = "template"
    STARTING = "starting"
    """A child that is not ready: not measured, since it has not grown yet, and counted as predicted."""
    CHILD = "child"


_CHILDREN: Final = (Role.STARTING, Role.CHILD)


@dataclass(slots=True)
class _Entry:
    role: Role
    due: float
    interval: float = _FIRST
    measured: float | None = None
    looks: int = 0
    """How often it was measured in its role."""
    figures: Figures | None = None


class Meter:
    """Measures the processes it was told of. Used by the parent's only thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, root: Path = ROOT) -> None:
        self._clock = clock
        self._root = root
        self._entries: dict[int, _Entry] = {}
        self._next: float | None = None
        self._rests_until = 0.0
        self._round = _ROUND
        self._child = _LEAST_CHILD
        self._learnt = clock()
        self._bound: int | None = None
        """What the whole control group takes, when that is needed to make estimates better."""
        self._works = sys.platform == "linux"

    def watch(self, pid: int, role: Role) -> None:
        """Measure a process from now on, or know it in another role: a child that has become ready is measured soon."""
        entry = self._entries.get(pid)
        if entry is None:
            self._entries[pid] = entry = _Entry(role, 0.0)
        elif entry.role is role:
            return
        entry.role = role
        entry.looks = 0
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

        A parent that is root may not look at children of another user without CAP_SYS_PTRACE (or CAP_PERFMON), which
        containers take away. What the control group takes as a whole is then the bound of the estimate.
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
        self._learn(now)
        self._pace(limit)
        self._schedule()

    def facts(self, limit: int | None, *, expected: int = 0) -> MemoryFacts | None:
        """The figures that decisions rest on; None where nothing can be measured.

        `expected` is how many children were ordered whose pids are not known yet.
        """
        entries = self._entries.values()
        if not self._works or all(entry.figures is None for entry in entries):
            return None
        used = sum(entry.figures.pss for entry in entries if entry.figures is not None)
        if self._bound is not None:
            used = min(used, self._bound)
        unmeasured = sum(entry.figures is None and entry.role in _CHILDREN for entry in entries)
        used += (expected + unmeasured) * self._child
        # Of a template, what it has written: its PSS says only how many it shares that with, and the next one shares
        # with none of them.
        return MemoryFacts(limit, used, self._child, self._template() + self._child + self._still_to_come())

    def _still_to_come(self) -> int:
        """What young children will yet take, if they become as large as predicted; many may begin between two looks."""
        young = (entry for entry in self._entries.values() if entry.role is Role.CHILD and entry.looks < _GROWN)
        return sum(max(0, self._child - _own(entry.figures)) for entry in young if entry.figures is not None)

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
        figures = of_process(self._root / "proc" / str(pid), shared if entry.role is Role.CHILD else 0)
        if figures is not None:
            entry.figures = figures
        entry.measured = now
        entry.looks += 1
        entry.interval = min(entry.interval * 2, self._round)
        entry.due = now + entry.interval

    def _learn(self, now: float) -> None:
        """What a child takes: as much as the largest one there is, or was not long ago. Kept while there is none."""
        costs = [
            _own(entry.figures)
            for entry in self._entries.values()
            if entry.role is Role.CHILD and entry.figures is not None
        ]
        if not costs:
            return
        # An estimate is not worth remembering: the next one is made from more figures.
        remembered = 0.0 if self.estimates else self._child * 0.5 ** ((now - self._learnt) / _HALF_LIFE)
        self._learnt = now
        cost = max(*costs, int(remembered))
        self._bound = of_control_group(self._root) if self.estimates else None
        if self._bound is not None:
            # An estimate cannot know how much of the template's memory the children have parted from it; the kernel's
            # own account of everybody together does.
            cost = min(cost, (self._bound - self._template()) // len(costs))
        self._child = max(_LEAST_CHILD, cost)

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


def _own(figures: Figures) -> int:
    """What would be free without the process, as far as that is known."""
    return figures.pss if figures.uss is None else figures.uss
