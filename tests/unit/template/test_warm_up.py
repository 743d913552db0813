from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from tricorn.config.settings import LogLevel
from tricorn.logs import ErrorLog
from tricorn.template.warm_up import warm_up


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ErrorLog]:
    fd = os.open(tmp_path / "error.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    yield ErrorLog(fd, LogLevel.DEBUG, "template")
    os.close(fd)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[], str]:
    return (tmp_path / "error.log").read_text


class Body:
    """An iterable that notes how it was used."""

    def __init__(self, used: list[str]) -> None:
        self.used = used

    def __iter__(self) -> Iterator[bytes]:
        for block in (b"a", b"b"):
            self.used.append(block.decode())
            yield block

    def close(self) -> None:
        self.used.append("closed")


def test_each_target_is_asked_for_as_a_client_would(log: ErrorLog, read: Callable[[], str]) -> None:
    asked: list[tuple[str, ...]] = []
    used: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_HOST", "SERVER_PORT")
        asked.append(tuple(environ[name] for name in names))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body(used)

    warm_up(application, ("/a%C3%A9?b=c", "http://shop.example:8080/"), "/app", log, rounds=1)
    assert asked == [
        ("/app", "/a\u00c3\u00a9", "b=c", "localhost", "80"),
        ("/app", "/", "", "shop.example:8080", "8080"),
    ]
    assert used == ["a", "b", "closed"] * 2
    assert read().count("was answered with 200 OK") == 2


def test_the_calls_are_wsgi_to_the_letter(log: ErrorLog, read: Callable[[], str]) -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        environ["wsgi.errors"].write("noted\n")
        start_response("204 No Content", [])
        return []

    warm_up(validator(application), ("/",), "", log, rounds=1)
    assert "noted" in read()
    assert "warning" not in read()


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Internal Server Error"])
def test_an_error_is_a_warning(log: ErrorLog, read: Callable[[], str], status: str) -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        start_response(status, [])
        return []

    warm_up(application, ("/x",), "", log, rounds=1)
    assert f"warning template: warm_up: /x was answered with {status}" in read()


def test_an_exception_is_a_warning_and_the_rest_is_still_asked_for(log: ErrorLog, read: Callable[[], str]) -> None:
    asked: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        raise LookupError("no such thing")

    warm_up(application, ("/x", "/y"), "", log, rounds=3)
    assert asked == ["/x", "/y"]
    assert read().count("LookupError: no such thing") == 2


def test_an_application_that_starts_no_response_is_told(log: ErrorLog, read: Callable[[], str]) -> None:
    warm_up(lambda environ, start_response: [], ("/",), "", log, rounds=1)
    assert "start_response was not called" in read()


def test_what_is_answered_well_is_asked_for_again_and_what_is_not_is_left_alone(
    log: ErrorLog, read: Callable[[], str]
) -> None:
    asked: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        path = environ["PATH_INFO"]
        asked.append(path)
        late = path == "/late" and asked.count(path) == 2
        start_response("503 Service Unavailable" if path == "/never" or late else "200 OK", [])
        return []

    warm_up(application, ("/x", "/never", "/late"), "", log, rounds=4)
    assert {path: asked.count(path) for path in asked} == {"/x": 4, "/never": 1, "/late": 2}
    assert read().count("503 Service Unavailable") == 2


def test_slow_pages_are_not_asked_for_again_and_again(log: ErrorLog) -> None:
    asked: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        time.sleep(0.2)
        start_response("200 OK", [])
        return []

    warm_up(application, ("/slow",), "", log, rounds=1000)
    assert 2 <= len(asked) <= 4


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="a cache of CPython's")
def test_before_a_fork_the_interpreter_forgets_what_the_import_looked_up(log: ErrorLog) -> None:
    class Looked:
        pass

    name = f"looked_up_by_{os.getpid()}"
    alone = sys.getrefcount(name)
    assert not hasattr(Looked(), name)
    assert sys.getrefcount(name) == alone + 1, "the cache of lookups holds the name"
    warm_up(lambda environ, start_response: [], (), "", log, rounds=2)
    assert sys.getrefcount(name) == alone
