"""What a directive is: one entry of the table from which options, files, variables, checks and documentation are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from tricorn.config.kinds import Kind
from tricorn.config.settings import Mpm

T = TypeVar("T")

EVERY_MPM = (Mpm.PREFORK, Mpm.WORKER, Mpm.EVENT)
PREFIX = "TRICORN_"


class Section(Enum):
    """The chapters of --help and of the reference, in order."""

    APPLICATION = "Application"
    LISTENING = "Listening"
    CAPACITY = "Capacity"
    CHILDREN = "Life of a child"
    LIMITS = "Limits on requests"
    CLIENTS = "Clients and proxies"
    DEADLINES = "Deadlines"
    MEMORY = "Memory and spooling"
    ANSWERS = "Answers"
    SURROUNDINGS = "Surroundings of the application"
    LIFECYCLE = "Starting and stopping"
    LOGS = "Logs"


class Change(Enum):
    """When a changed value comes into force."""

    RELOAD = "a reload"
    RESTART = "a restart"


@dataclass(frozen=True)
class Variable:
    """An environment variable beside the directive's own, known to platforms and other servers."""

    name: str
    prefix: str = ""
    """What is put before the variable's text to make a value of the directive."""


@dataclass(frozen=True)
class Equivalents:
    """What other servers call the same thing; "" where they have none."""

    apache: str = ""
    gunicorn: str = ""
    uvicorn: str = ""


@dataclass(frozen=True, kw_only=True)
class Directive(Generic[T]):
    """One thing that an operator may decide."""

    name: str
    section: Section
    kind: Kind[T]
    default: T
    meaning: str
    """What it does and its unit, in whole sentences; the first one stands alone in --help."""
    reason: str
    """Why the default is what it is."""
    change: Change
    equivalents: Equivalents = Equivalents()
    flags: tuple[str, ...] = ()
    """Further spellings of the option, from other servers, that take the same values."""
    fixed_flags: Mapping[str, str] = field(default_factory=dict)
    """Options without a value: each with the text it stands for."""
    variables: tuple[Variable, ...] = ()
    per_mpm: bool = False
    """Whether each MPM has its own value, under the MPM's name in a file."""
    mpms: tuple[Mpm, ...] = EVERY_MPM
    """The MPMs that have it."""
    defaults: Mapping[Mpm, T] = field(default_factory=dict)
    """Defaults of single MPMs, where `default` is not right for all."""
    instead: str = ""
    """What to do in an MPM that does not have it."""

    @property
    def option(self) -> str:
        """The primary option; `app` has none, it is the argument."""
        return "--" + self.name.replace("_", "-")

    def variable(self, mpm: Mpm | None = None) -> str:
        """The environment variable, for the selected MPM or for `mpm` alone."""
        return PREFIX + (f"{mpm.value}_" if mpm else "").upper() + self.name.upper()

    def default_for(self, mpm: Mpm) -> T:
        """What is in force under `mpm` when nobody says anything."""
        return self.defaults.get(mpm, self.default)
