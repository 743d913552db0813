"""A WSGI application with one route per rule of PEP 3333, for tests to probe a live server.

What is answered tells what the gateway did; `/closed` and `/events` tell what happened after an answer. Parameters are
given in the query.

Requests and bodies
    /environ            the environ as JSON: {name: value or repr, …}; `types` has the type name of each value
    /read?n=N           the body by `read(N)` until the end (N absent: one `read()`), echoed
    /readline?n=N       the body by `readline(N)`, as a JSON list of latin-1 strings
    /readlines?hint=N   the body by `readlines(N)`, the same way
    /iterate            the body by iteration, the same way
    /readinto?n=N       the body by `readinto` into N bytes at a time, echoed
    /after              keeps `wsgi.input`; the next request to /after-read answers with what it reads from it then

Answers
    /                   "Hello, world!" with Content-Length
    /list?n=N           a list of N blocks, without Content-Length
    /tuple, /empty      a tuple of one block; an empty list
    /subclass           a list subclass with its own `close()`
    /generator?n=N&size=S&declare=D   N blocks of S bytes from a generator, Content-Length D if given; events "close"
    /late-start         a generator that calls start_response when its first block is asked for
    /empty-blocks       a generator of empty blocks around one word
    /iterator-class?fail=WHEN  an iterable class with close(); raises at `iter`, `next`, `second`, `close` or not at all
    /write?declare=D    two blocks by `write()`, one returned
    /write-late         calls `write()` when it has returned
    /write-thread       calls `write()` from another thread and waits for it
    /file?offset=O&declare=D&kind=KIND   a file by `wsgi.file_wrapper`; kind: plain (a temporary file), raw, named, gzip,
                        bytesio, text
    /file-closed        whether the file of the last /file has been closed, as JSON
    /big?size=S&kind=KIND  S bytes: kind list, generator, write, file
    /status?s=STATUS    that status, empty body
    /header?n=NAME&v=VALUE  a header
    /methods            the method, for HEAD and the like, with Content-Length

Errors in the application
    /raise              raises before start_response
    /raise-started      raises after start_response
    /raise-second?declare=D  a generator that raises after its first block
    /exit, /interrupt   SystemExit, KeyboardInterrupt
    /exc-info           start_response again with exc_info before the body: the second head counts
    /exc-info-late      the same after the first block: the exception comes back and breaks the answer off
    /twice              start_response twice without exc_info
    /never              never calls start_response
    /bad?what=WHAT      status-type, status-short, status-interim, headers-type, headers-tuple, header-pair,
                        header-type, header-name, header-value, header-unicode, header-hop, length-text, length-twice,
                        block-str, block-int, returned-str, returned-bytes, returned-none, returned-int, exc-info
    /short, /long       fewer or more bytes than Content-Length says; `kind` list, generator or write

What happened
    /events             JSON list of events since the last call, in this process
    /wait?seconds=S     answers after S seconds
    /log?text=T         writes T to wsgi.errors
"""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

Environ = dict[str, Any]
Query = dict[str, str]
StartResponse = Callable[..., Callable[[bytes], object]]
Route = Callable[[Environ, StartResponse, Query], Iterable[bytes]]

TEXT = ("Content-Type", "text/plain")
CONTENT = b"".join(b"line %d of the file\n" % number for number in range(1000))

events: list[str] = []
kept: dict[str, Any] = {}
routes: dict[str, Route] = {}


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Find the route of PATH_INFO."""
    query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True, encoding="latin-1"))
    route = routes.get(environ["PATH_INFO"])
    if route is None:
        start_response("404 Not Found", [TEXT])
        return [b"no such route\n"]
    return route(environ, start_response, query)


def at(path: str) -> Callable[[Route], Route]:
    """Make a function the route of `path`."""

    def register(route: Route) -> Route:
        routes[path] = route
        return route

    return register


def answer(start_response: StartResponse, body: bytes, kind: str = "text/plain") -> list[bytes]:
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def as_json(start_response: StartResponse, value: object) -> list[bytes]:
    return answer(start_response, json.dumps(value).encode(), "application/json")


def head(query: Query) -> list[tuple[str, str]]:
    """The headers of an answer that may declare a length."""
    return [TEXT, *([("Content-Length", query["declare"])] if "declare" in query else [])]


def size(query: Query, name: str = "n") -> tuple[int, ...]:
    return (int(query[name]),) if name in query else ()


# ---- requests and bodies


@at("/environ")
def show_environ(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    shown: dict[str, object] = {
        key: value if isinstance(value, str | int | bool) else repr(value) for key, value in environ.items()
    }
    shown["types"] = {key: type(value).__name__ for key, value in environ.items()}
    return as_json(start_response, shown)


@at("/read")
def read(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    stream = environ["wsgi.input"]
    if "n" not in query:
        return answer(start_response, stream.read())
    blocks = list(iter(lambda: stream.read(int(query["n"])), b""))
    return answer(start_response, b"".join(blocks))


@at("/readline")
def readline(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    stream = environ["wsgi.input"]
    lines = list(iter(lambda: stream.readline(*size(query)), b""))
    return as_json(start_response, [line.decode("latin-1") for line in lines])


@at("/readlines")
def readlines(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    lines = environ["wsgi.input"].readlines(*size(query, "hint"))
    return as_json(start_response, [line.decode("latin-1") for line in lines])


@at("/iterate")
def iterate(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    return as_json(start_response, [line.decode("latin-1") for line in environ["wsgi.input"]])


@at("/readinto")
def readinto(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    stream, buffer, body = environ["wsgi.input"], bytearray(int(query["n"])), b""
    while count := stream.readinto(buffer):
        body += buffer[:count]
    return answer(start_response, body)


@at("/after")
def after(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    kept["input"], kept["start_response"] = environ["wsgi.input"], start_response
    return answer(start_response, b"kept")


@at("/after-read")
def after_read(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    try:
        kept["start_response"]("200 OK", [])
        refused = b"accepted"
    except RuntimeError:
        refused = b"refused"
    return answer(start_response, refused + b":" + kept.pop("input").read())


# ---- answers


@at("/")
def hello(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    return answer(start_response, b"Hello, world!")


@at("/list")
def blocks(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return [b"block %d\n" % number for number in range(int(query["n"]))]


@at("/tuple")
def one_tuple(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return (b"a tuple",)


@at("/empty")
def empty(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return []


class ListWithClose(list[bytes]):
    def close(self) -> None:
        events.append("close")


@at("/subclass")
def subclass(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return ListWithClose([b"one ", b"two"])


@at("/generator")
def generator(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", head(query))

    def make() -> Iterator[bytes]:
        try:
            for _ in range(int(query["n"])):
                yield b"x" * int(query["size"])
            events.append("exhausted")
        finally:
            events.append("close")

    return make()


@at("/late-start")
def late_start(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    def make() -> Iterator[bytes]:
        start_response("202 Accepted", [TEXT])
        yield b"late"

    return make()


@at("/empty-blocks")
def empty_blocks(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])

    def make() -> Iterator[bytes]:
        yield b""
        try:
            raise LookupError("nothing has been sent yet, so the head can be replaced")
        except LookupError:
            start_response("203 Replaced", [TEXT], sys.exc_info())
        yield b"word"
        yield b""

    return make()


class Iterable3333:
    """An iterable with `close()` that fails where it is told to."""

    def __init__(self, fail: str) -> None:
        self.fail = fail
        self.count = 0

    def __iter__(self) -> Iterable3333:
        if self.fail == "iter":
            raise ValueError("failed in iter")
        return self

    def __next__(self) -> bytes:
        self.count += 1
        if self.fail == "next" or (self.fail == "second" and self.count == 2):
            raise ValueError("failed in next")
        if self.count > 3:
            raise StopIteration
        return b"block %d\n" % self.count

    def close(self) -> None:
        events.append("close")
        if self.fail == "close":
            raise ValueError("failed in close")


@at("/iterator-class")
def iterator_class(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", head(query))
    return Iterable3333(query.get("fail", ""))


@at("/write")
def write(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    send = start_response("200 OK", head(query))
    send(b"")
    send(b"one ")
    send(b"two ")
    return [b"three"]


@at("/write-late")
def write_late(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    send = start_response("200 OK", [TEXT])

    def make() -> Iterator[bytes]:
        try:
            send(b"late")
        except RuntimeError:
            yield b"refused"
        else:
            yield b"accepted"

    return make()


@at("/write-thread")
def write_thread(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    send = start_response("200 OK", [TEXT])
    threads = [threading.Thread(target=send, args=(b"from a thread\n",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [b"done"]


class NotedFile(io.BytesIO):
    def close(self) -> None:
        events.append("close")
        super().close()


@at("/file")
def file(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", head(query))
    with tempfile.NamedTemporaryFile(delete=False) as made:
        made.write(gzip.compress(CONTENT) if query.get("kind") == "gzip" else CONTENT)
    openers: dict[str, Callable[[], Any]] = {
        "plain": lambda: open(made.name, "rb"),  # noqa: SIM115
        "raw": lambda: open(made.name, "rb", buffering=0),  # noqa: SIM115
        "named": named_file,
        "gzip": lambda: gzip.open(made.name),  # noqa: SIM115
        "bytesio": lambda: NotedFile(CONTENT),
        "text": lambda: open(made.name),  # noqa: SIM115
        "proc": lambda: open("/proc/version", "rb"),  # noqa: SIM115
        "unreadable": lambda: os.fdopen(os.open(made.name, os.O_WRONLY), "wb", buffering=0),
    }
    opened = openers[query.get("kind", "plain")]()
    os.unlink(made.name)
    kept["file"] = opened
    if "offset" in query:
        opened.seek(0)
        opened.read(int(query["offset"]))
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened, 4096)
    return wrapped


def named_file() -> Any:
    """A named temporary file whose last bytes are still in Python's buffer."""
    named = tempfile.NamedTemporaryFile()  # noqa: SIM115
    named.write(CONTENT)
    named.seek(0, io.SEEK_SET)
    return named


@at("/file-closed")
def file_closed(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    return as_json(start_response, kept["file"].closed)


@at("/big")
def big(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    body = b"0123456789abcdef" * (int(query["size"]) // 16)
    send = start_response("200 OK", head(query))
    match query["kind"]:
        case "list":
            return [body]
        case "generator":
            return (body[start : start + 10_000] for start in range(0, len(body), 10_000))
        case "write":
            send(body)
            return []
        case _:
            made = tempfile.TemporaryFile()  # noqa: SIM115
            made.write(body)
            made.seek(0)
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](made)
            return wrapped


@at("/status")
def status(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response(query["s"], [TEXT])
    return []


@at("/header")
def header(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [(query["n"], query["v"])])
    return [b"with a header"]


@at("/methods")
def methods(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    return answer(start_response, environ["REQUEST_METHOD"].encode("latin-1"))


# ---- errors in the application


@at("/raise")
def raises(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    raise ValueError("raised by the probe")


@at("/raise-started")
def raises_started(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    raise ValueError("raised by the probe")


@at("/raise-second")
def raises_second(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", head(query))

    def make() -> Iterator[bytes]:
        yield b"first block\n"
        raise ValueError("raised by the probe")

    return make()


@at("/exit")
def exits(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    sys.exit(3)


@at("/interrupt")
def interrupts(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    raise KeyboardInterrupt


@at("/exc-info")
def exc_info(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("X-First", "yes")])
    try:
        raise LookupError("handled by the application")
    except LookupError:
        start_response("503 Replaced", [TEXT, ("X-Second", "yes")], sys.exc_info())
    return [b"replaced"]


@at("/exc-info-late")
def exc_info_late(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", head(query))

    def make() -> Iterator[bytes]:
        yield b"first block\n"
        try:
            raise LookupError("came too late")
        except LookupError:
            start_response("503 Replaced", [TEXT], sys.exc_info())
        yield b"never sent"

    return make()


@at("/twice")
def twice(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    start_response("200 OK", [TEXT])
    return [b"never sent"]


@at("/never")
def never(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    return [b"a body without a head"]


BAD_STARTS: dict[str, tuple[Any, ...]] = {
    "status-type": (200, [TEXT]),
    "status-short": ("OK", [TEXT]),
    "status-interim": ("101 Switching Protocols", [TEXT]),
    "headers-type": ("200 OK", (TEXT,)),
    "headers-tuple": ("200 OK", [["Content-Type", "text/plain"]]),
    "header-pair": ("200 OK", [("Content-Type",)]),
    "header-type": ("200 OK", [("Content-Length", 3)]),
    "header-name": ("200 OK", [("Content Type", "text/plain")]),
    "header-value": ("200 OK", [("X-Split", "a\r\nSet-Cookie: stolen=1")]),
    "header-unicode": ("200 OK", [("X-Name", "\N{SNOWMAN}")]),
    "header-hop": ("200 OK", [("Transfer-Encoding", "chunked")]),
    "length-text": ("200 OK", [("Content-Length", "three")]),
    "length-twice": ("200 OK", [("Content-Length", "3"), ("Content-Length", "3")]),
    "exc-info": ("200 OK", [TEXT]),
}
BAD_BODIES: dict[str, Any] = {
    "block-str": ["text"],
    "block-int": [1],
    "returned-str": "text",
    "returned-bytes": b"bytes",
    "returned-none": None,
    "returned-int": 1,
}


@at("/bad")
def bad(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    what = query["what"]
    start_response(*BAD_STARTS.get(what, ("200 OK", [TEXT])))
    if what == "exc-info":
        start_response("200 OK", [TEXT], ("not", "a", "triple of sys.exc_info()"))
    body: Iterable[bytes] = BAD_BODIES.get(what, [b"abc"])
    return body


def of_kind(kind: str, send: Callable[[bytes], object], body: bytes) -> Iterable[bytes]:
    """Answer with `body` in one of three ways."""
    if kind == "write":
        send(body)
        return []
    return (body[start : start + 1] for start in range(len(body))) if kind == "generator" else [body]


@at("/short")
def short(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    send = start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return of_kind(query.get("kind", "list"), send, b"short")


@at("/long")
def long(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    send = start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return of_kind(query.get("kind", "list"), send, b"longer than ten bytes")


# ---- what happened


@at("/events")
def show_events(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    told, events[:] = events[:], []
    return as_json(start_response, told)


@at("/wait")
def wait(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    time.sleep(float(query["seconds"]))
    return answer(start_response, b"waited")


@at("/log")
def log(environ: Environ, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    environ["wsgi.errors"].write(query["text"] + "\n")
    environ["wsgi.errors"].flush()
    return answer(start_response, b"logged")
