"""The application of the benchmark of slow clients: a short answer, one that reads its body, and two large ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

BODY = b"Hello, world!"
PIECE = bytes(1_000_000)
PIECES = 50
LARGE = 30


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """`/read` reads the whole body, `/pieces` makes 50 MB in pieces, `/large` 30 MB at once; all else is 13 bytes."""
    path = environ["PATH_INFO"]
    if path == "/pieces":
        return _answer(start_response, len(PIECE) * PIECES, _pieces())
    if path == "/large":
        body = PIECE * LARGE
        return _answer(start_response, len(body), [body])
    if path == "/read":
        left = int(environ.get("CONTENT_LENGTH") or 0)
        while left > 0 and (data := environ["wsgi.input"].read(min(left, 65_536))):
            left -= len(data)
    return _answer(start_response, len(BODY), [BODY])


def _pieces() -> Iterator[bytes]:
    for _ in range(PIECES):
        yield PIECE


def _answer(start_response: Callable[..., Any], length: int, body: Iterable[bytes]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(length))])
    return body
