"""Who the application runs as, where, with what, and who imports it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.client import ask
from tricorn.testing import Server

Start = Callable[..., Server]
NOBODY = 65534


@pytest.mark.parametrize("user", ["nobody" if os.geteuid() == 0 else "root"])
def test_only_root_becomes_somebody_else_and_only_below_the_parent(launch: Start, site: Path, user: str) -> None:
    if os.geteuid() != 0:
        assert launch("--user", user).wait() == 2
        return
    for directory in (site, *site.parents):
        if not os.stat(directory).st_mode & 0o005:
            directory.chmod(0o755)
    (site / "asks.py").write_text("import os\nfrom told import application\nassert os.getuid() == 65534\n")
    server = launch("--user", user, "--umask", "027", application="asks", mpm="worker")
    match = server.log.wait_for_match(r" serves .*http://([0-9.]+):(\d+)")
    server.host, server.port = match[1], int(match[2])
    user_id, group_id, groups = ask(server, "/uid").split(" ", 2)
    assert (user_id, group_id) == (str(NOBODY), str(NOBODY))
    assert groups == f"[{NOBODY}] 0o27"
    status = Path(f"/proc/{server.pid}/status").read_text()
    assert "Uid:\t0\t0\t0\t0" in status, "the parent keeps its rights"
    assert "as root" not in server.log.text()
    assert server.stop() == 0


def test_the_surroundings_are_as_configured(start: Start, site: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "more.py").write_text("from told import application\n")
    server = start("--pythonpath", str(elsewhere), "-e", "COLOUR=green", "--chdir", str(site), application="more")
    assert ask(server, "/where").splitlines() == [str(site), str(site), str(elsewhere)]
    assert "COLOUR=green" in ask(server, "/environ").splitlines()


def test_the_gateway_tells_the_truth_about_threads_and_processes(start: Start, mpm: str) -> None:
    assert ask(start(), "/multi") == f"{mpm != 'prefork'} True"


THREADED = """
import os, threading
IMPORTED_BY = os.getpid()
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(IMPORTED_BY == os.getpid()).encode()]
"""


def test_what_must_not_be_inherited_is_found_and_each_child_imports(start: Start, site: Path) -> None:
    (site / "threaded.py").write_text(THREADED)
    server = start(application="threaded")
    server.log.wait_for("the import left behind the thread 'poller', which must not be inherited")
    assert ask(server, "/") == "True"
    assert server.stop() == 0


def test_preload_on_inherits_nevertheless_and_says_so(start: Start, site: Path) -> None:
    (site / "threaded.py").write_text(THREADED)
    server = start("--preload", "on", application="threaded")
    server.log.wait_for("which children should not inherit")
    assert ask(server, "/") == "False"


def test_preload_shares_what_is_safe(start: Start, site: Path) -> None:
    (site / "plain.py").write_text(THREADED.replace("threading.Thread", "# threading.Thread"))
    server = start(application="plain")
    assert ask(server, "/") == "False"
    assert "warning parent: the import" not in server.log.text()


def test_an_open_socket_is_found(start: Start, site: Path) -> None:
    (site / "connected.py").write_text(
        "import socket\npair = socket.socketpair()\nlog = open('x.log', 'a')\nfrom told import application\n"
    )
    server = start(application="connected")
    server.log.wait_for_match("left behind the socket socket:.*, the socket socket:[^,]*, which")
    assert ask(server, "/word") == "first"


def test_an_application_that_leaves_threads_running_does_not_hold_up_the_stop(start: Start, site: Path) -> None:
    (site / "threaded.py").write_text(THREADED.replace(", daemon=True", ""))
    server = start("--preload", "off", "--graceful-timeout", "30", application="threaded")
    assert ask(server, "/") == "True"
    assert server.stop() == 0


def test_atexit_handlers_run_when_a_child_leaves(start: Start, site: Path) -> None:
    (site / "leaving.py").write_text(
        "import atexit\nfrom told import application\natexit.register(lambda: open('left', 'a').write('x'))\n"
    )
    server = start(application="leaving")
    assert server.stop() == 0
    assert (site / "left").read_text() == "xx"
