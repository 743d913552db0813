"""Applications that take too long, each in its own way; and what tells whether an exception has hit the wrong request."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tricorn.errors import RequestTimeout

Environ = dict[str, Any]
Start = Callable[..., Any]
PLAIN = [("Content-Type", "text/plain")]

seen: list[str] = []
"""What has become of requests in this process."""


def app(environ: Environ, start_response: Start) -> Any:
    """By path; what follows the name is how long, in seconds."""
    name, _, rest = environ["PATH_INFO"].lstrip("/").partition("/")
    return PATHS[name](environ, start_response, float(rest or 0))


def hello(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    began = time.monotonic()
    try:
        start_response("200 OK", PLAIN)
        return [b"Hello, world!"]
    except RequestTimeout:
        if time.monotonic() - began < 0.08:
            seen.append("early")
        raise


def facts(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """Process and what was seen."""
    start_response("200 OK", PLAIN)
    return [f"{os.getpid()} {' '.join(seen)}".encode()]


def sleep(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """In short sleeps, between which an exception can reach it."""
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            time.sleep(0.005)
    except RequestTimeout:
        seen.append("raised")
        raise
    start_response("200 OK", PLAIN)
    return [b"slept"]


def timed(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """As `sleep`; notes an exception that cannot be meant for this request, which is younger than any deadline."""
    began = time.monotonic()
    try:
        return sleep(environ, start_response, seconds)
    except RequestTimeout:
        if time.monotonic() - began < 0.08:
            seen.append("early")
        raise


def busy(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """Computes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    start_response("200 OK", PLAIN)
    return [b"computed"]


def stuck(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """In one call that no exception can end."""
    time.sleep(seconds)
    start_response("200 OK", PLAIN)
    return [b"slept"]


def lock(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    held = threading.Lock()
    held.acquire()
    held.acquire()
    return []


def selfish(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """In code that keeps the interpreter for itself."""
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    start_response("200 OK", PLAIN)
    return [b"slept"]


def stubborn(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """Swallows whatever is raised in it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(0.01)
        except BaseException:
            seen.append("swallowed")
    start_response("200 OK", PLAIN)
    return [b"done"]


def tries_again(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """As applications do with what they think is an error of a service."""
    for _ in range(int(seconds / 0.01)):
        try:
            time.sleep(0.01)
            raise OSError("try again")
        except Exception:
            seen.append("again") if "again" not in seen else None
    start_response("200 OK", PLAIN)
    return [b"done"]


def stalls(environ: Environ, start_response: Start, seconds: float) -> Iterator[bytes]:
    """Begins an answer, and no more comes."""
    start_response("200 OK", PLAIN)
    yield b"begun"
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
    yield b"more"


def blocks(environ: Environ, start_response: Start, seconds: float) -> Iterator[bytes]:
    """Ten blocks, `seconds` in all."""
    start_response("200 OK", PLAIN)
    for _ in range(10):
        time.sleep(seconds / 10)
        yield b"block "


def writes(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """As `blocks`, by `write`."""
    write = start_response("200 OK", PLAIN)
    for _ in range(10):
        time.sleep(seconds / 10)
        write(b"block ")
    return []


def extended(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    environ["tricorn.extend_timeout"](2 * seconds)
    time.sleep(seconds)
    start_response("200 OK", PLAIN)
    return [b"extended"]


def nonsense(environ: Environ, start_response: Start, seconds: float) -> list[bytes]:
    """What `extend_timeout` says to values that are none."""
    said = []
    for value in (-1, float("nan"), float("inf"), 86_401, "x", None):
        try:
            environ["tricorn.extend_timeout"](value)
        except (ValueError, TypeError) as error:
            said.append(type(error).__name__)
    start_response("200 OK", PLAIN)
    return [" ".join(said).encode()]


class Closing:
    """An answer whose `close` takes long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"complete"])

    def close(self) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            time.sleep(0.01)


def closes(environ: Environ, start_response: Start, seconds: float) -> Closing:
    start_response("200 OK", [*PLAIN, ("Content-Length", "8")])
    return Closing(seconds)


class Native(Closing):
    """An answer that is made without Python code, so that an exception can only reach what comes afterwards."""

    def __iter__(self) -> Iterator[Any]:
        return map(time.sleep, [self.seconds])

    def close(self) -> None:
        seen.append("closing")
        seen.append("closed")


def native(environ: Environ, start_response: Start, seconds: float) -> Closing:
    start_response("200 OK", PLAIN)
    return Native(seconds)


class Fails(Closing):
    """An answer that cannot be begun, and whose `close` takes long."""

    def __iter__(self) -> Iterator[bytes]:
        raise ValueError("no answer")


def fails(environ: Environ, start_response: Start, seconds: float) -> Closing:
    start_response("200 OK", PLAIN)
    return Fails(seconds)


PATHS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(hello, facts, sleep, timed, busy, stuck, lock, selfish, stubborn, tries_again),
        *(stalls, blocks, writes, extended, nonsense, closes, native, fails),
    )
}
