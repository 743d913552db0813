"""What a child and the parent tell each other: the records of their channel."""

from __future__ import annotations

from dataclasses import dataclass

# From the child.


@dataclass(frozen=True, slots=True)
class Begun:
    """The fork has happened; told before anything else, in case the template dies before it can tell."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The threads run and accept; told again by a child that was recalled from its rest."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The child goes on serving, and asks to be replaced."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """The child has retired although nobody told it to, and its place is free."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The child cannot go on; `code` is its exit code, `text` is for the log."""

    code: int
    text: str


FromChild = Begun | Ready | Asked | Leaving | Failed
FROM_CHILD = (Begun, Ready, Asked, Leaving, Failed)

# To the child. The end of the channel says that the parent is gone.


@dataclass(frozen=True, slots=True)
class RetireNow:
    """Stop accepting, answer what has been read, leave."""

    sweep: bool
    """Accept and answer what waits in the kernel's queue first: nobody else will."""


@dataclass(frozen=True, slots=True)
class PartNow:
    """Go on serving, but end every connection with its answer: the server stops soon."""


@dataclass(frozen=True, slots=True)
class RestNow:
    """Accept nothing, end connections with their answers, and stay: the server may need the child again."""


@dataclass(frozen=True, slots=True)
class ServeAgain:
    """Come back from the rest; answered with Ready, or not at all by a child that is leaving."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """Write to other log files from now on. Carries a descriptor for each log that is named, in this order."""

    error: bool
    access: bool


ToChild = RetireNow | PartNow | RestNow | ServeAgain | Reopen
TO_CHILD = (RetireNow, PartNow, RestNow, ServeAgain, Reopen)
