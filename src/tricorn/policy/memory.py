"""What one decision leaves to the next: the phase of the server, the generations, the crash series. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tricorn.policy.orders import Order
from tricorn.policy.respawn import Respawn


class Phase(Enum):
    """The phases of a server, in order."""

    STARTING = "starting"
    """The first generation is not serving with all its children yet; a failure now ends the server."""
    SERVING = "serving"
    """From here on the server lives until it is told to stop, whatever dies."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Memory:
    """The policy's whole memory; without arguments, that of a server that has not begun."""

    phase: Phase = Phase.STARTING
    current: int = 1
    """The generation that serves."""
    candidate: int | None = None
    """The generation that a reload is trying out: its template imports, then its canary must become ready."""
    settled: int = 1
    """The newest generation that was either promoted or given up; only a newer one is a reload."""
    importing_in_children: frozenset[int] = frozenset()
    """Generations whose template found that what the import leaves behind must not be inherited."""
    children: Respawn = field(default=Respawn())
    template: Respawn = field(default=Respawn())
    stop_by: float = 0.0
    """When what still runs is killed (STOPPING only)."""
    give_up: float | None = None
    """When the parent leaves although something killed was not reaped (STOPPING only)."""
    exit_code: int = 0
    exit_reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one decision."""

    memory: Memory
    orders: tuple[Order, ...]
    deadline: float | None
    """When to decide again even if nothing happens (monotonic seconds); None is never."""
