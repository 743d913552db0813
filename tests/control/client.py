"""What control tests ask a server, and how they wait: for conditions, never for a time."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tricorn.control.client import Conversation
from tricorn.control.messages import Request, Verb
from tricorn.testing import Server

T = TypeVar("T")


def ask(server: Server, path: str, timeout: float = 30.0) -> str:
    """The body of the answer, over a connection of its own."""
    connection = http.client.HTTPConnection(*server.address, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def ask_unix(path: Path, target: str) -> str:
    """As `ask`, over a Unix socket."""
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(30)
        end.connect(str(path))
        end.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
        received = b"".join(iter(lambda: end.recv(65536), b""))
    return received.partition(b"\r\n\r\n")[2].decode()


def until(condition: Callable[[], T], what: str, timeout: float = 30.0) -> T:
    """Wait for the condition, and give what it gave."""
    deadline = time.monotonic() + timeout
    while not (outcome := condition()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.02)  # other processes give no event for it
    return outcome


def wait_until_busy(server: Server) -> None:
    """Until some child is inside the application's sleep."""
    # 230 and 35: clock_nanosleep and nanosleep of x86-64; 115 and 101 of arm64.
    sleeps = {"230", "35", "115", "101"}

    def called(task: Path) -> str:
        try:
            return (task / "syscall").read_text().split()[0]
        except OSError:  # it has ended since it was listed
            return ""

    def sleeping() -> bool:
        tasks = (task for pid in server.child_pids() for task in Path(f"/proc/{pid}/task").glob("*"))
        return any(called(task) in sleeps for task in tasks)

    until(sleeping, "a child is busy")


def settled_descriptors(pid: int) -> int:
    """How many descriptors a process holds once that no longer changes: it says that it serves before all is tidied up."""
    counts: deque[int] = deque(maxlen=20)

    def settled() -> bool:
        counts.append(len(os.listdir(f"/proc/{pid}/fd")))
        return len(counts) == 20 and len(set(counts)) == 1

    until(settled, "the descriptors settle")
    return counts[-1]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Told:
    """What a verb of the command line had to say."""

    code: int
    out: str
    error: str

    @property
    def document(self) -> Any:
        """The JSON object that `--json` asked for."""
        return json.loads(self.out)

    @property
    def data(self) -> Any:
        """What was asked for, of that object."""
        return self.document["data"]


def tell(control: Path, *words: str, timeout: float = 60.0) -> Told:
    """A verb and its options on the command line, for the server at the control socket."""
    command = [sys.executable, "-m", "tricorn", *words, "--socket", str(control)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    return Told(done.returncode, done.stdout, done.stderr)


def status(control: Path) -> Mapping[str, Any]:
    """The server's status, without starting a process for it."""
    with Conversation(control) as conversation:
        done = conversation.ask(Request(Verb.STATUS), lambda _: None, time.monotonic() + 30)
    assert done is not None
    assert done.outcome.code == 0, done
    return done.data
