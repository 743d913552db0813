"""Nothing is left behind: no descriptor, no temporary file, no memory that grows, whatever clients do."""

from __future__ import annotations

from pathlib import Path

from tests.control.client import until
from tests.server.client import Client, chunked, request
from tests.server.conftest import Serving
from tricorn.testing import Server

SERVING = Serving("plain.py:application", options=("--request-memory=16K", "--response-memory=16K"))


def _resident(pid: int) -> int:
    """Anonymous memory of a process in KiB; what it maps from files does not count."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0])


def test_five_hundred_requests_and_connections_leave_no_descriptor(server: Server) -> None:
    def work() -> None:
        with Client(server.address) as kept:
            for number in range(500):
                if number % 3 == 0:
                    assert kept.get("/").status == 200
                else:
                    with Client(server.address) as client:
                        assert client.get("/", "Connection: close" if number % 2 else "X: y").status == 200
        server.check_descriptors()

    def held() -> dict[int, int]:
        return {process.pid: len(process.descriptors()) for process in server.processes()}

    def least() -> dict[int, int]:
        # The parent reads what its children take, and has a file open while it does.
        looks = [held() for _ in range(5)]
        return {pid: min(look.get(pid, 0) for look in looks) for pid in looks[0]}

    work()
    before = least()
    work()
    until(lambda: least() == before, "nothing more is held than before")


def test_spooled_bodies_leave_no_file(server: Server) -> None:
    body = b"x" * 300_000
    for number in range(10):
        with Client(server.address) as client:
            client.send(request("/count", method="POST", body=body))
            assert client.response().body == b"300000"
            client.send(request("/", "Transfer-Encoding: chunked", method="POST") + chunked(body))
            assert client.response().body == b"Hello"
        with Client(server.address) as broken:
            broken.send(request("/count", "Content-Length: 300000", method="POST") + body[:200_000])
            broken.reset() if number % 2 else broken.close()
    with Client(server.address) as half:
        half.send(request("/count", "Content-Length: 300000", method="POST") + body[:200_000])
        assert half.silent()
        assert list(server.temporary.rglob("*")) == [], "a spooled body has a name"
        half.send(body[200_000:])
        assert half.response().body == b"300000"
    assert list(server.temporary.rglob("*")) == []
    server.check_descriptors()


def test_spooled_answers_leave_no_file(server: Server) -> None:
    for number in range(10):
        with Client(server.address, receive_buffer=4096) as client:
            client.send(request("/big?2000000"))
            client.socket.recv(100)
            if number % 2:
                client.reset()
    with Client(server.address) as client:
        assert len(client.get("/big?2000000").body) == 2_000_000
    assert list(server.temporary.rglob("*")) == []
    server.check_descriptors()


def test_memory_does_not_grow_with_requests(server: Server) -> None:
    def work(rounds: int) -> None:
        for _ in range(rounds):
            with Client(server.address) as client:
                client.send(request("/count", method="POST", body=b"x" * 100_000) + request("/stream") * 5)
                assert client.response().body == b"100000"
                assert all(client.response().complete for _ in range(5))

    work(50)
    before = {pid: _resident(pid) for pid in server.child_pids()}
    work(300)
    grown = {pid: _resident(pid) - size for pid, size in before.items()}
    assert all(kib < 4096 for kib in grown.values()), f"KiB gained by 300 rounds: {grown}"
