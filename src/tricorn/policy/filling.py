"""The children that there are follow the number that is wanted: recall, fork, rest, retire; generation by generation.

Level-triggered: whatever happened, the difference between what there is and what there should be is made up now. Missing
children are recalled before any is forked. Who is surplus rests, and is retired when it has nothing left to do. Older
generations are retired as the current one takes over, unit by unit, so that there is never less capacity than before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tricorn.policy.census import Census, ChildExit, ChildState
from tricorn.policy.counts import Counts, born, can_fork, count, emptiest, name_of
from tricorn.policy.memory import Memory, Phase
from tricorn.policy.orders import Order, Recall, Rest, Retire, Spawn
from tricorn.policy.sizing import no_room

REST: Final = 1.0
"""Seconds that a child rests at least: what it accepted last is in its counts by then."""
LOOK: Final = 1.0
"""Seconds between two looks at who rests, or at memory that has no room: nobody tells when that changes."""
ANSWER: Final = 5.0
"""Seconds within which a recalled child says that it serves again."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What has to be done so that there are as many children as are wanted."""

    memory: Memory
    orders: tuple[Order, ...]
    deadline: float | None


def fill(memory: Memory, census: Census, *, extra: int, why: str) -> Filled:
    """One step towards the target, and `extra` beyond it; `why` is the reason if sizing has just moved the target."""
    resting = {name_of(child) for child in census.children if child.state is ChildState.RESTING}
    memory = replace(memory, recalled=tuple(entry for entry in memory.recalled if entry[0] in resting))
    counts = count(memory, census)
    wanted = memory.target + extra
    orders: list[Order] = []
    recalled: set[tuple[int, int]] = set()
    if counts.alive - len(counts.silent) > wanted:
        orders += _send_away(counts, counts.alive - len(counts.silent) - wanted, why)
    elif counts.alive < wanted:
        reason = _reason(memory, census, counts, wanted, why)
        calls = [Recall(*name_of(child), reason) for child in sorted(counts.resting, key=emptiest, reverse=True)][
            : wanted - counts.alive
        ]
        recalled = {(call.generation, call.slot) for call in calls}
        memory = replace(memory, recalled=(*memory.recalled, *((name, census.now) for name in sorted(recalled))))
        orders += calls
        memory, more = _fork(memory, census, counts, wanted - len(calls), reason)
        orders += more
    orders += _retire_old(memory, census, counts, orders)
    orders += _retire_resting(memory, census, counts, recalled)
    deadline = _deadline(memory, census, counts, wanted)
    return Filled(memory, tuple(orders), deadline)


def _send_away(counts: Counts, surplus: int, why: str) -> list[Order]:
    """There are more children than are wanted: who does not serve yet goes, then the emptiest rests."""
    reason = why or "fewer children are wanted"
    unborn = [*sorted(counts.starting, key=born, reverse=True), *counts.returning][:surplus]
    orders: list[Order] = [Retire(*name_of(child), reason) for child in unborn]
    spared = sorted(counts.ready, key=emptiest)[: surplus - len(unborn)]
    return orders + [Rest(*name_of(child), reason) for child in spared]


def _fork(memory: Memory, census: Census, counts: Counts, wanted: int, reason: str) -> tuple[Memory, list[Order]]:
    """Fork what is missing of `wanted`, as far as the template, the slots and the memory allow."""
    missing = wanted - counts.alive
    if missing <= 0 or not can_fork(memory, census):
        return memory, []
    if counts.old:
        # One at a time during a replacement: the machine has to carry both generations meanwhile.
        missing = min(missing, max(counts.missing(wanted), 0 if counts.coming else 1))
    told: list[Order] = []
    if census.memory is not None:
        room = census.memory.room(reserved=False)
        if room < missing:
            if not counts.old:
                memory, told = no_room(memory, census)
            # Nobody else would serve, or be replaced, if not one child were forked in any case.
            alone = counts.alive + len(counts.old) == 0 or (len(counts.old) == 1 and counts.alive == 0)
            alone = alone or (counts.alive == 1 and memory.replacing is not None)
            missing = max(room, 1 if alone else 0)
    held = {child.slot for child in census.children if child.generation == memory.current}
    free = [slot for slot in range(census.shapes[memory.current].slots) if slot not in held]
    return memory, [*told, *(Spawn(memory.current, slot, reason) for slot in free[: max(0, missing)])]


def _retire_old(memory: Memory, census: Census, counts: Counts, orders: list[Order]) -> list[Order]:
    """Older generations go as far as the current one serves in their place."""
    reason = "replaced by a reload"
    retired: list[Order] = [Retire(*name_of(child), reason) for child in counts.stale]
    left = counts.old_units + len(counts.ready) * counts.band.unit
    oldest = sorted(counts.old, key=lambda child: (child.generation, born(child), child.slot))
    for child in oldest:
        left -= census.shapes[child.generation].band.unit
        if left < memory.target * counts.band.unit:
            break
        retired.append(Retire(*name_of(child), reason))
    if retired or orders or not oldest or counts.starting or not can_fork(memory, census):
        return retired
    # The next of the new generation should be on its way, and is not. If that is for want of memory, one makes room.
    cramped = census.memory is not None and census.memory.room(reserved=False) == 0
    somebody_leaves = any(child.state is ChildState.DRAINING or child.killed for child in census.children)
    if cramped and not somebody_leaves and len(counts.old) + len(counts.ready) > 1:
        return [Retire(*name_of(oldest[0]), "replaced by a reload; there is no room for its successor beside it")]
    return retired


def _retire_resting(memory: Memory, census: Census, counts: Counts, recalled: set[tuple[int, int]]) -> list[Order]:
    """Who rests and has nothing left, or has had its time, leaves; also who was recalled and does not answer."""
    orders: list[Order] = []
    for child in counts.resting:
        rested = census.now - child.since
        if name_of(child) in recalled:
            continue
        if child.asked:
            orders.append(Retire(*name_of(child), child.asked))
        elif child.connections == 0 and child.taken == 0 and census.now >= child.since + REST:
            orders.append(Retire(*name_of(child), f"has rested for {rested:.0f} s and has no connection left"))
        elif census.now >= child.since + census.shapes[child.generation].graceful_timeout:
            orders.append(Retire(*name_of(child), f"has rested for {rested:.0f} s (graceful_timeout)"))
    since = dict(memory.recalled)
    late = [child for child in counts.returning if census.now >= since[name_of(child)] + ANSWER]
    reason = f"does not serve again {ANSWER:g} s after it was recalled"
    return orders + [Retire(*name_of(child), reason) for child in late]


def _deadline(memory: Memory, census: Census, counts: Counts, wanted: int) -> float | None:
    """When somebody who rests may have to leave, or memory may have room; None is never."""
    moments = [at + ANSWER for _, at in memory.recalled]
    for child in counts.resting:
        timeout = census.shapes[child.generation].graceful_timeout
        moments += [child.since + REST, child.since + timeout, census.now + LOOK]
    short = counts.alive < wanted and census.memory is not None and census.memory.room(reserved=False) == 0
    if short:
        moments.append(census.now + LOOK)
    return min((moment for moment in moments if moment > census.now), default=None)


def _reason(memory: Memory, census: Census, counts: Counts, wanted: int, why: str) -> str:
    """Why children are added, as the operator may read it."""
    if memory.phase is Phase.STARTING:
        return f"the server starts with {wanted} of them"
    if why:
        return why
    if counts.old:
        return f"generation {memory.current} takes over"
    if memory.replacing is not None:
        return f"is to replace child {memory.replacing.name[1]}: {memory.replacing.reason}"
    for exit_ in census.exits:
        if isinstance(exit_, ChildExit) and exit_.generation == memory.current:
            return f"child {exit_.slot} is gone: {exit_.reason}"
    return f"{counts.alive} of {wanted} children are there"
