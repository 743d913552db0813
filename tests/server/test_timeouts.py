"""Requests for which the application takes too long: what their clients get, what the log tells, what becomes of the thread,
and that nobody else notices.
"""

from __future__ import annotations

import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.client import Client, ClosedError, Response, request
from tests.server.conftest import Serving, Start
from tricorn.testing import Server

ONE_CHILD = {
    "prefork": ("--workers=1",),
    "worker": ("--workers=1", "--threads-per-child=2", "--timeout-grace=1"),
    "event": ("--workers=1", "--threads-per-child=2", "--timeout-grace=1"),
}
EIGHT = {
    "prefork": ("--workers=8",),
    "worker": ("--workers=1", "--threads-per-child=8"),
    "event": ("--workers=1", "--threads-per-child=8"),
}
PATIENT = {**EIGHT, "prefork": ONE_CHILD["prefork"]}
"""One child that is not replaced while a test goes on."""
SOON = ("-t", "2", "--graceful-timeout=1", "--access-log=-", "--access-log-format=%m %U %>s")


def late(timeout: tuple[str, ...] = SOON, capacity: dict[str, tuple[str, ...]] = ONE_CHILD) -> Serving:
    return Serving("late.py:app", options=timeout, capacity=capacity)


def facts(server: Server) -> list[str]:
    """The process that answers, and what has been seen in it."""
    with Client(server.address) as client:
        return client.get("/facts").text.split()


def get(server: Server, path: str) -> Response:
    with Client(server.address) as client:
        return client.get(path)


@pytest.mark.parametrize("path", ["/sleep/600", "/busy/600"])
def test_the_client_gets_504_the_log_the_stack_and_the_thread_comes_back(start: Start, mpm: str, path: str) -> None:
    server = start(late(capacity=PATIENT))
    before = facts(server)[0]
    with Client(server.address) as client:
        answer = client.send(request(path) + request("/hello")).response()
        assert (answer.status, answer.reason, answer.closes()) == (504, "Gateway Timeout", True)
        assert client.closed()
    line = server.log.wait_for(f"GET {path} took longer than timeout=2: ")
    assert "its client got 504" in line
    server.log.wait_for(f", in {path.split('/')[1]}")
    assert get(server, "/hello").body == b"Hello, world!"
    after = facts(server)
    if mpm == "prefork":
        server.log.wait_for("ended: a request took longer than timeout")
        assert after[0] != before
    else:
        assert "RequestTimeout is raised" in line
        while path.startswith("/sleep") and "raised" not in after:  # which takes it as long as one short sleep
            after = facts(server)
        assert after[0] == before
    with Client(server.address) as client:
        answer = client.get(path, method="HEAD")
        assert (answer.status, answer.body) == (504, b"")
    server.output.wait_for(f"HEAD {path} 504")
    assert [line for line in server.output.lines() if path in line] == [f"GET {path} 504", f"HEAD {path} 504"]


@pytest.mark.parametrize("path", ["/stuck/600", "/lock", "/stubborn/600"])
def test_a_thread_that_does_not_come_back_costs_its_child_and_nobody_else(start: Start, mpm: str, path: str) -> None:
    server = start(late())
    before = facts(server)[0]
    with ExitStack() as stack:
        clients = [
            stack.enter_context(Client(server.address)).send(request(path)) for _ in range(1 + (mpm != "prefork"))
        ]
        assert [client.response().status for client in clients] == [504] * len(clients)
        if mpm != "prefork":
            server.log.wait_for("did not come back within timeout_grace=1 s")
            reason = "a thread does not come back from a request that took longer than timeout"
            assert f"pid={before}: is retired: {reason}" in server.log.wait_for("is retired")
    server.log.wait_for(f"pid={before}: ended")
    assert facts(server)[0] != before
    assert get(server, "/hello").body == b"Hello, world!"
    assert sum("is retired" in line for line in server.log.lines()) == (mpm != "prefork")


def test_code_that_keeps_the_interpreter_keeps_no_client(start: Start, mpm: str) -> None:
    server = start(late())
    before = facts(server)[0]
    with Client(server.address) as selfish, Client(server.address) as other:
        selfish.send(request("/selfish/600"))
        assert selfish.response().status == 504
        server.log.wait_for("the stack of a request that takes too long cannot be shown")
        other.send(request("/hello"))
        if mpm == "prefork":  # the next child has it
            assert other.response().body == b"Hello, world!"
        else:  # a thread of this child has it, or nobody has it before the child ends
            server.log.wait_for("nobody could have the interpreter")
    server.log.wait_for(f"pid={before}: ended: a request took longer than timeout")
    assert get(server, "/hello").body == b"Hello, world!"


def test_an_answer_that_has_begun_is_visibly_broken(start: Start, mpm: str) -> None:
    server = start(late())
    answer = get(server, "/stalls/600")
    assert (answer.status, answer.body, answer.complete) == (200, b"begun", False)
    assert "its answer had begun and was broken off" in server.log.wait_for("GET /stalls/600 took longer")
    with Client(server.address) as client:
        # Its end would be that of the connection: only a reset shows that this is not the end.
        client.send(request("/stalls/600", version="1.0"))
        with pytest.raises(ConnectionResetError):
            while client.socket.recv(4096):
                pass
    assert get(server, "/hello").body == b"Hello, world!"
    server.output.wait_for("GET /stalls/600 200")
    assert mpm in {"prefork", "worker", "event"}


def test_who_says_something_now_and_then_or_asks_for_more_time_is_left_alone(start: Start, mpm: str) -> None:
    server = start(late(("-t", "4"), EIGHT))
    paths = ["/blocks/6", "/writes/6", "/extended/5", "/nonsense", "/stuck/1"]
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda path: get(server, path), paths))
    assert [answer.text for answer in answers] == [
        *("block " * 10, "block " * 10, "extended"),
        "ValueError ValueError ValueError ValueError TypeError TypeError",
        "slept",
    ]
    assert "took longer" not in server.log.text(), mpm


def test_a_complete_answer_is_had_though_close_hangs(start: Start, mpm: str) -> None:
    server = start(late())
    assert get(server, "/closes/600").body == b"complete"
    assert "its client has its answer" in server.log.wait_for("GET /closes/600 took longer")
    assert get(server, "/hello").body == b"Hello, world!"
    assert mpm in {"prefork", "worker", "event"}


def test_what_comes_too_late_is_closed_all_the_same(start: Start, mpm: str) -> None:
    """The exception, which had no Python code to be raised in, is not raised in `close`."""
    server = start(late(capacity=PATIENT))
    before = facts(server)[0]
    assert get(server, "/native/3").status == 504
    after = facts(server)
    while mpm != "prefork" and "closed" not in after:
        assert after == [before]
        time.sleep(0.05)
        after = facts(server)
    assert (after[0] != before) if mpm == "prefork" else (after == [before, "closing", "closed"])


def test_what_has_failed_is_told_though_close_hangs(start: Start, mpm: str) -> None:
    server = start(late())
    assert get(server, "/fails/600").status == 504
    server.log.wait_for("GET /fails/600 took longer")
    if mpm != "prefork":
        server.log.wait_for("ValueError: no answer")
    assert get(server, "/hello").body == b"Hello, world!"


def test_what_an_application_tries_again_is_ended_too(start: Start, mpm: str) -> None:
    server = start(late())
    before = facts(server)[0]
    assert get(server, "/tries_again/600").status == 504
    after = facts(server)
    assert (after[0] != before) if mpm == "prefork" else (after == [before, "again"])


def test_many_at_once(start: Start, mpm: str) -> None:
    server = start(late(capacity=EIGHT))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(server, "/sleep/600"), range(8)))
    assert [answer.status for answer in answers] == [504] * 8
    for _ in range(8):
        assert get(server, "/hello").body == b"Hello, world!"
    assert mpm in {"prefork", "worker", "event"}


def test_a_reload_goes_on_beside_a_late_request(start: Start, mpm: str) -> None:
    server = start(late())
    before = facts(server)[0]
    with Client(server.address) as client:
        client.send(request("/stuck/600"))
        server.signal(signal.SIGHUP)
        assert client.response().status == 504
    server.log.wait_for(f"pid={before}: ended")
    assert facts(server)[0] != before, mpm


def test_an_exception_never_reaches_another_request(start: Start, mpm: str) -> None:
    timeout = 0.1
    server = start(late(("-t", str(timeout)), EIGHT))
    rounds = 15 if mpm == "prefork" else 100

    def around_the_deadline(client_number: int) -> int:
        """Handlers that end just before and just after it, and others in between on the same connections."""
        refused = 0
        client: Client | None = None
        for number in range(rounds):
            client = client or Client(server.address)
            length = timeout * (0.85 + 0.3 * ((client_number * 7 + number * 5) % 11) / 10)
            try:
                answer = client.get(f"/timed/{length:.4f}")
                answer = client.get("/hello") if answer.status == 200 else answer
            except (ClosedError, ConnectionError) as error:
                raise AssertionError(f"client {client_number}, request {number}: cut off") from error
            if answer.status != 200:
                refused += 1
                client.close()
                client = None
        if client is not None:
            client.close()
        return refused

    with ThreadPoolExecutor(8) as pool:
        refused = sum(pool.map(around_the_deadline, range(8)))
    assert refused > 0
    for _ in range(8 if mpm == "prefork" else 1):
        assert "early" not in facts(server)
    assert "a thread cannot go on" not in server.log.text()
    assert "Traceback" not in server.log.text()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_a_child_that_is_idle_has_nothing_to_watch(start: Start, mpm: str) -> None:
    """The watcher sleeps without ticking."""
    server = start(late(("-t", "0.2")))
    (child,) = server.child_pids()
    assert get(server, "/hello").status == 200
    tasks = list(Path(f"/proc/{child}/task").iterdir())
    (watcher,) = [task for task in tasks if (task / "comm").read_text() == "tricorn-watcher\n"]
    woken: list[int] = []
    deadline = time.monotonic() + 30
    while len(woken) < 6 or len(set(woken[-6:])) > 1:
        assert time.monotonic() < deadline, (mpm, woken)
        status = (watcher / "status").read_text()
        woken.append(int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0]))
        time.sleep(0.3)
