"""The scoreboard as the parent sees it: made here, read into snapshots. What is read is untrusted.

The memory and its layout are the engine's (`rust/engine/src/scoreboard.rs`). Each generation has a scoreboard of its
own, so that a reload may change every number.
"""

from tricorn.scoreboard.board import ChildSnapshot, Scoreboard, make

__all__ = ["ChildSnapshot", "Scoreboard", "make"]
