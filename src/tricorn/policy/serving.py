"""The serving phase: replace the dead, keep a template, try out a reload with a canary, replace generation by generation.

A reload has two steps. First the candidate: its template imports the application and its first child, the canary, must
become ready; any failure gives the candidate up and changes nothing. Then it is promoted to be the current generation,
and convergence does the rest: whenever one more new child is ready, one more old one is retired, so that there are never
fewer children serving than before.
"""

from __future__ import annotations

from dataclasses import replace

from tricorn.policy import overdue
from tricorn.policy.census import Census, Child, ChildExit, ChildState, Template, TemplateExit, TemplateState
from tricorn.policy.memory import Decision, Memory
from tricorn.policy.orders import (
    BackOff,
    DropTemplate,
    KillTemplate,
    Order,
    ReloadDone,
    ReloadFailed,
    Retire,
    Spawn,
    StartTemplate,
)
from tricorn.policy.respawn import Respawn


def decide(memory: Memory, census: Census) -> Decision:
    """One decision of the serving phase."""
    memory, orders = fold_exits(memory, census)
    memory, more = _reload(memory, census)
    orders += more
    memory, more = keep_template(memory, census)
    orders += more
    orders += populate(memory, census)
    orders += overdue.kills(census, besides=orders)
    return Decision(memory, tuple(orders), next_deadline(memory, census))


def fold_exits(memory: Memory, census: Census) -> tuple[Memory, list[Order]]:
    """Count the departures: which are crashes, which end a reload."""
    orders: list[Order] = []
    for exit_ in census.exits:
        if isinstance(exit_, TemplateExit) and exit_.unsafe and exit_.generation not in memory.importing_in_children:
            deferred = memory.importing_in_children | {exit_.generation}
            memory = replace(memory, importing_in_children=deferred)
        elif exit_.generation == memory.candidate and _is_fault(exit_):
            memory, more = _give_up(memory, census, exit_.reason)
            orders += more
        elif exit_.generation == memory.current and _is_fault(exit_):
            memory, more = _count_crash(memory, census, exit_)
            orders += more
    return memory, orders


def _is_fault(exit_: ChildExit | TemplateExit) -> bool:
    if isinstance(exit_, TemplateExit):
        return exit_.was is not TemplateState.DROPPED
    return exit_.forked and exit_.was is not ChildState.DRAINING


def _count_crash(memory: Memory, census: Census, exit_: ChildExit | TemplateExit) -> tuple[Memory, list[Order]]:
    if isinstance(exit_, TemplateExit):
        ever_ready = exit_.was is TemplateState.READY
        series = memory.template.crashed(census.now, ever_ready=ever_ready, processes=1)
        memory = replace(memory, template=series)
    else:
        ever_ready = exit_.was is ChildState.READY
        processes = census.shapes[memory.current].band.start
        series = memory.children.crashed(census.now, ever_ready=ever_ready, processes=processes)
        memory = replace(memory, children=series)
    if series.may_start(census.now):
        return memory, []
    return memory, [BackOff(memory.current, series.not_before - census.now, series.crashes)]


def _reload(memory: Memory, census: Census) -> tuple[Memory, list[Order]]:
    """Begin, continue or end the trial of a new generation."""
    orders: list[Order] = []
    if memory.candidate is not None and census.wanted > memory.candidate:
        memory, orders = _give_up(memory, census, "a newer reload was asked for")
    if memory.candidate is None:
        if census.wanted <= memory.settled:
            return memory, orders
        memory = replace(memory, candidate=census.wanted)
    candidate = memory.candidate
    if candidate is None:
        return memory, orders
    template = _template(census, candidate)
    canary = [child for child in census.children if child.generation == candidate and not child.killed]
    if any(child.state is ChildState.READY for child in canary):
        return _promote(memory, census, candidate, orders)
    if not _any_template(census, candidate):
        orders.append(_start_template(memory, census, candidate))
    elif (
        template is not None
        and template.state is TemplateState.READY
        and not any(child.generation == candidate for child in census.children)
    ):
        orders.append(Spawn(candidate, 0, "the first child of a new generation"))
    return memory, orders


def _promote(memory: Memory, census: Census, candidate: int, orders: list[Order]) -> tuple[Memory, list[Order]]:
    """The canary is ready: its generation is the current one from now on."""
    memory = replace(
        memory,
        current=candidate,
        candidate=None,
        settled=candidate,
        importing_in_children=memory.importing_in_children & {candidate},
        children=Respawn(),
        template=Respawn(),
    )
    dismissed = [dismiss(template) for template in census.templates if template.generation != candidate]
    return memory, [*orders, ReloadDone(candidate), *(order for order in dismissed if order is not None)]


def _give_up(memory: Memory, census: Census, reason: str) -> tuple[Memory, list[Order]]:
    """The candidate has failed: what it has of processes leaves, and the current generation goes on."""
    candidate = memory.candidate
    if candidate is None:
        return memory, []
    orders: list[Order] = [ReloadFailed(candidate, reason)]
    orders += [
        order
        for template in census.templates
        if template.generation == candidate and (order := dismiss(template)) is not None
    ]
    orders += [
        Retire(child.generation, child.slot, "its reload was given up")
        for child in census.children
        if child.generation == candidate and child.state is not ChildState.DRAINING and not child.killed
    ]
    deferred = memory.importing_in_children - {candidate}
    return replace(memory, candidate=None, settled=candidate, importing_in_children=deferred), orders


def keep_template(memory: Memory, census: Census) -> tuple[Memory, list[Order]]:
    """The current generation has a template, unless the last ones died too fast."""
    if _any_template(census, memory.current) or not memory.template.may_start(census.now):
        return memory, []
    return memory, [_start_template(memory, census, memory.current)]


def populate(memory: Memory, census: Census) -> list[Order]:
    """Fill up the current generation, and retire older children as new ones become ready."""
    shape = census.shapes[memory.current]
    own = [child for child in census.children if child.generation == memory.current]
    alive = [child for child in own if child.state is not ChildState.DRAINING and not child.killed]
    ready = sum(child.state is ChildState.READY for child in alive)
    old = [child for child in census.children if _is_old(child, memory)]
    orders: list[Order] = []

    surplus = len(old) - max(0, shape.band.start - ready)
    if surplus > 0:
        # Who does not serve yet goes first, then the oldest.
        oldest = sorted(
            old, key=lambda child: (child.state is ChildState.READY, child.generation, child.since, child.slot)
        )
        orders += [Retire(child.generation, child.slot, "replaced by a reload") for child in oldest[:surplus]]

    template = _template(census, memory.current)
    if template is None or template.state is not TemplateState.READY or not memory.children.may_start(census.now):
        return orders
    missing = shape.band.start - len(alive)
    if old and missing > 0:
        # One at a time during a replacement: the machine has to carry both generations meanwhile.
        missing = 0 if len(alive) > ready else 1
    taken = {child.slot for child in own}
    free = [slot for slot in range(shape.slots) if slot not in taken]
    return orders + [Spawn(memory.current, slot, "missing") for slot in free[: max(0, missing)]]


def _is_old(child: Child, memory: Memory) -> bool:
    return child.generation < memory.current and child.state is not ChildState.DRAINING and not child.killed


def all_ready(memory: Memory, census: Census) -> bool:
    """Whether the current generation serves with all its children."""
    ready = [
        child for child in census.children if child.generation == memory.current and child.state is ChildState.READY
    ]
    return len(ready) >= census.shapes[memory.current].band.start


def dismiss(template: Template) -> Order | None:
    """How to be rid of this template: by word if it listens, by force if it is still importing."""
    if template.killed or template.state is TemplateState.DROPPED:
        return None
    if template.state is TemplateState.READY:
        return DropTemplate(template.generation)
    return KillTemplate(template.generation, "its generation is not needed any more")


def next_deadline(memory: Memory, census: Census) -> float | None:
    """When something will be overdue, or may be started again."""
    moments = list(overdue.deadlines(census))
    moments += [series.not_before for series in (memory.children, memory.template)]
    return min((moment for moment in moments if moment > census.now), default=None)


def _start_template(memory: Memory, census: Census, generation: int) -> Order:
    preload = census.shapes[generation].preload and generation not in memory.importing_in_children
    return StartTemplate(generation, preload)


def _template(census: Census, generation: int) -> Template | None:
    """The template of this generation that can still be used."""
    for template in census.templates:
        if template.generation == generation and template.state is not TemplateState.DROPPED and not template.killed:
            return template
    return None


def _any_template(census: Census, generation: int) -> bool:
    """Whether the generation has a template at all; one that was killed has to be reaped before the next."""
    return any(template.generation == generation for template in census.templates)
