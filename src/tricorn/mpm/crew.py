"""The threads of a child whose main thread serves nothing: started, watched, waited for. Used by worker and event.

The threads are Python threads although the engine does the work in them, so that the interpreter's state of each thread
(thread locals, database connections of the application) lives as long as the thread does.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable

from tricorn.mpm.contract import Superior


class Crew:
    """Runs `work(0)` to `work(threads - 1)`, each in a thread of its own."""

    def __init__(self, work: Callable[[int], None], threads: int) -> None:
        self._work = work
        self._failures: deque[BaseException] = deque()
        self._returned: deque[int] = deque()
        self._wake_end, self._wake = os.pipe()
        for fd in (self._wake_end, self._wake):
            os.set_blocking(fd, False)
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"tricorn-worker-{number}")
            for number in range(threads)
        ]

    def serve(self, superior: Superior) -> None:
        """Start everyone, tell the parent, and return when all threads have come back. Run by the main thread."""
        # The wake-up descriptor also ends a wait that a signal has just missed.
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for thread in self._threads:
            thread.start()
        superior.ready()
        with selectors.DefaultSelector() as selector:
            selector.register(superior.fileno(), selectors.EVENT_READ)
            selector.register(self._wake_end, selectors.EVENT_READ)
            working = len(self._threads)
            while working > 0:
                ready = {key.fd for key, _ in selector.select()}
                if superior.fileno() in ready:
                    superior.hear()
                if self._wake_end in ready:
                    self._forget_wakes()
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
            self._announce()

    def _announce(self) -> None:
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            # The pipe is full of wakes already.
            return

    def _forget_wakes(self) -> None:
        try:
            while os.read(self._wake_end, 4096):
                pass
        except BlockingIOError:
            return
