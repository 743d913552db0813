"""One running server per module and MPM, and what tests need to start others.

A module says what it wants served in a constant `SERVING`; each of its tests runs under prefork, worker and event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.server.client import Client
from tricorn.testing import Server

APPS = Path(__file__).parent / "apps"
MPMS = ("prefork", "worker", "event")
# Small numbers, so that what holds a child or a thread too long is seen.
CAPACITY = {
    "prefork": ("--workers", "4"),
    "worker": ("--workers", "2", "--threads-per-child", "4"),
    "event": ("--workers", "2", "--threads-per-child", "2"),
}


@dataclass(frozen=True)
class Serving:
    """What a module's server serves: `APP.py:NAME` below tests/server/apps, and more options."""

    application: str
    options: tuple[str, ...] = ()
    capacity: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: CAPACITY)
    environment: Mapping[str, str] = field(default_factory=dict)


Start = Callable[..., Server]


def make(mpm: str, serving: Serving, **more: Any) -> Server:
    """A server that was not started yet."""
    return Server(
        str(APPS / serving.application),
        mpm=mpm,
        options=(*serving.capacity[mpm], *serving.options),
        environment=serving.environment,
        directory=APPS,
        **more,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="module", params=MPMS)
def mpm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, mpm: str) -> Iterator[Server]:
    """The module's server. It is checked for leftovers when the last test of the module has run."""
    with make(mpm, request.module.SERVING) as running:
        yield running


@pytest.fixture
def start(mpm: str) -> Iterator[Start]:
    """Start servers of a test's own: `start(Serving(...))`. They are stopped and checked at its end."""
    with ExitStack() as stack:

        def started(serving: Serving, **more: Any) -> Server:
            return stack.enter_context(make(mpm, serving, **more))

        yield started


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., Client]]:
    """Open connections to the module's server; they are closed at the end of the test."""
    with ExitStack() as stack:

        def connected(**options: Any) -> Client:
            return stack.enter_context(Client(server.address, **options))

        yield connected


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    """One connection to the module's server."""
    return connect()
