"""The machine that measures: its cores, how busy they are, and what to call it. Nothing about servers is here."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
WATCH_SECONDS = 1.0
BUSY_SHARE = 0.2
"""Share of either core used by others, before the run, above which the figures are called noise."""


class BenchmarkError(Exception):
    """The benchmark cannot be run here; the text says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the servers get, and which the load generator."""

    server: int
    load: int


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """What one core has done since the start of the machine, in seconds."""

    busy: float
    """User, nice and system time; interrupts are not in it, for no process is charged with them."""
    interrupts: float
    steal: float
    """Time that the hypervisor gave to another machine."""


def choose_cores() -> Cores:
    """The first allowed core for the server, and the first one that shares no hardware with it for the load."""
    if platform.system() != "Linux":
        raise BenchmarkError("the benchmark reads /proc and pins processes to cores: it runs on Linux only")
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchmarkError(
            f"this process may use {len(allowed)} core only; two are needed, one for the server and one for the load "
            "generator (see taskset, or the CPU limit of the container)"
        )
    server = allowed[0]
    siblings = _siblings(server)
    others = [core for core in allowed[1:] if core not in siblings] or allowed[1:]
    return Cores(server, others[0])


def _siblings(core: int) -> set[int]:
    """The hardware threads of the physical core that `core` belongs to."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text("ascii")
    except OSError:
        return {core}
    siblings: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        siblings.update(range(int(first), int(last or first) + 1))
    return siblings


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Processes started inside inherit `core` as the only one they may use."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def core_times(core: int) -> CoreTimes:
    """The clocks of one core, from /proc/stat."""
    for line in Path("/proc/stat").read_text("ascii").splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(value) for value in values[:8])
            ticks = TICKS_PER_SECOND
            return CoreTimes((user + nice + system) / ticks, (irq + softirq) / ticks, steal / ticks)
    raise BenchmarkError(f"/proc/stat does not list core {core}")


def load_warning(cores: Cores) -> str | None:
    """A sentence if others use the two cores. Watches for a moment: a load average still tells of what has ended."""
    before = [core_times(core) for core in (cores.server, cores.load)]
    time.sleep(WATCH_SECONDS)
    after = [core_times(core) for core in (cores.server, cores.load)]
    share = max(b.busy + b.steal - a.busy - a.steal for a, b in zip(before, after, strict=True)) / WATCH_SECONDS
    if share <= BUSY_SHARE:
        return None
    return (
        f"the machine is busy (a core is used to {share:.0%}, load average {os.getloadavg()[0]:.1f}): the figures will be "
        "noise, repeat when it is idle"
    )


def describe() -> dict[str, str]:
    """What to write above the figures."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith(("model name", "Model"))
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
