"""What one decision leaves to the next: the phase of the server, the generations, the crash series. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from tricorn.policy.census import MemoryFacts
from tricorn.policy.orders import Order
from tricorn.policy.respawn import Respawn

PATIENCE: Final = 10.0
"""Seconds for which there have to be too many idle units before a child is rested, as long as no rest was missed."""

Name = tuple[int, int]
"""A child, by generation and slot."""


class Phase(Enum):
    """The phases of a server, in order."""

    STARTING = "starting"
    """The first generation is not serving with all its children yet; a failure now ends the server."""
    SERVING = "serving"
    """From here on the server lives until it is told to stop, whatever dies."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Tide:
    """What sizing remembers of the load: how fast it grows, and how long there has been too much. Times in seconds."""

    step: int = 0
    """Children of the last step of growth; 0 when there was none since the last calm."""
    steps: tuple[tuple[float, int], ...] = ()
    """When children were added within the last second, and how many."""
    enough_since: float | None = None
    """Since when there have been enough idle units; None while there are too few."""
    surplus_since: float | None = None
    """Since when there have been too many idle units; None while there are not."""
    patience: float = PATIENCE
    """How long there have to be too many before a child is rested."""
    rested: float | None = None
    """When the last child was rested; None too when it was missed soon after."""
    limit_told: float | None = None
    """When the operator was last told that the limit is reached."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One child that is to be replaced: a successor first."""

    name: Name
    reason: str


@dataclass(frozen=True, slots=True)
class Memory:
    """The policy's whole memory; without arguments, that of a server that has not begun."""

    phase: Phase = Phase.STARTING
    current: int = 1
    """The generation that serves."""
    target: int = 0
    """How many children sizing wants of the current generation; 0 before the first decision."""
    candidate: int | None = None
    """The generation that a reload is trying out: its template imports, then its canary must prove itself."""
    answered: int | None = None
    """How many requests the current generation had answered when the canary became ready; None before."""
    settled: int = 1
    """The newest generation that was either promoted or given up; only a newer one is a reload."""
    importing_in_children: frozenset[int] = frozenset()
    """Generations whose template found that what the import leaves behind must not be inherited."""
    children: Respawn = field(default=Respawn())
    template: Respawn = field(default=Respawn())
    tide: Tide = field(default=Tide())
    recalled: tuple[tuple[Name, float], ...] = ()
    """Resting children that were told to serve again, and when; until they say that they do."""
    replacing: Replacement | None = None
    """The child whose successor is on its way."""
    leaving: tuple[Name, float] | None = None
    """The child that was replaced last, and when it was retired; until it is gone."""
    shed: MemoryFacts | None = None
    """The memory as it was when a child that was retired for want of it was seen to be gone; new facts differ."""
    shedding: Name | None = None
    """The child that was retired because there was too little memory; until it is gone."""
    room_told: float | None = None
    """When the operator was last told that there is no room for one more child."""
    parted: frozenset[Name] | None = None
    """The children that were told to part; None before that (STOPPING only)."""
    part_until: float = 0.0
    """When the children stop accepting (STOPPING only)."""
    handed_over: bool = False
    """Whether another parent serves the sockets (STOPPING only)."""
    listening_stopped: bool = False
    """Whether the listening sockets were closed to newcomers (STOPPING only)."""
    stop_by: float = 0.0
    """When what still runs is killed (STOPPING only)."""
    give_up: float | None = None
    """When the parent leaves although something killed was not reaped (STOPPING only)."""
    exit_code: int = 0
    exit_reason: str = ""

    def without(self, gone: Name, facts: MemoryFacts | None) -> Memory:
        """What is left when this child is gone: nothing that is remembered of it holds for the next one in its slot."""
        shed = self.shedding == gone
        return replace(
            self,
            recalled=tuple(entry for entry in self.recalled if entry[0] != gone),
            replacing=None if self.replacing is not None and self.replacing.name == gone else self.replacing,
            leaving=None if self.leaving is not None and self.leaving[0] == gone else self.leaving,
            shedding=None if shed else self.shedding,
            shed=facts if shed else self.shed,
            parted=None if self.parted is None else self.parted - {gone},
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one decision."""

    memory: Memory
    orders: tuple[Order, ...]
    deadline: float | None
    """When to decide again even if nothing happens (monotonic seconds); None is never."""
    watch: int = 0
    """Below how many idle units the parent wants to be woken at once (the scoreboard's `watch_spare`); 0 is not at all,
    because the number never follows the load, or because there are too few already and something else is waited for."""
