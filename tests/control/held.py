"""Requests that are held inside the application (`apps/gated.py`) until the test lets them go."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Self

from tests.control.client import ask
from tricorn.testing import Server


class Held:
    """Requests that are held by `gated.py`, each on a connection of its own; leaving the context lets them go."""

    def __init__(self, server: Server, site: Path) -> None:
        self._server, self._site = server, site
        self._threads: list[threading.Thread] = []
        self.answers: list[str] = []
        (site / "gate").unlink(missing_ok=True)

    def add(self, number: int, path: str = "/hold") -> None:
        """Send so many more."""
        for _ in range(number):
            thread = threading.Thread(target=self._ask, args=(path,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def fill(self, units: int, path: str = "/hold") -> None:
        """Send one after the other until so many are in the application; one that waits elsewhere is not waited for."""
        deadline = time.monotonic() + 60
        while (seen := len(self.begun())) < units:
            assert time.monotonic() < deadline, f"{seen} of {units} units were taken by {len(self._threads)} requests"
            self.add(1, path)
            moment = time.monotonic() + 0.3
            while len(self.begun()) == seen and time.monotonic() < moment:
                time.sleep(0.01)

    @property
    def sent(self) -> int:
        """How many were sent."""
        return len(self._threads)

    def let_go(self) -> list[str]:
        """Open the gate; the answers of all."""
        (self._site / "gate").touch()
        for thread in self._threads:
            thread.join(60)
        return self.answers

    def begun(self) -> list[tuple[float, int]]:
        """When each of the requests that are in the application began there, and in which process."""
        try:
            lines = (self._site / "begun").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(float(at), int(pid)) for at, pid in map(str.split, lines)]

    def _ask(self, path: str) -> None:
        try:
            self.answers.append(ask(self._server, path, timeout=60))
        except OSError as error:
            self.answers.append(repr(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
