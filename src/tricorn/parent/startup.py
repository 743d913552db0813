"""The life of a server: prepare what must exist before the first fork, run the loop, leave nothing behind."""

from __future__ import annotations

import os

from tricorn.child import streams
from tricorn.child.title import set_title
from tricorn.config.settings import Settings
from tricorn.logs import ErrorLog
from tricorn.logs.files import STANDARD_ERROR
from tricorn.parent import announce, descriptors
from tricorn.parent.generations import LoadSettings, make_generation
from tricorn.parent.listeners import open_listeners
from tricorn.parent.loop import Loop, Outcome
from tricorn.parent.pid_file import PidFile
from tricorn.parent.signals import Signals

_FIRST_GENERATION = 1


def serve(settings: Settings, load: LoadSettings) -> int:
    """Serve until told to stop; returns the exit code. `load` reads the settings again for a reload.

    What fails later than the preparation is told in the error log (and on standard error) and by the exit code.

    Raises:
        TricornError: an address, the pid file, or a log cannot be had; nothing was started.
    """
    streams.ensure_open()
    set_title(settings.environment.process_name, "parent")
    listeners = open_listeners(settings.listen)
    try:
        generation = make_generation(_FIRST_GENERATION, settings, listeners.descriptors)
        log = generation.heritage.log("parent")
        pid_file = _take_pid_file(settings, log)
        try:
            _warn_of_root(settings, log)
            too_few = descriptors.allow(settings)
            if too_few is not None:
                log.warning(too_few)
            signals = Signals()
            try:
                abandon = pid_file.abandon if pid_file is not None else _nothing
                loop = Loop(generation, load, listeners, signals, log, os.getpid(), abandon)
                outcome = loop.run()
            finally:
                signals.close()
        finally:
            if pid_file is not None:
                pid_file.remove()
    finally:
        listeners.close()
    _tell_end(outcome)
    return outcome.code


def _take_pid_file(settings: Settings, log: ErrorLog) -> PidFile | None:
    if settings.lifecycle.pid_file is None:
        return None
    pid_file = PidFile(settings.lifecycle.pid_file)
    if pid_file.stale is not None:
        log.warning(
            f"{pid_file.path} was left behind by a server that is gone (pid {pid_file.stale}); it is taken over"
        )
    return pid_file


def _warn_of_root(settings: Settings, log: ErrorLog) -> None:
    if os.geteuid() == 0 and settings.identity.user in (None, 0):
        log.warning("the application will run as root; give --user to run it as somebody with fewer rights")


def _tell_end(outcome: Outcome) -> None:
    log = outcome.log
    if outcome.code == 0:
        log.always(announce.stopped(outcome.reason))
        return
    log.error(f"tricorn cannot serve: {outcome.reason}")
    if not outcome.on_terminal:
        # Whoever has started it looks at the terminal first.
        ErrorLog(STANDARD_ERROR, log.level, log.who).error(f"tricorn cannot serve: {outcome.reason}")


def _nothing() -> None:
    """There is no pid file to let go of."""
