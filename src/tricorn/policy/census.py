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
    DRAINING = "draining"
    """Retired, or leaving of its own accord: accepts nothing, finishes what it has."""


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
    STOP_AT_ONCE = "stop at once"


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of one generation that decisions rest on. Durations in seconds."""

    children: int
    """How many children should be serving."""
    slots: int
    """How many rows the generation's scoreboard has; more than `children`, so that a child that drains keeps its own."""
    start_timeout: float
    graceful_timeout: float
    preload: bool
    """Whether the template may import the application (directive `preload`: on or auto)."""


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
    """When it entered the state, or was killed (monotonic seconds)."""
    killed: bool
    """Whether it was killed already and only has to be reaped."""
    silent_since: float | None = None
    """When its channel came to an end (monotonic seconds): it is dead, or cannot be told anything any more."""
    orphaned: bool = False
    """Its template is gone: the parent reaps it."""


@dataclass(frozen=True, slots=True)
class ChildExit:
    """A child that is gone since the last census."""

    slot: int
    generation: int
    was: ChildState
    """What it was doing: STARTING is a child that never became ready, READY one that left unasked."""
    forked: bool = True
    """Whether it existed at all; False when its template died before the fork, which is no fault of the child's."""
    failure: int | None = None
    """The exit code of the failure that it reported itself, for example that the application cannot be imported."""
    reason: str = ""
    """A phrase for the log, for example "killed by SIGKILL"."""


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
