"""The census: what is there at one moment, counted from the family, the scoreboard and the meter. Nothing is decided here.

What children write into the scoreboard is untrusted: it is clamped to what can be, and believed no further than that.
"""

from __future__ import annotations

from tricorn.parent.memory_use import Role
from tricorn.parent.processes import ChildHandle
from tricorn.parent.server import Server
from tricorn.policy.census import Census, Child, ChildState, MemoryFacts, Template
from tricorn.scoreboard import ChildSnapshot

Rows = dict[tuple[int, int], ChildSnapshot]
"""By generation and slot."""


def count(server: Server, now: float) -> Census:
    """Everything that a decision may know; the exits since the last census are taken."""
    family = server.family
    exits, family.exits = tuple(family.exits), []
    rows = read_rows(server)
    templates = tuple(
        Template(template.generation, template.state, template.since, bool(template.killed))
        for template in family.templates.values()
    )
    children = tuple(_child(server, child, rows.get(name)) for name, child in family.children.items())
    shapes = {number: generation.shape for number, generation in server.generations.items()}
    return Census(
        now, server.wish, server.wanted, shapes, templates, children, exits, server.limit, memory_facts(server)
    )


def read_rows(server: Server) -> Rows:
    """What the scoreboards say of children that are there."""
    generations = {generation for generation, _ in server.family.children}
    return {
        (number, row.slot): row
        for number in generations
        for row in server.generations[number].heritage.scoreboard.snapshot()
        if (number, row.slot) in server.family.children
    }


def _child(server: Server, child: ChildHandle, row: ChildSnapshot | None) -> Child:
    figures = server.meter.of(child.pid) if child.pid is not None else None
    return Child(
        child.slot,
        child.generation,
        child.state,
        child.since,
        bool(child.killed),
        child.silent_since,
        child.orphaned,
        taken=taken(server, child, row),
        waiting=_waiting(server, child, row),
        connections=row.connections if row is not None else 0,
        requests=row.requests if row is not None else 0,
        asked=child.asked,
        memory=figures.uss if figures is not None else None,
        born=child.born,
    )


def taken(server: Server, child: ChildHandle, row: ChildSnapshot | None) -> int:
    """The units that are taken in a child, as far as that can be true."""
    if row is None:
        return 0
    return min(max(0, row.taken), server.generations[child.generation].shape.band.unit)


def _waiting(server: Server, child: ChildHandle, row: ChildSnapshot | None) -> int:
    """The requests that wait for a unit of a child: those in its queue for which no unit is about to be free."""
    if row is None:
        return 0
    unit = server.generations[child.generation].shape.band.unit
    return min(max(0, row.busy + row.queued - unit), max(0, row.queued))


def idle_now(server: Server) -> int:
    """Idle units at this very moment, as the children count them that ring the spare bell: with all of who starts."""
    rows = read_rows(server)
    units = 0
    for name, child in server.family.children.items():
        if not child.killed and child.state in (ChildState.STARTING, ChildState.READY):
            units += server.generations[child.generation].shape.band.unit - taken(server, child, rows.get(name))
    return units


def memory_facts(server: Server) -> MemoryFacts | None:
    """What is known of memory, if it is bounded."""
    limit = server.current.settings.memory.limit
    unborn = sum(child.pid is None for child in server.family.children.values())
    facts = server.meter.facts(limit, expected=unborn) if limit is not None else None
    if facts is None or facts.limit is None:
        return None
    return MemoryFacts(facts.limit, facts.used, facts.child, facts.reserve)


def keep_measuring(server: Server) -> None:
    """Have the meter know everybody who is there now, and measure those whose turn it is."""
    meter = server.meter
    meter.watch(server.pid, Role.PARENT)
    for template in server.family.templates.values():
        meter.watch(template.pid, Role.TEMPLATE)
    for child in server.family.children.values():
        if child.pid is not None:
            meter.watch(child.pid, Role.STARTING if child.state is ChildState.STARTING else Role.CHILD)
    meter.measure(server.current.settings.memory.limit)
