"""One siege: a fresh server, honest clients in peace, then under attack; what they got, and what it cost the server.

The attackers and the honest clients are processes of their own. Which servers and attacks there are is not here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.besieged import Besieged
from benchmarks.honest import PATIENCE, Visit
from benchmarks.machine import BenchmarkError, pinned
from benchmarks.process_tree import ServerTree
from benchmarks.servers import ROOT, Place, clean_environment
from benchmarks.trial import Bench, TrialError, free_port, wait_until_listening

CALM_SECONDS = 3.0
"""Honest clients alone, before the attack."""
LOOK_SECONDS = 0.5
"""Between two looks at the memory."""
END_SECONDS = 10.0
"""How long attackers and honest clients may take to tell their account."""


@dataclass(frozen=True, slots=True)
class Assault:
    """One attack, as the process that makes it."""

    name: str
    label: str
    clients: int
    argv: Callable[[int, float], list[str]]
    """The command for a port and a number of seconds. It ends by itself; closing its standard input ends it sooner."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of some honest clients. Times in milliseconds, of those that were answered."""

    asked: int
    answered: int
    p50_ms: float | None
    p99_ms: float | None
    problems: dict[str, int]

    @property
    def share(self) -> float:
        """Of those who asked, 0 to 1."""
        return self.answered / self.asked if self.asked else 0.0


@dataclass(frozen=True, slots=True)
class Siege:
    """The figures of one siege."""

    calm: Answers
    attacked: Answers
    recovered: float | None
    """Seconds after the beginning of the attack from which on every honest client was answered; None: never."""
    pss_before: int
    pss_peak: int
    held: int
    """Most connections to the server at one moment, those that still wait in the kernel's queue included."""
    kernel_peak: int
    """Bytes of socket buffers by which the kernel grew at most, both ends."""
    attackers: Mapping[str, Any]
    seconds: Sequence[float]
    """For each second of the attack, the share of those who came in it that were answered."""

    @property
    def growth(self) -> int:
        """Bytes of proportional set size that the attack cost the server."""
        return self.pss_peak - self.pss_before


def run(server: Besieged, assault: Assault, bench: Bench, *, rate: float) -> Siege:
    """Honest clients at `rate` a second, for bench.seconds under attack; raises TrialError."""
    with started(server, bench) as (tree, port):
        seconds = CALM_SECONDS + bench.seconds
        honest = _spawn([sys.executable, "-m", "benchmarks.honest", str(port), str(rate), str(seconds)], bench)
        with honest, contextlib.ExitStack() as ending:
            ending.callback(honest.kill)
            time.sleep(CALM_SECONDS)
            before, kernel_before = tree.pss_bytes(), _kernel_bytes()
            began = time.monotonic()
            # They outlast the patience of the last honest client, who would be answered when they go.
            attackers = _spawn(assault.argv(port, bench.seconds + PATIENCE), bench)
            with attackers:
                ending.callback(attackers.kill)
                peak, kernel_peak, held = before, kernel_before, 0
                while time.monotonic() < began + bench.seconds:
                    time.sleep(LOOK_SECONDS)
                    peak, kernel_peak = max(peak, tree.pss_bytes()), max(kernel_peak, _kernel_bytes())
                    held = max(held, _connections(port))
                visits = [
                    Visit(*each)
                    for each in json.loads(_told(honest, "the process of the honest clients", PATIENCE + END_SECONDS))
                ]
                account = _account(_told(attackers, "the attack", END_SECONDS))
        if not tree.is_alive():
            raise TrialError(f"it did not survive the attack, and said: {tree.last_words()}")
    during = [visit for visit in visits if began <= visit.came < began + bench.seconds]
    return Siege(
        calm=judge([visit for visit in visits if visit.came + visit.took < began]),
        attacked=judge(during),
        recovered=recovered(during, began),
        pss_before=before,
        pss_peak=peak,
        held=held,
        kernel_peak=kernel_peak - kernel_before,
        attackers=account,
        seconds=by_second(during, began),
    )


@contextlib.contextmanager
def started(server: Besieged, bench: Bench) -> Iterator[tuple[ServerTree, int]]:
    """The server, listening on the port."""
    with tempfile.TemporaryDirectory(prefix="tricorn-siege-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        place = Place(directory, free_port(), bench.peers, bench.tricorn)
        try:
            tree = ServerTree(
                server.argv(place),
                core=bench.cores.server,
                directory=directory,
                environment=clean_environment(),
                output=directory / "output",
            )
        except BenchmarkError as error:
            raise TrialError(str(error)) from error
        with tree:
            wait_until_listening(tree, place.port)
            yield tree, place.port


def judge(visits: Sequence[Visit]) -> Answers:
    """Shares and percentiles."""
    took = sorted(visit.took * 1000 for visit in visits if not visit.problem)
    return Answers(
        asked=len(visits),
        answered=len(took),
        p50_ms=took[len(took) // 2] if took else None,
        p99_ms=took[min(len(took) - 1, int(len(took) * 0.99))] if took else None,
        problems=dict(Counter(visit.problem for visit in visits if visit.problem)),
    )


def recovered(visits: Sequence[Visit], began: float) -> float | None:
    """When the last one came who was not answered; whoever came after it was."""
    if not visits or visits[-1].problem:
        return None
    return max((visit.came - began for visit in visits if visit.problem), default=0.0)


def by_second(visits: Sequence[Visit], began: float) -> list[float]:
    """The shares of those answered, second by second; a second in which nobody came is as the one before."""
    shares: list[float] = []
    for second in range(int(visits[-1].came - began) + 1 if visits else 0):
        came = [visit for visit in visits if int(visit.came - began) == second]
        shares.append(judge(came).share if came else shares[-1] if shares else 1.0)
    return shares


def _spawn(argv: Sequence[str], bench: Bench) -> subprocess.Popen[str]:
    with pinned(bench.cores.load):
        return subprocess.Popen(
            argv,
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def _told(process: subprocess.Popen[str], what: str, patience: float) -> str:
    """What the process says at its end."""
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise TrialError(f"{what} did not end in time") from error
    return output


def _account(text: str) -> Mapping[str, Any]:
    """Our own attackers tell JSON; others tell whatever they like."""
    try:
        account = json.loads(text)
    except ValueError:
        return {}
    return account if isinstance(account, dict) else {}


def _kernel_bytes() -> int:
    """Socket buffers of TCP on the whole machine, sockstat of proc(5)."""
    words = Path("/proc/net/sockstat").read_text("ascii").partition("TCP:")[2].split("\n")[0].split()
    return int(words[words.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE")


def _connections(port: int) -> int:
    """Connections of the server's port that it has not ended (established, or the client has ended its side)."""
    end = f":{port:04X}"
    rows = (line.split(None, 4) for line in Path("/proc/net/tcp").read_text("ascii").splitlines())
    return sum(row[1].endswith(end) and row[3] in {"01", "08"} for row in rows)
