"""Who is to be replaced although it serves: it asked for it, is too old, or too big. Also who goes when memory is short.

One at a time, the replacement first: while `Memory.replacing` names a child, there is one child more than sizing wants
(`extra`), and when that one serves, the worn one is retired. Only when the memory has no room for two is it the other way
round. Apache's MaxConnectionsPerChild lets a child leave first, and all children at once if they began together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tricorn.policy.census import Census, Child, ChildState
from tricorn.policy.counts import Counts, born, can_fork, count, name_of
from tricorn.policy.memory import Memory, Replacement
from tricorn.policy.orders import Retire

LAST_LIVES: Final = 2.0
"""Seconds that a child which serves alone lives at least, however much memory it takes: else none would ever serve."""
DRAIN: Final = 5.0
"""Seconds that the next replacement waits for the child that was replaced last to be gone."""
JITTER: Final = 0.1
"""The last share of a lifetime within which children leave, each at its own moment."""


@dataclass(frozen=True, slots=True)
class Worn:
    """What is decided about children that have to go."""

    memory: Memory
    orders: tuple[Retire, ...] = ()
    deadline: float | None = None

    @property
    def extra(self) -> int:
        """How many children there have to be beyond the target."""
        return 0 if self.memory.replacing is None else 1


def replace_worn(memory: Memory, census: Census) -> Worn:
    """Begin, continue or end the replacement of one child."""
    counts = count(memory, census)
    moments = [life_over(child, census) for child in counts.ready]
    if memory.leaving is not None:
        over = memory.leaving[1] + DRAIN
        moments.append(over)
        if census.now >= over or not any(name_of(child) == memory.leaving[0] for child in census.children):
            memory = replace(memory, leaving=None)
    shed = _shed(memory, census, counts)
    if shed is not None:
        return shed
    deadline = min((moment for moment in moments if moment is not None and moment > census.now), default=None)
    replacing = memory.replacing
    worn = None if replacing is None else next((c for c in counts.ready if name_of(c) == replacing.name), None)
    if counts.old or worn is None:
        # A reload replaces everyone anyway.
        memory, replacing = replace(memory, replacing=None), None
    if replacing is not None and worn is not None:
        return _go_on(memory, census, counts, replacing, deadline)
    if counts.old or memory.leaving is not None or memory.shedding is not None or not can_fork(memory, census):
        return Worn(memory, deadline=deadline)
    if counts.alive != len(counts.ready) or counts.missing(_attainable(memory, census, counts)):
        return Worn(memory, deadline=deadline)
    chosen = min(_candidates(counts, census), default=None)
    if chosen is None:
        return Worn(memory, deadline=deadline)
    _, generation, slot, reason = chosen
    begun = Replacement((generation, slot), reason)
    return _go_on(replace(memory, replacing=begun), census, counts, begun, deadline)


def _go_on(memory: Memory, census: Census, counts: Counts, replacing: Replacement, deadline: float | None) -> Worn:
    """Retire the worn child if its successor serves, or if there is no room for both."""
    others = len(counts.ready) - 1
    reason = replacing.reason
    target = _attainable(memory, census, counts)
    if others < target:
        successor_exists = counts.alive > target
        if successor_exists or counts.resting or others == 0 or census.memory is None:
            return Worn(memory, deadline=deadline)
        if census.memory.room(reserved=False) > 0:
            return Worn(memory, deadline=deadline)
        reason += "; there is no room for its successor beside it"
    order = Retire(*replacing.name, reason)
    memory = replace(memory, replacing=None, leaving=(replacing.name, census.now))
    return Worn(memory, (order,), deadline)


def _attainable(memory: Memory, census: Census, counts: Counts) -> int:
    """How many children there can be of those that are wanted: where no more fit, whoever serves is all there will be."""
    if census.memory is None or census.memory.room(reserved=False) > 0:
        return memory.target
    return min(memory.target, len(counts.ready))


def _candidates(counts: Counts, census: Census) -> Iterator[tuple[tuple[int, float], int, int, str]]:
    """Everyone who is to be replaced: urgency (less is sooner), generation, slot, reason."""
    shape = census.shapes[counts.ready[0].generation] if counts.ready else None
    too_much = _too_much(census) if len(counts.ready) == 1 else ""
    for child in counts.ready:
        if shape is None:
            continue
        over = life_over(child, census)
        if shape.child_memory and child.memory is not None and child.memory > shape.child_memory:
            reason = f"it has {mebibytes(child.memory)} of its own, max_child_memory is {mebibytes(shape.child_memory)}"
            yield (0, -float(child.memory)), child.generation, child.slot, reason
        elif too_much and census.now >= born(child) + LAST_LIVES:
            yield (0, 0.0), child.generation, child.slot, f"{too_much}, and this child serves alone"
        elif child.asked:
            yield (1, born(child)), child.generation, child.slot, child.asked
        elif over is not None and census.now >= over:
            reason = f"it is {census.now - born(child):.0f} s old, max_child_lifetime is {shape.lifetime:g} s"
            yield (2, born(child)), child.generation, child.slot, reason


def _shed(memory: Memory, census: Census, counts: Counts) -> Worn | None:
    """Retire the largest child when more memory is used than may be; None if nobody has to go now."""
    facts = census.memory
    if facts is None or facts.used <= facts.limit or facts == memory.shed or memory.shedding is not None:
        return None
    if any(child.state is ChildState.DRAINING or child.killed for child in census.children):
        # Somebody is on the way out: what that gives back has to be seen first.
        return None
    serving = (*counts.ready, *counts.old)
    # Who rests is of no use now; of those who serve, one has to stay.
    chosen = counts.resting or (serving if len(serving) > 1 else ())
    if not chosen:
        return None
    largest = max(chosen, key=lambda child: (child.memory or 0, born(child), name_of(child)))
    name = name_of(largest)
    own = "" if largest.memory is None else f"; this child has {mebibytes(largest.memory)} of that"
    reason = f"{_too_much(census)}{own}"
    replacing = memory.replacing if memory.replacing is None or memory.replacing.name != name else None
    memory = replace(memory, shedding=name, replacing=replacing)
    return Worn(memory, (Retire(*name, reason),))


def _too_much(census: Census) -> str:
    """How much too much memory is used; empty when it is not."""
    facts = census.memory
    if facts is None or facts.used <= facts.limit:
        return ""
    return f"the server uses {mebibytes(facts.used)} of memory_limit {mebibytes(facts.limit)}"


def life_over(child: Child, census: Census) -> float | None:
    """When this child is too old; None is never. Each has its own share of the jitter, always the same one."""
    lifetime = census.shapes[child.generation].lifetime
    if lifetime <= 0:
        return None
    # Multiples of these two irrational numbers lie evenly between 0 and 1, also for few children.
    share = (child.slot * 0.6180339887498949 + child.generation * 0.7548776662466927) % 1.0
    return born(child) + lifetime * (1.0 - JITTER * share)


def mebibytes(count_of_bytes: int) -> str:
    """A number of bytes for the log."""
    return f"{count_of_bytes / (1 << 20):.1f} MiB"
