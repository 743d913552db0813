from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.control.fake_server import Operations, Server
from tricorn.config.settings import LogLevel
from tricorn.logs import ErrorLog
from tricorn.parent.control import ControlSocket


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "error.log"


@pytest.fixture
def log(log_file: Path) -> Iterator[ErrorLog]:
    fd = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield ErrorLog(fd, LogLevel.DEBUG, "parent")
    os.close(fd)


@pytest.fixture
def server(tmp_path: Path, log: ErrorLog) -> Iterator[Server]:
    """A server that is nothing but its control socket, in a thread."""
    operations = Operations()
    server = Server(ControlSocket(tmp_path / "c.sock", os.getpid(), operations, log, time.monotonic), operations)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    if not operations.stopped.is_set():
        server.do(operations.stopped.set)
    thread.join(20)
    assert not thread.is_alive()
