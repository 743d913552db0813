"""How soon a dead process is replaced. Pure arithmetic on strikes; nothing here knows processes.

One crash is bad luck and a child is replaced at once; so is its successor. When more have crashed than twice the number
of children, without a calm minute between two of them, something is wrong with the application itself, and each further
round (one crash per child) doubles the wait, up to half a minute, so that a crash loop costs neither CPU nor log space.
A process that died before it was ever ready counts double: the next one will most likely fare the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CALM: Final = 60.0
"""Seconds without a crash that end a series."""
FIRST_DELAY: Final = 1.0
"""Seconds before the first replacement that has to wait."""
LONGEST_DELAY: Final = 30.0
"""Seconds no wait exceeds."""
ROUNDS_AT_ONCE: Final = 2
"""Crashes per child that are answered at once."""


@dataclass(frozen=True, slots=True)
class Respawn:
    """The series of crashes that is going on; without arguments, none."""

    strikes: int = 0
    crashes: int = 0
    """How many processes died in this series; what the log tells."""
    last: float = 0.0
    """When the last one died."""
    not_before: float = 0.0
    """When the next replacement may start."""

    def crashed(self, now: float, *, ever_ready: bool, processes: int) -> Respawn:
        """Count one crash among `processes` that should be running."""
        fresh = self.strikes == 0 or now - self.last >= CALM
        strikes = (0 if fresh else self.strikes) + (1 if ever_ready else 2)
        crashes = (0 if fresh else self.crashes) + 1
        return Respawn(strikes, crashes, now, max(self.not_before, now + delay(strikes, processes)))

    def may_start(self, now: float) -> bool:
        """Whether a replacement may start now."""
        return now >= self.not_before


def delay(strikes: int, processes: int) -> float:
    """Seconds to wait after so many strikes in a row among so many processes."""
    round_number = -(-strikes // max(1, processes))
    late = round_number - ROUNDS_AT_ONCE
    if late <= 0:
        return 0.0
    # The exponent is bounded before it is used: a long night of crashes must not compute 2 ** 10000.
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(late - 1, 10))
