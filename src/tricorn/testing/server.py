"""`tricorn serve` as a context manager: start, learn the address, use, stop, and look for what was left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tricorn.testing.log import Log, NotLoggedError
from tricorn.testing.processes import MARK, Process, connections_to, processes_of

_ADDRESS = r" serves .*\bhttp://(?P<host>\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+):(?P<port>\d+)"
_DIES = 15.0
"""Seconds that a killed process may take to be gone."""


class StartFailedError(AssertionError):
    """The server ended, or did not say that it serves, in time; the text holds its log."""


class LeftoverError(AssertionError):
    """The server left a process, a descriptor or a temporary file behind, or did not stop."""


class Server:
    """One server process tree on a free port of 127.0.0.1.

    `application` and `options` are put on the command line as they are; without a `--bind` among the options the
    address is `127.0.0.1:0`, and the system chooses the port. `environment` is added to that of the test; variables that
    would configure the server (`TRICORN_…`, `PORT`, `WEB_CONCURRENCY`) are not inherited. `directory` is the working
    directory of the server. Temporary files of the server go to `temporary`, which must be empty at its end.

    The timeouts only bound how long a failure takes, and are generous for that: `settle_timeout` is how long descriptors
    and processes may take to disappear before they count as left behind.

    Leaving the context stops the server gracefully and raises LeftoverError if something stayed behind, unless the
    test itself failed: then its own failure is the one to read.
    """

    def __init__(
        self,
        application: str,
        *,
        mpm: str = "event",
        options: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        start_timeout: float = 60.0,
        stop_timeout: float = 40.0,
        settle_timeout: float = 15.0,
    ) -> None:
        self.application = application
        self.mpm = mpm
        self.options = tuple(options)
        self.run = uuid.uuid4().hex
        self.temporary = Path(tempfile.mkdtemp(prefix="tricorn-testing-"))
        self.temporary.chmod(0o1777)  # a server that drops its privileges still needs it
        self.host = ""
        self.port = 0
        self._environment = dict(environment or {})
        self._directory = directory
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._settle_timeout = settle_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Log | None = None
        self._output: Log | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.host.strip("[]"), self.port

    @property
    def pid(self) -> int:
        """The parent's process id."""
        return self._started().pid

    @property
    def log(self) -> Log:
        """What the server writes to standard error: the error log, unless an option moved it."""
        if self._log is None:
            raise RuntimeError("the server was not started")
        return self._log

    @property
    def output(self) -> Log:
        """What the server writes to standard output: the access log with `--access-log -`."""
        if self._output is None:
            raise RuntimeError("the server was not started")
        return self._output

    def command(self) -> list[str]:
        """The command line."""
        bound = any(option.split("=")[0] in {"--bind", "-b", "--listen"} for option in self.options)
        where = [] if bound else ["--bind", "127.0.0.1:0"]
        return [sys.executable, "-m", "tricorn", "serve", self.application, "--mpm", self.mpm, *where, *self.options]

    def launch(self) -> Self:
        """Start the process without waiting until it serves."""
        dropped = ("TRICORN_", "GUNICORN_", "UVICORN_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        for name in ("PORT", "WEB_CONCURRENCY", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET"):
            environment.pop(name, None)
        environment |= {MARK: self.run, "TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"}
        environment |= self._environment
        self._process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self._directory,
            start_new_session=True,  # a Ctrl-C at the tests' terminal is for the tests
        )
        if self._process.stderr is None or self._process.stdout is None:
            raise RuntimeError("the pipes asked for were not made")
        self._log = Log(self._process.stderr)  # type: ignore[arg-type]
        self._output = Log(self._process.stdout)  # type: ignore[arg-type]
        return self

    def start(self) -> Self:
        """Start the server and wait until it says that it serves. Raises StartFailedError."""
        self.launch()
        try:
            address = self.log.wait_for_match(_ADDRESS, timeout=self._start_timeout)
        except NotLoggedError as error:
            self.kill()
            raise StartFailedError(f"{' '.join(self.command())}\nexit code {self.exit_code()}: {error}") from None
        self.host, self.port = address["host"], int(address["port"])
        return self

    def processes(self) -> list[Process]:
        """The processes of the server that are alive: the parent, templates, children and what they started."""
        root = self.pid if self.exit_code() is None else None
        return [process for process in processes_of(root, self.run) if not process.zombie]

    def template_pids(self) -> list[int]:
        """Templates: processes right below the parent that have, or may get, children. Oldest first."""
        below = [process.pid for process in self.processes() if process.parent == self.pid]
        with_children = {process.parent for process in self.processes()}
        return [pid for pid in below if pid in with_children]

    def child_pids(self) -> list[int]:
        """The children that serve: processes right below a template. Oldest first."""
        templates = set(self.template_pids())
        return [process.pid for process in self.processes() if process.parent in templates]

    def signal(self, number: int) -> None:
        """Send a signal to the parent."""
        self._started().send_signal(number)

    def exit_code(self) -> int | None:
        """The parent's exit code; negative is the signal that ended it; None while it runs."""
        return self._started().poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the parent has ended; give its exit code. Raises LeftoverError when it has not."""
        limit = self._stop_timeout if timeout is None else timeout
        try:
            return self._started().wait(limit)
        except subprocess.TimeoutExpired:
            text = f"the server did not end within {limit:g} seconds; its log:\n{self.log.text()}"
            raise LeftoverError(text) from None

    def stop(self) -> int:
        """Stop gracefully (TERM), if it still runs, and give the exit code. Raises LeftoverError when it does not stop."""
        if self.exit_code() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End every process of the server at once, and wait until they are gone."""
        if self._process is None:
            return
        deadline = time.monotonic() + _DIES
        while alive := self.processes():
            for process in reversed(alive):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            self._process.wait()
            if time.monotonic() > deadline:
                raise LeftoverError(f"processes that do not die: {alive}")
            time.sleep(0.01)  # a process that is not our child ends without an event for us

    def check_descriptors(self) -> None:
        """Raise LeftoverError if a process still holds a connection of a client, or an unlinked temporary file.

        Call it when no client is connected any more; what is on its way out gets a few seconds.
        """

        def still_held() -> list[str]:
            connections = {f"socket:[{inode}]" for inode in connections_to(self.port)}
            return [
                f"process {process.pid} holds {target} as descriptor {fd}"
                for process in self.processes()
                for fd, target in process.descriptors().items()
                if target in connections or (target.startswith(str(self.temporary)) and target.endswith(" (deleted)"))
            ]

        self._expect_nothing(still_held, "descriptors left open")

    def check_leftovers(self) -> None:
        """After the end: raise LeftoverError if a process or a temporary file of the run is still there."""

        def none_alive() -> list[str]:
            return [f"process {process.pid}, child of {process.parent}" for process in self.processes()]

        self._expect_nothing(none_alive, "processes left running")
        self._expect_nothing(lambda: [str(path) for path in self.temporary.rglob("*")], "temporary files left")

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._clean_up()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self.exit_code() is None:
                    self.check_descriptors()
                self.stop()
                self.check_leftovers()
        finally:
            self._clean_up()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _clean_up(self) -> None:
        self.kill()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _expect_nothing(self, look: Callable[[], list[str]], what: str) -> None:
        deadline = time.monotonic() + self._settle_timeout
        while found := look():
            if time.monotonic() > deadline:
                raise LeftoverError(f"{what}:\n" + "\n".join(found) + f"\nThe log holds:\n{self.log.text()}")
            time.sleep(0.02)  # the system gives no event for "a process of another session holds nothing any more"
