"""Standard streams and logs that are closed, full, or read by nobody: the server starts, serves, and stops."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.client import ask, until
from tricorn.testing import Server

Start = Callable[..., Server]


def free_port() -> int:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return int(end.getsockname()[1])


@pytest.mark.parametrize(
    "redirection",
    ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full", ">/dev/full --access-log -"],
)
def test_streams_that_are_closed_or_full(site: Path, redirection: str) -> None:
    (site / "prints.py").write_text(
        "import os, sys\nfrom told import application\nsys.stdout and sys.stdout.write('x' * 100)\n"
    )
    port = free_port()
    serve = f"exec {sys.executable} -m tricorn serve prints --bind 127.0.0.1:{port} --error-log log --workers 1"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = ["/bin/sh", "-c", f"{serve} {redirection}"]
    process = subprocess.Popen(command, cwd=site, env=environment, start_new_session=True)
    try:

        def word() -> bytes:
            assert process.poll() is None
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", "/word", headers={"Connection": "close"})
                return connection.getresponse().read()
            except OSError:
                return b""

        assert until(word, "it serves") == b"first"
        for fd in (0, 1, 2):
            assert not os.readlink(f"/proc/{process.pid}/fd/{fd}").startswith("socket:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert "tricorn has stopped" in (site / "log").read_text()


@pytest.mark.parametrize("stream", ["None", "open('/dev/null', 'w')"])
def test_an_application_that_takes_standard_output_away(start: Start, site: Path, stream: str) -> None:
    (site / "takes.py").write_text(
        f"import sys\nfrom told import application\nsys.stdout = {stream}\nsys.stdout and sys.stdout.close()\n"
    )
    assert ask(start(application="takes"), "/word") == "first"


def test_an_access_log_that_nobody_reads_does_not_hold_up_a_stop(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    server = start("--access-log", str(tmp_path / "pipe"), "--workers", "1")
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    for _ in range(1500):
        connection.request("GET", "/word")
        assert connection.getresponse().read() == b"first"
    connection.close()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5, "graceful_timeout is 10 s"
    server.log.wait_for_end()
    assert "is killed" not in server.log.text()
    os.close(reading)


def test_the_last_line_is_in_the_log_after_a_reload(start: Start, site: Path) -> None:
    server = start()
    log = site / "log"
    (site / "tricorn.toml").write_text(f'error_log = "{log}"\n')
    server.signal(signal.SIGHUP)
    until(lambda: log.exists() and "reloaded: generation 2 serves" in log.read_text(), "the log is a file now")
    server.signal(signal.SIGHUP)
    until(lambda: "reloaded: generation 3 serves" in log.read_text(), "another generation has opened it again")
    until(lambda: len(server.processes()) == 4, "the old generations have left")
    assert server.stop() == 0
    assert log.read_text().splitlines()[-1].endswith("tricorn has stopped: told to by SIGTERM")
