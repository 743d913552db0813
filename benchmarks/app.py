"""The application that every WSGI server of the benchmark serves: thirteen bytes, with their length declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

BODY = b"Hello, world!"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer 200 and `BODY` to everything."""
    start_response("200 OK", HEADERS)
    return [BODY]
