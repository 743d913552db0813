"""One trial: a fresh server, warmed up, loaded for some seconds, its CPU time and memory read, ended."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import run_wrk, wrong_answer
from benchmarks.machine import BenchmarkError, Cores, core_times
from benchmarks.peers import Environment
from benchmarks.process_tree import ServerTree
from benchmarks.servers import Place, Server, clean_environment

START_SECONDS = 15.0
"""How long a server may take until it answers."""
WARM_UP_SECONDS = 1


class TrialError(Exception):
    """This server cannot be measured; the text says why. The benchmark goes on without it."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials of a run have in common."""

    cores: Cores
    wrk: str
    peers: Environment
    tricorn: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Trial:
    """The figures of one trial."""

    us_per_request: float
    """CPU time of the server's processes, user and system, divided by the requests answered, in microseconds."""
    requests_per_second: float
    pss_mib: float
    processes: int
    core_busy: float
    """Share of the server's core that the server used, 0 to 1."""
    foreign: float
    """Share of the server's core that other processes and the hypervisor took, 0 to 1: above 0.05 it is noise."""
    p50_us: int
    p99_us: int
    errors: int
    newcomer_served: bool


def run(server: Server, connections: int, bench: Bench) -> Trial:
    """Measure `server` once under so many kept-alive connections; raises TrialError."""
    with _started(server, bench) as (tree, port):
        try:
            run_wrk(bench.wrk, port, connections=connections, seconds=WARM_UP_SECONDS, core=bench.cores.load)
            core_before, cpu_before = core_times(bench.cores.server), tree.cpu_seconds()
            start = time.monotonic()
            load = run_wrk(bench.wrk, port, connections=connections, seconds=bench.seconds, core=bench.cores.load)
            elapsed = time.monotonic() - start
            cpu, core = tree.cpu_seconds() - cpu_before, core_times(bench.cores.server)
            pss, processes = tree.pss_bytes(), len(tree.processes())
        except BenchmarkError as error:
            raise TrialError(str(error)) from error
        if load.requests == 0 or not tree.is_alive():
            raise TrialError(f"it answered {load.requests} requests and said: {tree.last_words()}")
        _expect_right_answer(tree, port, "after the load")
        others = core.busy - core_before.busy - cpu + core.steal - core_before.steal
        return Trial(
            us_per_request=cpu * 1e6 / load.requests,
            requests_per_second=load.requests / load.seconds,
            pss_mib=pss / 2**20,
            processes=processes,
            core_busy=cpu / elapsed,
            foreign=max(0.0, others / elapsed),
            p50_us=load.p50_us,
            p99_us=load.p99_us,
            errors=load.errors,
            newcomer_served=load.newcomer_served,
        )


@contextlib.contextmanager
def _started(server: Server, bench: Bench) -> Iterator[tuple[ServerTree, int]]:
    """The server, answering on the port."""
    with tempfile.TemporaryDirectory(prefix="tricorn-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        place = Place(directory, free_port(), bench.peers, bench.tricorn)
        try:
            tree = ServerTree(
                server.argv(place),
                core=bench.cores.server,
                directory=directory,
                environment=clean_environment(),
                output=directory / "output",
                stop_signal=server.stop_signal,
            )
        except BenchmarkError as error:
            raise TrialError(str(error)) from error
        with tree:
            wait_until_listening(tree, place.port)
            _expect_right_answer(tree, place.port, "before the load")
            yield tree, place.port


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_listening(tree: ServerTree, port: int) -> None:
    """Return when connections are accepted; raises TrialError if the server ends before, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while tree.is_alive() and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.02)
    reason = f"it did not listen within {START_SECONDS:.0f} seconds" if tree.is_alive() else "it ended at its start"
    raise TrialError(f"{reason} and said: {tree.last_words()}")


def _expect_right_answer(tree: ServerTree, port: int, when: str) -> None:
    """A server behind which others already wait gets a few seconds."""
    problem = wrong_answer(port, timeout=5.0)
    if problem is not None:
        raise TrialError(f"wrong answer {when}: {problem}; its last words: {tree.last_words()}")
