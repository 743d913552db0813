"""The life of a child, from the fork to its exit code. Run by the only thread that a fork leaves: the main thread."""

from __future__ import annotations

import atexit
import os
import socket
import traceback
from collections.abc import Callable
from types import FrameType

from tricorn._engine import Wsgi
from tricorn.child import overdue, streams
from tricorn.child.channel import Channel
from tricorn.child.engine_settings import engine_settings
from tricorn.child.heritage import Heritage
from tricorn.child.messages import TO_CHILD, FromChild, ToChild
from tricorn.child.signals import Handler, reclaim, shield
from tricorn.child.superior import ParentChannel, ToldToLeave
from tricorn.child.title import set_title
from tricorn.errors import TricornError
from tricorn.logs import ErrorsStream
from tricorn.mpm import Driver, select

Load = Callable[[], Callable[..., object]]
"""Gives the application: the one that the template has imported, or by importing it now."""


def run(heritage: Heritage, slot: int, end: socket.socket, load: Load) -> int:
    """Serve until told to leave; returns the exit code. The caller ends the process with it (`os._exit`).

    Threads that the application has left running are not waited for, but its `atexit` handlers are run.
    """
    pid = os.getpid()
    set_title(heritage.settings.environment.process_name, f"child {slot}")
    who = f"child={slot} gen={heritage.generation} pid={pid}"
    log = heritage.log(who)
    channel: Channel[ToChild, FromChild] = Channel(end, TO_CHILD, carries=True)
    superior = ParentChannel(channel, log, heritage.logs, heritage.settings.lifecycle.graceful_timeout)

    def on_term(number: int, frame: FrameType | None) -> None:
        del number, frame
        superior.asked()

    try:
        shield(on_term)
        _live(heritage, slot, who, superior, load, on_term)
        superior.over()
    except ToldToLeave:
        # Raised once at most, by a signal, wherever the child was before it had a driver to retire.
        log.debug("told to leave before it served")
    _finish()
    return superior.exit_code


def _live(heritage: Heritage, slot: int, who: str, superior: ParentChannel, load: Load, on_term: Handler) -> None:
    """Load and serve; whatever goes wrong is told to the parent."""
    try:
        superior.begun()
        heritage.scoreboard.memory.claim(slot, os.getpid(), heritage.generation)
        application = load()
        reclaim(on_term)
        superior.arm()
        driver = _make_driver(heritage, slot, who, application, superior.bell)
        superior.attach(driver)
        select(heritage.settings.mpm).serve(driver, heritage.settings.capacity, superior)
    except ToldToLeave:
        raise
    except TricornError as error:
        superior.broken(error.exit_code, str(error))
    except BaseException as error:  # whatever it is, the parent has to hear of it
        superior.broken(1, "".join(traceback.format_exception(error)).strip())


def _make_driver(heritage: Heritage, slot: int, who: str, application: Callable[..., object], bell: int) -> Driver:
    settings = heritage.settings
    module = select(settings.mpm)
    log = heritage.log(who)
    gateway = Wsgi(
        application,
        multithread=settings.capacity.threads_per_child > 1,
        multiprocess=settings.capacity.most > 1,
        script_name=settings.gateway.root_path,
        errors=ErrorsStream(log),
        on_overdue=overdue.OverdueTeller(log, settings.timeouts.handler, ends=module.ENDS_WHEN_OVERDUE),
        overdue_exit_code=overdue.EXIT_CODE,
    )
    listeners = list(heritage.listeners)
    engine = engine_settings(heritage, who, bell, ends_when_overdue=module.ENDS_WHEN_OVERDUE)
    return module.make_driver(gateway, listeners, engine, heritage.scoreboard, slot, settings.capacity)


def _finish() -> None:
    """What the interpreter does at its end, less the wait for threads: the deadline for leaving rules, not they."""
    try:
        atexit._run_exitfuncs()  # noqa: SLF001  the documented order of handlers, without the rest of a shutdown
    except BaseException:  # a handler of the application; the child leaves all the same
        traceback.print_exc()
    streams.flush()
