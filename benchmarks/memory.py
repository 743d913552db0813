"""The memory of a Django site in eight processes: tricorn's prefork MPM beside gunicorn with eight workers, no preload.

Proportional set size, so what is shared is counted once: of all processes of the server together, and of those that
served. Tricorn is measured twice: as it is installed, and with `warm_up` for the pages that are asked for.
"""

from __future__ import annotations

import collections
import http.client
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import BenchmarkError
from benchmarks.peers import PEERS
from benchmarks.process_tree import ServerTree
from benchmarks.servers import clean_environment
from benchmarks.trial import START_SECONDS, Bench, TrialError, free_port, wait_until_listening

BAR_RATIO = 0.5
PROCESSES = 8
CLIENTS = 8
REQUESTS = 400
ROUND_OF_REQUESTS = 100
MOST_REQUESTS = 2000
EACH_AT_LEAST = 10
"""Requests each process should have served, so that what it loads late is loaded."""
PATHS = ("/", "/visits/", "/admin/login/?next=/admin/")
APPLICATION = "benchmarks.django_app.wsgi:application"
OURS = ("tricorn", "tricorn-warm")
THEIRS = "gunicorn"
VARIANTS = (*OURS, THEIRS)
LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What one server took."""

    label: str
    django: str
    pss_mib: float
    """All processes together: parent, template and children; master and workers."""
    serving_pss_mib: float
    """Those processes together that answered at least one request."""
    processes: int
    serving: int
    """Processes that answered at least one request."""
    requests: int


def measure(variant: str, bench: Bench) -> Memory:
    """Serve the site with one of VARIANTS, ask for its pages, read the memory; raises TrialError."""
    with tempfile.TemporaryDirectory(prefix="tricorn-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        # Both run the very same Django: the one beside the peers.
        environment = clean_environment(bench.peers.site_packages) | {"BENCHMARK_DATA": str(directory)}
        _make_database(bench, environment)
        port = free_port()
        label, argv = _command(variant, bench)
        argv += ["-w", str(PROCESSES), "-b", f"127.0.0.1:{port}", "--log-level", "warning"]
        try:
            with ServerTree(
                argv, core=bench.cores.server, directory=directory, environment=environment, output=directory / "output"
            ) as tree:
                wait_until_listening(tree, port)
                served = _visit(tree, port)
                pss = tree.pss_bytes_by_process()
                return Memory(
                    label=label,
                    django=PEERS["django"].version,
                    pss_mib=sum(pss.values()) / 2**20,
                    serving_pss_mib=sum(pss.get(pid, 0) for pid in served) / 2**20,
                    processes=len(pss),
                    serving=len(served),
                    requests=served.total(),
                )
        except BenchmarkError as error:
            raise TrialError(str(error)) from error


def _command(variant: str, bench: Bench) -> tuple[str, list[str]]:
    """The label, and the command as far as it is this variant's own."""
    if variant == THEIRS:
        return f"gunicorn sync, {PROCESSES} workers, no preload", [bench.peers.program("gunicorn"), APPLICATION]
    argv = [bench.tricorn, "serve", APPLICATION, "--mpm", "prefork"]
    if variant == "tricorn":
        return f"tricorn prefork, {PROCESSES} children, as installed", argv
    # The host is one that the site allows.
    targets = [word for path in PATHS for word in ("--warm-up", f"http://127.0.0.1{path}")]
    return f"tricorn prefork, {PROCESSES} children, warm_up for the {len(PATHS)} pages", argv + targets


def _make_database(bench: Bench, environment: dict[str, str]) -> None:
    command = [bench.peers.python, "-m", "django", "migrate", "--verbosity", "0"]
    result = subprocess.run(
        command,
        env=environment | {"DJANGO_SETTINGS_MODULE": "benchmarks.django_app.settings"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines()
        raise TrialError(f"the database of the Django site cannot be made: {lines[-1] if lines else 'no reason given'}")


def _visit(tree: ServerTree, port: int) -> collections.Counter[int]:
    """Ask until every process has served some; returns how many requests each process id answered."""
    served: collections.Counter[int] = collections.Counter()
    deadline = time.monotonic() + LIMIT_SECONDS
    with ThreadPoolExecutor(CLIENTS) as clients:
        while served.total() < MOST_REQUESTS and time.monotonic() < deadline:
            start = served.total()
            paths = [PATHS[(start + index) % len(PATHS)] for index in range(ROUND_OF_REQUESTS)]
            served.update(clients.map(lambda path: _visit_page(tree, port, path), paths))
            enough = len(served) == PROCESSES and min(served.values()) >= EACH_AT_LEAST
            if served.total() >= REQUESTS and enough:
                break
    return served


def _visit_page(tree: ServerTree, port: int, path: str) -> int:
    """Ask for a page on a connection of its own; returns the process id that the site names in its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        raise TrialError(f"{path}: no answer ({error!r}); its last words: {tree.last_words()}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise TrialError(f"{path}: status {response.status}; its last words: {tree.last_words()}")
    return int(response.headers["X-Process"])
