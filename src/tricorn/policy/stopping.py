"""The stopping phase: everyone parts, everyone is retired, whoever is left at the deadline is killed, the parent leaves.

Parting is the drain delay: for a load balancer that still sends, the children go on accepting, and close each connection
with its answer. Then nothing new may enter the kernel's queue, and what waits there is answered before anyone leaves.
When another parent serves the sockets already, neither is done: the queue is the other's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tricorn.policy import overdue, serving
from tricorn.policy.census import Census, ChildState, Template, TemplateState, Wish
from tricorn.policy.counts import after, can_fork, name_of, usable_template
from tricorn.policy.memory import Decision, Memory, Phase
from tricorn.policy.orders import Exit, Kill, KillTemplate, Order, Part, Retire, Spawn, StopListening
from tricorn.policy.reload import dismiss

PATIENCE: Final = 5.0
"""Seconds that the parent waits for processes it has killed; a process in an uninterruptible wait may take for ever."""
REASON: Final = "the server stops"


def begin(memory: Memory, census: Census, code: int, reason: str) -> Memory:
    """Enter the phase; `code` and `reason` are told when all is over. Who never served has nobody to part from."""
    shape = census.shapes[memory.current]
    parts = memory.phase is Phase.SERVING and census.wish is Wish.STOP
    part_until = census.now + (shape.drain_delay if parts else 0.0)
    return replace(
        memory,
        phase=Phase.STOPPING,
        candidate=None,
        replacing=None,
        recalled=(),
        part_until=part_until,
        handed_over=census.wish is Wish.HAND_OVER,
        stop_by=part_until + shape.graceful_timeout,
        exit_code=code,
        exit_reason=reason,
    )


def decide(memory: Memory, census: Census) -> Decision:
    """One decision of the stopping phase."""
    if not census.children and not census.templates:
        return Decision(memory, (Exit(memory.exit_code, memory.exit_reason),), None)
    at_once = census.wish is Wish.STOP_AT_ONCE
    if at_once or census.now >= memory.stop_by:
        return _by_force(memory, census, "told to stop at once" if at_once else "graceful_timeout is over")
    return _part(memory, census) if census.now < memory.part_until else _retire(memory, census)


def _part(memory: Memory, census: Census) -> Decision:
    """Everyone goes on accepting for a while; who crashes meanwhile has a successor, if a template is there."""
    memory, orders = serving.fold_exits(memory, census)
    if memory.parted is None:
        orders += [
            Retire(*name_of(child), REASON)
            for child in census.children
            if child.state in (ChildState.STARTING, ChildState.RESTING) and not child.killed
        ]
        ready = sum(child.state is ChildState.READY and not child.killed for child in census.children)
        memory = replace(memory, parted=frozenset(), target=ready)
    census = after(census, orders)
    told = memory.parted or frozenset()
    alive = [c for c in census.children if c.state in (ChildState.STARTING, ChildState.READY) and not c.killed]
    parts = [Part(*name_of(c)) for c in alive if c.state is ChildState.READY and name_of(c) not in told]
    orders += parts
    memory = replace(memory, parted=told.union((part.generation, part.slot) for part in parts))
    orders += _dismissals(template for template in census.templates if template is not _forker(memory, census))
    if memory.target > len(alive) and can_fork(memory, census):
        held = {child.slot for child in census.children if child.generation == memory.current}
        free = [slot for slot in range(census.shapes[memory.current].slots) if slot not in held]
        reason = f"{len(alive)} of {memory.target} children are left, and drain_delay is not over"
        orders += [Spawn(memory.current, slot, reason) for slot in free[: memory.target - len(alive)]]
    orders += overdue.kills(census, besides=orders)
    return Decision(memory, tuple(orders), serving.next_deadline(memory, census, (memory.part_until,)))


def _forker(memory: Memory, census: Census) -> Template | None:
    """The template that is worth keeping while the children part: one that could fork at once."""
    template = usable_template(census, memory.current)
    return template if template is not None and template.state is TemplateState.READY else None


def _retire(memory: Memory, census: Census) -> Decision:
    """Everyone answers what was read, and what waits in the kernel's queue, and leaves."""
    orders: list[Order] = []
    if not memory.handed_over and not memory.listening_stopped:
        orders.append(StopListening())
        memory = replace(memory, listening_stopped=True)
    orders += [
        Retire(*name_of(child), REASON, sweep=not memory.handed_over)
        for child in census.children
        if child.state is not ChildState.DRAINING and not child.killed
    ]
    orders += _dismissals(census.templates)
    orders += [kill for kill in overdue.kills(census, besides=orders) if isinstance(kill, Kill)]
    moments = [memory.stop_by, *overdue.deadlines(census)]
    return Decision(memory, tuple(orders), min(moment for moment in moments if moment > census.now))


def _dismissals(templates: Iterable[Template]) -> list[Order]:
    return [order for template in templates if (order := dismiss(template)) is not None]


def _by_force(memory: Memory, census: Census, reason: str) -> Decision:
    """Kill whoever is left; leave even if something killed cannot be reaped."""
    if memory.give_up is None:
        memory = replace(memory, give_up=census.now + PATIENCE)
    give_up = memory.give_up
    if give_up is not None and census.now >= give_up:
        left = len(census.children) + len(census.templates)
        return Decision(memory, (Exit(memory.exit_code, f"{left} killed processes do not go away"),), None)
    kills: list[Order] = [Kill(child.generation, child.slot, reason) for child in census.children if not child.killed]
    kills += [KillTemplate(template.generation, reason) for template in census.templates if not template.killed]
    return Decision(memory, tuple(kills), give_up)
