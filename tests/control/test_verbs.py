"""Every verb of the operator under each MPM, while clients are served; and the signals that mean the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.control.client import alive, status, tell, until
from tests.control.conftest import APPS
from tests.control.load import Load
from tricorn.testing import Server

PACE = 0.005
CLIENTS = 2
CAPACITY_KEYS = {
    *("children", "target", "least", "most", "unit", "units", "taken", "idle"),
    *("min_spare", "max_spare", "max_request_workers", "fixed"),
}
CHILD_KEYS = {
    *("slot", "generation", "pid", "state", "taken", "units", "connections", "requests", "accepted", "queued"),
    *(
        "queue_time",
        "turned_away",
        "dropped",
        "broken_off",
        "held_memory",
        "spooled",
        "timed_out",
        "refused_by_address",
    ),
    *("age", "pss", "uss", "rss", "stages"),
}
KEYS = {
    *("version", "pid", "uptime", "phase", "generation", "mpm", "application", "addresses", "capacity", "memory"),
    *("holding", "reload", "children", "totals"),
}

Serve = Callable[..., Server]


@pytest.fixture(autouse=True)
def _counted(site: Path) -> None:
    shutil.copy(APPS / "counted.py", site)
    (site / "journal").touch()
    (site / "journal").chmod(0o666)


def serves(log: Path) -> str:
    """The line that says so; empty until then."""
    lines = log.read_text().splitlines() if log.exists() else []
    return next((line for line in lines if " serves " in line), "")


@pytest.fixture
def serve(site: Path, control: Path, mpm: str) -> Iterator[Serve]:
    """Start servers of `counted.py` with three children, under each MPM."""
    threads = () if mpm == "prefork" else ("--threads-per-child", "2")
    with ExitStack() as stack:

        def started(*options: str, log: Path | None = None, **more: Any) -> Server:
            mine = ("--workers", "3", *threads, "--control-socket", str(control), "--graceful-timeout", "10")
            where = () if log is None else ("--error-log", str(log))
            server = Server("counted", mpm=mpm, options=(*mine, *where, *options), directory=site, **more)
            if log is None:
                return stack.enter_context(server)
            stack.callback(server._clean_up)
            server.launch()
            line = until(lambda: serves(log), "it serves")
            host, _, port = line.partition("http://")[2].split()[0].partition(":")
            server.host, server.port = host, int(port)
            return server

        yield started


def test_status(serve: Serve, control: Path, mpm: str) -> None:
    server = serve()
    with Load(server, CLIENTS, pace=PACE) as load:
        until(lambda: load.answered > 50, "it is asked")
        done = tell(control, "status", "--json")
        assert done.code == 0, done
        text = tell(control, "status")
    told = done.data
    assert set(told) >= KEYS
    assert set(told["capacity"]) >= CAPACITY_KEYS
    assert all(set(child) >= CHILD_KEYS for child in told["children"])
    assert (told["pid"], told["mpm"], told["generation"]) == (server.pid, mpm, 1)
    assert [child["pid"] for child in told["children"]] == server.child_pids()
    assert {child["state"] for child in told["children"]} == {"ready"}
    unit = 1 if mpm == "prefork" else 2
    assert (told["capacity"]["children"], told["capacity"]["unit"], told["capacity"]["units"]) == (3, unit, 3 * unit)
    assert told["capacity"]["taken"] + told["capacity"]["idle"] == 3 * unit
    assert sum(child["requests"] for child in told["children"]) > 40
    assert told["totals"]["requests"] > 40
    assert told["reload"] is None
    assert text.code == 0
    assert max(map(len, text.out.splitlines())) <= 80
    assert all(str(pid) in text.out for pid in server.child_pids())


def test_status_in_an_idle_server_costs_no_child_anything(serve: Serve, control: Path) -> None:
    server = serve()
    before = status(control)
    for _ in range(50):
        status(control)
    after = status(control)
    assert [child["requests"] for child in after["children"]] == [child["requests"] for child in before["children"]]
    assert server.child_pids() == [child["pid"] for child in after["children"]]


def test_reload(serve: Serve, site: Path, control: Path) -> None:
    server = serve()
    with Load(server, CLIENTS, pace=PACE) as load:
        until(lambda: load.answered > 50, "it is asked")
        (site / "edition").write_text("second")
        done = tell(control, "reload", "--json")
        assert done.code == 0, done
        assert status(control)["generation"] == 2
        # The answer comes when the new code serves, not only when it was asked for.
        until(lambda: "second" in load.editions, "it serves")
        (site / "counted.py").write_text("import nothing_of_that_name\n")
        broken = tell(control, "reload")
        assert broken.code == 3, broken
        assert "nothing_of_that_name" in broken.error
        as_json = tell(control, "reload", "--json")
        assert as_json.code == 3
        assert as_json.document["code"] == 3
        assert "nothing_of_that_name" in as_json.document["text"]
        seen = load.answered
        until(lambda: load.answered > seen + 50, "the old code goes on")
        assert status(control)["generation"] == 2
    assert (load.lost, load.raced) == ([], [])


@pytest.mark.parametrize(("clients", "how"), [(3, {"stay": 3}), (2, {"pace": 0.005})])
def test_reload_of_a_child_that_crashes_at_its_first_request(
    serve: Serve, site: Path, control: Path, clients: int, how: dict[str, Any]
) -> None:
    server = serve()
    # New connections again and again, of which one finds the newcomer; or kept ones, for which others make way.
    with Load(server, clients, **how) as load:
        until(lambda: load.answered > 50, "it is asked")
        (site / "counted.py").write_text("import os\ndef application(environ, start_response):\n    os._exit(7)\n")
        done = tell(control, "reload")
        assert done.code in {3, 5}, done
        seen = load.answered
        until(lambda: load.answered > seen + 50, "the old code goes on")
    # The canary costs what it was asked before it died, and nothing more.
    assert len(load.lost) <= 3
    assert "exit code 7" in server.log.text()


def test_reload_of_an_import_that_hangs(serve: Serve, site: Path, control: Path) -> None:
    server = serve("--start-timeout", "1.5")
    (site / "counted.py").write_text("import time\ntime.sleep(600)\n")
    done = tell(control, "reload")
    assert done.code in {3, 5}, done
    assert "start_timeout" in done.error or "1.5" in done.error
    with Load(server, CLIENTS, pace=PACE) as load:
        until(lambda: load.answered > 50, "the old code goes on")
    until(lambda: len(server.processes()) == 5, "nothing is left of the attempt")


def test_a_reload_with_a_bad_configuration(serve: Serve, site: Path, control: Path) -> None:
    serve()
    (site / "tricorn.toml").write_text("keep_alive_timeout = 'long'\n")
    done = tell(control, "reload")
    assert done.code == 2, done
    assert "keep_alive_timeout" in done.error


def test_a_storm_of_reloads_is_a_few_reloads(serve: Serve, site: Path, control: Path) -> None:
    server = serve()
    command = [sys.executable, "-m", "tricorn", "reload", "--socket", str(control)]
    with Load(server, CLIENTS, pace=PACE) as load:
        (site / "edition").write_text("last")
        verbs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(6)]
        for _ in range(20):
            server.signal(signal.SIGHUP)
        for verb in verbs:
            assert verb.wait(60) == 0, verb.communicate()
            verb.communicate()
        until(lambda: "last" in load.editions, "the newest serves")
    assert (load.lost, load.raced) == ([], [])
    assert (site / "journal").exists()
    assert server.log.text().count("reloaded: generation") <= 8


@pytest.mark.parametrize("verb", [("stop",), ("stop", "--now")])
def test_stop(serve: Serve, control: Path, verb: tuple[str, ...]) -> None:
    server = serve()
    with Load(server, CLIENTS, pace=PACE) as load:
        until(lambda: load.answered > 50, "it is asked")
        done = tell(control, *verb)
        assert done.code == 0, done
        # Who is told that it has stopped may start another one in its place.
        assert not alive(server.pid)
        assert not control.exists()
        assert server.wait() == 0
    if verb == ("stop",):
        assert (load.lost, load.raced) == ([], [])
        assert "is killed" not in server.log.text()
    assert tell(control, "status").code == 6


def test_stop_gives_up_waiting_and_says_so(serve: Serve, control: Path) -> None:
    server = serve("--drain-delay", "5")
    done = tell(control, "stop", "--timeout", "0.5")
    assert done.code not in {0, 1}, done
    assert server.exit_code() is None
    tell(control, "stop", "--now")
    assert server.wait() == 0


def test_reopen_logs(serve: Serve, site: Path, control: Path, tmp_path: Path) -> None:
    reopens(serve, site, tmp_path, lambda server: tell(control, "reopen-logs").code)


def test_usr1_reopens_the_logs(serve: Serve, site: Path, tmp_path: Path) -> None:
    def signalled(server: Server) -> int:
        server.signal(signal.SIGUSR1)
        return 0

    reopens(serve, site, tmp_path, signalled)


def reopens(serve: Serve, site: Path, tmp_path: Path, ask_for_it: Callable[[Server], int]) -> None:
    """Rename both logs, ask, and see that every process writes to the new files: parent, children, and their engines."""
    logs = tmp_path / "logs"
    logs.mkdir()
    error, access = logs / "error.log", logs / "access.log"
    (site / "counted.py").write_text(
        (site / "counted.py")
        .read_text()
        .replace("    body =", '    print("says", name, file=environ["wsgi.errors"], flush=True)\n    body =')
    )
    server = serve("--access-log", str(access), "--log-level", "debug", log=error)
    before = server.child_pids()
    # One client for each child, since under prefork the others would never have their turn.
    with Load(server, 3, pace=PACE):
        until(lambda: access.exists() and len(access.read_text().splitlines()) > 20, "lines come")
        until(lambda: "says" in error.read_text(), "lines come")
        error.rename(logs / "error.1")
        access.rename(logs / "access.1")
        assert ask_for_it(server) == 0
        until(lambda: error.exists() and access.exists(), "there are new files")

        def all_write() -> bool:
            pids = {f"pid={pid}: " for pid in server.child_pids()}
            said = [line for line in error.read_text().splitlines() if "says" in line]
            return all(any(pid in line for line in said) for pid in pids)

        until(all_write, "the children that were there before write to the new file", timeout=30)
        until(lambda: len(access.read_text().splitlines()) > 20, "lines come")
    assert server.child_pids() == before
    tails = (len((logs / "error.1").read_text()), len((logs / "access.1").read_text()))
    with Load(server, CLIENTS, pace=PACE) as more:
        until(lambda: more.answered > 50, "it is asked")
    assert tails == (len((logs / "error.1").read_text()), len((logs / "access.1").read_text())), "nobody writes there"
    for process in server.processes():
        held = list(process.descriptors().values())
        assert [held.count(str(path)) for path in (error, access)] == [1, 1], (process, held)
        assert str(logs / "error.1") not in held, "it would keep the space of a log that is deleted"
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "has stopped" in error.read_text()
    if server.mpm == "event":
        assert re.search(r" with \d+ connections", error.read_text()), "the engine writes there as well"
    journal = [line.split()[0] for line in (site / "journal").read_text().splitlines()]
    text = (logs / "access.1").read_text() + access.read_text()
    missing = [name for name in journal if f"?{name} " not in text and f"?{name}&" not in text]
    assert missing == [], "each answer has its line, in one file or the other"
    server.check_leftovers()


def test_retire(serve: Serve, control: Path) -> None:
    server = serve()
    with Load(server, CLIENTS, pace=PACE) as load:
        until(lambda: load.answered > 50, "it is asked")
        child = status(control)["children"][1]
        done = tell(control, "retire", str(child["slot"]))
        assert done.code == 0, done
        until(lambda: child["pid"] not in server.child_pids(), "it has left")
        until(lambda: len(server.child_pids()) == 3, "and has a successor")
        nobody = tell(control, "retire", "77")
        assert nobody.code == 2, nobody
        assert "77" in nobody.error
    assert (load.lost, load.raced) == ([], [])
    assert "ended unasked" not in server.log.text()


def test_why(serve: Serve, control: Path) -> None:
    server = serve()
    victim = server.child_pids()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(server.child_pids()) == 3 and victim not in server.child_pids(), "it is replaced")
    done = tell(control, "why", "--json")
    assert done.code == 0, done
    decisions = done.data["decisions"]
    assert all({"at", "what", "reason"} <= set(entry) for entry in decisions)
    assert any("SIGKILL" in json.dumps(entry) for entry in decisions)
    assert tell(control, "why").out.strip()


def test_resize_below_one_child_is_refused(serve: Serve, control: Path) -> None:
    server = serve()
    for wrong in ("0", "-1", "many", "99999999"):
        done = tell(control, "resize", "--max", wrong)
        assert done.code == 2, (wrong, done)
    assert len(server.child_pids()) == 3


def upgraded(server: Server, control: Path) -> int:
    """The pid of the parent that serves in the place of the server's own."""
    told = until(lambda: (told := status(control))["pid"] != server.pid and told, "the new parent answers", timeout=30)
    return int(told["pid"])


@pytest.mark.parametrize("how", ["verb", "USR2"])
def test_upgrade(serve: Serve, site: Path, control: Path, how: str) -> None:
    server = serve()
    (site / "edition").write_text("second")
    with Load(server, CLIENTS, pace=PACE) as load:
        until(lambda: load.answered > 50, "it is asked")
        if how == "verb":
            done = tell(control, "upgrade")
            assert done.code == 0, done
        else:
            server.signal(signal.SIGUSR2)
        assert server.wait() == 0
        new = upgraded(server, control)
        until(lambda: "second" in load.editions, "the new code serves")
        seen = load.answered
        until(lambda: load.answered > seen + 50, "it goes on")
        assert load.refused == 0
        # And again, from the new one.
        assert tell(control, "upgrade").code == 0
        until(lambda: not alive(new), "it has left")
        newest = int(status(control)["pid"])
        assert newest not in {new, server.pid}
        seen = load.answered
        until(lambda: load.answered > seen + 50, "it goes on")
        assert tell(control, "stop").code == 0
        until(lambda: not alive(newest), "it has stopped")
    assert (load.lost, load.raced) == ([], [])


def test_an_upgrade_that_fails_changes_nothing(serve: Serve, site: Path, control: Path) -> None:
    server = serve()
    good = (site / "counted.py").read_text()
    before = server.child_pids()
    with Load(server, CLIENTS, pace=PACE) as load:
        until(lambda: load.answered > 50, "it is asked")
        (site / "counted.py").write_text("import nothing_of_that_name\n")
        done = tell(control, "upgrade")
        assert done.code not in {0, 1}, done
        server.log.wait_for("nothing_of_that_name")
        seen = load.answered
        until(lambda: load.answered > seen + 50, "it goes on")
        until(lambda: len(server.processes()) == 5, "nothing is left of the attempt")
        assert server.child_pids() == before
        assert status(control)["pid"] == server.pid
        (site / "counted.py").write_text(good)
        assert tell(control, "upgrade").code == 0, "the next one works"
        assert server.wait() == 0
        assert tell(control, "stop").code == 0
    assert (load.lost, load.raced) == ([], [])


def test_winch_is_ignored(serve: Serve, control: Path) -> None:
    server = serve()
    before = server.child_pids()
    with Load(server, CLIENTS, pace=PACE) as load:
        for _ in range(5):
            seen = load.answered
            until(lambda seen=seen: load.answered > seen + 10, "it is asked")  # type: ignore[misc]
            for process in server.processes():
                os.kill(process.pid, signal.SIGWINCH)
    assert server.child_pids() == before
    assert (load.lost, load.raced) == ([], [])
    assert status(control)["generation"] == 1


@pytest.mark.parametrize("words", [("status",), ("reload",), ("stop",), ("why",), ("resize", "--max", "3")])
def test_a_verb_without_a_server(control: Path, words: tuple[str, ...]) -> None:
    done = tell(control, *words, "--json")
    assert done.code == 6, done
    assert done.document["code"] == 6
    assert str(control) in tell(control, *words).error
