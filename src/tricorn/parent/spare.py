"""How the parent hears at once that spare capacity has run out: a bell that children ring, instead of a tick.

Children compare what the scoreboard says with a threshold whenever one of their units is taken; the one that sees it
undercut rings, once, until the threshold is set again. A child may lie; then the parent looks, and sees nothing.
"""

from __future__ import annotations

import os

from tricorn.scoreboard import Scoreboard


class SpareBell:
    """A pipe: children of all generations write to `rung`, the parent waits on the other end."""

    def __init__(self) -> None:
        self._heard, self.rung = os.pipe()
        """`rung` is inherited by template and children."""
        for fd in (self._heard, self.rung):
            os.set_blocking(fd, False)
        self._watched: Scoreboard | None = None

    def fileno(self) -> int:
        """Readable when it was rung."""
        return self._heard

    def watch(self, scoreboard: Scoreboard, least: int) -> None:
        """Have it rung when fewer than `least` units are idle; 0 is never. What was watched before is not any more."""
        if self._watched is not None and self._watched is not scoreboard:
            self._watched.watch_spare(0)
        self._watched = scoreboard
        scoreboard.watch_spare(least)

    def silence(self) -> None:
        """After it was heard."""
        try:
            while os.read(self._heard, 4096):
                pass
        except BlockingIOError:
            return

    def abandon(self) -> None:
        """In a forked template: let go of the parent's end."""
        os.close(self._heard)

    def close(self) -> None:
        """At the end of the parent."""
        os.close(self._heard)
        os.close(self.rung)
