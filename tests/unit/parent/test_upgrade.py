from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tricorn.config.environment import UPGRADE_VARIABLE
from tricorn.config.settings import InheritedAddress, Listen, TcpAddress, UnixAddress
from tricorn.errors import StartError
from tricorn.parent.listeners import Listeners, open_listeners
from tricorn.parent.pid_file import PidFile
from tricorn.parent.upgrade import Progress, Start, Upgrade, begin, refused

PATIENCE = 20.0

# The new server: all of its side of an upgrade, without children. What it is to do is told in its arguments.
SUCCESSOR = """
import os, select, sys
from pathlib import Path
from tricorn.config.settings import InheritedAddress, Listen, TcpAddress, UnixAddress
from tricorn.parent.listeners import open_listeners
from tricorn.parent.pid_file import PidFile
from tricorn.parent.succession import inherited_from_upgrade

addresses, pid_path, manner = eval(sys.argv[1])
passed = inherited_from_upgrade(os.environ)
assert passed is not None and "TRICORN_UPGRADE" not in os.environ
listeners = open_listeners(Listen(addresses, 128, 0o600, None, None), passed)
pid_file = passed.pid_file(Path(pid_path)) if pid_path else None
passed.finish()
if manner == "fails":
    listeners.close()
    if pid_file is not None:
        pid_file.remove()
    sys.exit(3)
if manner == "hangs":
    select.select([], [], [])
if manner == "babbles":
    os.write(passed.fileno(), b"babble\\n")
    select.select([], [], [])
passed.tell_serving()
select.select([passed], [], [])
assert passed.hear()
passed.close()
listeners.take_over()
if pid_file is not None:
    pid_file.confirm()
poll = select.poll()
for fd in listeners.descriptors:
    poll.register(fd, select.POLLIN)
import socket
served = 0
while served < 2:
    for fd, _ in poll.poll():
        with socket.socket(fileno=os.dup(fd)) as end:
            client, _ = end.accept()
        client.sendall(b"%d" % os.getpid())
        client.close()
        served += 1
listeners.stop_listening()
listeners.shut()
if pid_file is not None:
    pid_file.remove()
"""


@dataclass
class Old:
    """A running server, as far as an upgrade sees it."""

    directory: Path
    addresses: tuple[TcpAddress | UnixAddress | InheritedAddress, ...]
    listeners: Listeners = field(init=False)
    pid_file: PidFile = field(init=False)
    started: list[Upgrade] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listeners = open_listeners(Listen(self.addresses, 128, 0o600, None, None))
        self.pid_file = PidFile(self.directory / "x.pid")

    def upgrade(self, manner: str, **changes: object) -> Upgrade:
        told = changes.get("addresses", self.addresses), changes.get("pid_file", str(self.pid_file.path)), manner
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        start = Start(sys.executable, ("-c", SUCCESSOR, repr(told)), str(self.directory), environment)
        upgrade = begin(start, self.listeners, self.pid_file, start_timeout=5, now=time.monotonic())
        self.started.append(upgrade)
        return upgrade

    def until(self, upgrade: Upgrade, *wanted: Progress) -> Progress:
        """What a loop does, until the upgrade is as far as that."""
        end = time.monotonic() + PATIENCE
        while upgrade.progress not in wanted:
            assert time.monotonic() < end, upgrade
            if upgrade.progress in (Progress.STARTING, Progress.SERVING):
                select.select([upgrade], [], [], 1)
                upgrade.hear(time.monotonic())
            else:
                upgrade.reaped({upgrade.pid: os.waitpid(upgrade.pid, 0)[1]})
        return upgrade.progress


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Old]:
    server = Old(tmp_path, (TcpAddress("127.0.0.1", 0), UnixAddress(str(tmp_path / "app.sock"))))
    yield server
    for upgrade in server.started:
        upgrade.close()
    server.listeners.close()
    server.pid_file.remove()


def place(listeners: Listeners) -> tuple[str, int]:
    with socket.socket(fileno=os.dup(listeners.descriptors[0])) as end:
        host, port = end.getsockname()
        return host, port


def answer(end: socket.socket) -> bytes:
    with end:
        end.settimeout(PATIENCE)
        return end.recv(100)


def is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_the_new_server_has_the_sockets_the_files_and_the_pid_file(old: Old) -> None:
    to, pid_path, unix = place(old.listeners), old.pid_file.path, old.directory / "app.sock"
    queued = socket.create_connection(to)
    upgrade = old.upgrade("serves")
    assert old.until(upgrade, Progress.SERVING, Progress.FAILED) is Progress.SERVING
    assert pid_path.read_text() == f"{os.getpid()}\n", "nothing has changed yet"
    assert upgrade.hand_over(old.listeners, old.pid_file) is Progress.HANDED_OVER
    assert pid_path.read_text() == f"{upgrade.pid}\n"
    upgrade.close()
    old.listeners.stop_listening()
    old.listeners.shut()
    old.pid_file.remove()
    assert is_held(pid_path) and pid_path.read_text() == f"{upgrade.pid}\n" and unix.exists()
    assert answer(queued) == b"%d" % upgrade.pid, "who was queued before is served by the new one"
    end = socket.socket(socket.AF_UNIX)
    end.connect(str(unix))
    assert answer(end) == b"%d" % upgrade.pid
    assert os.waitpid(upgrade.pid, 0)[1] == 0
    assert not pid_path.exists() and not unix.exists(), "at its end the new one leaves nothing behind"
    old.__post_init__()


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("fails", "the new server ended: exit code 3; its error log tells why"),
        ("babbles", "the new server said something incomprehensible: it is no JSON"),
        ("hangs", "the new server did not serve within 20 s"),
        ("cancelled", "the server stops"),
    ],
)
def test_a_successor_that_fails_costs_nothing(old: Old, manner: str, reason: str) -> None:
    to = place(old.listeners)
    upgrade = old.upgrade("hangs" if manner == "cancelled" else manner)
    if manner == "hangs":
        assert upgrade.deadline is not None
        assert upgrade.expire(upgrade.deadline - 1) is Progress.STARTING
        upgrade.expire(upgrade.deadline)
    if manner == "cancelled":
        upgrade.cancel("the server stops")
    assert old.until(upgrade, Progress.FAILED) is Progress.FAILED
    assert upgrade.reason == reason
    assert upgrade.deadline is None
    assert old.pid_file.path.read_text() == f"{os.getpid()}\n"
    assert is_held(old.pid_file.path)
    assert (old.directory / "app.sock").exists()
    with socket.create_connection(to, timeout=5):
        assert not old.listeners.is_empty()


def test_a_successor_that_dies_just_before_it_gets_the_word_costs_nothing(old: Old) -> None:
    upgrade = old.upgrade("serves")
    assert old.until(upgrade, Progress.SERVING, Progress.FAILED) is Progress.SERVING
    os.kill(upgrade.pid, 9)
    os.waitid(os.P_PID, upgrade.pid, os.WEXITED | os.WNOWAIT)
    assert upgrade.hand_over(old.listeners, old.pid_file) is Progress.ENDING
    assert old.pid_file.path.read_text() == f"{os.getpid()}\n"
    assert old.until(upgrade, Progress.FAILED) is Progress.FAILED
    assert upgrade.reason == "the new server ended as soon as it served"


def test_the_new_server_goes_on_when_the_old_one_dies_meanwhile(old: Old) -> None:
    upgrade = old.upgrade("serves")
    assert old.until(upgrade, Progress.SERVING, Progress.FAILED) is Progress.SERVING
    to, pid_path = place(old.listeners), old.pid_file.path
    upgrade.close()
    assert [answer(socket.create_connection(to)) for _ in range(2)] == [b"%d" % upgrade.pid] * 2
    assert os.waitpid(upgrade.pid, 0)[1] == 0
    assert not pid_path.exists()
    old.listeners.close()
    old.pid_file.remove()
    old.__post_init__()


def test_another_configuration_takes_what_it_has_use_for(old: Old, tmp_path: Path) -> None:
    """A socket and a pid file that the new server does not want are still the old one's to end."""
    unix, pid_path = old.directory / "app.sock", old.pid_file.path
    addresses = (TcpAddress("127.0.0.1", 0), UnixAddress(str(tmp_path / "new.sock")))
    upgrade = old.upgrade("serves", addresses=addresses, pid_file=str(tmp_path / "y.pid"))
    assert old.until(upgrade, Progress.SERVING, Progress.FAILED) is Progress.SERVING
    to = place(old.listeners)
    assert upgrade.hand_over(old.listeners, old.pid_file) is Progress.HANDED_OVER
    assert pid_path.read_text() == f"{os.getpid()}\n"
    old.listeners.shut()
    old.pid_file.remove()
    assert not unix.exists() and not pid_path.exists()
    assert [answer(socket.create_connection(to)) for _ in range(2)] == [b"%d" % upgrade.pid] * 2
    assert os.waitpid(upgrade.pid, 0)[1] == 0
    assert not (tmp_path / "new.sock").exists()
    old.__post_init__()


def test_a_command_that_cannot_be_run_is_refused_with_a_sentence(old: Old) -> None:
    for executable, directory in (("/nowhere/python", old.directory), (sys.executable, old.directory / "gone")):
        with pytest.raises(StartError, match=r"cannot be started in .*: No such file or directory"):
            begin(Start(executable, (), str(directory), {}), old.listeners, None, start_timeout=1, now=0)
    with pytest.raises(StartError, match="does not tell which program it is"):
        begin(Start("", (), "/", {}), old.listeners, None, start_timeout=1, now=0)


def test_when_there_can_be_no_upgrade() -> None:
    assert refused(2, stopping=False, reloading=False, upgrading=False) is None
    sentences = {
        refused(2, stopping=True, reloading=False, upgrading=False),
        refused(2, stopping=False, reloading=True, upgrading=False),
        refused(2, stopping=False, reloading=False, upgrading=True),
        refused(1, stopping=False, reloading=False, upgrading=False),
    }
    assert len(sentences) == 4 and None not in sentences


def test_the_start_is_repeated_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "release-1").mkdir()
    (tmp_path / "current").symlink_to("release-1")
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setenv("PWD", str(tmp_path / "current"))
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv(UPGRADE_VARIABLE, "{}")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    start = Start.of_this_process()
    assert (start.executable, start.arguments) == (sys.executable, tuple(sys.orig_argv[1:]))
    assert start.directory == str(tmp_path / "current"), "a link to the newest release is followed anew"
    assert start.environment["NOTIFY_SOCKET"] == "/run/x"
    assert not {"LISTEN_PID", UPGRADE_VARIABLE} & set(start.environment)
    monkeypatch.setenv("PWD", "/")
    assert Start.of_this_process().directory == str(tmp_path / "release-1")
