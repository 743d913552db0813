"""The processes of a server under test, seen from outside: which there are, and which descriptors they hold.

Linux is asked through /proc, other systems through `ps` (descriptors are then not told).
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MARK = "TESTED_TRICORN_RUN"
"""Environment variable that every process of one run inherits, so that even orphans are found."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    parent: int
    zombie: bool

    def descriptors(self) -> dict[int, str]:
        """Open descriptors and what they refer to, such as "socket:[123]"; empty where that cannot be known."""
        found: dict[int, str] = {}
        directory = Path(f"/proc/{self.pid}/fd")
        try:
            names = os.listdir(directory)
        except OSError:
            return found
        for name in names:
            try:
                found[int(name)] = os.readlink(directory / name)
            except OSError:  # closed since it was listed
                continue
        return found


def processes_of(root: int | None, run: str) -> list[Process]:
    """Processes below and including `root`, and all that carry the mark of `run`; by pid. Zombies are told as such.

    `root` is None once the server has been waited for: its number may belong to somebody else by then.
    """
    everything = _linux(run) if sys.platform == "linux" else _other()
    known = {process.pid for process, marked in everything if marked or process.pid == root}
    grown = True
    while grown:
        below = {process.pid for process, _ in everything if process.parent in known}
        grown = not below <= known
        known |= below
    return sorted((process for process, _ in everything if process.pid in known), key=lambda process: process.pid)


def connections_to(port: int) -> set[int]:
    """Inodes of this system's TCP sockets whose own port is `port` and that do not listen; empty where not known."""
    listening = "0A"
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if int(columns[1].rpartition(":")[2], 16) == port and columns[3] != listening:
                found.add(int(columns[9]))
    return found - {0}


def _linux(run: str) -> list[tuple[Process, bool]]:
    mark = f"{MARK}={run}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        directory = Path("/proc", name)
        try:
            # "pid (any text) state ppid ...": the text may hold blanks and brackets, so count from its last bracket.
            state, parent = (directory / "stat").read_bytes().rpartition(b")")[2].split()[:2]
        except OSError:  # gone since it was listed
            continue
        try:
            marked = mark in (directory / "environ").read_bytes().split(b"\0")
        except OSError:  # gone, a zombie, or somebody else's
            marked = False
        found.append((Process(int(name), int(parent), state in b"ZX"), marked))
    return found


def _other() -> list[tuple[Process, bool]]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,state="], capture_output=True, text=True, check=True)
    found = []
    for line in listing.stdout.splitlines():
        pid, parent, state = line.split()[:3]
        found.append((Process(int(pid), int(parent), state.startswith("Z")), False))
    return found
