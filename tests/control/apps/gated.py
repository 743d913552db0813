"""A WSGI application whose requests are held until a file appears, so that a test decides how many units are taken.

/hold       waits for the file `gate` in the working directory, then answers "let go"
/grow?N     takes N MiB for good, once in each process, then holds
/took?N     the same, without holding
Everything else is answered at once with the pid. The file `begun` has a line for each request that held: when it began
(seconds since the epoch), and in which process; `imported` has a line for each import.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ballast: list[bytearray] = []


def _note(file: str, text: str) -> None:
    end = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(end, f"{text}\n".encode())
    os.close(end)


_note("imported", f"{time.time()} {os.getpid()}")
time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    path = environ["PATH_INFO"]
    answer = str(os.getpid())
    if path in {"/grow", "/took"} and not ballast:
        ballast.append(bytearray(b"x") * (int(environ["QUERY_STRING"]) << 20))
    if path in {"/hold", "/grow"}:
        _note("begun", f"{time.time()} {os.getpid()}")
        while not Path("gate").exists():
            time.sleep(0.01)
        answer = "let go"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer.encode()]
