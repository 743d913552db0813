from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.errors import ConfigError
from tricorn.parent.handover import (
    VARIABLE,
    Handover,
    MalformedError,
    PassedSocket,
    Serving,
    decode_handover,
    decode_serving,
)
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
    with pytest.raises(ConfigError, match=f"^{VARIABLE} is not what a running server hands .*{reason}.*; unset it"):
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
    environment = {"PATH": "/bin"}
    assert inherited_from_upgrade(environment) is None


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
        environment = {VARIABLE: handover.encode()}
        with pytest.raises(ConfigError, match=reason):
            inherited_from_upgrade(environment)
        assert not environment, "the application must not see it, whatever it is"
    os.close(file)
    for end in (ours, theirs, unconnected, datagrams, others):
        end.close()
