from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.config import environment
from tricorn.config.environment import UPGRADE_VARIABLE
from tricorn.config.settings import Listen, TcpAddress
from tricorn.errors import ConfigError
from tricorn.parent.handover import (
    Handover,
    MalformedError,
    PassedSocket,
    Serving,
    decode_handover,
    decode_serving,
)
from tricorn.parent.listeners import open_listeners
from tricorn.parent.succession import inherited_from_upgrade
from tricorn.parent.unix_socket import SocketFile

WHOLE = Handover(
    3,
    (
        PassedSocket(("tcp", "::1", 8000), 4, None),
        PassedSocket(("unix", "/run/a b.sock"), 5, SocketFile(Path("/run/a b.sock"), 7, 1 << 63)),
        PassedSocket(("fd", 6), 6, None),
        PassedSocket(("systemd",), 8, None),
    ),
    (Path("/run/\udcff.pid"), 9),
)


def test_what_is_handed_over_arrives() -> None:
    assert decode_handover(WHOLE.encode()) == WHOLE
    assert decode_handover(Handover(3, (), None).encode()) == Handover(3, (), None)
    word = Serving(123, frozenset({4, 5}), pid_file=True)
    assert decode_serving(word.encode()) == word


def changed(**fields: Any) -> str:
    return json.dumps(json.loads(WHOLE.encode()) | fields)


def with_socket(**fields: Any) -> str:
    return changed(sockets=[{"name": ["tcp", "", 80], "fd": 4, "file": None} | fields])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("{" + " " * 200_000 + "}", "too long"),
        ("{}", "format 1 is expected"),
        (changed(format=2), "format 1 is expected"),
        (changed(pair=None), "out of range"),
        (changed(pair=True), "out of range"),
        (changed(pair=-1), "out of range"),
        (changed(pair=10**30), "out of range"),
        (changed(pair=4), "named twice"),
        (changed(sockets=None), "no list"),
        (changed(sockets=["x"]), "no object"),
        (changed(pid_file=["/x"]), "wrong length"),
        (changed(pid_file=["", 9]), "no path"),
        (changed(pid_file=["/x\0y", 9]), "no path"),
        (changed(pid_file=["/\ud800", 9]), "no path"),
        (with_socket(name=["tcp", 80]), "no name that is known"),
        (with_socket(name="tcp"), "no name that is known"),
        (with_socket(fd="4"), "out of range"),
        (with_socket(file=["/x", 1, 2]), "has a file"),
        (with_socket(name=["unix", "/x"], file=["/x", -1, 2]), "out of range"),
    ],
)
def test_a_variable_that_no_server_has_set_is_refused_with_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^{UPGRADE_VARIABLE} is not what a running server hands .*{reason}.*; unset it"
    ):
        decode_handover(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["format", "pair", "sockets", "pid_file", "name", "fd", "file"]), inner)
    ),
)


@given(values)
def test_no_form_of_the_variable_is_a_surprise(value: Any) -> None:
    record = {"format": 1, **value} if isinstance(value, dict) else value
    with contextlib.suppress(ConfigError):
        decode_handover(json.dumps(record))


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps({"serving": value, "taken": [value]}).encode()))
def test_no_word_of_a_successor_is_a_surprise(line: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_serving(line)


def test_an_ordinary_start_has_nothing() -> None:
    variables = {"PATH": "/bin"}
    assert inherited_from_upgrade(variables) is None


def test_descriptors_that_are_not_what_they_are_said_to_be_are_refused(tmp_path: Path) -> None:
    closed = 900_000  # above what anybody may open here
    file = os.open(tmp_path, os.O_RDONLY)
    ours, theirs = socket.socketpair()
    unconnected = socket.socket(socket.AF_UNIX)
    datagrams, others = socket.socketpair(type=socket.SOCK_DGRAM)
    listed = (PassedSocket(("fd", 3), closed, None),)
    for handover, reason in (
        (Handover(closed, (), None), "is not open"),
        (Handover(ours.fileno(), listed, None), "is not open"),
        (Handover(file, (), None), "is no socket"),
        (Handover(unconnected.fileno(), (), None), "no line to another server"),
        (Handover(datagrams.fileno(), (), None), "no line to another server"),
    ):
        variables = {UPGRADE_VARIABLE: handover.encode()}
        with pytest.raises(ConfigError, match=reason):
            inherited_from_upgrade(variables)
        assert not variables, "the application must not see it, whatever it is"
    os.close(file)
    for end in (ours, theirs, unconnected, datagrams, others):
        end.close()


@pytest.fixture
def handed() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The line between two servers: the old one's end, and the one that goes to the new one."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()


def test_sockets_of_systemd_go_from_server_to_server_and_stay_its_own(
    handed: tuple[socket.socket, socket.socket],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        passed = PassedSocket(("systemd",), os.dup(theirs.fileno()), None)
        variables = {UPGRADE_VARIABLE: Handover(handed[1].detach(), (passed,), None).encode()}
        succession = inherited_from_upgrade(variables)
        assert succession is not None
        configured = Listen((TcpAddress("127.0.0.1", 0),), 10, 0o600, None, None)
        listeners = open_listeners(configured, succession)
        assert listeners.descriptors == (passed.fd,), "they replace what is configured, as they did in the old one"
        assert not os.get_inheritable(passed.fd)
        succession.close()
        listeners.take_over()
        assert listeners.passed_on() == [passed]
        listeners.stop_listening()
        listeners.shut()
        socket.create_connection(theirs.getsockname(), timeout=5).close()


def test_what_nobody_takes_is_closed(handed: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        passed = PassedSocket(("tcp", "127.0.0.1", 1), os.dup(theirs.fileno()), None)
        stream = PassedSocket(("fd", 1), 1, None)
        pid_file = os.open(tmp_path / "x.pid", os.O_RDWR | os.O_CREAT)
        text = Handover(handed[1].detach(), (passed, stream), (tmp_path / "x.pid", pid_file)).encode()
        succession = inherited_from_upgrade({UPGRADE_VARIABLE: text})
        assert succession is not None
        assert succession.pid_file(tmp_path / "y.pid") is None
        succession.finish()
        for fd in (passed.fd, pid_file):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)
        os.set_inheritable(1, True)  # raises if it is closed
        succession.close()


def test_a_pid_file_that_is_another_file_is_refused(
    handed: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    (tmp_path / "x.pid").write_text("1\n")
    text = Handover(handed[1].detach(), (), (tmp_path / "x.pid", other)).encode()
    succession = inherited_from_upgrade({UPGRADE_VARIABLE: text})
    assert succession is not None
    with pytest.raises(ConfigError, match="is not the file that the running server has passed on"):
        succession.pid_file(tmp_path / "x.pid")
    succession.close()
    os.close(other)


def test_the_variable_is_no_directive_and_not_warned_of() -> None:
    layer = environment.read({UPGRADE_VARIABLE: WHOLE.encode()})
    assert not layer.warnings and not layer.problems
