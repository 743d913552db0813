"""The facts of one moment, as the parent counts them. No decisions, and no way to change anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class ChildState(Enum):
    """Where a child is in its life; the words of the scoreboard."""

    STARTING = "starting"
    """Ordered or forked, not serving yet."""
    READY = "ready"
    """Serving and accepting."""
    RESTING = "resting"
    """Surplus: accepts nothing, ends its connections with their answers, but stays and can be recalled. A child that was
    recalled is RESTING until it says Ready again."""
    DRAINING = "draining"
    """Retired: accepts nothing, finishes what it has, and leaves."""


class TemplateState(Enum):
    """Where a template is in its life."""

    IMPORTING = "importing"
    """Dropping privileges and importing the application."""
    READY = "ready"
    """Forks on order."""
    DROPPED = "dropped"
    """Forks no more; stays only until its last child was reaped."""


class Wish(Enum):
    """What the operator wants of the server, in growing urgency."""

    SERVE = "serve"
    STOP = "stop"
    """Stop, answering what was read, within the graceful timeout."""
    HAND_OVER = "hand over"
    """Another parent serves the sockets now: stop without a drain delay, and leave the kernel's queue to it."""
    STOP_AT_ONCE = "stop at once"


@dataclass(frozen=True, slots=True)
class Band:
    """The numbers of sizing. A unit is what capacity is counted in: a process under prefork, a thread otherwise.

    Apache says the same with StartServers, MaxRequestWorkers, MinSpareServers or MinSpareThreads, and their maxima.
    """

    unit: int
    """Units of one child: its threads."""
    start: int
    """Children to begin with."""
    least: int
    """Children that sizing never goes below."""
    most: int
    """Children that sizing never goes above; a pool with `least` equal to `most` is fixed."""
    min_spare: int
    """With fewer idle units there have to be more children."""
    max_spare: int
    """With more idle units for long there have to be fewer children."""

    @property
    def is_fixed(self) -> bool:
        """Whether the number of children never follows the load."""
        return self.least == self.most


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of one generation that decisions rest on. Durations in seconds, memory in bytes."""

    band: Band
    slots: int
    """How many rows the generation's scoreboard has; more than `band.most`, so that a child that drains keeps its own."""
    start_timeout: float
    graceful_timeout: float
    drain_delay: float
    """How long the children of a server that was told to stop go on accepting; 0 is not at all."""
    preload: bool
    """Whether the template may import the application (directive `preload`: on or auto)."""
    lifetime: float
    """How old a child becomes (directive `max_child_lifetime`); 0 is for ever."""
    timeout: float
    """How long a request may take (directive `timeout`) before the child may end itself; 0 is for ever."""
    child_memory: int
    """How much memory of its own (USS) a child may have (directive `max_child_memory`); 0 is any."""


@dataclass(frozen=True, slots=True)
class Template:
    """One template process."""

    generation: int
    state: TemplateState
    since: float
    """When it entered the state (monotonic seconds)."""
    killed: bool
    """Whether it was killed already and only has to be reaped."""


@dataclass(frozen=True, slots=True)
class Child:
    """One child process."""

    slot: int
    generation: int
    state: ChildState
    since: float
    """When it entered the state, or was killed (monotonic seconds). READY again after a recall is a new beginning."""
    killed: bool
    """Whether it was killed already and only has to be reaped."""
    silent_since: float | None = None
    """When its channel came to an end (monotonic seconds): it is dead, or cannot be told anything any more."""
    orphaned: bool = False
    """Its template is gone: the parent reaps it."""
    taken: int = 0
    """Units that no further client can have now. From the scoreboard, which the child writes: clamped by the parent to
    0 up to the unit, and no more than that is to be believed of it."""
    connections: int = 0
    """Open connections; from the scoreboard, clamped to 0 or more."""
    requests: int = 0
    """Requests that it has answered in its life; from the scoreboard, clamped to 0 or more."""
    waiting: int = 0
    """Complete requests that wait for one of its units; from the scoreboard, clamped to 0 or more."""
    asked: str = ""
    """Why it is to be replaced: it asked for that (a signal, a bound of its life), or the operator did. Empty: nobody."""
    memory: int | None = None
    """Its own memory (USS, bytes) as last measured; None before that."""
    born: float | None = None
    """When it was ordered (monotonic seconds); None is `since`."""


@dataclass(frozen=True, slots=True)
class ChildExit:
    """A child that is gone since the last census."""

    slot: int
    generation: int
    was: ChildState
    """What it was doing: STARTING is a child that never became ready, READY one that left unasked. The death of one that
    was RESTING or DRAINING is no crash to the policy: nobody is missing, so there is nothing to wait with."""
    forked: bool = True
    """Whether it existed at all; False when its template died before the fork, which is no fault of the child's."""
    failure: int | None = None
    """The exit code of the failure that it reported itself, for example that the application cannot be imported."""
    reason: str = ""
    """A phrase for the log, for example "killed by SIGKILL"."""
    overdue: float | None = None
    """For how long it had served, in seconds, when it ended itself because a request took too long; None: it did not."""


@dataclass(frozen=True, slots=True)
class TemplateExit:
    """A template that is gone since the last census."""

    generation: int
    was: TemplateState
    unsafe: bool = False
    """It gave up because what the import left behind must not be inherited; children are to import for themselves."""
    failure: int | None = None
    """The exit code of the failure that it reported itself."""
    reason: str = ""
    """A phrase for the log."""


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """The memory of the server, in bytes. Counted anew for each census, so that it holds every child there is."""

    limit: int
    """What may be used (directive `memory_limit`)."""
    used: int
    """PSS of the whole tree, which counts sharing once; with a prediction for children that were not measured yet."""
    child: int
    """What one more child will cost, predicted from those there are."""
    reserve: int
    """What growth has to leave free, so that a reload finds room for its template and its first child."""

    def room(self, *, reserved: bool) -> int:
        """How many more children fit; with `reserved`, so that the reserve stays free. Not below 0."""
        free = self.limit - self.used - (self.reserve if reserved else 0)
        return max(0, free // max(1, self.child))


@dataclass(frozen=True, slots=True)
class Census:
    """Everything a decision may know."""

    now: float
    """Monotonic seconds."""
    wish: Wish
    wanted: int
    """The newest generation whose settings were accepted; above the current one while a reload is asked for."""
    shapes: Mapping[int, Shape]
    """By generation; every generation that has a process is here, and the wanted one."""
    templates: tuple[Template, ...]
    children: tuple[Child, ...]
    exits: tuple[ChildExit | TemplateExit, ...]
    """Departures since the last census, in order."""
    limit: int | None = None
    """How many children the operator allows the current generation (`tricorn resize`, TTIN, TTOU); None is `band.most`."""
    memory: MemoryFacts | None = None
    """None when there is no limit, or nothing is known."""
