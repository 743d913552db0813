"""What a template and the parent tell each other: the records of their channel."""

from __future__ import annotations

from dataclasses import dataclass

from tricorn.child.messages import Reopen

# From the template.


@dataclass(frozen=True, slots=True)
class Imported:
    """The template is ready to fork. `interface` is empty when the children import the application themselves."""

    interface: str


@dataclass(frozen=True, slots=True)
class Unsafe:
    """The import left behind what must not be inherited; the template leaves, children are to import for themselves."""

    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TemplateFailed:
    """The template cannot go on; `code` is the exit code the failure stands for, `text` is for the operator."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Forked:
    """A child was forked into `slot`. Carries a pidfd where the system has them (`pinned`)."""

    slot: int
    pid: int
    pinned: bool


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """No child could be forked into `slot`."""

    slot: int
    text: str


@dataclass(frozen=True, slots=True)
class Reaped:
    """The child in `slot` is gone; `status` as waitpid gave it."""

    slot: int
    pid: int
    status: int


FromTemplate = Imported | Unsafe | TemplateFailed | Forked | ForkFailed | Reaped
FROM_TEMPLATE = (Imported, Unsafe, TemplateFailed, Forked, ForkFailed, Reaped)

# To the template. The end of the channel says that the parent is gone.


@dataclass(frozen=True, slots=True)
class Fork:
    """Fork a child into `slot`. Carries the child's end of its channel to the parent."""

    slot: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Fork no more; leave when the last child was reaped."""


ToTemplate = Fork | Drop | Reopen
TO_TEMPLATE = (Fork, Drop, Reopen)
