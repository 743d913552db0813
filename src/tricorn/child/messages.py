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
    """The threads run and accept."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The child has retired of its own accord, and its place is free."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The child cannot go on; `code` is its exit code, `text` is for the log."""

    code: int
    text: str


FromChild = Begun | Ready | Leaving | Failed
FROM_CHILD = (Begun, Ready, Leaving, Failed)

# To the child. The end of the channel says that the parent is gone.


@dataclass(frozen=True, slots=True)
class RetireNow:
    """Stop accepting, answer what has been read, leave."""


ToChild = RetireNow
TO_CHILD = (RetireNow,)
