"""One server with all its processes: started on its core, its CPU time and memory read from /proc, ended to the last.

What the server is and what it is asked belongs to others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.machine import TICKS_PER_SECOND, BenchmarkError, pinned

STOP_SECONDS = 5.0
"""How long a server may take to stop by itself; then its processes are killed."""
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it (prctl(2)), so that none outlives the benchmark unseen."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise BenchmarkError(f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


class ServerTree:
    """A running server: the process that was started, and whatever it has started since.

    As a context manager it leaves no process behind, whatever happens inside.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        core: int,
        directory: Path,
        environment: Mapping[str, str],
        output: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start `argv` in `directory` on `core`; both its outputs go to the file `output`."""
        self._output = output
        self._stop_signal = stop_signal
        with pinned(core), output.open("wb") as sink:
            try:
                # A session of its own: Ctrl-C reaches the benchmark only, which then stops the server in order.
                self._root = subprocess.Popen(
                    argv,
                    cwd=directory,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise BenchmarkError(f"{argv[0]} cannot be started: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def is_alive(self) -> bool:
        """Whether the process that was started is still there."""
        return self._root.poll() is None

    def last_words(self) -> str:
        """The last line that the server wrote, for a sentence about its failure."""
        lines = self._output.read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1].strip()[:200] if lines else "it wrote nothing"

    def processes(self) -> list[int]:
        """The process ids of the tree, the root first."""
        return _with_descendants(self._root.pid)

    def cpu_seconds(self) -> float:
        """User and system time of all processes and threads of the tree, those that have ended and were reaped too."""
        ticks = 0
        for pid in self.processes():
            fields = _stat_fields(pid)
            if fields is not None:
                # utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5), of which `fields` lacks two.
                ticks += sum(int(value) for value in fields[11:15])
        return ticks / TICKS_PER_SECOND

    def pss_bytes(self) -> int:
        """Proportional set size of the tree: every page shared by n processes counts as an n-th part in each."""
        return sum(self.pss_bytes_by_process().values())

    def pss_bytes_by_process(self) -> dict[int, int]:
        """The same by process id, the root first."""
        return {pid: _pss_bytes(pid) for pid in self.processes()}

    def stop(self) -> None:
        """Ask the server to stop, wait, and kill what has not gone; returns when all of the tree is gone."""
        if self.is_alive():
            self._root.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._root.wait(STOP_SECONDS)
        # Orphans of the tree have become children of this process, and one server runs at a time: all below is the tree.
        kill_descendants()
        self._root.poll()


def kill_descendants() -> None:
    """Kill every process below this one and wait for it, so that the next server starts on an empty core."""
    for pid in _with_descendants(os.getpid())[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.005)


def _stat_fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from the state on (the name before it may hold anything); None if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def _with_descendants(root: int) -> list[int]:
    """`root` and all processes below it, as /proc shows them at this moment."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat_fields(int(entry))
            if fields is not None:
                children.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, ()))
    return found


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError as error:
        raise BenchmarkError(f"the memory of process {pid} may not be read: run as its user or as root") from error
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
