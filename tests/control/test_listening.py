"""Where a server listens: several addresses, both families, Unix sockets, inherited sockets; and the pid file."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.client import ask, ask_unix, until
from tricorn.testing import Server

Start = Callable[..., Server]


def test_several_addresses_of_all_kinds_at_once(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    server = start("--bind", "127.0.0.1:0", "--bind", "[::1]:0", "--bind", f"unix:{path}")
    line = server.log.wait_for(" serves ")
    assert f"unix:{path}" in line
    v6 = int(line.partition("http://[::1]:")[2].partition(",")[0])
    assert ask(server, "/word") == "first"
    assert ask_unix(path, "/word") == "first"
    connection = http.client.HTTPConnection("::1", v6, timeout=10)
    connection.request("GET", "/word", headers={"Connection": "close"})
    assert connection.getresponse().read() == b"first"
    connection.close()
    assert server.stop() == 0
    assert not path.exists()


def test_a_name_stands_for_all_its_addresses_on_one_port(start: Start) -> None:
    server = start("--bind", "localhost:0")
    families = {info[0] for info in socket.getaddrinfo("localhost", server.port, type=socket.SOCK_STREAM)}
    for family in families:
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        socket.create_connection((host, server.port), timeout=5).close()


@pytest.mark.parametrize("mode", ["600", "666"])
def test_a_unix_socket_has_its_mode(launch: Start, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.sock"
    server = launch("--bind", f"unix:{path}", "--unix-socket-mode", mode)
    server.log.wait_for(" serves ")
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    assert ask_unix(path, "/word") == "first"
    assert server.stop() == 0


def test_a_stale_socket_file_is_replaced_and_a_live_one_respected(launch: Start, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    first = launch("--bind", f"unix:{path}")
    first.log.wait_for(" serves ")
    second = launch("--bind", f"unix:{path}")
    assert second.wait() == 4
    second.log.wait_for("another server listens there")
    assert ask_unix(path, "/word") == "first", "the first goes on"
    assert first.stop() == 0


def test_a_file_that_is_no_socket_is_left_alone(launch: Start, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    server = launch("--bind", f"unix:{path}")
    assert server.wait() == 4
    assert path.read_text() == "data"


@pytest.fixture
def listening() -> socket.socket:
    end = socket.socket()
    end.bind(("127.0.0.1", 0))
    end.listen()
    return end


def run_with(end: socket.socket, site: Path, variables: str, *options: str) -> subprocess.Popen[str]:
    """A server that is handed a listening socket as descriptor 3, by a shell, as systemd would."""
    words = f"{variables} exec {sys.executable} -m tricorn serve told {' '.join(options)} 3<&{end.fileno()}"
    return subprocess.Popen(
        ["bash", "-c", words],
        cwd=site,
        pass_fds=[end.fileno()],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LISTEN_FDNAMES": "web"},
    )


def serving_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if " serves " in line:
            return line
    raise AssertionError("".join(lines))


@pytest.mark.parametrize(
    ("variables", "options"),
    [("export LISTEN_PID=$$ LISTEN_FDS=1;", ()), ("", ("--bind", "fd://3"))],
    ids=["systemd", "fd"],
)
def test_a_socket_that_somebody_else_has_opened(
    listening: socket.socket, site: Path, variables: str, options: tuple[str, ...]
) -> None:
    host, port = listening.getsockname()
    process = run_with(listening, site, variables, *options)
    try:
        assert f"http://{host}:{port}" in serving_line(process)
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/environ", headers={"Connection": "close"})
        environment = connection.getresponse().read().decode()
        connection.close()
        if variables:
            assert "LISTEN_" not in environment, "the application is not to take the sockets for its own"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait(20) == 0
        process.stderr.close()
    # It was not ours to close for good.
    socket.create_connection((host, port), timeout=5).close()
    listening.close()


def test_the_pid_file_is_there_while_the_server_is(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "tricorn.pid"
    server = start("--pid-file", str(file))
    assert file.read_text() == f"{server.pid}\n"
    second = start_second(server, file)
    assert second == 5
    assert server.stop() == 0
    assert not file.exists()


def start_second(first: Server, file: Path) -> int:
    server = Server("told", options=("--pid-file", str(file)), directory=first._directory)
    try:
        code = server.launch().wait()
        server.log.wait_for(f"is held by a running server (pid {first.pid})")
        return code
    finally:
        server._clean_up()


def test_a_pid_file_of_a_dead_server_is_taken_over(launch: Start, tmp_path: Path) -> None:
    file = tmp_path / "tricorn.pid"
    # The number of a process that lives, but is no server: a number alone proves nothing.
    file.write_text(f"{os.getpid()}\n")
    server = launch("--pid-file", str(file))
    server.log.wait_for("was left behind by a server that is gone")
    server.log.wait_for(" serves ")
    assert file.read_text() == f"{server.pid}\n"
    server.signal(signal.SIGKILL)
    server.wait()
    until(lambda: len(server.processes()) == 0, "everyone has left")
    again = launch("--pid-file", str(file))
    again.log.wait_for(" serves ")
    assert again.stop() == 0
