"""The life of a server: prepare what must exist before the first fork, run the loop, leave nothing behind."""

from __future__ import annotations

import os
import selectors
import time
from contextlib import ExitStack

from tricorn.child import streams
from tricorn.child.title import set_title
from tricorn.config.settings import Settings
from tricorn.logs import ErrorLog
from tricorn.logs.files import STANDARD_ERROR
from tricorn.parent import announce, descriptors, processes
from tricorn.parent.family import Family
from tricorn.parent.generations import LoadSettings, make_generation
from tricorn.parent.listeners import open_listeners
from tricorn.parent.loop import Loop, Outcome
from tricorn.parent.memory_use import Meter
from tricorn.parent.notify import Notifier
from tricorn.parent.oom import OomWatch
from tricorn.parent.pid_file import PidFile
from tricorn.parent.server import Server
from tricorn.parent.signals import Signals
from tricorn.parent.spare import SpareBell
from tricorn.parent.succession import Succession, inherited_from_upgrade
from tricorn.parent.upgrade import Start
from tricorn.parent.upgrades import Upgrades

_FIRST_GENERATION = 1


def serve(settings: Settings, load: LoadSettings) -> int:
    """Serve until told to stop; returns the exit code. `load` reads the settings again for a reload.

    What fails later than the preparation is told in the error log (and on standard error) and by the exit code.

    Raises:
        TricornError: an address, the pid file, the control socket or a log cannot be had; nothing was started.
    """
    streams.ensure_open()
    start = Start.of_this_process()
    with ExitStack() as stack:
        succession = inherited_from_upgrade(os.environ)
        if succession is not None:
            stack.callback(succession.close)
        set_title(settings.environment.process_name, "parent")
        listeners = open_listeners(settings.listen, succession)
        stack.callback(listeners.close)
        bell = SpareBell()
        stack.callback(bell.close)
        generation = make_generation(_FIRST_GENERATION, settings, listeners.descriptors, bell.rung)
        log = generation.heritage.log("parent")
        pid_file = _take_pid_file(settings, log, succession)
        if pid_file is not None:
            stack.callback(pid_file.remove)
        if succession is not None:
            succession.finish()
        _warn(settings, log)
        signals = Signals()
        stack.callback(signals.close)
        selector = stack.enter_context(selectors.DefaultSelector())
        server = Server(
            pid=os.getpid(),
            load=load,
            listeners=listeners,
            family=Family(log, time.monotonic, OomWatch(), adopts=processes.adopt_orphans()),
            generations={_FIRST_GENERATION: generation},
            log=log,
            notifier=Notifier(),
            meter=Meter(time.monotonic),
            bell=bell,
        )
        upgrades = Upgrades(server, start, succession, pid_file, selector)
        loop = Loop(server, signals, selector, upgrades, pid_file.abandon if pid_file is not None else _nothing)
        outcome = loop.run()
    _tell_end(outcome)
    return outcome.code


def _take_pid_file(settings: Settings, log: ErrorLog, succession: Succession | None) -> PidFile | None:
    path = settings.lifecycle.pid_file
    if path is None:
        return None
    passed_on = succession.pid_file(path) if succession is not None else None
    if passed_on is not None:
        return passed_on
    pid_file = PidFile(path)
    if pid_file.stale is not None:
        log.warning(
            f"{pid_file.path} was left behind by a server that is gone (pid {pid_file.stale}); it is taken over"
        )
    return pid_file


def _warn(settings: Settings, log: ErrorLog) -> None:
    if os.geteuid() == 0 and settings.identity.user in (None, 0):
        log.warning("the application will run as root; give --user to run it as somebody with fewer rights")
    too_few = descriptors.allow(settings)
    if too_few is not None:
        log.warning(too_few)


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
