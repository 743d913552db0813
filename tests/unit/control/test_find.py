from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.control.fake_server import Server
from tricorn.control import find
from tricorn.control.client import NoAnswerError
from tricorn.control.places import sockets
from tricorn.errors import ConfigError

USER = os.geteuid()


@pytest.fixture
def directory() -> Iterator[Path]:
    # The path of a Unix socket is short, that of a test is not always.
    with tempfile.TemporaryDirectory(prefix="tc") as name:
        yield Path(name)


def listen(path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX)
    end.bind(str(path))
    end.listen()
    return end


def test_what_was_asked_for_comes_first(directory: Path) -> None:
    variables = {"TRICORN_CONTROL_SOCKET": "other.sock"}
    assert find.find_server(Path("a.sock"), directory, variables, USER) == directory / "a.sock"
    assert find.find_server(Path("/x/a.sock"), directory, variables, USER) == Path("/x/a.sock")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tricorn.toml", 'control_socket = "c.sock"'),
        ("pyproject.toml", '[tool.tricorn]\ncontrol_socket = "c.sock"'),
        ("other.toml", 'control_socket = "c.sock"'),
    ],
)
def test_then_what_is_configured_here(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(text)
    variables = {"TRICORN_CONFIG": "other.toml"} if name == "other.toml" else {}
    with pytest.raises(NoAnswerError, match=rf"no server listens at .*c.sock \({name} line"):
        find.find_server(None, directory, variables, USER)
    with listen(directory / "c.sock"):
        assert find.find_server(None, directory, variables, USER) == directory / "c.sock"


@pytest.mark.parametrize(
    ("text", "part"),
    [("control_socket = 3", "is a path, auto or off"), ('control_socket = "off"', "hears signals only"), ("=", "TOML")],
)
def test_what_is_configured_and_makes_no_sense(directory: Path, text: str, part: str) -> None:
    (directory / "tricorn.toml").write_text(text)
    with pytest.raises(ConfigError, match=part):
        find.find_server(None, directory, {}, USER)


def test_then_the_only_living_server(directory: Path) -> None:
    first, second = directory / "first", directory / "second"
    for place in (first, second):
        place.mkdir(mode=0o700)
    with pytest.raises(NoAnswerError, match=r"looked into .*first and .*second"):
        find._only_one((first, second, directory / "missing"), USER)
    listen(first / "1.sock").close()
    (first / "2.sock").touch()
    with listen(second / "3.sock"), listen(second / "notes"):
        assert find._only_one((first, second), USER) == second / "3.sock"


def test_several_are_listed_with_what_they_serve(directory: Path, server: Server) -> None:
    with listen(directory / "mute.sock") as mute:
        (directory / "c.sock").symlink_to(server.control.path)
        mute.shutdown(socket.SHUT_RDWR)
        with pytest.raises(NoAnswerError):
            find._only_one((directory,), USER + 1)
        assert find._only_one((directory,), USER) == directory / "c.sock"
    with listen(directory / "other.sock") as other:
        other.listen(8)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError) as caught:
            patch.setattr(find, "_PATIENCE", 0.2)
            find._only_one((directory,), USER)
    assert str(caught.value).splitlines() == [
        "there are 2 servers; say which one with --socket PATH:",
        f"{directory}/c.sock: pid {os.getpid()} serves shop.wsgi on http://127.0.0.1:8000",
        f"{directory}/other.sock: pid ? serves ? on nobody knows where",
    ]


def test_a_directory_that_others_may_write_to_is_not_believed(directory: Path) -> None:
    with listen(directory / "1.sock"):
        assert sockets(directory, USER) == [directory / "1.sock"]
        directory.chmod(0o777)
        assert sockets(directory, USER) == []
        directory.chmod(0o700)
        assert sockets(directory, USER + 1) == []
