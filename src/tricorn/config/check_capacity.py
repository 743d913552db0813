"""Numbers of one MPM, and bounds of memory, that are each allowed but contradict each other. Nothing is corrected here.

Apache lowers or raises such numbers with a warning; here the operator decides which of the two was meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tricorn.config.capacity import SPARE, Asked, asked_of, in_children, stated_with_workers
from tricorn.config.directives import capacity, children
from tricorn.config.directives.shape import Directive
from tricorn.config.machine import Machine
from tricorn.config.origins import shown
from tricorn.config.resolve import Resolution
from tricorn.config.settings import Mpm
from tricorn.config.shares import Share

SMALLEST_CHILD = 1 << 20
"""Bytes that an interpreter takes at the very least; a smaller bound has lost its unit."""


def check_capacity(resolution: Resolution, mpm: Mpm) -> Iterator[str]:
    """The numbers of one MPM agree."""
    threads = resolution.stated(capacity.THREADS_PER_CHILD, mpm)
    if mpm is Mpm.PREFORK and threads.value != 1:
        yield (
            f"{threads}: threads_per_child cannot be {threads.value} under the prefork MPM, whose children have one"
            " thread. Allowed is 1: raise max_request_workers (or workers) for more requests at once, or select --mpm"
            " event or worker."
        )
        return
    if mpm is Mpm.EVENT:
        connections = resolution.stated(capacity.MAX_OPEN_CONNECTIONS, mpm)
        if connections.value < threads.value:
            yield (
                f"{connections}: max_open_connections cannot be {connections.value}, below the threads_per_child of"
                f" {threads.value} ({threads}), since some threads could never get a request. Allowed is"
                f" {threads.value} or more."
            )
    numbers = asked_of(resolution, mpm)
    if numbers.workers is not None:
        yield from check_fixed(resolution, mpm)
    else:
        yield from Band(resolution, mpm, numbers, threads.value).check()


def check_fixed(resolution: Resolution, mpm: Mpm) -> Iterator[str]:
    """A fixed pool is asked for, so nobody may state a number of a pool that follows the load."""
    workers = resolution.stated(capacity.WORKERS, mpm)
    for directive in stated_with_workers(mpm):
        stated = resolution.stated(directive, mpm)
        if stated.value is not None:
            yield (
                f"{workers}: workers cannot be {workers.value} together with {directive.name} {stated.value} ({stated})"
                f" under the {mpm.value} MPM: workers is a fixed pool, {directive.name} belongs to a pool that follows"
                f" the load. Keep one of them, or take one back with workers none or {directive.name} auto."
            )


@dataclass(frozen=True, slots=True)
class Band:
    """The numbers of a pool that follows the load, and who states them; those that are automatic always agree."""

    resolution: Resolution
    mpm: Mpm
    asked: Asked
    threads: int

    def told(self, directive: Directive[int | None]) -> str:
        """A number with its origin."""
        stated = self.resolution.stated(directive, self.mpm)
        return f"{directive.name} {stated.value} ({stated})"

    def refused(self, directive: Directive[int | None], why: str) -> str:
        """The sentence about a number, which ends with what is allowed."""
        stated = self.resolution.stated(directive, self.mpm)
        return f"{stated}: {directive.name} cannot be {stated.value} {why}"

    @property
    def per_child(self) -> str:
        """How many units a child has, and who says so."""
        threads = self.resolution.stated(capacity.THREADS_PER_CHILD, self.mpm)
        return f"threads_per_child {self.threads} ({threads})"

    @property
    def of_a_child(self) -> str:
        """The same where it explains a number of children."""
        return "" if self.mpm is Mpm.PREFORK else f" and {self.per_child}"

    def check(self) -> Iterator[str]:
        """Every pair that disagrees; with a limit that cannot be, there is nothing to compare the others with."""
        impossible = list(self.check_limit())
        yield from impossible or (*self.check_start(), *self.check_spare())

    def check_limit(self) -> Iterator[str]:
        """The limit is whole children, and not more than there can be."""
        limit, directive = self.asked.limit, capacity.MAX_REQUEST_WORKERS
        if limit is None:
            return
        if limit % self.threads:
            below = limit // self.threads * self.threads
            allowed = f"{below} or {below + self.threads}" if below else str(self.threads)
            yield self.refused(
                directive,
                f"with {self.per_child}, since a child has all of its threads or is not there. Allowed is a multiple,"
                f" like {allowed}.",
            )
        elif limit > capacity.MOST_CHILDREN * self.threads:
            yield self.refused(
                directive,
                f"with {self.per_child}, which makes {limit // self.threads} children. Allowed is up to"
                f" {capacity.MOST_CHILDREN * self.threads}, which is {capacity.MOST_CHILDREN} children.",
            )

    def check_start(self) -> Iterator[str]:
        """What starts fits under the limit, and is enough for the least spare capacity."""
        start, limit, spare = self.asked.start, self.asked.limit, self.asked.min_spare
        if start is None:
            return
        if limit is not None and start * self.threads > limit:
            yield self.refused(
                capacity.START_SERVERS,
                f"with {self.told(capacity.MAX_REQUEST_WORKERS)}{self.of_a_child}, since more would start than there"
                f" may be. Allowed is up to {max(1, limit // self.threads)}.",
            )
        if spare is not None and start * self.threads < spare:
            yield self.refused(
                capacity.START_SERVERS,
                f"with {self.told(SPARE[self.mpm][0])}{self.of_a_child}, since fewer would start than should always be"
                f" idle. Allowed is {in_children(spare, self.threads)} or more, or auto.",
            )

    def check_spare(self) -> Iterator[str]:
        """The band of spare capacity is wider than a child, and below the limit."""
        least, most = SPARE[self.mpm]
        low, high, limit = self.asked.min_spare, self.asked.max_spare, self.asked.limit
        bound = capacity.MOST_CHILDREN * self.threads if limit is None else limit
        if low is not None and low > bound:
            with_what = self.per_child if limit is None else self.told(capacity.MAX_REQUEST_WORKERS)
            yield self.refused(
                least, f"with {with_what}, since there are never more than {bound}. Allowed is up to {bound}."
            )
        smallest = (low or 1) + self.threads
        if high is not None and high < smallest:
            with_what = self.per_child if low is None else f"{self.told(least)}{self.of_a_child}"
            yield self.refused(
                most,
                f"with {with_what}, since a child that leaves when more are idle would be missed at once. Allowed is"
                f" {smallest} or more.",
            )


def check_memory(resolution: Resolution, machine: Machine) -> Iterator[str]:
    """A share needs a whole, and a bound needs its unit."""
    limit = resolution.stated(capacity.MEMORY_LIMIT)
    if isinstance(limit.value, Share) and machine.memory is None and not limit.is_default:
        yield (
            f"{limit}: memory_limit cannot be {shown(capacity.MEMORY_LIMIT, limit.value)}, since this system does not"
            " tell how much memory there is. Allowed is a number of bytes, like 2G, or off."
        )
    for mpm in resolution.of_mpm:
        child = resolution.stated(children.MAX_CHILD_MEMORY, mpm)
        if 0 < child.value < SMALLEST_CHILD:
            yield (
                f"{child}: max_child_memory cannot be {child.value} bytes, which no child can do with. Allowed is 0"
                f" (never) or 1M and more; {child.value}M may be meant."
            )


def memory_warnings(resolution: Resolution, machine: Machine) -> Iterator[str]:
    """What is no contradiction, but protects from nothing."""
    limit = resolution.stated(capacity.MEMORY_LIMIT)
    if isinstance(limit.value, int) and machine.memory is not None and limit.value > machine.memory:
        yield (
            f"{limit}: memory_limit is {shown(capacity.MEMORY_LIMIT, limit.value)}, more than the"
            f" {machine.memory // (1 << 20)}M that the server may use here, so the kernel's limit comes before it."
        )
