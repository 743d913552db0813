"""The threads of a child whose main thread serves nothing: started, watched, waited for. Used by worker and event.

The threads are Python threads although the engine does the work in them, so that the interpreter's state of each thread
(thread locals, database connections of the application) lives as long as the thread does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from tricorn.mpm.contract import Superior


class Crew:
    """Runs `work(0)` to `work(threads - 1)`, each in a thread of its own."""

    def __init__(self, work: Callable[[int], None], threads: int, superior: Superior) -> None:
        self._work = work
        self._superior = superior
        self._failures: deque[BaseException] = deque()
        self._returned: deque[int] = deque()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"tricorn-worker-{number}")
            for number in range(threads)
        ]

    def serve(self) -> None:
        """Start everyone, tell the parent, and return when all threads have come back. Run by the main thread."""
        superior = self._superior
        # Before the threads: a request that waits already may kill the child at once, and then it died serving.
        superior.ready()
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        while working > 0:
            superior.wait()
            while self._failures:
                superior.failed(self._failures.popleft())
            while self._returned:
                self._threads[self._returned.popleft()].join()
                working -= 1
                superior.returned()

    def _run(self, number: int) -> None:
        try:
            self._work(number)
        except BaseException as error:  # a thread must not vanish without a word, whatever ended it
            self._failures.append(error)
        finally:
            self._returned.append(number)
            self._superior.ring()
