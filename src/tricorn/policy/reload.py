"""The trial of a new generation: its template imports, its first child (the canary) proves itself, then it is promoted.

Any failure before that gives the candidate up and changes nothing. Ready is not proof enough: the canary has to answer a
request, or to stand for a moment when there is none; if there are, but none for it, the others rest for a moment. Reloads that are asked for during a trial wait until it has ended
(or is seen to hang in its import), and then only the newest is tried: a storm of them costs no more than two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tricorn.errors import StartError
from tricorn.policy.census import Census, Child, ChildState, Template, TemplateState
from tricorn.policy.counts import usable_template
from tricorn.policy.memory import Memory, Tide
from tricorn.policy.orders import (
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

STANDS: Final = 1.0
"""Seconds that a canary without work has to be ready."""
WAY: Final = 0.8
"""Seconds that the others make way for a canary that nobody asks; they are recalled before they are taken for surplus."""
WAY_EVERY: Final = 2.0
"""Seconds from one such moment to the next: on a busy machine nobody may have come in the first."""
PROVEN: Final = 10.0
"""Seconds after which a canary that still works on its first requests is believed."""
HANGS: Final = 10.0
"""Seconds of import after which a trial gives way to a newer one: the mended code need not wait for the broken."""
LOOK: Final = 0.1
"""Seconds between two looks at a canary that is ready: nobody tells that it has answered."""


def try_out(memory: Memory, census: Census) -> tuple[Memory, list[Order], float | None]:
    """Begin, continue or end the trial of a new generation; the last value is when to look again."""
    if memory.candidate is None:
        if census.wanted <= memory.settled:
            return memory, [], None
        memory = replace(memory, candidate=census.wanted)
    candidate = memory.candidate
    if candidate is None:
        return memory, [], None
    if census.wanted > candidate and any(_hangs(template, candidate, census.now) for template in census.templates):
        memory, orders = give_up(memory, census, "its import hangs, and a newer one is asked for", StartError.exit_code)
        memory, more, look = try_out(memory, census)
        return memory, [*orders, *more], look
    canaries = [child for child in census.children if child.generation == candidate and not child.killed]
    ready = [child for child in canaries if child.state is ChildState.READY]
    if ready and memory.answered is None:
        memory = replace(memory, answered=_answered(memory, census))
    if any(_is_proven(child, memory, census) for child in ready):
        memory, orders = _promote(memory, census, candidate)
        return memory, orders, None
    if ready:
        return memory, [], census.now + LOOK
    if not any(template.generation == candidate for template in census.templates):
        return memory, [start_template(memory, census, candidate)], None
    template = usable_template(census, candidate)
    imported = template is not None and template.state is TemplateState.READY
    if imported and not any(child.generation == candidate for child in census.children):
        return memory, [Spawn(candidate, 0, "the first child of a new generation")], None
    return memory, [], None


def _hangs(template: Template, candidate: int, now: float) -> bool:
    importing = template.state is TemplateState.IMPORTING and not template.killed
    return template.generation == candidate and importing and now >= template.since + HANGS


def _is_proven(canary: Child, memory: Memory, census: Census) -> bool:
    stood = census.now - canary.since
    nobody_asks = canary.taken == 0 and not _others_answer(memory, census)
    unharmed = canary.requests > 0 or (nobody_asks and stood >= STANDS)
    return canary.silent_since is None and (unharmed or stood >= PROVEN)


def makes_way(memory: Memory, census: Census) -> bool:
    """Whether everybody is to rest for a moment, so that the next client comes to the canary.

    Clients ask, but not the canary: they keep their connections to the children that they have, or there are so many of
    those that its turn never comes.
    """
    for canary in census.children:
        if canary.generation == memory.candidate and canary.state is ChildState.READY and not canary.killed:
            stood = census.now - canary.since
            asked = canary.requests > 0 or canary.taken > 0
            moment = stood >= STANDS and (stood - STANDS) % WAY_EVERY < WAY
            return moment and not asked and _others_answer(memory, census)
    return False


def _others_answer(memory: Memory, census: Census) -> bool:
    """Whether clients have been answered by the current generation since the canary became ready."""
    return memory.answered is not None and _answered(memory, census) > memory.answered


def _answered(memory: Memory, census: Census) -> int:
    """The requests that the children of the current generation have answered; who is gone counts no more."""
    return sum(child.requests for child in census.children if child.generation == memory.current)


def _promote(memory: Memory, census: Census, candidate: int) -> tuple[Memory, list[Order]]:
    """The canary has proved itself: its generation is the current one from now on, with as many units as the old one."""
    before, band = census.shapes[memory.current].band, census.shapes[candidate].band
    children = -(-memory.target * before.unit // band.unit)
    memory = replace(
        memory,
        current=candidate,
        candidate=None,
        answered=None,
        settled=candidate,
        target=min(max(children, band.start), band.most),
        importing_in_children=memory.importing_in_children & {candidate},
        children=Respawn(),
        template=Respawn(),
        tide=Tide(patience=memory.tide.patience, limit_told=memory.tide.limit_told),
        recalled=(),
        replacing=None,
    )
    dismissed = [dismiss(template) for template in census.templates if template.generation != candidate]
    return memory, [ReloadDone(candidate), *(order for order in dismissed if order is not None)]


def give_up(memory: Memory, census: Census, reason: str, code: int) -> tuple[Memory, list[Order]]:
    """The candidate has failed: what it has of processes leaves, and the current generation goes on."""
    candidate = memory.candidate
    if candidate is None:
        return memory, []
    orders: list[Order] = [ReloadFailed(candidate, reason, code)]
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
    memory = replace(memory, candidate=None, answered=None, settled=candidate, importing_in_children=deferred)
    return memory, orders


def start_template(memory: Memory, census: Census, generation: int) -> Order:
    """The order for a template of this generation, which imports unless that is known to be unsafe."""
    preload = census.shapes[generation].preload and generation not in memory.importing_in_children
    return StartTemplate(generation, preload)


def dismiss(template: Template) -> Order | None:
    """How to be rid of this template: by word if it listens, by force if it is still importing."""
    if template.killed or template.state is TemplateState.DROPPED:
        return None
    if template.state is TemplateState.READY:
        return DropTemplate(template.generation)
    return KillTemplate(template.generation, "its generation is not needed any more")
