"""Asking the application for a few pages before the first fork, so that children share what the first requests make.

Most frameworks import views, compile routes and parse templates when they are first needed. After a fork each child would
do that for itself: later, and in memory of its own. The calls are made without a socket, one after the other, by the
process that has imported the application (the template, or each child where nothing is preloaded).

What children are to share is asked for several times: the interpreter rewrites bytecode for the types that it has seen
(PEP 659) when a function has been called a few times. Rewritten after the fork, it is each child's own.
"""

from __future__ import annotations

import io
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from tricorn.logs import ErrorLog, ErrorsStream

Wsgi = Callable[..., object]
Header = tuple[str, str]

SHARED_ROUNDS: Final = 10
"""How often each target is asked for before a fork. Python 3.11 rewrites a function at its eighth call; twenty rounds
saved a child of a Django site no more memory than ten (0.4 MiB of 12.5)."""
_LONGEST_REPETITION: Final = 0.5
"""Seconds that all rounds after the first may take together: slow pages are not worth a slow start."""


def warm_up(application: Wsgi, targets: tuple[str, ...], root_path: str, log: ErrorLog, rounds: int) -> None:
    """GET each of `targets` (a path, or a URL whose host becomes the Host header) and throw the answers away.

    What was answered well is asked for again, up to `rounds` times altogether. An answer that is an error, or an
    exception, is a warning: the server serves nevertheless, and that target is left alone. More than one round means
    that children are forked afterwards.
    """
    well = [target for target in targets if _ask(application, target, root_path, log)]
    if rounds > 1:
        _forget_lookups()
    deadline = time.monotonic() + _LONGEST_REPETITION
    for _ in range(rounds - 1):
        for target in tuple(well):
            if time.monotonic() >= deadline:
                return
            if not _ask(application, target, root_path, log):
                well.remove(target)


def _forget_lookups() -> None:
    """Empty the interpreter's cache of attribute lookups, which the import has filled with names nobody asks for again.

    Each entry holds its name; a child that puts another in its place would write to the memory of both. The rounds that
    follow fill it with what requests look up. Of CPython: Python 3.13 has a new name for it.
    """
    forget = getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", None)
    if forget is not None:
        forget()


def _ask(application: Wsgi, target: str, root_path: str, log: ErrorLog) -> bool:
    """One request, told in the log; whether it was answered, and not with an error."""
    began = time.monotonic()
    try:
        status = _get(application, target, root_path, log)
    except Exception:  # the application's own failure, whatever it is
        log.warning(f"warm_up: {target} raised\n{traceback.format_exc().strip()}")
        return False
    if status[:1] in {"4", "5"}:
        log.warning(f"warm_up: {target} was answered with {status}; name a host that the application knows?")
        return False
    log.debug(f"warm_up: {target} was answered with {status} in {time.monotonic() - began:.3f} s")
    return True


def _get(application: Wsgi, target: str, root_path: str, log: ErrorLog) -> str:
    """One request; returns the status. Raises whatever the application raises."""
    statuses: list[str] = []

    def start_response(status: str, headers: list[Header], exc_info: object = None) -> Callable[[bytes], object]:
        del headers, exc_info
        statuses.append(status)
        return len  # `write`, which nobody should call, takes a block and gives it nowhere

    result: Any = application(_environ(target, root_path, log), start_response)
    blocks: Iterable[bytes] = result
    try:
        for _ in blocks:
            pass
    finally:
        if hasattr(result, "close"):
            result.close()
    if not statuses:
        raise TypeError("start_response was not called")
    return statuses[-1]


def _environ(target: str, root_path: str, log: ErrorLog) -> dict[str, Any]:
    """What PEP 3333 asks for, as a client on this machine would cause it."""
    parts = urlsplit(target)
    host, port = parts.hostname or "localhost", parts.port or 80
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": root_path,
        "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "tricorn",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": parts.netloc or "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": ErrorsStream(log),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "tricorn.extend_timeout": float,  # which refuses nonsense; there is no deadline here
    }
