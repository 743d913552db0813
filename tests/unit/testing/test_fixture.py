"""The fixture is only worth something if it fails when it should: servers that do not start, and each kind of leftover."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tricorn.testing import LeftoverError, NotLoggedError, Server, StartFailedError

HEAD = """
import os, subprocess, sys, tempfile, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/leave":
        leave()
    start_response("200 OK", [])
    return [b"ok"]
"""
LEAVES = {
    "a file": "def leave(): tempfile.mkstemp()",
    "an unlinked file": "kept = []\ndef leave(): kept.append(tempfile.TemporaryFile())",
    "a process": "def leave():\n"
    "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True,\n"
    "                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)",
}


def _server(directory: Path, source: str) -> Server:
    (directory / "leaving.py").write_text(HEAD + source)
    directory.chmod(0o755)
    return Server("leaving", options=["--workers=1"], directory=directory, settle_timeout=1)


def test_a_server_that_is_left_in_order_raises_nothing(tmp_path: Path) -> None:
    with _server(tmp_path, "") as server:
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"ok"
        assert len(server.child_pids()) == 1
        assert len(server.template_pids()) == 1
        temporary = server.temporary
    assert server.exit_code() == 0
    assert not temporary.exists()


@pytest.mark.parametrize("what", LEAVES)
def test_what_stays_behind_is_told(tmp_path: Path, what: str) -> None:
    server = _server(tmp_path, LEAVES[what])
    with pytest.raises(LeftoverError), server:
        assert urllib.request.urlopen(server.url + "/leave", timeout=10).read() == b"ok"
    assert not server.temporary.exists()
    assert server.processes() == []


def test_the_failure_of_the_test_itself_is_the_one_that_is_seen(tmp_path: Path) -> None:
    server = _server(tmp_path, LEAVES["a file"])
    with pytest.raises(ZeroDivisionError), server:
        urllib.request.urlopen(server.url + "/leave", timeout=10).read()
        raise ZeroDivisionError
    assert server.processes() == []


def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(StartFailedError, match=r"exit code 3[\s\S]*not today"):
        _server(tmp_path, "raise RuntimeError('not today')").__enter__()


def test_a_line_that_does_not_come_is_told_with_the_log(tmp_path: Path) -> None:
    with (
        _server(tmp_path, "") as server,
        pytest.raises(NotLoggedError, match=r"'nonsense' was not logged[\s\S]*serves"),
    ):
        server.log.wait_for("nonsense", timeout=0.1)
