"""The application of the sizing benchmark: it waits, as for a database, then answers a few bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

SECONDS = float(os.environ.get("WAIT_SECONDS", "0.03"))


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the pid of the child; `/now` does not wait."""
    if environ["PATH_INFO"] != "/now":
        time.sleep(SECONDS)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
