"""A WSGI application whose answers tell about the process that gives them. Edited copies of it are what reloads load."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

WORD = "first"


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    path = environ["PATH_INFO"]
    answer = ""
    if path == "/pid":
        answer = str(os.getpid())
    elif path == "/word":
        answer = WORD
    elif path == "/slow":
        time.sleep(float(environ["QUERY_STRING"]))
        answer = "slow"
    elif path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/exit":
        os._exit(9)
    elif path == "/uid":
        answer = f"{os.getuid()} {os.getgid()} {sorted(os.getgroups())} {oct(os.umask(0o22))}"
    elif path == "/environ":
        answer = "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))
    elif path == "/where":
        answer = f"{os.getcwd()}\n{sys.path[0]}\n{sys.path[1]}"
    elif path == "/multi":
        answer = f"{environ['wsgi.multithread']} {environ['wsgi.multiprocess']}"
    body = answer.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
