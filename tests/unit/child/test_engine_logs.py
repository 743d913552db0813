"""The engine writes to the descriptors of the logs themselves: replacing what is behind them reopens both logs."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from tests.unit.child.engine import board, engine_settings, gateway
from tricorn._engine import BlockingDriver


def _exchange(address: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    return answer


def _ask(address: tuple[str, int], name: str) -> None:
    good = f"GET /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert _exchange(address, good).endswith(b"ok")
    assert b" 400 " in _exchange(address, f"GET /{name}\r\n\r\n".encode())


def test_replacing_the_descriptors_reopens_both_logs(tmp_path: Path) -> None:
    def opened(name: str) -> int:
        return os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    error_log, access_log = opened("error.1"), opened("access.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        settings = engine_settings(error_log, access_log, tmp_path)
        driver = BlockingDriver(gateway(), [listener.fileno()], settings, board(), 0, 1)
        thread = threading.Thread(target=driver.run, args=(0,), daemon=True)
        thread.start()
        try:
            _ask(address, "first")
            _until_it_says(tmp_path / "access.1", "first")
            for name, fd in (("error.2", error_log), ("access.2", access_log)):
                new = opened(name)
                os.dup2(new, fd, inheritable=False)
                os.close(new)
            _ask(address, "second")
        finally:
            driver.retire()
            thread.join(10)
    assert not thread.is_alive()
    for number, own, other in ((1, "first", "second"), (2, "second", "first")):
        access = (tmp_path / f"access.{number}").read_text()
        assert own in access, access
        assert other not in access, access
        assert "refused with 400" in (tmp_path / f"error.{number}").read_text()
    for fd in (error_log, access_log):
        os.close(fd)


def _until_it_says(path: Path, word: str) -> None:
    """The writer of the access log gathers lines for a moment."""
    patience = threading.Event()
    for _ in range(500):
        if word in path.read_text():
            return
        patience.wait(0.02)
    pytest.fail(f"{path.name} never said {word}")


def test_a_descriptor_that_is_not_open_is_refused(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(ValueError, match=f"error_log_fd: {write} is not an open descriptor"),
    ):
        # The listener may have been given the number that was closed first.
        BlockingDriver(gateway(), [listener.fileno()], engine_settings(write, None, tmp_path), board(), 0, 1)
