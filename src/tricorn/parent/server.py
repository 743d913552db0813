"""What the parent knows: the generations, everybody below it, what was decided and why. Shared by the loop, by what the
operator asks for, and by what performs orders; all of them run on the parent's only thread. Nothing is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tricorn.logs import ErrorLog
from tricorn.parent.family import Family
from tricorn.parent.generations import Generation, LoadSettings
from tricorn.parent.history import History
from tricorn.parent.listeners import Listeners
from tricorn.parent.memory_use import Meter
from tricorn.parent.notify import Notifier
from tricorn.parent.spare import SpareBell
from tricorn.policy.census import Wish
from tricorn.policy.memory import Memory


@dataclass(slots=True)
class Server:
    """One running server."""

    pid: int
    """The parent's."""
    load: LoadSettings
    listeners: Listeners
    family: Family
    generations: dict[int, Generation]
    """By number: every generation that has a process, or may get one."""
    log: ErrorLog
    """That of the generation that serves."""
    notifier: Notifier
    meter: Meter
    bell: SpareBell
    clock: Callable[[], float] = time.monotonic
    began: float = field(default_factory=time.monotonic)
    memory: Memory = field(default_factory=Memory)
    """What the policy has left for its next decision."""
    history: History = field(default_factory=History)
    wish: Wish = Wish.SERVE
    why: str = ""
    """Why the server stops."""
    wanted: int = 1
    """The newest generation whose settings were accepted."""
    limit: int | None = None
    """Children that the operator allows the current generation; None is what its settings say."""

    @property
    def current(self) -> Generation:
        """The generation that serves."""
        return self.generations[self.memory.current]

    def follow_log(self) -> None:
        """Write to the log of the generation that serves now."""
        self.log = self.family.log = self.current.heritage.log("parent")
