"""The numbers of an MPM: those that are stated, and those that follow from them and from the CPUs, with their reasons.

Nothing stated is changed here, and that the stated ones agree is the business of `check_capacity`. A unit is a process
under prefork and a thread under worker and event: what capacity is counted in.
"""

from __future__ import annotations

from dataclasses import dataclass

from tricorn.config.directives import capacity
from tricorn.config.directives.shape import Directive
from tricorn.config.resolve import Resolution
from tricorn.config.settings import Mpm

STATED = "stated"
PREFORK_CHILDREN_PER_CPU, MOST_PREFORK_CHILDREN = 16, 256
THREADED_CHILDREN_PER_CPU = 4
ROOM = 4
"""A limit that nobody states is this many times the spare capacity that somebody states."""

SPARE = {
    Mpm.PREFORK: (capacity.MIN_SPARE_SERVERS, capacity.MAX_SPARE_SERVERS),
    Mpm.WORKER: (capacity.MIN_SPARE_THREADS, capacity.MAX_SPARE_THREADS),
    Mpm.EVENT: (capacity.MIN_SPARE_THREADS, capacity.MAX_SPARE_THREADS),
}
"""The two directives of spare capacity that an MPM has, in its unit."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is stated of one MPM, None where it is left to us. `workers` and `start` are children, the others units."""

    workers: int | None = None
    start: int | None = None
    min_spare: int | None = None
    max_spare: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A number, and in a few words what made it."""

    value: int
    because: str

    def at_least(self, bound: int | None, because: str) -> Number:
        """The larger one of the two."""
        return self if bound is None or bound <= self.value else Number(bound, because)

    def at_most(self, bound: int | None, because: str) -> Number:
        """The smaller one of the two."""
        return self if bound is None or bound >= self.value else Number(bound, because)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The band of an MPM. `start` is children, the others are units."""

    start: Number
    min_spare: Number
    max_spare: Number
    limit: Number
    fixed: bool


def asked_of(resolution: Resolution, mpm: Mpm) -> Asked:
    """What the sources state about the numbers of `mpm`."""
    least, most = SPARE[mpm]
    return Asked(
        workers=resolution.value(capacity.WORKERS, mpm),
        start=resolution.value(capacity.START_SERVERS, mpm),
        min_spare=resolution.value(least, mpm),
        max_spare=resolution.value(most, mpm),
        limit=resolution.value(capacity.MAX_REQUEST_WORKERS, mpm),
    )


def sizes(mpm: Mpm, cpus: int, threads: int, asked: Asked) -> Sizes:
    """The band of `mpm` with `threads` units in a child, on a machine that lets us use `cpus` CPUs."""
    if asked.workers is not None:
        return fixed(asked.workers, threads)
    prefork = mpm is Mpm.PREFORK
    least, most = (directive.name for directive in SPARE[mpm])
    of_cpus = f"{cpus} {'CPU' if cpus == 1 else 'CPUs'}"
    margin, of_margin = (cpus, of_cpus) if prefork else (threads, "threads_per_child")
    start = (
        # prefork: one that computes and one that waits for a database on each CPU, and one more. worker and event:
        # threads wait, children compute; at least two, so that the death of one does not end all service.
        Number(2 * cpus + 1 if prefork else max(2, cpus), of_cpus)
        .at_least(in_children(asked.min_spare, threads), least)
        .at_most(None if asked.max_spare is None else asked.max_spare // threads, most)
        .at_most(None if asked.limit is None else asked.limit // threads, "max_request_workers")
        .at_most(capacity.MOST_CHILDREN, "the most children")
        if asked.start is None
        else Number(asked.start, STATED)
    )
    min_spare = (
        Number(margin, of_margin)
        .at_most(None if asked.start is None else asked.start * threads, "start_servers")
        .at_most(None if asked.max_spare is None else asked.max_spare - threads, most)
        .at_most(asked.limit, "max_request_workers")
        if asked.min_spare is None
        else Number(asked.min_spare, STATED)
    )
    limit = (
        Number(
            min(PREFORK_CHILDREN_PER_CPU * cpus, MOST_PREFORK_CHILDREN)
            if prefork
            else THREADED_CHILDREN_PER_CPU * cpus * threads,
            of_cpus if prefork else f"{of_cpus} and threads_per_child",
        )
        .at_least(start.value * threads, "start_servers")
        .at_least(whole_children(None if asked.min_spare is None else ROOM * asked.min_spare, threads), least)
        .at_least(whole_children(asked.max_spare, threads), most)
        .at_most(capacity.MOST_CHILDREN * threads, "the most children")
        if asked.limit is None
        else Number(asked.limit, STATED)
    )
    max_spare = (
        Number(start.value * threads + margin, f"start_servers and {of_margin}")
        .at_least(min_spare.value + margin, least)
        .at_most(limit.value, "max_request_workers")
        .at_least(min_spare.value + threads, least)
        if asked.max_spare is None
        else Number(asked.max_spare, STATED)
    )
    return Sizes(start, min_spare, max_spare, limit, fixed=False)


def fixed(children: int, threads: int) -> Sizes:
    """The band of a pool that does not change: no load makes it grow, and no calm makes it shrink.

    Spare capacity is gone when nothing is idle; that is worth a line in the log, hence a least of one unit.
    """
    units = children * threads
    return Sizes(
        start=Number(children, "workers"),
        min_spare=Number(1, "workers"),
        max_spare=Number(units + threads, "workers"),
        limit=Number(units, "workers"),
        fixed=True,
    )


def in_children(units: int | None, threads: int) -> int | None:
    """How many children make `units`."""
    return None if units is None else -(-units // threads)


def whole_children(units: int | None, threads: int) -> int | None:
    """`units` rounded up to whole children."""
    return None if units is None else -(-units // threads) * threads


def stated_with_workers(mpm: Mpm) -> tuple[Directive[int | None], ...]:
    """The directives that a fixed pool leaves nothing to decide for."""
    return (capacity.START_SERVERS, *SPARE[mpm], capacity.MAX_REQUEST_WORKERS)
