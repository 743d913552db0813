"""Made-up censuses, with as few words as possible."""

from __future__ import annotations

from tricorn.policy.census import (
    Census,
    Child,
    ChildExit,
    ChildState,
    Shape,
    Template,
    TemplateExit,
    TemplateState,
    Wish,
)

SHAPE = Shape(children=2, slots=4, start_timeout=60.0, graceful_timeout=30.0, preload=True)


def child(
    slot: int, state: ChildState = ChildState.READY, *, since: float = 0.0, gen: int = 1, killed: bool = False
) -> Child:
    return Child(slot, gen, state, since, killed)


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
) -> Census:
    return Census(
        now=now,
        wish=wish,
        wanted=wanted,
        shapes=dict.fromkeys(range(1, 10), shape),
        templates=tuple(member for member in members if isinstance(member, Template)),
        children=tuple(member for member in members if isinstance(member, Child)),
        exits=tuple(member for member in members if isinstance(member, ChildExit | TemplateExit)),
    )
