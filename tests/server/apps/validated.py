"""An application inside `wsgiref.validate`, which checks server and application against PEP 3333.

/read /read-some /readline /readlines /iterate give the body back, read in that style; /none reads nothing; /wrong breaks
the rules, so that a test can see that the validator works.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import WSGIWarning, validator

warnings.simplefilter("error", WSGIWarning)


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"]
    match environ["PATH_INFO"]:
        case "/read":
            blocks = [body.read(100000)]
        case "/read-some":
            blocks = list(iter(lambda: body.read(3), b""))
        case "/readline":
            blocks = list(iter(body.readline, b""))
        case "/readlines":
            blocks = body.readlines()
        case "/iterate":
            blocks = list(body)
        case "/wrong":
            start_response("200", [])
            return []
        case _:
            blocks = []
    environ["wsgi.errors"].flush()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return blocks


application = validator(echo)
