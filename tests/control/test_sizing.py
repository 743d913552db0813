"""Spare capacity, seen from outside: how the number of children follows the load, and what bounds it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from tests.control.client import ask, status, tell, until
from tests.control.conftest import APPS
from tests.control.held import Held
from tests.control.load import Load
from tests.control.side_by_side import under_each_mpm
from tricorn.control.client import NoAnswerError
from tricorn.testing import Server

LIMIT = 8
"""Units, under each MPM."""
SPARE = 2
BANDS = {
    "prefork": ("--start-servers", "2", "--min-spare-servers", "2", "--max-spare-servers", "4"),
    "worker": ("--start-servers", "1", "--min-spare-threads", "2", "--max-spare-threads", "4"),
    "event": ("--start-servers", "1", "--min-spare-threads", "2", "--max-spare-threads", "4"),
}
UNIT = {"prefork": 1, "worker": 2, "event": 2}
AT_LIMIT = "max_request_workers"
NO_ROOM = "memory_limit"


def threads(mpm: str, number: int) -> tuple[str, ...]:
    return () if mpm == "prefork" else ("--threads-per-child", str(number))


class Watch(threading.Thread):
    """Asks for the status again and again while the context lasts."""

    def __init__(self, control: Path) -> None:
        super().__init__(daemon=True)
        self._control = control
        self._ended = threading.Event()
        self.seen: list[dict[str, Any]] = []

    def run(self) -> None:
        while not self._ended.wait(0.05):
            try:
                self.seen.append(dict(status(self._control)))
            except NoAnswerError:  # the server has ended
                return

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


Serve = Callable[..., Server]


@pytest.fixture
def serve(site: Path, control: Path, mpm: str) -> Iterator[Serve]:
    """Start servers of `gated.py` under each MPM, with a control socket."""
    for name in ("gated.py", "counted.py"):
        (site / name).write_text((APPS / name).read_text())
    with ExitStack() as stack:

        def started(*options: str, application: str = "gated", **more: Any) -> Server:
            mine = ("--control-socket", str(control), "--graceful-timeout", "20", "--log-level", "debug")
            server = Server(application, mpm=mpm, options=(*mine, *options), directory=site, **more)
            return stack.enter_context(server)

        yield started


def elastic(mpm: str) -> tuple[str, ...]:
    return (*BANDS[mpm], *threads(mpm, UNIT[mpm]), "--max-request-workers", str(LIMIT))


def capacity(control: Path) -> dict[str, Any]:
    return dict(status(control)["capacity"])


def test_children_grow_with_the_load_up_to_the_limit_and_no_further(
    serve: Serve, site: Path, control: Path, mpm: str
) -> None:
    server = serve(*elastic(mpm))
    with Watch(control) as watch:
        with Held(server, site) as held:
            held.fill(3)
            until(lambda: capacity(control)["taken"] >= 3 and capacity(control)["idle"] >= SPARE, "two are spare again")
            # What is taken and two that have to be idle, in whole children, and no more than that.
            assert len(server.child_pids()) <= -(-(held.sent + SPARE) // UNIT[mpm])
            held.fill(LIMIT)
            held.add(10)
            server.log.wait_for(AT_LIMIT)
            assert set(held.let_go()) == {"let go"}
            assert len(held.answers) == held.sent, "those that waited are answered too"
        until(lambda: capacity(control)["taken"] == 0, "all is idle")
        with Held(server, site) as held:
            (site / "begun").unlink()
            held.fill(LIMIT)
            held.add(4)
            assert set(held.let_go()) == {"let go"}
    assert max(seen["capacity"]["units"] for seen in watch.seen) == LIMIT
    assert max(len(seen["children"]) for seen in watch.seen) == LIMIT // UNIT[mpm]
    said = [line for line in server.log.lines() if AT_LIMIT in line]
    assert len(said) == 1, "once a minute is enough"
    assert "ended unasked" not in server.log.text()


@pytest.mark.slow
def test_children_shrink_after_the_load_and_nobody_notices(site: Path) -> None:
    (site / "both.py").write_text(
        "from counted import application as counted\nfrom gated import application as gated\n"
        "def application(environ, start_response):\n"
        "    return (gated if environ['PATH_INFO'] == '/hold' else counted)(environ, start_response)\n"
    )
    under_each_mpm(shrinks_unnoticed, site, [APPS / "counted.py", APPS / "gated.py"])


def shrinks_unnoticed(mpm: str, site: Path, control: Path) -> None:
    options = ("--control-socket", str(control), "--graceful-timeout", "20", "--log-level", "debug", *elastic(mpm))
    with Server("both", mpm=mpm, options=options, directory=site) as server:
        with Held(server, site) as held:
            held.fill(LIMIT)
        first = server.log.mark()
        with Load(server, 1, pace=0.02) as load:
            # One client, and at most four idle: the units of that many children.
            few = -(-(1 + 4) // UNIT[mpm])
            until(lambda: len(server.child_pids()) <= few, "they have left", timeout=40)
            assert len(server.child_pids()) * UNIT[mpm] >= SPARE
        assert load.lost == []
        assert load.raced == []
        text = "\n".join(server.log.lines()[first:])
        assert "ended unasked" not in text
        assert "is killed" not in text
        reasons = [entry["reason"] for entry in tell(control, "why", "--json").data["decisions"]]
        assert reasons


def test_a_new_child_is_there_long_before_the_application_could_be_imported_again(
    serve: Serve, site: Path, control: Path, mpm: str
) -> None:
    one = threads(mpm, 1)
    spare = "servers" if mpm == "prefork" else "threads"
    options = ("--start-servers", "2", f"--min-spare-{spare}", "1", f"--max-spare-{spare}", "3", *one)
    server = serve(*options, "--max-request-workers", "4", environment={"IMPORT_SECONDS": "2"})
    with Held(server, site) as held:
        held.fill(2)
        gone = max(at for at, _ in held.begun())
        held.fill(3)
        assert held.answers == [], "the others were still held"
        *_, (answered, newcomer) = sorted(held.begun())
        assert newcomer not in {pid for at, pid in held.begun() if at < answered}
        grown = server.log.wait_for_match(rf"pid={newcomer}: .*")
        print(
            f"{mpm}: in a new child {1000 * (answered - gone):.0f} ms after the last spare unit was taken: {grown[0]}"
        )
        assert set(held.let_go()) == {"let go"}
    assert len((site / "imported").read_text().splitlines()) == 1, "nobody imported it again"


def test_clients_that_keep_their_connections_get_the_new_children_too(serve: Serve, control: Path, mpm: str) -> None:
    server = serve(*elastic(mpm), application="counted")
    # They come at once, more than there are units, and would stay where they are for ever.
    with Load(server, LIMIT - SPARE, slow=0.04, stay=10_000) as load:
        until(lambda: capacity(control)["taken"] == LIMIT - SPARE, "each of them has a unit", timeout=20)
        seen = load.answered
        until(lambda: load.answered > seen + 50, "it goes on")
    assert load.lost == []
    assert load.raced == []
    assert "ended unasked" not in server.log.text()


def test_a_fixed_pool_stays_as_it_is(serve: Serve, site: Path, control: Path, mpm: str) -> None:
    server = serve("--workers", "2", *threads(mpm, 2))
    units = 2 * UNIT[mpm]
    before = server.child_pids()
    with Watch(control) as watch, Held(server, site) as held:
        held.fill(units)
        held.add(3)
        seen = len(watch.seen)
        until(lambda: len(watch.seen) > seen + 5, "it was looked at often")
        assert set(held.let_go()) == {"let go"}
    assert server.child_pids() == before
    assert {seen["capacity"]["units"] for seen in watch.seen} == {units}
    assert watch.seen[0]["capacity"]["fixed"] is True


def test_ttin_and_ttou_move_the_limit_by_one_child(serve: Serve, control: Path, mpm: str) -> None:
    server = serve("--workers", "2", *threads(mpm, 2))
    for number, expected in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2)):
        server.signal(number)
        until(
            lambda expected=expected: capacity(control)["max_request_workers"] == expected * UNIT[mpm],  # type: ignore[misc]
            "the limit has moved",
        )
        until(lambda expected=expected: len(server.child_pids()) == expected, "the pool follows", timeout=30)  # type: ignore[misc]
    assert ask(server, "/")
    assert "ended unasked" not in server.log.text()


def test_ttin_lets_a_server_at_its_limit_grow(serve: Serve, site: Path, control: Path, mpm: str) -> None:
    server = serve(*elastic(mpm))
    with Held(server, site) as held:
        held.fill(LIMIT)
        server.signal(signal.SIGTTIN)
        until(lambda: capacity(control)["units"] == LIMIT + UNIT[mpm], "there is room for more")
        held.fill(LIMIT + 1)
        assert set(held.let_go()) == {"let go"}


def test_resize_moves_the_limit(serve: Serve, site: Path, control: Path, mpm: str) -> None:
    server = serve(*elastic(mpm))
    with Held(server, site) as held:
        held.fill(LIMIT)
        done = tell(control, "resize", "--max", "12")
        assert done.code == 0, done
        held.fill(12)
        assert capacity(control)["max_request_workers"] == 12
        assert set(held.let_go()) == {"let go"}


def test_a_reload_returns_to_the_configured_limit(serve: Serve, control: Path, mpm: str) -> None:
    server = serve("--workers", "2", *threads(mpm, 2))
    assert tell(control, "resize", "--max", str(3 * UNIT[mpm])).code == 0
    until(lambda: len(server.child_pids()) == 3, "there are three")
    assert tell(control, "reload").code == 0
    until(lambda: len(server.child_pids()) == 2, "there are two, as configured")
    assert capacity(control)["max_request_workers"] == 2 * UNIT[mpm]
