"""How many children the current generation should have: one function for all MPMs, in units.

What Apache calls idle server maintenance, with its rules where they were good: too few idle units, and children are added
1, 2, 4 ... 32 at a time; a starting child counts as idle; a calm second begins at 1 again. Where they were not: a step
follows the last one as soon as that has arrived, not at the next tick; nobody is added beyond what is needed (or beyond
the band, when nothing is idle and the need cannot be seen); resting children are recalled before any is forked; a surplus
has to last before a child is rested, and longer each time that one was missed soon after; who leaves is outside every
count, so it never stands in the way; at the limit the operator is told once a minute, and not once per life. Growth has to
fit into the memory.

Only the target is decided here; `filling.py` makes the children follow it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tricorn.policy.census import Census
from tricorn.policy.counts import Counts, bounds, can_fork, count, emptiest
from tricorn.policy.memory import PATIENCE, Memory, Tide
from tricorn.policy.orders import AtLimit, NoRoom, Order

MOST_A_SECOND: Final = 32
"""Children that growth adds within any one second, and in one step."""
SECOND: Final = 1.0
"""Seconds: between two steps of which the first has not arrived, between two rests, between two looks at a surplus."""
LONGEST_PATIENCE: Final = 320.0
"""Seconds that patience never exceeds."""
MISSED: Final = 60.0
"""A child that is needed again within so many seconds of its rest should not have been rested."""
TELL_EVERY: Final = 60.0
"""Seconds between two words to the operator about the same want."""


@dataclass(frozen=True, slots=True)
class Sized:
    """What sizing has found."""

    memory: Memory
    orders: tuple[Order, ...] = ()
    """Words to the operator only."""
    why: str = ""
    """Why the target has changed; empty when it has not."""
    deadline: float | None = None
    """When to look again even if nothing happens: never in a fixed pool unless it is full, nor as long as all units that
    there are may be idle without being too many."""
    watch: int = 0
    """See `Decision.watch`."""


def size(memory: Memory, census: Census, *, may_shrink: bool) -> Sized:
    """Move the target with the load; `may_shrink` is False while generations or children are being replaced."""
    least, most = bounds(memory, census)
    target = min(max(memory.target, least), most)
    memory = replace(memory, target=target)
    counts = count(memory, census)
    if counts.band.is_fixed:
        full = counts.idle == 0 and len(counts.ready) >= target
        # It cannot grow, but the operator wants to know when all of it is taken.
        return _at_limit(memory, census, counts) if full else Sized(memory, watch=min(1, counts.idle))
    missing = counts.missing(target)
    if missing and target > least and census.memory is not None and census.memory.room(reserved=False) == 0:
        # Who died and has no room is not waited for: it is grown again when there is need and room.
        memory = replace(memory, target=max(least, target - missing))
        missing = counts.missing(memory.target)
    band = counts.band
    coming = len(counts.coming) + len(counts.silent) + missing
    idle = counts.idle - counts.waiting + band.unit * coming
    if idle < band.min_spare:
        return _grow(memory, census, counts, band.min_spare - idle, most)
    tide = memory.tide
    if tide.enough_since is None:
        tide = replace(tide, enough_since=census.now)
    enough = _shrink(replace(memory, tide=tide), census, counts, least, may_shrink=may_shrink and coming == 0)
    # Who is missing or was recalled is no row of the scoreboard's count: it would ring at once, and for ever.
    seen = counts.idle + band.unit * len(counts.starting)
    return replace(enough, watch=band.min_spare if seen >= band.min_spare else 0)


def _grow(memory: Memory, census: Census, counts: Counts, lack: int, most: int) -> Sized:
    """There are `lack` idle units too few."""
    now, tide, unit = census.now, memory.tide, counts.band.unit
    if tide.enough_since is not None and now >= tide.enough_since + SECOND:
        tide = replace(tide, step=0)
    steps = tuple((at, children) for at, children in tide.steps if at + SECOND > now)
    tide = replace(tide, steps=steps, enough_since=None, surplus_since=None)
    memory = replace(memory, tide=tide)
    below = most - memory.target
    needed = -(-lack // unit)
    if below <= 0:
        return _at_limit(memory, census, counts)
    wait = f", {counts.waiting} more {'is' if counts.waiting == 1 else 'are'} waited for" if counts.waiting else ""
    why = f"{_plural(counts.idle)} idle of {counts.units}{wait}, min_spare is {counts.band.min_spare}"
    recalls = min(needed, len(counts.resting), below)
    if recalls:
        # No fork, no memory, and they are back in no time: the rest of the need is looked at when they are.
        return Sized(replace(memory, target=memory.target + recalls, tide=_missed(tide, now)), why=why)
    if not can_fork(memory, census) or counts.missing(memory.target):
        return Sized(memory)
    if counts.starting and steps:
        return Sized(memory, deadline=steps[-1][0] + SECOND)
    budget = MOST_A_SECOND - sum(children for _, children in steps)
    if budget <= 0:
        return Sized(memory, deadline=steps[0][0] + SECOND)
    step = min(max(1, 2 * tide.step), MOST_A_SECOND)
    if counts.idle == 0:
        # How many clients wait cannot be seen, only that they do: the whole step, as far as the band may hold it.
        needed = max(needed, counts.band.max_spare // unit)
    grown = min(needed, step, below, budget)
    if census.memory is not None:
        grown = min(grown, census.memory.room(reserved=True))
    if grown <= 0:
        memory, told = no_room(memory, census)
        return Sized(memory, tuple(told), deadline=now + SECOND)
    tide = replace(_missed(tide, now), step=step, steps=(*steps, (now, grown)))
    return Sized(replace(memory, target=memory.target + grown, tide=tide), why=why)


def _missed(tide: Tide, now: float) -> Tide:
    """Growth soon after a rest: that was too early, and the next one has to wait longer."""
    if tide.rested is None or now >= tide.rested + MISSED:
        return tide
    return replace(tide, patience=min(LONGEST_PATIENCE, 2 * tide.patience), rested=None)


def _at_limit(memory: Memory, census: Census, counts: Counts) -> Sized:
    """More would be needed than may be."""
    told = memory.tide.limit_told
    if counts.taken == 0:
        # The limit is below min_spare: so be it, as long as nobody wants anything.
        return Sized(memory, deadline=census.now + TELL_EVERY)
    if told is not None and census.now < told + TELL_EVERY:
        return Sized(memory, deadline=told + TELL_EVERY)
    order = AtLimit(counts.alive, counts.units, counts.taken)
    return Sized(replace(memory, tide=replace(memory.tide, limit_told=census.now)), (order,))


def no_room(memory: Memory, census: Census) -> tuple[Memory, list[Order]]:
    """Tell that one more child does not fit, unless that was told a moment ago."""
    told = memory.room_told
    if census.memory is None or (told is not None and census.now < told + TELL_EVERY):
        return memory, []
    return replace(memory, room_told=census.now), [NoRoom(census.memory)]


def _shrink(memory: Memory, census: Census, counts: Counts, least: int, *, may_shrink: bool) -> Sized:
    """There are enough idle units; perhaps too many, for long enough."""
    now, tide, band = census.now, memory.tide, counts.band
    if not may_shrink or memory.target <= least or counts.units <= band.max_spare:
        return Sized(replace(memory, tide=replace(tide, surplus_since=None)))
    look = Sized(memory, deadline=now + SECOND)
    if counts.idle <= band.max_spare:
        return replace(look, memory=replace(memory, tide=replace(tide, surplus_since=None)))
    if tide.surplus_since is None:
        return replace(look, memory=replace(memory, tide=replace(tide, surplus_since=now)))
    due = tide.surplus_since + tide.patience
    if tide.rested is not None:
        due = max(due, tide.rested + SECOND)
    if counts.resting or now < due:
        return replace(look, deadline=min(now + SECOND, due) if due > now else now + SECOND)
    spared = min(counts.ready, key=emptiest)
    if counts.idle - (band.unit - spared.taken) < band.min_spare:
        return look
    if tide.rested is not None and now >= tide.rested + MISSED:
        tide = replace(tide, patience=max(PATIENCE, tide.patience / 2))
    why = f"{_plural(counts.idle)} idle of {counts.units}, max_spare is {band.max_spare}"
    return replace(look, memory=replace(memory, target=memory.target - 1, tide=replace(tide, rested=now)), why=why)


def _plural(units: int) -> str:
    return "1 unit is" if units == 1 else f"{units} units are"
