"""What the command line states: options by their spelling, in Tricorn's own words and in those of gunicorn and uvicorn.

Splitting the line into options is the business of `cli`; here their meaning is decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tricorn.config.addresses import DEFAULT_PORT
from tricorn.config.aliases import Verdict, aliases
from tricorn.config.directives import by_name, table
from tricorn.config.directives.shape import Directive
from tricorn.config.origins import Layer, Origin, Source, escaped
from tricorn.config.settings import Interface, Mpm

WORKER_CLASSES = {
    "sync": Mpm.PREFORK,
    "gunicorn.workers.sync.SyncWorker": Mpm.PREFORK,
    "prefork": Mpm.PREFORK,
    "gthread": Mpm.EVENT,
    "gunicorn.workers.gthread.ThreadWorker": Mpm.EVENT,
    "event": Mpm.EVENT,
    "worker": Mpm.WORKER,
}
ASGI_CLASSES = (
    "asgi",
    "uvicorn.workers.UvicornWorker",
    "uvicorn.workers.UvicornH11Worker",
    "uvicorn_worker.UvicornWorker",
    "uvicorn_worker.UvicornH11Worker",
)
GREEN_CLASSES = ("gevent", "eventlet", "tornado", "gevent_pywsgi", "gevent_wsgi", "ggevent", "geventlet")


@dataclass(frozen=True)
class Given:
    """One option as spelled, with the text after it, None if it takes none."""

    flag: str
    text: str | None = None


@dataclass(frozen=True)
class CommandLine:
    """All that the operator typed."""

    app: str | None
    options: tuple[Given, ...]
    config: Path | None


@dataclass(frozen=True)
class Spelling:
    """An option that the command line takes."""

    flag: str
    takes_value: bool


@cache
def spellings() -> Mapping[str, Spelling]:
    """Every option that stands for a directive or is known from another server."""
    found: dict[str, Spelling] = {}
    for directive in table():
        if directive.name != "app" and directive.option not in directive.fixed_flags:
            found[directive.option] = Spelling(directive.option, takes_value=True)
        found.update({flag: Spelling(flag, takes_value=True) for flag in directive.flags})
        found.update({flag: Spelling(flag, takes_value=False) for flag in directive.fixed_flags})
    found.update({alias.flag: Spelling(alias.flag, alias.takes_value) for alias in aliases().values()})
    return found


@cache
def meanings() -> Mapping[str, tuple[Directive[Any], str | None]]:
    """The directive behind each option of ours, and the text that an option without a value stands for."""
    found: dict[str, tuple[Directive[Any], str | None]] = {}
    for directive in table():
        found.update(dict.fromkeys((directive.option, *directive.flags), (directive, None)))
        found.update({flag: (directive, text) for flag, text in directive.fixed_flags.items()})
    return found


def read(line: CommandLine, variables: Mapping[str, str]) -> Layer:
    """What the command line states. The variables count only for PORT, which completes a --host without a --port."""
    layer = Layer()
    if line.app is not None:
        layer.add(by_name()["app"], line.app, Origin(Source.COMMAND_LINE, "APP"))
    for given in line.options:
        if given.flag in meanings():
            directive, fixed = meanings()[given.flag]
            layer.add(directive, fixed if fixed is not None else given.text or "", origin_of(given))
            continue
        alias = aliases()[given.flag]
        if alias.verdict is Verdict.REFUSED:
            layer.problems.append(f"{origin_of(given)} is not offered: {alias.sentence}.")
        elif alias.verdict is not Verdict.TRANSLATED:
            layer.warnings.append(f"{origin_of(given)} has no effect: {alias.sentence}.")
    translate_addresses(layer, line.options, variables)
    translate_worker_class(layer, line.options)
    for given in line.options:
        if given.flag == "--protocol" and given.text != "http":
            layer.problems.append(
                f"{origin_of(given)}: the protocol cannot be {quoted(given)}: {aliases()[given.flag].sentence}."
            )
    return layer


def origin_of(given: Given) -> Origin:
    """The origin of what an option states."""
    return Origin(Source.COMMAND_LINE, given.flag)


def quoted(given: Given) -> str:
    """The text after an option, for a message."""
    return f'"{escaped(given.text or "")}"'


def last(options: Sequence[Given], *flags: str) -> Given | None:
    """The last use of an option, by any of its spellings."""
    return next((given for given in reversed(options) if given.flag in flags), None)


def translate_addresses(layer: Layer, options: Sequence[Given], variables: Mapping[str, str]) -> None:
    """--host with --port, --uds and --fd of uvicorn become `listen`."""
    host, port, uds, fd = (last(options, flag) for flag in ("--host", "--port", "--uds", "--fd"))
    ways = [way for way in (host or port, uds, fd, last(options, "--listen", "-b", "--bind")) if way is not None]
    if len(ways) > 1:
        both = " and ".join(str(origin_of(way)) for way in ways)
        layer.problems.append(f"{both} both say where to listen: repeat --listen for several addresses.")
        return
    listen = by_name()["listen"]
    if uds is not None:
        layer.add(listen, f"unix:{uds.text}", origin_of(uds))
    if fd is not None:
        layer.add(listen, f"fd://{fd.text}", origin_of(fd))
    if host is not None or port is not None:
        name = (host.text or "") if host is not None else "127.0.0.1"
        number = port.text if port is not None else variables.get("PORT") or str(DEFAULT_PORT)
        name = f"[{name}]" if ":" in name and not name.startswith("[") else name
        said = " ".join(given.flag for given in (host, port) if given is not None)
        layer.add(listen, f"{name}:{number}", Origin(Source.COMMAND_LINE, said))


def translate_worker_class(layer: Layer, options: Sequence[Given]) -> None:
    """-k of gunicorn becomes `mpm`, or `interface` where it names a worker for ASGI."""
    given = last(options, "-k", "--worker-class")
    if given is None:
        return
    word, origin = given.text or "", origin_of(given)
    if word in ASGI_CLASSES:
        layer.add(by_name()["interface"], Interface.ASGI.value, origin)
    elif word in GREEN_CLASSES:
        layer.problems.append(
            f"{origin}: the worker class {quoted(given)} is not offered, since there are no greenlets here: --mpm event"
            " holds many slow clients without them, and a higher threads_per_child serves code that waits."
        )
    elif word in WORKER_CLASSES:
        mpm = WORKER_CLASSES[word]
        threads = last(options, "--threads")
        if mpm is Mpm.PREFORK and word != "prefork" and threads is not None and threads.text not in {"0", "1"}:
            layer.warnings.append(
                f"{origin} sync with option --threads {threads.text} is a gthread worker to gunicorn, so the event MPM"
                " is selected; for one thread per process leave --threads out."
            )
            mpm = Mpm.EVENT
        layer.add(by_name()["mpm"], mpm.value, origin)
    else:
        layer.problems.append(
            f"{origin}: the worker class cannot be {quoted(given)}. Allowed is sync (the prefork MPM), gthread (event);"
            " own classes of gunicorn cannot run here. Or select the MPM with --mpm."
        )
