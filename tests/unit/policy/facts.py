"""Made-up censuses, with as few words as possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tricorn.policy.census import (
    Band,
    Census,
    Child,
    ChildExit,
    ChildState,
    MemoryFacts,
    Shape,
    Template,
    TemplateExit,
    TemplateState,
    Wish,
)

FIXED = Band(unit=1, start=2, least=2, most=2, min_spare=1, max_spare=2)
ELASTIC = Band(unit=1, start=4, least=2, most=64, min_spare=2, max_spare=5)
SHAPE = Shape(
    band=FIXED,
    slots=4,
    start_timeout=60.0,
    graceful_timeout=30.0,
    drain_delay=0.0,
    preload=True,
    lifetime=0.0,
    timeout=60.0,
    child_memory=0,
)


def shape(band: Band, **changes: Any) -> Shape:
    """The usual shape with this band."""
    return replace(SHAPE, band=band, slots=2 * band.most, **changes)


def child(
    slot: int,
    state: ChildState = ChildState.READY,
    *,
    since: float = 0.0,
    gen: int = 1,
    killed: bool = False,
    **more: Any,
) -> Child:
    return Child(slot, gen, state, since, killed, **more)


def template(
    state: TemplateState = TemplateState.READY, *, since: float = 0.0, gen: int = 1, killed: bool = False
) -> Template:
    return Template(gen, state, since, killed)


def census(
    *members: Child | Template | ChildExit | TemplateExit,
    now: float = 1.0,
    wish: Wish = Wish.SERVE,
    wanted: int = 1,
    shape: Shape = SHAPE,
    limit: int | None = None,
    memory: MemoryFacts | None = None,
) -> Census:
    return Census(
        now=now,
        wish=wish,
        wanted=wanted,
        shapes=dict.fromkeys(range(1, 10), shape),
        templates=tuple(member for member in members if isinstance(member, Template)),
        children=tuple(member for member in members if isinstance(member, Child)),
        exits=tuple(member for member in members if isinstance(member, ChildExit | TemplateExit)),
        limit=limit,
        memory=memory,
    )
