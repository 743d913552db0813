"""The servers that stand against slow clients, and how each is started: two children where they have children, else as
installed. `benchmarks.servers` has the same servers in the shapes in which their speed is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.servers import Place

APPLICATION = "benchmarks.slow_app:application"
SLOTS = 2
"""Places for requests of a small server, in the four cells; Tricorn's event MPM has one."""


@dataclass(frozen=True, slots=True)
class Besieged:
    """One server."""

    name: str
    label: str
    argv: Callable[[Place], list[str]]
    peer: str | None = None
    """The distribution of `peers.PEERS` that it needs; None is Tricorn itself."""


def _tricorn(mpm: str, label: str, *shape: str) -> Besieged:
    def argv(place: Place) -> list[str]:
        command = [place.tricorn, "serve", APPLICATION, "--mpm", mpm, *shape]
        return [*command, "--bind", place.address, "--log-level", "warning", "--control-socket", "off"]

    return Besieged(mpm, f"tricorn {mpm}, {label}", argv)


def _gunicorn(name: str, label: str, *shape: str) -> Besieged:
    def argv(place: Place) -> list[str]:
        program = place.peers.program("gunicorn")
        return [program, "--bind", place.address, *shape, "--log-level", "error", APPLICATION]

    return Besieged(name, f"gunicorn {label}", argv, "gunicorn")


def _granian(label: str, *shape: str) -> Besieged:
    def argv(place: Place) -> list[str]:
        return [
            place.peers.program("granian"),
            *("--interface", "wsgi", "--http", "1", "--host", "127.0.0.1", "--port", str(place.port), *shape),
            *("--no-access-log", "--log-level", "error", APPLICATION),
        ]

    return Besieged("granian", f"granian {label}", argv, "granian")


def _uwsgi(label: str, *shape: str) -> Besieged:
    def argv(place: Place) -> list[str]:
        return [
            place.peers.program("uwsgi"),
            *("--http11-socket", place.address, "--listen", "1024", "--module", APPLICATION, "--need-app"),
            *("--virtualenv", str(place.peers.directory), "--master", "--die-on-term", "--disable-logging", *shape),
        ]

    return Besieged("uwsgi", f"uWSGI {label}", argv, "uwsgi")


def _waitress(threads: int) -> Besieged:
    def argv(place: Place) -> list[str]:
        return [
            place.peers.program("waitress-serve"),
            *(f"--listen={place.address}", f"--threads={threads}", APPLICATION),
        ]

    return Besieged("waitress", f"waitress, {threads} threads", argv, "waitress")


def _cheroot(threads: int) -> Besieged:
    def argv(place: Place) -> list[str]:
        return [place.peers.program("cheroot"), "--bind", place.address, "--threads", str(threads), APPLICATION]

    return Besieged("cheroot", f"cheroot, {threads} threads", argv, "cheroot")


def _named(*servers: Besieged) -> dict[str, Besieged]:
    return {server.name: server for server in servers}


SERVERS = _named(
    _tricorn("event", "2 children", "--workers", "2"),
    _tricorn("worker", "as installed"),
    _tricorn("prefork", "as installed"),
    _gunicorn("gunicorn-sync", "sync, 2 workers", "--workers", "2"),
    _gunicorn("gunicorn-gthread", "gthread, 2 x 8 threads", "-k", "gthread", "--workers", "2", "--threads", "8"),
    _granian("WSGI, 2 workers", "--workers", "2"),
    _waitress(8),
    _cheroot(8),
    _uwsgi("2 processes x 8 threads", "--processes", "2", "--threads", "8"),
)
"""With their defaults, two children or what comes nearest."""

SMALL = _named(
    _tricorn("event", "1 child, 1 thread", "--workers", "1", "--threads", "1"),
    _tricorn("worker", "1 child, 2 threads", "--workers", "1", "--threads", str(SLOTS)),
    _tricorn("prefork", "2 children", "--workers", str(SLOTS)),
    _gunicorn("gunicorn-sync", "sync, 2 workers", "--workers", str(SLOTS)),
    _gunicorn("gunicorn-gthread", "gthread, 1 x 2 threads", "-k", "gthread", "--threads", str(SLOTS)),
    _granian("WSGI, 2 blocking threads", "--blocking-threads", str(SLOTS)),
    _waitress(SLOTS),
    _cheroot(SLOTS),
    _uwsgi("2 processes", "--processes", str(SLOTS)),
)
"""With places for two requests (event: for one), so that two bad clients could take all of them."""
