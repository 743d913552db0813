"""Answers every request with what it has seen of it, as JSON; strings stand for bytes, as in the environ (latin-1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

SHOWN = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "REQUEST_URI")


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    seen = {name: environ.get(name) for name in SHOWN}
    seen["CONTENT_LENGTH"] = environ.get("CONTENT_LENGTH", "")
    seen["CONTENT_TYPE"] = environ.get("CONTENT_TYPE", "")
    seen["headers"] = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    seen["body"] = environ["wsgi.input"].read().decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]
