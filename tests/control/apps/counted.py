"""A WSGI application that keeps a journal of the requests it has begun, so that a lost one can be told from a late one.

Every request names itself in its query (`?name` or `?name&milliseconds`); the answer repeats the name, the length and the
checksum of the body, and tells which child of which edition gave it. The edition is what the file `edition` held when
the application was imported; the journal is the file `journal`, both in the working directory.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

EDITION = Path("edition").read_text() if Path("edition").exists() else "first"
_journals: dict[int, int] = {}


def _journal() -> int:
    """Opened by each child for itself: a file that is open for writing is nothing to inherit."""
    pid = os.getpid()
    if pid not in _journals:
        _journals[pid] = os.open("journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return _journals[pid]


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    name, _, milliseconds = environ["QUERY_STRING"].partition("&")
    os.write(_journal(), f"{name} {os.getpid()}\n".encode())
    body = environ["wsgi.input"].read()
    if milliseconds:
        time.sleep(int(milliseconds) / 1000)
    answer = f"{name} {len(body)} {zlib.crc32(body)} {EDITION} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
