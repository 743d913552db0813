"""Whether the kernel kills because memory has run out: it sends the same SIGKILL as anybody, but it counts.

The counter `oom_kill` is read from this process's control group (v2: memory.events; v1: memory.oom_control), or from
/proc/vmstat for the whole system where no group has one. Elsewhere than on Linux nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tricorn.config import cgroups
from tricorn.config.machine import ROOT

_FRESH: Final = 5.0
"""Seconds in which a rise explains a death: the kernel counts just before it kills, and dying may take a while."""


class OomWatch:
    """Watches the counter. Used by the parent's only thread, at every death and in between."""

    def __init__(self, root: Path = ROOT) -> None:
        self._counter: Path | None = None
        self._whose = ""
        for path, whose in _candidates(root):
            if _oom_kill(path) is not None:
                self._counter, self._whose = path, whose
                break
        self._last = self._read()
        self._unexplained = 0
        """Kills that no death has been put down to yet."""
        self._rose_at = 0.0

    def look(self, now: float) -> None:
        """Notice what the counter says. To be called now and then, so that a rise of long ago explains nothing."""
        count = self._read()
        if count > self._last:
            if now - self._rose_at > _FRESH:
                self._unexplained = 0
            self._unexplained += count - self._last
            self._rose_at = now
        self._last = count

    def explain(self, now: float) -> str:
        """A phrase to follow "killed by SIGKILL", if the kernel has killed for want of memory just now; else "".

        Each kill that was counted explains one death, so it is to be asked for those only that died of SIGKILL unasked.
        """
        self.look(now)
        if self._unexplained == 0 or now - self._rose_at > _FRESH:
            return ""
        self._unexplained -= 1
        return f"; the kernel was out of memory (oom_kill of {self._whose} rose to {self._last})"

    def _read(self) -> int:
        count = _oom_kill(self._counter) if self._counter is not None else None
        return 0 if count is None else count


def _candidates(root: Path) -> Iterator[tuple[Path, str]]:
    for group in cgroups.groups(root, "memory"):
        yield group / "memory.events", "the control group"
        yield group / "memory.oom_control", "the control group"
    yield root / "proc/vmstat", "the system"


def _oom_kill(path: Path) -> int | None:
    for line in cgroups.lines(path):
        match line.split():
            case ["oom_kill", count] if count.isdecimal():
                return int(count)
    return None
