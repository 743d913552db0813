"""A server that is nothing but its control socket: real sockets, a real loop, operations that only note.

As a program it is a process of its own: `python fake_server.py PATH [reload=CODE:TEXT]`; PATH of a directory is the
automatic one. It says "ready" on standard output, and ends when it is told to stop.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tricorn.config.settings import LogLevel
from tricorn.control.messages import Outcome
from tricorn.logs import ErrorLog
from tricorn.parent.control import ControlSocket, open_control
from tricorn.status import report


@dataclass(frozen=True)
class Band:
    unit: int = 8
    start: int = 2
    least: int = 1
    most: int = 16
    min_spare: int = 8
    max_spare: int = 24


@dataclass(frozen=True)
class Row:
    connections: int = 12
    requests: int = 123_456
    accepted: int = 9_876
    queued: int = 0
    stages: tuple[str, ...] = ("handler", "handler", "write", *["idle"] * 5)
    queue_time: float = 0.0
    turned_away: int = 0
    dropped: int = 0
    broken_off: int = 0
    held_memory: int = 0
    spooled: int = 0
    timed_out: int = 0
    refused_by_address: int = 0


MIB = 1 << 20


def facts(**changes: Any) -> report.ServerFacts:
    """A server with two children, one of them draining."""
    memory = report.ProcessMemory(31 * MIB, 12 * MIB, 80 * MIB)
    values: dict[str, Any] = {
        "version": "0.1.0",
        "pid": os.getpid(),
        "uptime": 90_061.0,
        "phase": "serving",
        "generation": 3,
        "mpm": "event",
        "application": "shop.wsgi",
        "addresses": ["http://127.0.0.1:8000"],
        "band": Band(),
        "target": 2,
        "limit": None,
        "children": [
            report.ChildFacts(1, 2, 4713, "draining", 3700.5, 8, 1, Row(1, 77, 5, 0, ("handler",)), memory),
            report.ChildFacts(0, 3, 4714, "ready", 59.94, 8, 3, Row(), memory),
            report.ChildFacts(2, 3, None, "starting", 0.02, 8, 0, None, None),
        ],
        "memory": report.MemoryFacts(1600 * MIB, 312 * MIB, 14 * MIB, 890 * MIB, 312 * MIB),
        "reload": report.ReloadFacts("replacing", 3, 2.5),
        "past_requests": 1000,
        "past_accepted": 100,
        "exits": {"killed by SIGKILL": 2},
    }
    return report.ServerFacts(**(values | changes))


class Operations:
    """Notes what is asked for; a reload is answered when `finish` is called, unless `outcome` is known beforehand."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.called: list[str] = []
        self.waiting: list[Callable[[Outcome], None]] = []
        self.outcome = outcome
        self.data: Mapping[str, Any] | None = None
        self.stopped = threading.Event()

    def status(self) -> Mapping[str, Any]:
        self.called.append("status")
        return report.report(facts()) if self.data is None else self.data

    def why(self) -> list[Mapping[str, Any]]:
        return [{"at": "2026-11-23T01:20:00Z", "what": "starts child 2", "reason": "3 of 8 threads are idle"}]

    def reload(self, done: Callable[[Outcome], None]) -> None:
        self.called.append("reload")
        self.waiting.append(done)
        if self.outcome is not None:
            self.finish(self.outcome)

    def finish(self, outcome: Outcome) -> None:
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(outcome)

    def upgrade(self, done: Callable[[Outcome], None]) -> None:
        done(Outcome(2, "the server is pid 1 and cannot be upgraded"))

    def stop(self, *, now: bool) -> None:
        self.called.append("stop now" if now else "stop")
        self.stopped.set()

    def reopen_logs(self) -> Outcome:
        raise RuntimeError("this is a mistake of ours")

    def resize(self, most_units: int) -> Outcome:
        return Outcome(0, f"at most {most_units} threads from now on")

    def retire(self, child: int) -> Outcome:
        return Outcome(2, f"there is no child {child}")


class Server:
    """The loop around a control socket, as the parent has one."""

    def __init__(self, control: ControlSocket, operations: Operations) -> None:
        self.control = control
        self.operations = operations
        self.turns = 0
        self._selector = selectors.DefaultSelector()
        self._todo: list[Callable[[], object]] = []
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        control.register(self._selector)

    def run(self) -> None:
        """Until an operator stops it."""
        while not self.operations.stopped.is_set():
            self.turns += 1
            deadline = self.control.deadline()
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            for key, events in self._selector.select(timeout):
                if key.data is not None:
                    key.data.ready(events)
                else:
                    self._woken.recv(64)
                    while self._todo:
                        self._todo.pop(0)()
            self.control.expire(time.monotonic())
        self.control.close()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def do(self, work: Callable[[], object]) -> None:
        """Have the loop's thread do something."""
        finished = threading.Event()
        self._todo += [work, finished.set]
        self._wake.send(b".")
        assert finished.wait(20)


def main(place: str, *words: str) -> None:
    """The program."""
    outcome = None
    for word in words:
        code, _, text = word.removeprefix("reload=").partition(":")
        outcome = Outcome(int(code), text)
    operations = Operations(outcome)
    log = ErrorLog(2, LogLevel.DEBUG, "parent")
    path = Path(place)
    named, directory = (None, path) if path.name.startswith("tricorn") else (path, None)
    control = open_control(named, directory, os.getpid(), operations, log, time.monotonic)
    assert control is not None
    server = Server(control, operations)
    print("ready", flush=True)
    server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
