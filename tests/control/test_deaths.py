"""Whoever dies below or above: replaced, noticed, backed off, and nobody left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.client import alive, ask, settled_descriptors, until
from tests.control.conftest import make
from tests.control.side_by_side import under_each_mpm
from tricorn.testing import Server

Start = Callable[..., Server]


def test_a_killed_child_is_replaced_at_once(start: Start) -> None:
    server = start()
    victim = server.child_pids()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(server.child_pids()) == 2 and victim not in server.child_pids(), "it is replaced")
    server.log.wait_for(f"pid={victim}: ended unasked: killed by SIGKILL")
    assert ask(server, "/word") == "first"


@pytest.mark.parametrize(("path", "how"), [("/kill", "killed by SIGKILL"), ("/exit", "exit code 9")])
def test_an_application_that_ends_its_process_is_told_with_the_exact_reason(start: Start, path: str, how: str) -> None:
    server = start()
    with pytest.raises((OSError, ConnectionError)):
        ask(server, path)
    server.log.wait_for(f"ended unasked: {how}")
    assert ask(server, "/word") == "first"


def test_a_crash_loop_backs_off_and_the_server_lives(start: Start) -> None:
    server = start()

    def crash() -> bool:
        for pid in server.child_pids():
            os.kill(pid, signal.SIGKILL)
        return "crashes in a row; the next start is in" in server.log.text()

    until(crash, "it backs off")
    until(lambda: "1 s" in server.log.text() and _answers(server), "it serves again after the wait")
    crashes = server.log.text().count("ended unasked")
    assert crashes >= 3, "two crashes of each child are answered at once; one that was never ready counts for two"


def _answers(server: Server) -> bool:
    try:
        return ask(server, "/word", timeout=1.0) == "first"
    except OSError:
        return False


def test_everyone_leaves_when_the_parent_is_killed(start: Start, mpm: str) -> None:
    server = start()
    below = [process.pid for process in server.processes() if process.pid != server.pid]
    assert len(below) == 3
    server.signal(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in below), "children and template have left", timeout=8)
    assert server.wait() == -signal.SIGKILL


def test_a_template_that_hangs_in_its_import_does_not_outlive_a_killed_parent(launch: Start, site: Path) -> None:
    (site / "endless.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(3600)\n")
    server = launch(application="endless")
    until((site / "begun").exists, "it imports")
    below = [process.pid for process in server.processes() if process.pid != server.pid]
    assert below
    server.signal(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in below), "it is gone", timeout=8)


def test_a_child_that_hangs_outlives_a_killed_parent_by_its_graceful_timeout_only(start: Start) -> None:
    server = start("--graceful-timeout", "0.5")
    below = [process.pid for process in server.processes() if process.pid != server.pid]
    with pytest.raises(OSError):
        ask(server, "/slow?30", timeout=0.5)
    server.signal(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in below), "children and template have left", timeout=8)


def test_children_go_on_when_the_template_is_killed_and_a_new_one_forks_their_successors(start: Start) -> None:
    server = start()
    (template,) = server.template_pids()
    children = server.child_pids()
    os.kill(template, signal.SIGKILL)
    server.log.wait_for("the template ended unasked: killed by SIGKILL; its children go on")
    assert ask(server, "/word") == "first"
    assert all(alive(pid) for pid in children)
    os.kill(children[0], signal.SIGKILL)
    server.log.wait_for(f"pid={children[0]}: ended unasked: killed by SIGKILL")
    until(lambda: len(server.processes()) == 4 and children[0] not in _pids(server), "it has a successor")
    assert ask(server, "/word") == "first"
    assert server.stop() == 0


def _pids(server: Server) -> list[int]:
    return [process.pid for process in server.processes()]


def test_a_child_that_reached_its_limit_is_replaced_without_a_gap(start: Start) -> None:
    server = start("--max-connections-per-child", "3")
    # A worn child serves on until it is replaced, so how many requests that takes is not known beforehand.
    pids: set[str] = set()

    def more_than_the_first() -> bool:
        pids.add(ask(server, "/pid"))
        return len(pids) > 3

    until(more_than_the_first, "children are replaced")
    server.log.wait_for("is retired: max_connections_per_child is reached")
    until(lambda: len(server.child_pids()) == 2, "both places are taken")
    assert "ended unasked" not in server.log.text()
    assert "crashes" not in server.log.text()


def test_a_child_that_never_becomes_ready_is_killed_and_counted(launch: Start, site: Path) -> None:
    (site / "hang.py").write_text("import time\ntime.sleep(60)\ndef application(e, s): ...\n")
    server = launch("--preload", "off", "--start-timeout", "0.5", application="hang")
    assert server.wait() == 5
    assert re.search(r"child=\d gen=1 pid=\d+: is killed: not ready after 0.5 s", server.log.text())


def test_descriptors_of_the_server_do_not_reach_programs_of_the_application(start: Start, site: Path) -> None:
    (site / "starts.py").write_text(
        "import subprocess\n"
        "def application(environ, start_response):\n"
        "    out = subprocess.run(['ls', '/proc/self/fd'], capture_output=True, close_fds=False).stdout\n"
        "    start_response('200 OK', [])\n"
        "    return [out]\n"
    )
    server = start(application="starts")
    # 0, 1, 2, and the one with which `ls` reads the directory.
    assert ask(server, "/").split() == ["0", "1", "2", "3"]


def test_a_child_holds_nothing_of_the_parent_and_the_template(start: Start) -> None:
    server = start()
    for _ in range(3):
        before = server.child_pids()
        os.kill(before[0], signal.SIGKILL)
        until(lambda before=before: len(set(server.child_pids()) - {before[0]}) == 2, "it is replaced")  # type: ignore[misc]
    until(lambda: ask(server, "/word") == "first", "it serves")
    by_pid = {process.pid: process.descriptors() for process in server.processes()}
    sockets = {
        pid: {target for target in held.values() if target.startswith("socket:")} for pid, held in by_pid.items()
    }
    listeners = set.intersection(*sockets.values())
    assert len(listeners) == 1
    children = server.child_pids()
    for pid in children:
        others = set.union(*(held for other, held in sockets.items() if other != pid))
        # Standard streams may be sockets of the test runner; everything else a child holds is its own.
        assert len((sockets[pid] & others) - listeners) == 0


def test_a_template_that_hangs_is_replaced(site: Path) -> None:
    under_each_mpm(replaces_a_template_that_hangs, site)


def replaces_a_template_that_hangs(mpm: str, site: Path, control: Path) -> None:
    with make(site, mpm) as server:
        (template,) = server.template_pids()
        victim, other = server.child_pids()
        os.kill(template, signal.SIGSTOP)
        os.kill(victim, signal.SIGKILL)
        server.log.wait_for("does not tell of its end", timeout=40)
        until(lambda: len(server.template_pids()) == 1 and server.template_pids() != [template], "there is a new one")
        until(lambda: len(server.processes()) == 4, "and a child in the place of the dead one")
        assert alive(other)
        assert ask(server, "/word") == "first"


@pytest.mark.parametrize("preload", ["auto", "off"])
def test_an_application_that_blocks_every_signal(start: Start, site: Path, preload: str) -> None:
    blocks = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\n"
    (site / "blocks.py").write_text(blocks + "from told import application\n")
    server = start("--preload", preload, application="blocks")
    victim = server.child_pids()[0]
    os.kill(victim, signal.SIGKILL)
    server.log.wait_for(f"pid={victim}: ended unasked: killed by SIGKILL", timeout=4)
    until(lambda: len(server.child_pids()) == 2, "it is replaced")


def test_a_child_that_closes_all_its_descriptors_is_killed(site: Path) -> None:
    (site / "closes.py").write_text(
        "import os, time\nfrom told import application as told\n"
        "def application(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/close':\n"
        "        for fd in os.listdir('/proc/self/fd'):\n"
        "            if os.path.realpath('/proc/self/fd/' + fd).startswith('/proc/') and int(fd) > 2:\n"
        "                try: os.close(int(fd))\n"
        "                except OSError: pass\n"
        "        time.sleep(60)\n"
        "    return told(environ, start_response)\n"
    )
    under_each_mpm(replaces_a_child_without_descriptors, site)


def replaces_a_child_without_descriptors(mpm: str, site: Path, control: Path) -> None:
    with make(site, mpm, application="closes") as server:
        with pytest.raises(OSError):
            ask(server, "/close", timeout=2)
        until(lambda: server.log.text().count("ended") >= 1, "it has ended, in one way or another", timeout=20)
        until(lambda: len(server.child_pids()) == 2, "it is replaced")
        assert ask(server, "/word") == "first"


def test_a_copy_that_the_application_forks_off_never_serves(start: Start, site: Path) -> None:
    (site / "forks.py").write_text(
        "import os, sys\nfrom told import application as told\n"
        "def application(environ, start_response):\n"
        "    path = environ['PATH_INFO']\n"
        "    if path.startswith('/fork'):\n"
        "        pid = os.fork()\n"
        "        if pid == 0 and path == '/fork-exit': sys.exit(7)\n"
        "        if pid == 0 and path == '/fork-raise': raise ValueError('in the copy')\n"
        "        status = os.waitpid(pid, 0)[1] if pid else 0\n"
        "        start_response('200 OK', [])\n"
        "        return [str(os.waitstatus_to_exitcode(status)).encode()]\n"
        "    return told(environ, start_response)\n"
    )
    server = start(application="forks")
    assert [ask(server, path) for path in ("/fork-exit", "/fork-raise", "/fork-return")] == ["7", "1", "0"]
    assert {ask(server, "/word") for _ in range(10)} == {"first"}
    assert len(server.processes()) == 4
    server.log.wait_for("ValueError: in the copy")


_FORGER = """
import array, gc, json, os, socket, struct, time
from told import application
from tricorn.child.channel import Channel

def say(body, fds=()):
    text = json.dumps(body).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    end.sendmsg([struct.pack("!I", len(text)) + text], rights)

if os.path.exists("forge"):
    (end,) = [thing._end for thing in gc.get_objects() if isinstance(thing, Channel)]
    how, stranger = open("forge").read().split()
    say({"kind": "Imported", "interface": "wsgi"})
    time.sleep(0.3)
    try:
        if how == "pid":
            say({"kind": "Forked", "slot": 0, "pid": int(stranger), "pinned": True}, [os.pidfd_open(int(stranger))])
        while how == "descriptors":
            say({"kind": "Reaped", "slot": 9, "pid": 7, "status": 0}, [0] * 8)
        if how == "status":
            say({"kind": "Reaped", "slot": 0, "pid": 10**30, "status": 0x137F})
        if how == "unforked" and (pid := os.fork()) == 0:
            time.sleep(60)
            os._exit(0)
        if how == "unforked":
            say({"kind": "Forked", "slot": 0, "pid": pid, "pinned": True}, [os.pidfd_open(pid)])
            say({"kind": "ForkFailed", "slot": 0, "text": "never"})
        if how == "code":
            say({"kind": "TemplateFailed", "code": 256, "text": "nothing"})
        if how == "end":
            say({"kind": "Forked", "slot": 0, "pid": 1, "pinned": False})
            os._exit(0)
        time.sleep(60)
    except OSError:
        time.sleep(60)
"""


_DESERTER = """
import gc, json, os, socket, struct, threading, time
from told import application
from tricorn.child.channel import Channel

def desert():
    time.sleep(0.1)
    text = json.dumps({"kind": "Leaving", "reason": "enough"}).encode()
    for thing in gc.get_objects():
        if isinstance(thing, Channel):
            thing._end.sendall(struct.pack("!I", len(text)) + text)
    time.sleep(0.1)
    os._exit(0)

os.register_at_fork(after_in_child=lambda: threading.Thread(target=desert, daemon=True).start())
"""


def test_children_that_leave_one_after_the_other_are_waited_with(start: Start, site: Path) -> None:
    (site / "deserter.py").write_text(_DESERTER)
    server = start(application="deserter")
    server.log.wait_for("leaves: enough")
    server.log.wait_for("crashes in a row; the next start is in")


@pytest.mark.parametrize("how", ["pid", "descriptors", "status", "unforked", "code", "end"])
def test_a_template_that_lies_harms_nobody(start: Start, site: Path, how: str) -> None:
    (site / "forger.py").write_text(_FORGER)
    server = start(application="forger")
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        held = settled_descriptors(server.pid)
        (site / "forge").write_text(f"{how} {stranger.pid}")
        server.signal(signal.SIGHUP)
        server.log.wait_for("the reload failed, generation 1 goes on")
        if how in ("unforked", "code"):
            server.log.wait_for("is killed: it sent")
        assert ask(server, "/word") == "first"
        until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= held, "nothing of it is kept")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
