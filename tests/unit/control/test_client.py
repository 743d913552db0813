from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import Forked
from tests.unit.control.fake_server import Server
from tricorn.control import client
from tricorn.control.client import Conversation, NoAnswerError
from tricorn.control.messages import Done, Outcome, Request, Verb, encode_answer


@pytest.fixture
def path() -> Iterator[Path]:
    # The path of a Unix socket is short, that of a test is not always.
    with tempfile.TemporaryDirectory(prefix="tc") as name:
        yield Path(name, "c.sock")


@pytest.fixture
def listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))
        end.listen(0)
        yield end


def ask(conversation: Conversation, seconds: float = 20.0) -> Done | None:
    return conversation.ask(Request(Verb.STATUS), lambda _: None, time.monotonic() + seconds)


def test_it_knows_whom_it_talks_to(server: Server) -> None:
    with Conversation(server.control.path) as conversation:
        assert conversation.pid == os.getpid()
        done = ask(conversation)
    assert done is not None
    assert done.outcome == Outcome(0, "")


def test_a_server_that_is_too_busy_for_a_moment_is_waited_for(listener: socket.socket, path: Path) -> None:
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(path))  # the queue is full now

    def serve() -> None:
        for _ in range(2):
            end, _ = listener.accept()
            end.sendall(encode_answer(Done(Outcome(0, "at last"))))
            end.close()

    thread = threading.Timer(0.2, serve)
    thread.start()
    with waiting, Conversation(path) as conversation:
        done = ask(conversation)
    thread.join()
    assert done is not None
    assert done.outcome.text == "at last"


def test_a_server_that_is_always_too_busy(listener: socket.socket, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.2)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))
        with pytest.raises(NoAnswerError, match="too busy to take the connection"):
            Conversation(path)


@pytest.mark.usefixtures("listener")
def test_a_server_that_does_not_answer(path: Path) -> None:
    with Conversation(path) as conversation, pytest.raises(NoAnswerError, match="has not answered in time"):
        ask(conversation, 0.1)


def test_a_server_that_never_ends_its_line(listener: socket.socket, path: Path) -> None:
    def flood() -> None:
        end, _ = listener.accept()
        with end:
            try:
                while True:
                    end.sendall(b"x" * (1 << 16))
            except OSError:
                return

    thread = threading.Thread(target=flood)
    thread.start()
    with Conversation(path) as conversation, pytest.raises(NoAnswerError, match="too long"):
        ask(conversation)
    thread.join(20)


def test_a_server_that_says_no_before_it_has_read(listener: socket.socket, path: Path) -> None:
    with Conversation(path) as conversation:
        end, _ = listener.accept()
        end.sendall(encode_answer(Done(Outcome(2, "16 others are talking"))))
        end.close()
        done = ask(conversation)
    assert done is not None
    assert done.outcome.code == 2


@pytest.mark.parametrize("watched", ["process", "socket"])
def test_the_end_of_a_server(path: Path, watched: str) -> None:
    listens, told = os.pipe()

    def serve() -> None:
        end = socket.socket(socket.AF_UNIX)
        end.bind(str(path))
        end.listen()
        os.write(told, b".")
        client, _ = end.accept()
        client.recv(1)
        signal.pause()

    with Forked(serve) as server:
        os.close(told)
        # Not before: the file is there a moment before anybody listens.
        assert os.read(listens, 1) == b"."
        os.close(listens)
        with Conversation(path) as conversation:
            if watched == "socket" and conversation._pidfd is not None:
                os.close(conversation._pidfd)
                conversation._pidfd = None
            assert not conversation.wait_for_end(time.monotonic() + 0.15)
            server.kill()
            assert conversation.wait_for_end(time.monotonic() + 20)
