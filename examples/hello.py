"""A plain WSGI application with a few routes that show what the server does with them.

Serve it: tricorn serve examples/hello.py:application
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

PLAIN = [("Content-Type", "text/plain; charset=utf-8")]


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Find the route by its path."""
    handler = ROUTES.get(environ["PATH_INFO"], missing)
    return handler(environ, start_response)


def index(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Tell who answers: the process and the thread."""
    start_response("200 OK", PLAIN)
    who = f"process {os.getpid()}, {threading.current_thread().name}"
    served = ("one thread", "several threads")[bool(environ["wsgi.multithread"])]
    return [f"Hello from Tricorn: {who}, a process with {served}.\nTry {', '.join(ROUTES)}.\n".encode()]


def slow(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Take some time, as a slow query would: /slow?seconds=2. Others are answered meanwhile by other threads."""
    try:
        seconds = min(float(parse_qs(environ["QUERY_STRING"]).get("seconds", ["1"])[0]), 60.0)
    except ValueError:
        start_response("400 Bad Request", PLAIN)
        return [b"seconds must be a number\n"]
    time.sleep(max(seconds, 0.0))
    start_response("200 OK", PLAIN)
    return [f"This took {seconds:g} seconds.\n".encode()]


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Count the bytes of a body of any size: curl --data-binary @FILE http://127.0.0.1:8000/upload."""
    size = sum(len(block) for block in iter(lambda: environ["wsgi.input"].read(65536), b""))
    start_response("200 OK", PLAIN)
    return [f"{size} bytes received.\n".encode()]


def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Answer piece by piece; each is sent as soon as it is made. curl -N shows it."""
    start_response("200 OK", PLAIN)
    for number in range(1, 6):
        yield f"piece {number} of 5\n".encode()
        time.sleep(0.3)


def missing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Say that there is no such route."""
    start_response("404 Not Found", PLAIN)
    return [f"There is no {environ['PATH_INFO']} here. Try {', '.join(ROUTES)}.\n".encode("utf-8", "replace")]


ROUTES: dict[str, Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    "/": index,
    "/slow": slow,
    "/upload": upload,
    "/stream": stream,
}
