"""HUP: new code and new numbers without losing a request; bad ones change nothing."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.control.client import ask, settled_descriptors, until
from tricorn.testing import Server

Start = Callable[..., Server]


def rewrite(site: Path, word: str) -> None:
    file = site / "told.py"
    file.write_text(file.read_text().replace('WORD = "first"', f'WORD = "{word}"'))


class Load(threading.Thread):
    """Asks again and again, on fresh connections, until told to stop; keeps what was not answered."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._stop_asking = threading.Event()
        self.answers: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._stop_asking.is_set():
            try:
                self.answers.append(ask(self._server, "/word"))
            except OSError as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asking.set()
        self.join()


def test_a_reload_under_load_serves_new_code_and_drops_nothing(start: Start, site: Path) -> None:
    server = start()
    with Load(server) as load:
        until(lambda: len(load.answers) > 20, "it is busy")
        rewrite(site, "second")
        server.signal(signal.SIGHUP)
        server.log.wait_for("reloaded: generation 2 serves")
        until(lambda: len(server.child_pids()) == 2 and len(server.processes()) == 4, "the old generation has left")
        seen = len(load.answers)
        until(lambda: len(load.answers) > seen + 20, "it is busy")
    assert load.failures == []
    assert set(load.answers) == {"first", "second"}
    assert load.answers[-1] == "second"


def test_code_that_does_not_import_changes_nothing(start: Start, site: Path) -> None:
    server = start()
    before = server.child_pids()
    (site / "told.py").write_text("import nothing_of_that_name\n")
    server.signal(signal.SIGHUP)
    server.log.wait_for("the reload failed, generation 1 goes on")
    server.log.wait_for("nothing_of_that_name")
    assert ask(server, "/word") == "first"
    assert server.child_pids() == before
    # And the next, good one works.
    (site / "told.py").write_text("def application(e, s):\n    s('200 OK', [])\n    return [b'third']\n")
    server.signal(signal.SIGHUP)
    server.log.wait_for("reloaded: generation 3 serves")
    until(lambda: ask(server, "/word") == "third", "the new code serves")


def test_a_child_that_cannot_start_is_a_canary(start: Start, site: Path) -> None:
    server = start("--preload", "off")
    (site / "told.py").write_text("import os\nos._exit(3)\n")
    server.signal(signal.SIGHUP)
    server.log.wait_for("the reload failed, generation 1 goes on: a child ended before it was ready: exit code 3")
    assert ask(server, "/word") == "first"
    until(lambda: len(server.processes()) == 4, "nothing is left of the attempt")


def test_numbers_change_and_a_bad_configuration_is_refused(launch: Start, site: Path) -> None:
    file = site / "tricorn.toml"
    file.write_text("[event]\nworkers = 1\nthreads_per_child = 1\n")
    server = Server("told", directory=site)
    with server:
        first = server.child_pids()
        assert len(first) == 1
        file.write_text("[event]\nworkers = 3\nthreads_per_child = 4\n")
        server.signal(signal.SIGHUP)
        server.log.wait_for("reloaded: generation 2 serves")
        until(
            lambda: len(server.child_pids()) == 3 and first[0] not in server.child_pids(),
            "there are three children, all of them new",
        )
        file.write_text("[event]\nworkers = 'many'\n")
        server.signal(signal.SIGHUP)
        server.log.wait_for("the reload is refused, nothing changes")
        assert len(server.child_pids()) == 3
        file.write_text("listen = ['127.0.0.1:1']\nbind = ['127.0.0.1:1']\n")
        server.signal(signal.SIGHUP)
        until(lambda: server.log.text().count("the reload is refused") == 2, "it is refused")


def test_the_mpm_can_change(site: Path) -> None:
    file = site / "tricorn.toml"
    file.write_text('mpm = "worker"\n[prefork]\nworkers = 3\n[worker]\nworkers = 1\n')
    server = Server("told", directory=site)
    server.options = ()
    command = server.command()
    assert "--mpm" in command
    server.command = lambda: [part for part in command if part not in {"--mpm", "event"}]  # type: ignore[method-assign]
    with server:
        assert ask(server, "/multi") == "True False"
        file.write_text(file.read_text().replace('"worker"', '"prefork"', 1))
        server.signal(signal.SIGHUP)
        server.log.wait_for("reloaded: generation 2 serves")
        until(lambda: len(server.child_pids()) == 3 and len(server.processes()) == 5, "prefork is in force")
        assert ask(server, "/multi") == "False True"


def test_a_reload_while_another_hangs_is_the_one_that_counts(site: Path) -> None:
    with Server("told", options=("--workers", "2"), directory=site) as server:
        (site / "told.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(30)\n")
        server.signal(signal.SIGHUP)
        until((site / "begun").exists, "the import has begun")
        (site / "told.py").write_text("def application(e, s):\n    s('200 OK', [])\n    return [b'third']\n")
        server.signal(signal.SIGHUP)
        server.log.wait_for("one more reload follows")
        server.log.wait_for("its import hangs, and a newer one is asked for", timeout=20)
        server.log.wait_for("reloaded: generation 3 serves")
        until(lambda: ask(server, "/word") == "third" and len(server.processes()) == 4, "only the newest is left")


def test_many_reloads_leak_nothing(start: Start) -> None:
    server = start()

    def held() -> int:
        return len(os.listdir(f"/proc/{server.pid}/fd"))

    before = settled_descriptors(server.pid)
    for generation in range(2, 7):
        server.signal(signal.SIGHUP)
        server.log.wait_for(f"reloaded: generation {generation} serves")
        until(lambda: len(server.processes()) == 4, "the old generation has left")
    until(lambda: held() <= before, "the parent holds as many descriptors as before")


class Keeping(Load):
    """As `Load`, on one connection for as long as the server keeps it; a request that got no answer counts as lost."""

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop_asking.is_set():
            connection = connection or http.client.HTTPConnection(*self._server.address, timeout=10)
            try:
                connection.request("GET", "/word")
                response = connection.getresponse()
                self.answers.append(response.read().decode())
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection = None
        if connection is not None:
            connection.close()


def test_kept_alive_connections_are_ended_without_losing_a_request(site: Path, mpm: str) -> None:
    # One more child or thread than clients, so that nobody waits for a keep-alive to end.
    children = ("--workers", "4") if mpm == "prefork" else ("--workers", "2", "--threads-per-child", "4")
    with Server("told", mpm=mpm, options=children, directory=site) as server:
        with Keeping(server) as first, Keeping(server) as second, Keeping(server) as third:
            for generation in (2, 3):
                for client in (first, second, third):
                    enough = len(client.answers) + 50
                    until(lambda client=client, enough=enough: len(client.answers) > enough, "it is busy")  # type: ignore[misc]
                server.signal(signal.SIGHUP)
                server.log.wait_for(f"reloaded: generation {generation} serves")
                expected = 2 + 2 + (2 if mpm == "prefork" else 0)
                until(lambda: len(server.processes()) == expected, "the old generation has left")  # noqa: B023
        assert first.failures + second.failures + third.failures == []


@pytest.mark.parametrize("preload", ["auto", "off"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_does_not_wait_for_an_import(launch: Start, site: Path, preload: str, number: signal.Signals) -> None:
    (site / "slow.py").write_text(
        "import time\nopen('importing', 'w').close()\ntime.sleep(30)\nfrom told import application\n"
    )
    server = launch("--preload", preload, application="slow")
    until((site / "importing").exists, "the import has begun")
    server.signal(number)
    assert server.wait(5) == 0
    server.check_leftovers()


def test_what_a_reload_has_to_warn_of_goes_to_the_log(site: Path) -> None:
    # To standard error it would be written by a parent that waits for whoever reads it.
    with Server("told", environment={"TRICORN_TREADS": "3"}, directory=site) as server:
        server.log.wait_for("tricorn: warning: ")
        server.signal(signal.SIGHUP)
        server.log.wait_for_match(r"Z warning parent: .*TRICORN_TREADS")
        server.log.wait_for("reloaded: generation 2 serves")


def test_a_reload_where_the_directory_is_gone_says_what_to_do(tmp_path: Path) -> None:
    release = tmp_path / "release"
    release.mkdir()
    (release / "here.py").write_text("def application(e, s):\n    s('200 OK', [])\n    return [b'here']\n")
    with Server("here", options=("--workers", "1"), directory=release) as server:
        (release / "here.py").unlink()
        shutil.rmtree(release)
        server.signal(signal.SIGHUP)
        server.log.wait_for("the directory that the server was started in is gone; name one that stays with chdir")
        assert "Traceback" not in server.log.text()
        assert ask(server, "/") == "here"
