"""Every server of the benchmark: what it needs, and the command that starts it. How it is measured is not here."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import configured
from benchmarks.configured import ApachePool
from benchmarks.machine import BenchmarkError
from benchmarks.peers import Environment

ROOT = Path(__file__).resolve().parent.parent
APPLICATION = "benchmarks.app:application"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server of one trial is started."""

    directory: Path
    """Its working directory: empty, its own, removed afterwards."""
    port: int
    peers: Environment
    tricorn: str
    """The command."""

    @property
    def address(self) -> str:
        """Host and port, as most servers want it."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Server:
    """One way to serve the application."""

    name: str
    label: str
    argv: Callable[[Place], list[str]]
    peer: str | None = None
    """The distribution of `peers.PEERS` that it needs."""
    program: Callable[[], str | None] | None = None
    """Finds the system's program that it needs."""
    program_hint: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    is_tricorn: bool = False


def _tricorn(mpm: str, children: int, threads: int) -> Server:
    def argv(place: Place) -> list[str]:
        numbers = ["-w", str(children)] if mpm == "prefork" else ["-w", str(children), "--threads", str(threads)]
        return [
            place.tricorn,
            "serve",
            APPLICATION,
            "--mpm",
            mpm,
            *numbers,
            "-b",
            place.address,
            "--log-level",
            "warning",
        ]

    shape = f"{children} children" if mpm == "prefork" else f"1 child, {threads} threads"
    return Server(mpm, f"tricorn {mpm}, {shape}", argv, is_tricorn=True)


def _embedded(distribution: str, label: str, code: str) -> Server:
    """A server without a command of its own, or whose command offers less than its function."""

    def argv(place: Place) -> list[str]:
        return [place.peers.python, "-c", f"from {APPLICATION.replace(':', ' import ')}\n{code}", str(place.port)]

    return Server(distribution, label, argv, peer=distribution, stop_signal=signal.SIGINT)


def _uwsgi(name: str, label: str, *shape: str) -> Server:
    def argv(place: Place) -> list[str]:
        return [
            place.peers.program("uwsgi"),
            *("--http11-socket", place.address, "--listen", "1024", "--module", APPLICATION, "--need-app"),
            *("--virtualenv", str(place.peers.directory), "--die-on-term", "--disable-logging", *shape),
        ]

    return Server(name, label, argv, peer="uwsgi")


def _gunicorn(name: str, label: str, *shape: str) -> Server:
    def argv(place: Place) -> list[str]:
        program = place.peers.program("gunicorn")
        return [program, "-b", place.address, "-w", "1", *shape, "--log-level", "warning", APPLICATION]

    return Server(name, label, argv, peer="gunicorn")


def _apache(mpm: str, children: int, threads: int) -> Server:
    def argv(place: Place) -> list[str]:
        path = configured.write_apache(place.directory, place.port, ApachePool(mpm, children, threads))
        return [configured.find_apache() or "apache2", "-f", str(path), "-DFOREGROUND"]

    shape = f"{children} children" if mpm == "prefork" else f"1 child, {threads} threads"
    return Server(
        f"apache-{mpm}",
        f"Apache {mpm}, mod_wsgi, {shape}",
        argv,
        program=configured.find_apache,
        program_hint="Debian packages apache2 and libapache2-mod-wsgi-py3",
    )


def _granian(name: str, label: str, *shape: str) -> Server:
    def argv(place: Place) -> list[str]:
        return [
            place.peers.program("granian"),
            *("--interface", "wsgi", "--http", "1", "--host", "127.0.0.1", "--port", str(place.port)),
            *("--workers", "1", *shape, "--no-access-log", "--log-level", "warning", APPLICATION),
        ]

    return Server(name, label, argv, peer="granian")


def _waitress(place: Place) -> list[str]:
    return [place.peers.program("waitress-serve"), f"--listen={place.address}", "--threads=8", APPLICATION]


def _cheroot(place: Place) -> list[str]:
    return [place.peers.program("cheroot"), "--bind", place.address, "--threads", "8", APPLICATION]


def _nginx(place: Place) -> list[str]:
    program = configured.find_nginx() or "nginx"
    path = configured.write_nginx(place.directory, place.port)
    return [program, "-p", str(place.directory), "-e", "stderr", "-c", str(path)]


SERVERS = {
    server.name: server
    for server in (
        _tricorn("event", 1, 8),
        _tricorn("worker", 1, 8),
        _tricorn("prefork", 8, 1),
        _granian("granian", "granian WSGI"),
        _granian("granian-thread", "granian WSGI, 1 blocking thread", "--blocking-threads", "1"),
        _embedded(
            "freastal",
            "freastal WSGI",
            "import freastal, sys; freastal.serve(application, '127.0.0.1', int(sys.argv[1]))",
        ),
        _embedded(
            "fastpysgi", "fastpysgi", "import fastpysgi, sys; fastpysgi.run(application, '127.0.0.1', int(sys.argv[1]))"
        ),
        _embedded("bjoern", "bjoern", "import bjoern, sys; bjoern.run(application, '127.0.0.1', int(sys.argv[1]))"),
        _uwsgi("uwsgi-threads", "uWSGI, 8 threads", "--processes", "1", "--threads", "8"),
        _uwsgi("uwsgi-processes", "uWSGI, 8 processes", "--master", "--processes", "8"),
        _gunicorn("gunicorn-sync", "gunicorn sync", "-k", "sync"),
        _gunicorn("gunicorn-gthread", "gunicorn gthread, 8 threads", "-k", "gthread", "--threads", "8"),
        Server("waitress", "waitress, 8 threads", _waitress, peer="waitress"),
        Server("cheroot", "cheroot, 8 threads", _cheroot, peer="cheroot"),
        Server(
            "nginx",
            "nginx return 200",
            _nginx,
            program=configured.find_nginx,
            program_hint="Debian package nginx-light",
        ),
        _apache("prefork", 8, 1),
        _apache("worker", 1, 8),
        _apache("event", 1, 8),
    )
}


def find_tricorn(asked: str | None) -> str | None:
    """The command that was asked for, else the one beside this interpreter, else the one on the path; absolute."""
    beside = Path(sys.executable).parent / "tricorn"
    found = shutil.which(asked or (str(beside) if beside.exists() else "tricorn"))
    if asked is not None and found is None:
        raise BenchmarkError(f"--tricorn {asked}: there is no such command")
    return os.path.abspath(found) if found is not None else None  # servers are started in directories of their own


def clean_environment(*python_path: str) -> dict[str, str]:
    """What a server gets to see: nothing that a developer's shell sets for one server or another."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), *python_path))
    return environment
