"""A WSGI application for tests of connections and of what becomes of the server when an application misbehaves.

/            "Hello"                              /pid           process id and thread name
/echo        method, path and the body            /count         the number of bytes of the body
/stream      five blocks, unknown length          /big?N         N bytes of a known pattern, in blocks, unknown length
/sized?N     the same with a Content-Length       /none /304     status without a body
/hang        waits until the file HANG is gone    /sleep?S       sleeps
/exit        sys.exit(3)     /os-exit  os._exit(7)     /segv /kill   ends itself by a signal
/raise /raise-late /garbage  errors of several kinds   /spawn        starts a subprocess and tells its descriptors
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
PATTERN = bytes(range(256)) * 256
PLAIN = [("Content-Type", "text/plain")]


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    query = environ["QUERY_STRING"]
    match path:
        case "/pid":
            start_response("200 OK", PLAIN)
            return [f"{os.getpid()} {threading.current_thread().name}".encode()]
        case "/echo":
            body = environ["wsgi.input"].read()
            start_response("200 OK", PLAIN)
            return [environ["REQUEST_METHOD"].encode(), b" ", query.encode(), b" ", body]
        case "/count":
            count = sum(len(block) for block in iter(lambda: environ["wsgi.input"].read(65536), b""))
            start_response("200 OK", PLAIN)
            return [str(count).encode()]
        case "/stream":
            start_response("200 OK", PLAIN)
            return (f"block {number}\n".encode() for number in range(5))
        case "/big" | "/sized":
            length = [("Content-Length", query)] if path == "/sized" else []
            start_response("200 OK", [*PLAIN, *length])
            return pattern(int(query))
        case "/none":
            start_response("204 No Content", [])
            return []
        case "/304":
            start_response("304 Not Modified", [("ETag", '"x"')])
            return []
        case "/sleep":
            time.sleep(float(query))
            start_response("200 OK", PLAIN)
            return [b"slept"]
        case _:
            return misbehave(path, environ, start_response)


def pattern(length: int) -> Iterator[bytes]:
    """`length` bytes in blocks of 64 KiB."""
    while length > 0:
        yield PATTERN[:length]
        length -= len(PATTERN)


def misbehave(path: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    match path:
        case "/hang":
            start_response("200 OK", PLAIN)
            while os.path.exists(environ["QUERY_STRING"]):
                time.sleep(0.01)
            return [b"went on"]
        case "/exit":
            sys.exit(3)
        case "/os-exit":
            os._exit(7)
        case "/kill" | "/segv":
            os.kill(os.getpid(), signal.SIGKILL if path == "/kill" else signal.SIGSEGV)
            time.sleep(30)
            return []
        case "/raise":
            raise ValueError("raised on purpose")
        case "/raise-late":
            start_response("200 OK", PLAIN)
            return late()
        case "/garbage":
            start_response("200 OK", PLAIN)
            return 42  # type: ignore[return-value]
        case "/spawn":
            listing = "import os; print([os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if fd > '2' and os.path.exists(f'/proc/self/fd/{fd}')])"
            shown = subprocess.run([sys.executable, "-c", listing], capture_output=True, check=True, close_fds=False)
            start_response("200 OK", PLAIN)
            return [shown.stdout]
        case _:
            start_response("200 OK" if path == "/" else "404 Not Found", PLAIN)
            return [b"Hello"]


def late() -> Iterator[bytes]:
    """An answer that breaks off after its first block."""
    yield b"the beginning"
    raise ValueError("raised late on purpose")
