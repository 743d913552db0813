"""The engine: what moves bytes. Written in Rust (`rust/binding` over `rust/engine`); this page is its manual.

Nothing here forks or reads a signal. All classes may be used from any thread unless a method says otherwise. Drivers and
gateways are made after the fork, in the child; the scoreboard is made by the parent before any fork.
"""

from collections.abc import Callable
from typing import final

__all__ = [
    "BlockingDriver",
    "ChildRow",
    "EngineSettings",
    "ReactorDriver",
    "Scoreboard",
    "Wsgi",
    "check_access_log_format",
]

@final
class Scoreboard:
    """Shared memory that tells what every child does. Made by the parent, written by children, inherited by fork.

    A child writes only its own row; the parent reads, and clears the row of a child that is gone. What is read is
    untrusted: counts may be torn or forged, so nothing but sizing and display may rest on them.
    """

    def __new__(cls, children: int, threads: int) -> Scoreboard:
        """Map zeroed shared memory for `children` rows with `threads` slots each. Raises OSError."""

    def claim(self, child: int, pid: int, generation: int) -> None:
        """Begin a row: state "starting", counters zero. The parent calls it before it orders the fork."""

    def clear(self, child: int) -> None:
        """Empty the row of a child that is gone. The parent calls it after the child was reaped."""

    def rows(self) -> list[ChildRow]:
        """Read every row that is in use, in slot order."""

@final
class ChildRow:
    """What one child's row said at one moment."""

    child: int
    pid: int
    generation: int
    state: str
    """"starting", "ready", "draining"."""
    connections: int
    """Connections open now."""
    accepted: int
    """Connections accepted so far."""
    requests: int
    """Requests answered so far."""
    busy: int
    """Threads inside the application now."""
    queued: int
    """Complete requests that wait for a thread now."""
    stages: list[str]
    """Stage of each thread's slot: "idle", "head", "body", "handler", "write", "keep_alive", "linger"."""

@final
class Wsgi:
    """The WSGI gateway: calls one application (PEP 3333)."""

    def __new__(
        cls,
        application: Callable[..., object],
        *,
        multithread: bool,
        multiprocess: bool,
        script_name: str,
        errors: object,
    ) -> Wsgi:
        """Wrap `application`. `errors` becomes `wsgi.errors`."""

@final
class EngineSettings:
    """The plain values the engine needs; made once per child from `tricorn.config.settings`."""

    def __new__(
        cls,
        *,
        limit_request_line: int,
        limit_request_fields: int,
        limit_request_field_size: int,
        limit_request_head: int,
        limit_request_body: int,
        requests_per_connection: int,
        header_timeout: tuple[float, float | None, int | None],
        body_timeout: tuple[float, float | None, int | None],
        response_timeout: tuple[float, float | None, int | None],
        keep_alive_timeout: float,
        spool_directory: str,
        request_memory: int,
        response_memory: int,
        response_limit: int,
        max_connections_per_child: int,
        max_open_connections: int,
        server_header: str,
        error_log_fd: int,
        log_level: str,
        log_name: str,
        access_log_fd: int | None,
        access_log_format: str,
        retired_fd: int | None = None,
    ) -> EngineSettings:
        """`log_name` is put into every log line, for example "child=3 gen=2". Raises ValueError naming the value.

        One byte is written to `retired_fd` (a pipe that does not block) when the driver is retired, by whom or what
        ever, so that the parent can be told at once that the child's place is free.
        """

@final
class BlockingDriver:
    """Each thread that calls `run` accepts one connection at a time and drives it from accept to close."""

    def __new__(
        cls,
        gateway: Wsgi,
        listeners: list[int],
        settings: EngineSettings,
        scoreboard: Scoreboard,
        child: int,
        threads: int,
    ) -> BlockingDriver:
        """Prepare to serve `listeners` (descriptors of listening sockets, borrowed for the life of the driver)."""

    def run(self, thread: int, watch: int | None = None, on_watch: Callable[[], object] | None = None) -> None:
        """Serve as thread `thread` (0 to threads - 1) until retired and done. Releases the interpreter while it waits.

        While it waits for a connection or a client, it also watches the descriptor `watch`, and calls `on_watch` (on
        this thread) when that is readable; this is how the only thread of a prefork child hears its parent.
        A signal that interrupts a wait runs its Python handlers; what they raise is raised here.
        """

    def retire(self) -> None:
        """Stop accepting, answer what has been read, announce `Connection: close`, end idle keep-alives; `run` then returns.

        May be called from any thread and from a signal handler; calling it again does nothing.
        """

    def reached_limit(self) -> bool:
        """Whether the driver retired by itself because `max_connections_per_child` was reached."""

@final
class ReactorDriver:
    """`threads` threads may be inside the application; `threads` + 1 call `run` and share the listener's role.

    The thread that holds the role receives for all connections and may serve a complete request itself; the role passes
    to a sleeping thread as soon as a handler does not come back quickly.
    """

    def __new__(
        cls,
        gateway: Wsgi,
        listeners: list[int],
        settings: EngineSettings,
        scoreboard: Scoreboard,
        child: int,
        threads: int,
    ) -> ReactorDriver:
        """As `BlockingDriver`."""

    def run(self, thread: int) -> None:
        """Serve as thread `thread` (0 to threads) until retired and done. Releases the interpreter while it waits."""

    def retire(self) -> None:
        """As `BlockingDriver.retire`."""

    def reached_limit(self) -> bool:
        """As `BlockingDriver.reached_limit`."""

def check_access_log_format(format: str) -> None:
    """Raise ValueError that names the first directive of `format` that is not known."""
