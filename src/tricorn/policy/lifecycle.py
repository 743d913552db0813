"""The one entry of the policy: `decide` looks at the phase and hands over to it. Also the starting phase itself.

The phases: STARTING until the first generation serves with all its children (a failure now ends the server, with the
failure's exit code); SERVING (`serving.py`) for as long as it lives; STOPPING (`stopping.py`).
"""

from __future__ import annotations

from dataclasses import replace

from tricorn.errors import StartError
from tricorn.policy import overdue, serving, stopping
from tricorn.policy.census import Census, ChildExit, ChildState, TemplateExit, Wish
from tricorn.policy.counts import bounds, count
from tricorn.policy.filling import fill
from tricorn.policy.memory import Decision, Memory, Phase
from tricorn.policy.orders import Announce, Order


def decide(memory: Memory, census: Census) -> Decision:
    """What to do now, and when to ask again. Never raises for a census that a parent can count."""
    if memory.target == 0:
        least, most = bounds(memory, census)
        memory = replace(memory, target=min(max(census.shapes[memory.current].band.start, least), most))
    if census.wish is not Wish.SERVE and memory.phase is not Phase.STOPPING:
        memory = stopping.begin(memory, census, 0, "asked to stop")
    if memory.phase is Phase.STARTING:
        return _starting(memory, census)
    if memory.phase is Phase.SERVING:
        return serving.decide(memory, census)
    return stopping.decide(memory, census)


def _starting(memory: Memory, census: Census) -> Decision:
    """Bring up the first generation, or find out why not."""
    for exit_ in census.exits:
        failure = _failure(exit_)
        if failure is not None:
            return stopping.decide(stopping.begin(memory, census, *failure), census)
    memory, orders = serving.fold_exits(memory, census)
    if _is_complete(memory, census):
        announced: list[Order] = [*orders, Announce(memory.current)]
        decision = serving.decide(replace(memory, phase=Phase.SERVING), replace(census, exits=()))
        return replace(decision, orders=(*announced, *decision.orders))
    memory, more = serving.keep_template(memory, census)
    orders += more
    filled = fill(memory, census, extra=0, why="")
    orders += filled.orders
    orders += overdue.kills(census, besides=orders)
    return Decision(filled.memory, tuple(orders), serving.next_deadline(filled.memory, census, (filled.deadline,)))


def _is_complete(memory: Memory, census: Census) -> bool:
    """Whether the first generation serves with all its children, or with as many as the memory has room for."""
    counts = count(memory, census)
    full = census.memory is not None and census.memory.room(reserved=False) == 0
    return len(counts.ready) >= (1 if full and not counts.starting else memory.target)


def _failure(exit_: ChildExit | TemplateExit) -> tuple[int, str] | None:
    """The exit code and the reason if this departure means that the server cannot start."""
    if isinstance(exit_, TemplateExit):
        if exit_.unsafe:
            return None
        return exit_.failure or StartError.exit_code, exit_.reason
    if exit_.was is ChildState.STARTING and exit_.forked:
        return exit_.failure or StartError.exit_code, exit_.reason
    return None
