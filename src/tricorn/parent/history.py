"""What was decided lately and why, and how processes have ended: for `tricorn why`, for status, never for decisions."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

KEPT: Final = 200
"""Decisions that are remembered."""
_KINDS: Final = 50
"""Different reasons for exits that are counted one by one; a child can invent no more."""


@dataclass(frozen=True, slots=True)
class Note:
    """One decision."""

    at: datetime
    what: str
    reason: str


class History:
    """Used by the parent's only thread."""

    def __init__(self) -> None:
        self.notes: deque[Note] = deque(maxlen=KEPT)
        """Newest last."""
        self.exits: Counter[str] = Counter()
        """How often processes have ended for each reason."""
        self.requests = 0
        """Answered by children that are gone."""
        self.accepted = 0
        """Connections accepted by children that are gone."""

    def note(self, what: str, reason: str) -> None:
        """Remember a decision."""
        self.notes.append(Note(datetime.now(UTC), what, reason))

    def ended(self, reason: str) -> None:
        """Count an exit."""
        first = reason.partition("\n")[0][:200]
        self.exits[first if first in self.exits or len(self.exits) < _KINDS else "other reasons"] += 1
