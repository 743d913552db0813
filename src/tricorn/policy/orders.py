"""What the policy can tell the parent to do: typed records, each performed by one function of the parent."""

from __future__ import annotations

from dataclasses import dataclass

from tricorn.policy.census import MemoryFacts


@dataclass(frozen=True, slots=True)
class StartTemplate:
    """Fork a template from the parent for this generation."""

    generation: int
    preload: bool
    """Whether it imports the application itself, or leaves that to each child."""


@dataclass(frozen=True, slots=True)
class DropTemplate:
    """Tell the template to fork no more and to leave when its last child is gone."""

    generation: int


@dataclass(frozen=True, slots=True)
class KillTemplate:
    """Kill the template now."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Have the generation's template fork a child into this slot."""

    generation: int
    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """Tell the child to go on accepting, but to close every connection with its next answer: the server will stop."""

    generation: int
    slot: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Tell the child to accept nothing and to end its connections with their answers, but to stay: it is surplus."""

    generation: int
    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Recall:
    """Tell a resting child to serve again; it answers with Ready."""

    generation: int
    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Tell the child to stop accepting, answer what it has read, and leave."""

    generation: int
    slot: int
    reason: str
    sweep: bool = False
    """Whether it first accepts and answers what waits in the kernel's queue."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the child now."""

    generation: int
    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Announce:
    """The first generation serves with all its children: tell the operator."""

    generation: int


@dataclass(frozen=True, slots=True)
class ReloadDone:
    """The new generation's first child is ready; the old generation is being replaced."""

    generation: int


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """The new generation is given up; the old one goes on."""

    generation: int
    reason: str
    code: int
    """The exit code that the failure stands for."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """No child is started before `until`, because children keep dying: tell the operator."""

    generation: int
    delay: float
    crashes: int


@dataclass(frozen=True, slots=True)
class AtLimit:
    """There are as many children as may be, and too few idle units: tell the operator. Once a minute at most."""

    children: int
    units: int
    """Units of the children that serve."""
    taken: int
    """How many of those are taken."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """One more child is wanted, and does not fit into the memory: tell the operator. Once a minute at most."""

    facts: MemoryFacts


@dataclass(frozen=True, slots=True)
class StopListening:
    """Nothing new may enter the kernel's queue from here on. Once, at a stop; the orders after it sweep what waits."""


@dataclass(frozen=True, slots=True)
class Exit:
    """Nothing is left to do: leave with this exit code."""

    code: int
    reason: str


Order = (
    StartTemplate
    | DropTemplate
    | KillTemplate
    | Spawn
    | Part
    | Rest
    | Recall
    | Retire
    | Kill
    | Announce
    | ReloadDone
    | ReloadFailed
    | BackOff
    | AtLimit
    | NoRoom
    | StopListening
    | Exit
)
