"""`python -m benchmarks.soak`: many reloads and many replaced children, and what a server holds before and after.

Nothing may accumulate: descriptors, threads, memory of the parent, zombies, shared memory, sockets' files. Children are
killed (SIGKILL), asked to leave (TERM to the child) and retired (`tricorn retire`) in turn; a client asks all the while.
Kills keep below the number of crashes in a row that a server answers without waiting; the other two have no such bound.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.machine import BenchmarkError
from benchmarks.servers import clean_environment
from benchmarks.trial import free_port
from tricorn.control.client import Conversation, NoAnswerError
from tricorn.control.messages import Done, Request, Verb

STEP_SECONDS = 60.0
"""How long one reload or one replacement may take."""
CALM_SECONDS = 61.0
"""Without a crash for so long, a server begins to count anew."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a server holds at one moment."""

    parent_fds: int
    parent_threads: int
    parent_pss_kib: int
    template_fds: int
    processes: int
    zombies: int
    shared_files: int
    """Entries of /dev/shm, whoever made them."""
    temporary_files: int


class Soaked:
    """One server, and what is done to it."""

    def __init__(self, mpm: str, children: int, directory: Path) -> None:
        self._number = children
        self._control = directory / "control"
        self._temporary = directory / "tmp"
        self._temporary.mkdir()
        self._log = directory / "log"
        self.port = free_port()
        threads = [] if mpm == "prefork" else ["--threads-per-child", "2"]
        command = [sys.executable, "-m", "tricorn", "serve", "benchmarks.app:application", "--mpm", mpm, *threads]
        command += ["--workers", str(children), "--bind", f"127.0.0.1:{self.port}"]
        command += ["--control-socket", str(self._control), "--log-level", "warning"]
        environment = clean_environment(*sys.path) | {"TMPDIR": str(self._temporary)}
        with self._log.open("wb") as sink:
            self._process = subprocess.Popen(command, cwd=directory, env=environment, stdout=sink, stderr=sink)
        self.wait_for(lambda: self._ready() == self._number, "the server serves")

    @property
    def pid(self) -> int:
        """The parent."""
        return self._process.pid

    def ask(self, request: Request) -> Done:
        """One verb; raises BenchmarkError unless it did what it should."""
        with Conversation(self._control) as conversation:
            done = conversation.ask(request, lambda _: None, time.monotonic() + STEP_SECONDS)
        if done is None or done.outcome.code != 0:
            raise BenchmarkError(f"{request.verb.value}: {done and done.outcome.text}; {self.last_words()}")
        return done

    def reload(self) -> None:
        """One reload, and wait until the old generation has left."""
        self.ask(Request(Verb.RELOAD))
        self.wait_for(lambda: self._ready() == self._number, "the old generation has left")

    def replace(self, how: str) -> None:
        """End one child, and wait for its successor."""
        child = self._children()[0]
        if how == "retire":
            self.ask(Request(Verb.RETIRE, child=child["slot"]))
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child["pid"], signal.SIGKILL if how == "kill" else signal.SIGTERM)

        def replaced() -> bool:
            children = self._children()
            pids = {each["pid"] for each in children}
            return child["pid"] not in pids and len(children) == self._number == self._ready(children)

        self.wait_for(replaced, f"a child that was told to leave ({how}) is replaced")

    def holding(self) -> Holding:
        """Counted when it has settled: what is on its way out gets a few seconds."""
        seen = [self._count()]
        deadline = time.monotonic() + 10
        while len(seen) < 4 or len({each.parent_fds for each in seen[-4:]}) > 1:
            if time.monotonic() > deadline:
                break
            time.sleep(0.25)
            seen.append(self._count())
        return seen[-1]

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Raises BenchmarkError when it takes too long, or the server has ended."""
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            with contextlib.suppress(NoAnswerError):
                if condition():
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"this did not come: {what}; {self.last_words()}")
            time.sleep(0.005)

    def last_words(self) -> str:
        """The end of the log."""
        return f"the server's log ends: {self._log.read_text(errors='replace')[-500:]}"

    def stop(self) -> None:
        """Stop gracefully, or kill."""
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _children(self) -> list[dict[str, int]]:
        children: list[dict[str, int]] = self.ask(Request(Verb.STATUS)).data["children"]
        return children

    def _ready(self, children: list[dict[str, int]] | None = None) -> int:
        rows = self._children() if children is None else children
        return len(rows) if all(str(row["state"]) == "ready" for row in rows) else -1

    def _count(self) -> Holding:
        below = _below(self.pid)
        templates = [pid for pid, (parent, _) in below.items() if parent == self.pid]
        return Holding(
            parent_fds=_entries(f"/proc/{self.pid}/fd"),
            parent_threads=_entries(f"/proc/{self.pid}/task"),
            parent_pss_kib=_pss(self.pid),
            template_fds=max((_entries(f"/proc/{pid}/fd") for pid in templates), default=0),
            processes=1 + len(below),
            zombies=sum(state == "Z" for _, state in below.values()),
            shared_files=_entries("/dev/shm"),
            temporary_files=sum(1 for _ in self._temporary.rglob("*")),
        )


class Asking(threading.Thread):
    """A client on a kept connection, until told to end."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._ended = threading.Event()
        self.answered = 0
        self.failed = 0

    def run(self) -> None:
        """One request after the other, with a pause."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._ended.wait(0.01):
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                self.answered += 1
            except (OSError, HTTPException):
                self.failed += 1
                connection.close()

    def end(self) -> None:
        """Wait for the last answer."""
        self._ended.set()
        self.join()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: nothing was left behind; 1: something was, or it cannot be measured here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--mpm", choices=("prefork", "worker", "event"), default="event")
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--replacements", type=int, default=10_000)
    parser.add_argument("--kills", action="store_true", help="kill children too: a calm minute for each 2 x CHILDREN")
    parser.add_argument("--children", type=int, default=3)
    parser.add_argument("--every", type=int, default=500, help="print what is held so often")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="tricorn-soak-") as directory:
        try:
            return soak(options, Path(directory))
        except (BenchmarkError, NoAnswerError) as error:
            print(f"benchmark: {error}", file=sys.stderr)
            return 1


def soak(options: argparse.Namespace, directory: Path) -> int:
    """The whole run."""
    server = Soaked(options.mpm, options.children, directory)
    try:
        client = Asking(server.port)
        client.start()
        # The first of each kind makes what stays for good: caches, modules that are loaded when needed.
        server.reload()
        server.replace("retire")
        before = server.holding()
        _print_row("", Holding)
        _print_row("before", before)
        for number in range(1, options.reloads + 1):
            server.reload()
            if number % options.every == 0 or number == options.reloads:
                _print_row(f"{number} reloads", server.holding())
        ways = itertools.cycle(("kill", "retire", "term", "retire") if options.kills else ("retire", "term"))
        kills = 0
        for number, how in zip(range(1, options.replacements + 1), ways, strict=False):
            if how == "kill":
                kills += 1
                if kills % (2 * options.children) == 0:
                    time.sleep(CALM_SECONDS)
            server.replace(how)
            if number % options.every == 0 or number == options.replacements:
                _print_row(f"{number} children", server.holding())
        client.end()
        after = server.holding()
        _print_row("after", after)
        print(f"client: {client.answered} answered, {client.failed} failed ({kills} kills)")
    finally:
        server.stop()
    return 0 if _same(before, after) and (client.failed <= kills) else 1


def _same(before: Holding, after: Holding) -> bool:
    """Memory may settle a little higher; everything else may not."""
    counts = [field.name for field in fields(Holding) if field.name not in {"parent_pss_kib", "shared_files"}]
    same = all(getattr(after, name) <= getattr(before, name) for name in counts)
    return same and after.parent_pss_kib <= before.parent_pss_kib + 4096


def _print_row(label: str, row: Holding | type[Holding]) -> None:
    cells = [field.name for field in fields(Holding)] if isinstance(row, type) else [str(cell) for cell in astuple(row)]
    print(f"{label:>16}" + "".join(f"{cell:>17}" for cell in cells), flush=True)


def _below(root: int) -> dict[int, tuple[int, str]]:
    """Processes below `root`: parent and state of each; zombies too."""
    everyone: dict[int, tuple[int, str]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path("/proc", name, "stat").read_bytes()
            except OSError:  # gone since it was listed
                continue
            state, parent = stat.rpartition(b")")[2].split()[:2]
            everyone[int(name)] = int(parent), state.decode()
    found = {root}
    while more := {pid for pid, (parent, _) in everyone.items() if parent in found} - found:
        found |= more
    return {pid: everyone[pid] for pid in found - {root}}


def _entries(directory: str) -> int:
    try:
        return len(os.listdir(directory))
    except OSError:  # gone, or no such place on this system
        return 0


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    sys.exit(main())
