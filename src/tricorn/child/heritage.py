"""What a process of the tree is handed by the one that forks it: values and descriptors of one generation."""

from __future__ import annotations

from dataclasses import dataclass

from tricorn.config.settings import Settings
from tricorn.logs import ErrorLog, LogFiles
from tricorn.scoreboard import Scoreboard


@dataclass(frozen=True, slots=True)
class Heritage:
    """One generation, as its template and its children need it."""

    settings: Settings
    generation: int
    listeners: tuple[int, ...]
    """Descriptors of the listening sockets; the parent owns them."""
    scoreboard: Scoreboard
    logs: LogFiles
    spare_bell: int
    """Descriptor that children write to when spare capacity has run out."""

    def log(self, who: str) -> ErrorLog:
        """The error log in the name of `who`."""
        return ErrorLog(self.logs.error, self.settings.logs.log_level, who)
