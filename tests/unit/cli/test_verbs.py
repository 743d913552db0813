"""The verbs as processes, against a server that is nothing but its control socket (tests/unit/control/fake_server.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tricorn.cli.entry import COMMANDS, run
from tricorn.control.messages import Verb

ROOT = Path(__file__).parents[3]
FAKE = ROOT / "tests/unit/control/fake_server.py"


@contextmanager
def running(place: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A server with its control socket at `place`."""
    command = [sys.executable, str(FAKE), str(place), *words]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=-1, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Shell:
    """A directory in which commands are typed, with an environment in which no server is found by accident."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.variables = {"XDG_RUNTIME_DIR": str(directory), "TMPDIR": str(directory), "PATH": os.environ["PATH"]}

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tricorn", *words],
            cwd=self.directory,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    def json(self, *words: str) -> dict[str, Any]:
        """The one object of --json; the exit code is what it says."""
        outcome = self(*words, "--json")
        assert outcome.stderr == ""
        document: dict[str, Any] = json.loads(outcome.stdout)
        assert outcome.stdout.count("\n") == 1
        assert outcome.returncode == document["code"]
        return document


@pytest.fixture
def directory() -> Iterator[Path]:
    # The path of a Unix socket is short, that of a test is not always.
    with tempfile.TemporaryDirectory(prefix="tc") as name:
        yield Path(name)


@pytest.fixture
def shell(directory: Path) -> Shell:
    return Shell(directory)


@pytest.fixture
def server(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A server at the path c.sock of the shell's directory, whose reloads fail in the import."""
    with running(directory / "c.sock", "reload=3:it does not import") as process:
        yield process


HERE = ("--socket", "c.sock")


def test_status(shell: Shell, server: subprocess.Popen[str]) -> None:
    outcome = shell("status", *HERE)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(f"tricorn 0.1.0, pid {server.pid}: serving for 1d1h, generation 3, event MPM\n")
    document = shell.json("status", *HERE)
    assert document["server"] == {"socket": str(shell.directory / "c.sock"), "pid": server.pid}
    assert document["data"]["capacity"]["children"] == 2


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("words", "code", "output", "errors"),
    [
        (["why"], 0, "2026-11-23T01:20:00Z  starts child 2: 3 of 8 threads are idle\n", ""),
        (["reload"], 3, "", "tricorn: error: it does not import\n"),
        (["upgrade"], 2, "", "tricorn: error: the server is pid 1 and cannot be upgraded\n"),
        (["resize", "--max", "5"], 0, "at most 5 threads from now on\n", ""),
        (["retire", "7"], 2, "", "tricorn: error: there is no child 7\n"),
        (
            ["reopen-logs"],
            1,
            "",
            "tricorn: error: the server could not do that (RuntimeError); its error log says more\n",
        ),
    ],
)
def test_outcomes(shell: Shell, words: list[str], code: int, output: str, errors: str) -> None:
    outcome = shell(*words, *HERE)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (code, output, errors)
    document = shell.json(*words, *HERE)
    assert (document["verb"], document["code"]) == (words[0], code)
    if code:
        assert document["text"] == errors.removeprefix("tricorn: error: ").rstrip()


def test_a_reload_that_succeeds(shell: Shell) -> None:
    with running(shell.directory / "c.sock", "reload=0:reloaded: generation 4 serves"):
        outcome = shell("reload", *HERE, "--timeout", "30")
    assert (outcome.returncode, outcome.stdout) == (0, "reloaded: generation 4 serves\n")


def test_a_reload_whose_outcome_does_not_come_in_time(shell: Shell) -> None:
    with running(shell.directory / "c.sock"):
        outcome = shell("reload", *HERE, "--timeout", "0.2")
        assert (outcome.returncode, outcome.stdout) == (7, "")
        assert outcome.stderr == (
            "tricorn: the reload is on its way\n"
            "tricorn: error: reload has not ended within 0.2 s; the server goes on with it\n"
        )
        document = shell.json("reload", *HERE, "--timeout", "0.2")
        assert (document["code"], document["progress"]) == (7, ["the reload is on its way"])
        assert shell("status", *HERE).returncode == 0


def test_a_server_that_dies_during_a_reload(shell: Shell) -> None:
    with running(shell.directory / "c.sock") as process:
        command = [sys.executable, "-m", "tricorn", "reload", *HERE]
        with subprocess.Popen(command, cwd=shell.directory, stderr=subprocess.PIPE, text=True) as client:
            assert client.stderr is not None
            assert client.stderr.readline() == "tricorn: the reload is on its way\n"
            process.kill()
            assert "went away without an answer" in client.stderr.read()
            assert client.wait(20) == 6


@pytest.mark.parametrize("words", [(), ("--now",), ("--timeout", "30")])
def test_stop_returns_when_the_server_is_gone(
    shell: Shell, server: subprocess.Popen[str], words: tuple[str, ...]
) -> None:
    outcome = shell("stop", *HERE, *words)
    assert (outcome.returncode, outcome.stdout) == (0, f"the server with pid {server.pid} has stopped\n")
    assert server.poll() is not None or server.wait(0.5) == 0
    outcome = shell("stop", *HERE)
    assert (outcome.returncode, outcome.stdout) == (6, "")
    assert "there is no such socket" in outcome.stderr


def test_stop_of_a_server_that_does_not_end(shell: Shell, server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGSTOP)
    document = shell.json("stop", *HERE, "--timeout", "0.3")
    server.send_signal(signal.SIGCONT)
    assert document["code"] == 7
    assert document["text"] == "stop has not ended within 0.3 s; the server goes on with it"
    assert server.wait(20) == 0


def test_the_server_of_the_configuration_is_the_one_that_is_meant(shell: Shell) -> None:
    (shell.directory / "tricorn.toml").write_text('app = "x"\ncontrol_socket = "c.sock"\n')
    outcome = shell("status")
    assert outcome.returncode == 6
    assert f"no server listens at {shell.directory}/c.sock (tricorn.toml line 2)" in outcome.stderr
    with running(shell.directory / "c.sock"):
        assert shell("status").returncode == 0
        assert shell("status", TRICORN_CONTROL_SOCKET="other.sock").returncode == 6
    (shell.directory / "tricorn.toml").write_text('app = "x"\ncontrol_socket = "off"\n')
    outcome = shell("status")
    assert (outcome.returncode, "has no control socket (off)" in outcome.stderr) == (2, True)


def test_no_server_at_all(shell: Shell) -> None:
    outcome = shell("status", "--socket", "missing.sock")
    assert (outcome.returncode, outcome.stdout) == (6, "")
    (shell.directory / "status.py").touch()
    if os.getuid() != 0:
        document = shell.json("status")
        assert document["server"] is None
        assert "tricorn serve status" in document["text"]


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """A command line that never comes to speak to a server, in this process."""
    with pytest.raises(SystemExit) as caught:
        run(words)
    assert isinstance(caught.value.code, int)
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["status", "--mpm", "event"], "is served with: tricorn serve status"),
        (["retire", "app:app"], "is served with: tricorn serve retire"),
        (["resize"], "Missing option '--max'"),
        (["resize", "--max", "0"], "0 is not in the range"),
        (["reload", "--timeout", "x"], "'x' is not a valid number of seconds"),
        (["stop", "--timeout=-1"], "-1.0 is not in the range"),
        (["stop", "--timeout=nan"], "is no number of seconds"),
        (["stop", "--timeout=inf"], "is no number of seconds"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: list[str], part: str) -> None:
    code, output, errors = typed(capsys, *words)
    assert (code, output, part in errors) == (2, "", True), errors
    code, output, errors = typed(capsys, *words, "--json")
    document = json.loads(output)
    assert (code, document["code"], part in document["text"], errors) == (2, 2, True, "")


def test_something_else_that_listens_there(shell: Shell) -> None:
    with ExitStack() as stack:
        code = "import socket,sys; s = socket.socket(1); s.bind('c.sock'); s.listen(); print('ready', flush=True)\n"
        code += "while True: c, _ = s.accept(); c.send(b'SSH-2.0\\x1b[2J\\r\\n'); c.close()"
        process = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", code], cwd=shell.directory, stdout=subprocess.PIPE)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        outcome = shell("status", *HERE)
    assert outcome.returncode == 6
    assert "does not speak as a tricorn server does" in outcome.stderr


def test_every_verb_is_a_command_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert {verb.value for verb in Verb} <= set(COMMANDS)
    for verb in Verb:
        code, output, _ = typed(capsys, verb.value, "--help")
        assert code == 0
        assert all(word in output for word in ("--json", "--socket", "Exit codes: 0 done"))
