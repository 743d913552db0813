"""What Tricorn must reach against slow clients, judged from the sieges that were fought. Other servers have no bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.siege import Siege
from benchmarks.siege_report import MIB, Result

P99_FACTOR, P99_MORE_MS = 2.0, 5.0
IDLE_BYTES = 2048
IDLE_ENOUGH = 1000
"""Connections below which the growth is not theirs alone."""
READER_BYTES = 64 * MIB
HEADER_SECONDS = 40.0
"""The most that `request_read_timeout` gives a head by default."""
IDLE = ("idle", "silent")
READERS = ("slow-readers", "still-readers")
HEADS = ("slow-heads", "head-bytes", "slowhttptest-head")


def bars(results: Sequence[Result]) -> Iterator[str]:
    """One line for each bar that a result can be held against."""
    for result in results:
        if result.server.peer is None and isinstance(result.outcome, Siege):
            if result.assault.name == "phones":
                yield _phones(result, result.outcome)
            judge = _event if result.server.name == "event" else _thread
            yield from judge(result, result.outcome)


def _event(result: Result, fought: Siege) -> Iterator[str]:
    name, attacked = result.assault.name, fought.attacked
    yield _line(result, "every honest client answered", f"{attacked.share:.1%}", met=attacked.share == 1)
    if attacked.p99_ms is not None and fought.calm.p99_ms is not None:
        bar = fought.calm.p99_ms * P99_FACTOR + P99_MORE_MS
        yield _line(result, f"p99 below {bar:.1f} ms", f"{attacked.p99_ms:.1f} ms", met=attacked.p99_ms < bar)
    if name in IDLE and fought.held >= IDLE_ENOUGH:
        each = fought.growth / fought.held
        yield _line(result, f"below {IDLE_BYTES} bytes a connection", f"{each:.0f} bytes", met=each < IDLE_BYTES)
    if name in READERS:
        grew = f"{fought.growth / MIB:.1f} MiB"
        yield _line(result, f"below {READER_BYTES // MIB} MiB more", grew, met=fought.growth < READER_BYTES)


def _phones(result: Result, fought: Siege) -> str:
    """They are honest, and faster than the least rate. Whoever was not answered was cut, or had no time left."""
    opened, answered = fought.attackers["opened"], fought.attackers["answered"]
    return _line(result, "every upload answered", f"{answered} of {opened}", met=answered >= result.assault.clients)


def _thread(result: Result, fought: Siege) -> Iterator[str]:
    """A slow head may hold its process or thread, as long as the deadline lets it."""
    if result.assault.name in HEADS:
        met = fought.recovered is not None and fought.recovered <= HEADER_SECONDS
        told = "never" if fought.recovered is None else f"from {fought.recovered:.1f} s on"
        yield _line(result, f"answered again within {HEADER_SECONDS:g} s", told, met=met)


def _line(result: Result, bar: str, measured: str, *, met: bool) -> str:
    where = f"{result.server.label}, {result.assault.clients} x {result.assault.label}"
    return f"bar: {where}: {bar}: measured {measured}, {'met' if met else 'NOT met'}"
