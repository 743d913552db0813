"""The serving phase: the order in which its rules are asked, and what departures mean.

Crashes are counted first, then a reload is tried out (`reload.py`), the template is kept, the target is moved with the
load (`sizing.py`), one worn child is chosen (`wear.py`), and the children are made to follow (`filling.py`). Who is
retired by one rule does not exist for the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tricorn.errors import StartError
from tricorn.policy import overdue
from tricorn.policy.census import Census, ChildExit, ChildState, TemplateExit, TemplateState
from tricorn.policy.counts import after
from tricorn.policy.filling import fill
from tricorn.policy.memory import Decision, Memory
from tricorn.policy.orders import BackOff, Order
from tricorn.policy.reload import give_up, makes_way, start_template, try_out
from tricorn.policy.sizing import Sized, size
from tricorn.policy.wear import Worn, replace_worn


def decide(memory: Memory, census: Census) -> Decision:
    """One decision of the serving phase."""
    memory, orders = fold_exits(memory, census)
    census = after(census, orders)
    before = memory.current
    memory, more, look = try_out(memory, census)
    orders += more
    if memory.current != before:
        # What the operator allowed was said of the generation before.
        census = replace(census, limit=None)
    memory, more = keep_template(memory, census)
    orders += more
    rolling = any(child.generation < memory.current and not child.killed for child in census.children)
    if makes_way(memory, census):
        sized, worn = Sized(memory), Worn(memory)
        filled = fill(memory, census, extra=-memory.target, why="the next client is to ask the new generation")
    else:
        sized = size(memory, census, may_shrink=not rolling and memory.replacing is None)
        worn = replace_worn(sized.memory, census)
        filled = fill(worn.memory, after(census, worn.orders), extra=worn.extra, why=sized.why)
    orders += [*sized.orders, *worn.orders, *filled.orders]
    orders += overdue.kills(census, besides=orders)
    moments = (look, sized.deadline, worn.deadline, filled.deadline)
    return Decision(filled.memory, tuple(orders), next_deadline(filled.memory, census, moments), sized.watch)


def fold_exits(memory: Memory, census: Census) -> tuple[Memory, list[Order]]:
    """Count the departures: which are crashes, which end a reload, and who need not be remembered any more."""
    orders: list[Order] = []
    for exit_ in census.exits:
        if isinstance(exit_, ChildExit):
            memory = memory.without((exit_.generation, exit_.slot), census.memory)
        if isinstance(exit_, TemplateExit) and exit_.unsafe and exit_.generation not in memory.importing_in_children:
            deferred = memory.importing_in_children | {exit_.generation}
            memory = replace(memory, importing_in_children=deferred)
        elif exit_.generation == memory.candidate and _ends_trial(exit_):
            reason = exit_.reason or "its first child has left before it was tried"
            memory, more = give_up(memory, census, reason, exit_.failure or StartError.exit_code)
            orders += more
        elif exit_.generation == memory.current and _is_crash(exit_, census):
            memory, more = _count_crash(memory, census, exit_)
            orders += more
    return memory, orders


def _ends_trial(exit_: ChildExit | TemplateExit) -> bool:
    if isinstance(exit_, TemplateExit):
        return exit_.was is not TemplateState.DROPPED
    return exit_.forked


def _is_crash(exit_: ChildExit | TemplateExit, census: Census) -> bool:
    if isinstance(exit_, TemplateExit):
        return exit_.was is not TemplateState.DROPPED
    if exit_.overdue is not None:
        # It needs no wait before the next, since it takes so long to come to that; and who was faster has not told the
        # truth. Half of it, because the parent may have heard late that the child serves.
        timeout = census.shapes[exit_.generation].timeout
        if timeout > 0 and exit_.overdue >= timeout / 2:
            return False
    return exit_.forked and exit_.was in (ChildState.STARTING, ChildState.READY)


def _count_crash(memory: Memory, census: Census, exit_: ChildExit | TemplateExit) -> tuple[Memory, list[Order]]:
    if isinstance(exit_, TemplateExit):
        ever_ready = exit_.was is TemplateState.READY
        series = memory.template.crashed(census.now, ever_ready=ever_ready, processes=1)
        memory = replace(memory, template=series)
    else:
        ever_ready = exit_.was is ChildState.READY
        series = memory.children.crashed(census.now, ever_ready=ever_ready, processes=max(1, memory.target))
        memory = replace(memory, children=series)
    if series.may_start(census.now):
        return memory, []
    return memory, [BackOff(memory.current, series.not_before - census.now, series.crashes)]


def keep_template(memory: Memory, census: Census) -> tuple[Memory, list[Order]]:
    """The current generation has a template, unless the last ones died too fast."""
    # One that was killed has to be reaped before the next.
    exists = any(template.generation == memory.current for template in census.templates)
    if exists or not memory.template.may_start(census.now):
        return memory, []
    return memory, [start_template(memory, census, memory.current)]


def next_deadline(memory: Memory, census: Census, moments: Iterable[float | None]) -> float | None:
    """The first of these moments, of those when somebody is overdue, and of those when a crash series allows a start."""
    series = (memory.children.not_before, memory.template.not_before)
    all_moments = (*moments, *overdue.deadlines(census), *series)
    return min((moment for moment in all_moments if moment is not None and moment > census.now), default=None)
