"""Near misses: what somebody may have meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from tricorn.config.directives import table


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that offers the nearest known name, or "" when none is near."""
    near = nearest(name, known)
    return "" if near is None else f" (did you mean {near}?)"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to `name`, if any is near enough to be what was meant."""
    words = list(known)
    by_shape = {squeezed(word): word for word in words}
    if squeezed(name) in by_shape:
        return by_shape[squeezed(name)]
    from difflib import get_close_matches  # noqa: PLC0415  (a parent that has nothing to refuse does not hold it)

    if near := get_close_matches(name, words, n=1, cutoff=0.75):
        return near[0]
    if (foreign := get_close_matches(name, foreign_names(), n=1, cutoff=0.75)) and foreign_names()[foreign[0]] in words:
        return foreign_names()[foreign[0]]
    return None


def squeezed(name: str) -> str:
    """A name without what spellings differ in: ThreadsPerChild, threads-per-child and threads_per_child are one."""
    return name.replace("_", "").replace("-", "").lower()


@cache
def foreign_names() -> Mapping[str, str]:
    """The directive behind each name that gunicorn's, uvicorn's and Apache's users may write into a file."""
    names: dict[str, str] = {}
    for directive in table():
        for flag in (*directive.flags, *directive.fixed_flags):
            if flag.startswith("--"):
                names.setdefault(flag.removeprefix("--").replace("-", "_"), directive.name)
        names.setdefault(squeezed(directive.equivalents.apache), directive.name)
    extra = {
        "raw_env": "env",
        "wsgi_app": "app",
        "application": "app",
        "proc_name": "process_name",
        "pidfile": "pid_file",
        "accesslog": "access_log",
        "errorlog": "error_log",
        "loglevel": "log_level",
        "keepalive": "keep_alive_timeout",
        "worker_class": "mpm",
        "host": "listen",
        "port": "listen",
        "worker_connections": "max_open_connections",
        "preload_app": "preload",
        "maxclients": "max_request_workers",  # Apache's name before 2.4
        "serverlimit": "max_request_workers",
        "threadlimit": "threads_per_child",
    }
    return {**names, **extra}
