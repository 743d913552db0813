"""What the log is told of a request that takes too long, and what is raised in its thread.

Run by a thread of the engine, whenever the interpreter can be had; the client has its answer by then.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Final

from tricorn import mpm
from tricorn.child import streams
from tricorn.errors import RequestTimeout
from tricorn.logs import ErrorLog

EXIT_CODE: Final = 124
"""What a child leaves with that ends because of such a request; `timeout` of the GNU tools has the same."""

_MOST_FRAMES: Final = 50
"""Innermost calls that are shown."""
_GOT: Final = {
    "refusal": "its client got 504",
    "part": "its answer had begun and was broken off",
    "all": "its client has its answer, but the application goes on",
}
_OURS: Final = str(Path(mpm.__file__).parent)


class OverdueTeller:
    """Called by the engine with what it knows of such a request; returns what it is to raise in the thread, if anything."""

    def __init__(self, log: ErrorLog, timeout: float, *, ends: bool) -> None:
        self._log = log
        self._timeout = timeout
        self._ends = ends
        """Whether the child ends next, because it has no other thread."""

    def __call__(self, thread: int, request: str, age: float, got: str, waits_for: str) -> type[BaseException] | None:
        """`request` is its method and path, escaped; `waits_for` is "application" or "interpreter"."""
        waits = waits_for == "interpreter"
        if waits:
            then = "; it waited for the interpreter, which others kept"
        elif self._ends:
            then = "; this child ends and is replaced, unless it is back before that"
        else:
            then = "; RequestTimeout is raised in its thread"
        head = f"{request} took longer than timeout={self._timeout:g}: {age:.1f} s old, {_GOT[got]}{then}"
        frame = None if waits else sys._current_frames().get(thread)  # noqa: SLF001  documented in spite of its name
        self._log.error(head if frame is None else f"{head}\n{_stack(frame)}")
        if self._ends:
            # What the application has printed; whoever keeps the stream locked makes the engine go on without this.
            streams.flush()
            return None
        return RequestTimeout


def _stack(frame: FrameType) -> str:
    """The calls of a thread, the last one last, without those of the server."""
    calls: list[tuple[FrameType, int]] = []
    for call, line in traceback.walk_stack(frame):
        if call.f_code.co_filename.startswith(_OURS):
            break
        calls.append((call, line))
    summary = traceback.StackSummary.extract(iter(calls[:_MOST_FRAMES]))
    left_out = len(calls) - _MOST_FRAMES
    more = [f"({left_out} outer calls)\n"] if left_out > 0 else []
    return "".join(["Stack of its thread:\n", *more, *reversed(summary.format())]).rstrip()
