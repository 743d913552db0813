"""A child with one thread hears the parent's words on that very thread, in the middle of a wait of its driver."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.child.engine import board, engine_settings, gateway
from tricorn._engine import BlockingDriver, Scoreboard

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Child:
    """A driver on a thread of its own that does what it is told through a descriptor it watches."""

    def __init__(self, listener: socket.socket, spool: Path) -> None:
        self.board: Scoreboard = board()
        self._log = os.open(spool / "error", os.O_WRONLY | os.O_CREAT)
        settings = engine_settings(self._log, None, spool)
        self.driver = BlockingDriver(gateway(), [listener.fileno()], settings, self.board, 0, 1)
        self._heard, self._tell = os.pipe()
        self._words: deque[Callable[[], object]] = deque()
        self._done = threading.Semaphore(0)
        self.thread = threading.Thread(target=self.driver.run, args=(0, self._heard, self._attend), daemon=True)
        self.thread.start()

    def _attend(self) -> None:
        os.read(self._heard, 1)
        self._words.popleft()()
        self._done.release()

    def told(self, word: Callable[[], object]) -> str:
        """Have the thread do `word` in its wait; gives the state that its row says afterwards."""
        self._words.append(word)
        os.write(self._tell, b"\0")
        assert self._done.acquire(timeout=10)
        return self.board.rows()[0].state

    def close(self) -> None:
        """End it, and close what it had."""
        self.driver.retire()
        self.thread.join(10)
        assert not self.thread.is_alive()
        for fd in (self._log, self._heard, self._tell):
            os.close(fd)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
def child(listener: socket.socket, tmp_path: Path) -> Iterator[Child]:
    made = Child(listener, tmp_path)
    yield made
    made.close()


def _client(listener: socket.socket) -> socket.socket:
    client = socket.create_connection(listener.getsockname(), timeout=10)
    client.sendall(GET)
    return client


def _answer(client: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"\r\n\r\nok"):
        piece = client.recv(4096)
        assert piece, answer
        answer += piece
    return answer


def test_it_rests_and_serves_again(child: Child, listener: socket.socket) -> None:
    for _ in range(3):
        assert child.told(child.driver.rest) == "resting"
        with _client(listener) as client:
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert child.told(child.driver.resume) == "ready"
            client.settimeout(10)
            assert b"Connection: close" not in _answer(client)


def test_it_parts_and_then_sweeps(child: Child, listener: socket.socket) -> None:
    assert child.told(child.driver.part) == "ready"
    with _client(listener) as client:
        assert b"Connection: close" in _answer(client)
        assert client.recv(1) == b""
    assert child.told(child.driver.rest) == "resting"
    waiting = [_client(listener) for _ in range(10)]
    assert child.told(lambda: child.driver.retire(sweep=True)) == "draining"
    for client in waiting:
        with client:
            assert b"Connection: close" in _answer(client)
    child.thread.join(10)
    assert child.board.rows()[0].accepted == 11
    assert not child.driver.resume()


def test_told_while_a_client_is_kept_it_ends_that_connection_soon(child: Child, listener: socket.socket) -> None:
    with _client(listener) as client:
        assert b"Connection: close" not in _answer(client)
        assert child.told(child.driver.rest) == "resting"
        client.settimeout(3)  # keep_alive_timeout is longer
        assert client.recv(1) == b""
