"""What a running server writes, read while it is written. Not here: what the lines mean.

A thread of the test process reads the pipe; tests wait on a condition, so that they go on as soon as the line is there
and never sleep.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import BinaryIO


class NotLoggedError(AssertionError):
    """A line that a test waited for did not come; the text holds all that did."""


class Log:
    """Lines of one stream of a server, in order."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(stream,), name="log-reader", daemon=True)
        self._reader.start()

    def lines(self) -> list[str]:
        """All lines so far, without their line ends."""
        with self._changed:
            return list(self._lines)

    def text(self) -> str:
        """All lines so far as one text."""
        return "\n".join(self.lines())

    def mark(self) -> int:
        """The number of lines so far, to be given to `wait_for(..., after=)`."""
        with self._changed:
            return len(self._lines)

    def wait_for(self, text: str, *, timeout: float = 30.0, after: int = 0) -> str:
        """Wait for a line that contains `text`, among those after the first `after`; give it. Raises NotLoggedError."""
        return self._wait(lambda line: text in line, repr(text), timeout, after)

    def wait_for_match(self, pattern: str, *, timeout: float = 30.0, after: int = 0) -> re.Match[str]:
        """Wait for a line in which the regular expression `pattern` is found; give the match. Raises NotLoggedError."""
        compiled = re.compile(pattern)
        line = self._wait(lambda line: compiled.search(line) is not None, f"/{pattern}/", timeout, after)
        match = compiled.search(line)
        if match is None:  # pragma: no cover - the line was chosen by this very search
            raise NotLoggedError(pattern)
        return match

    def wait_for_end(self, timeout: float = 30.0) -> None:
        """Wait until every process that could write to this stream is gone. Raises NotLoggedError."""
        self._reader.join(timeout)
        if self._reader.is_alive():
            raise NotLoggedError(f"the stream was still open {timeout:g} seconds later; it holds:\n{self.text()}")

    def _wait(self, wanted: Callable[[str], bool], what: str, timeout: float, after: int) -> str:
        deadline = time.monotonic() + timeout
        seen = after
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if wanted(line):
                        return line
                seen = max(seen, len(self._lines))
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "the stream ended" if self._ended else f"{timeout:g} seconds passed"
                    raise NotLoggedError(
                        f"{what} was not logged before {why}; the log holds:\n" + "\n".join(self._lines)
                    )
                self._changed.wait(left)

    def _read(self, stream: BinaryIO) -> None:
        with stream:
            for raw in stream:
                with self._changed:
                    self._lines.append(raw.decode("utf-8", "backslashreplace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
