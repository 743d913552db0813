"""Servers for tests of the process tree: small, quick to stop, each test with its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tricorn.testing import Server

APPS = Path(__file__).parent / "apps"
Start = Callable[..., Server]
CHILDREN = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.control)


@pytest.fixture(params=("prefork", "worker", "event"))
def mpm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with a copy of the application, to be edited by the test."""
    directory = tmp_path / "site"
    directory.mkdir()
    shutil.copy(APPS / "told.py", directory)
    directory.chmod(0o755)
    tmp_path.chmod(0o755)
    return directory


@pytest.fixture
def control() -> Iterator[Path]:
    """Where a control socket may be made; short, as the paths of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="tricorn-control-") as directory:
        yield Path(directory, "socket")


def make(site: Path, mpm: str, *options: str, application: str = "told", **more: Any) -> Server:
    """A server that was not started; two children, and two threads where there are threads."""
    threads = () if mpm == "prefork" else ("--threads-per-child", "2")
    mine = ("--workers", str(CHILDREN), *threads, "--graceful-timeout", "10", "--log-level", "debug")
    return Server(application, mpm=mpm, options=(*mine, *options), directory=site, **more)


@pytest.fixture
def start(site: Path, mpm: str) -> Iterator[Start]:
    """Start servers under each MPM; they are stopped and checked for leftovers at the end."""
    with ExitStack() as stack:

        def started(*options: str, **more: Any) -> Server:
            return stack.enter_context(make(site, mpm, *options, **more))

        yield started


@pytest.fixture
def launch(site: Path) -> Iterator[Start]:
    """Launch servers that may not come up; whatever is left of them is ended at the end."""
    with ExitStack() as stack:

        def launched(*options: str, mpm: str = "event", **more: Any) -> Server:
            server = make(site, mpm, *options, **more)
            stack.callback(server._clean_up)
            return server.launch()

        yield launched
