"""The stopping phase: everyone is retired, whoever is left at the deadline is killed, and then the parent leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tricorn.policy import overdue
from tricorn.policy.census import Census, ChildState, Wish
from tricorn.policy.memory import Decision, Memory, Phase
from tricorn.policy.orders import Exit, Kill, KillTemplate, Order, Retire
from tricorn.policy.serving import dismiss

PATIENCE: Final = 5.0
"""Seconds that the parent waits for processes it has killed; a process in an uninterruptible wait may take for ever."""


def begin(memory: Memory, census: Census, code: int, reason: str) -> Memory:
    """Enter the phase; `code` and `reason` are told when all is over."""
    timeout = census.shapes[memory.current].graceful_timeout
    return replace(
        memory,
        phase=Phase.STOPPING,
        candidate=None,
        stop_by=census.now + timeout,
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
    orders: list[Order] = [
        Retire(child.generation, child.slot, "the server stops")
        for child in census.children
        if child.state is not ChildState.DRAINING and not child.killed
    ]
    orders += [order for template in census.templates if (order := dismiss(template)) is not None]
    orders += [kill for kill in overdue.kills(census, besides=orders) if isinstance(kill, Kill)]
    moments = [memory.stop_by, *overdue.deadlines(census)]
    return Decision(memory, tuple(orders), min(moment for moment in moments if moment > census.now))


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
