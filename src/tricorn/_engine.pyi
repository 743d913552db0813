"""The engine: what moves bytes. Written in Rust (`rust/binding` over `rust/engine`); this page is its manual.

Nothing here forks or reads a signal. All classes may be used from any thread unless a method says otherwise. Drivers and
gateways are made after the fork, in the child; the scoreboard is made by the parent before any fork.
"""

from collections.abc import Callable
from typing import final

__all__ = [
    "AddressTables",
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

    def watch_spare(self, least: int) -> None:
        """Have `spare_bell_fd` rung once, as soon as fewer than `least` units (threads) are idle; 0 for never.

        Counted over all ready and starting children of this board; those that start are idle wholly, those that rest or
        drain not at all. The child that takes a unit and sees the shortage writes one byte; then nobody does until this is
        called again. A shortage that is there already and stays as it is does not ring, so the parent calls this first
        and reads `rows` afterwards.
        """

    def rows(self) -> list[ChildRow]:
        """Read every row that is in use, in slot order."""

@final
class AddressTables:
    """Shared memory in which the children of one generation count what each client address has, for all to read.

    Made by the parent beside the scoreboard, where there is a limit for that. A child begins the table of its row when
    its driver is made; the parent clears the row of a child that is gone, and what that child had counts no more.
    """

    def __new__(cls, children: int, connections: int, elders: list[AddressTables] = ...) -> AddressTables:
        """Map tables for `children` rows whose children hold at most `connections` each. Raises OSError.

        What the children of `elders` have (tables of other generations of the same server) counts as well.
        """

    def clear(self, child: int) -> None:
        """The child in this row is gone."""

@final
class ChildRow:
    """What one child's row said at one moment."""

    child: int
    pid: int
    generation: int
    state: str
    """"starting", "ready", "resting", "draining"."""
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
    queue_time: float
    """Seconds that all requests so far have waited for a thread, added up."""
    turned_away: int
    """Complete requests so far that were answered with 503: too many waited, or they had waited too long."""
    dropped: int
    """Complete requests so far whose clients had gone before a thread was free."""
    broken_off: int
    """Answers so far that were broken off because their clients did not take them and others needed the room or thread."""
    held_memory: int
    """Bytes of bodies and answers held in memory now."""
    spooled: int
    """Bytes of bodies and answers in temporary files now."""
    timed_out: int
    """Requests so far for which the application has taken longer than `timeout`."""
    refused_by_address: int
    """Connections and requests so far that were answered with 429: their address had too many."""
    taken: int
    """Units (threads) that no further client can have now; at most as many as the child has.

    Blocking driver: threads that hold a connection. Reactor: threads inside the application and requests that wait for
    one; all of them when `max_open_connections` are open. 0 while the child starts.
    """
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
        on_overdue: Callable[[int, str, float, str, str], type[BaseException] | None],
        overdue_exit_code: int,
    ) -> Wsgi:
        """Wrap `application`. `errors` becomes `wsgi.errors`.

        `on_overdue` is called, on a thread of its own, when a request has run for longer than the setting `timeout` and its
        client was answered: with the thread's identifier (as `threading.get_ident`; 0 if it is not known), the method and
        path (escaped), the seconds since the request was complete, what the client got ("refusal" is 504, "part" an answer
        that was broken off, "all" a whole answer), and what the thread waits for ("application", or "interpreter": then it has not begun). The
        class that it returns is raised in that thread, unless it has come back. With `overdue_exit_code` the process ends
        when it has to; no handler is run then.

        In the environ, `tricorn.extend_timeout(seconds)` gives a request more time.
        """

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
        handshake_timeout: tuple[float, float | None, int | None],
        header_timeout: tuple[float, float | None, int | None],
        body_timeout: tuple[float, float | None, int | None],
        response_timeout: tuple[float, float | None, int | None],
        keep_alive_timeout: float,
        contended_timeout: tuple[float, float, float],
        timeout: float,
        timeout_grace: float,
        ends_when_overdue: bool,
        spool_directory: str,
        request_memory: int,
        response_memory: int,
        response_limit: int,
        buffer_memory_per_child: int,
        spool_limit_per_child: int,
        spool_limit: int,
        max_connections_per_child: int,
        max_requests_per_child: int,
        max_open_connections: int,
        max_queued_requests: int,
        max_queue_time: float,
        max_connections_per_address: int,
        max_unfinished_requests_per_address: int,
        address_prefix_ipv6: int,
        trusted_proxies: list[str],
        server_timing: bool,
        server_header: str,
        error_log_fd: int,
        log_level: str,
        log_name: str,
        access_log_fd: int | None,
        access_log_format: str,
        bell_fd: int | None = None,
        spare_bell_fd: int | None = None,
        address_tables: AddressTables | None = None,
    ) -> EngineSettings:
        """`log_name` is put into every log line, for example "child=3 gen=2". Raises ValueError naming the value.

        `error_log_fd` and `access_log_fd` are borrowed: they must stay open for the life of the process, and replacing
        what is behind them (`os.dup2(new, error_log_fd)`) reopens the log at once. The bells are pipes that do not block,
        and are duplicated. One byte is written to `bell_fd` when `max_connections_per_child` or `max_requests_per_child`
        (0 is no bound) is reached; see `BlockingDriver.worn`. For `spare_bell_fd` see `Scoreboard.watch_spare`; all
        children may share it.

        `contended_timeout` (seconds in head, body and answer; 0 is none): how far a client may be behind the rate of its
        stage while clients wait in the kernel's queue and no unit of any child is idle (blocking driver) or the child is full
        (reactor).
        `max_open_connections`, `max_queued_requests` and `max_queue_time` (seconds, 0 is for ever) concern the reactor only.
        A complete request beyond the bounds is answered with 503 and Retry-After by the engine; one whose client has gone
        while it waited is dropped. `buffer_memory_per_child`, `spool_limit_per_child` and `spool_limit` bound what bodies and
        answers take in all; the last one counts over all rows of the scoreboard.

        An address that has `max_connections_per_address` or `max_unfinished_requests_per_address` (0 is no limit), counted
        in `address_tables` and therefore over all children, gets 429 for one more; the first `address_prefix_ipv6` bits
        of an IPv6 address count as one. `trusted_proxies` are networks, as ADDRESS/PREFIX, for which nothing is counted
        and whose X-Request-Start is believed: then the time in the queue begins there.

        With `server_timing` answers have a Server-Timing field.

        `timeout` (seconds, 0 is for ever) is how long the application may take to give the next thing. Then the client is
        answered by the engine, and `Wsgi`'s `on_overdue` is told. With `ends_when_overdue` the process then ends, a second
        later at most; otherwise the thread has `timeout_grace` to come back, after which the child is worn.
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

    def part(self) -> None:
        """Go on accepting, but end every connection with its answer (`Connection: close`), and idle ones soon.

        This method and the next three may be called from any thread and from a signal handler, any number of times.
        """

    def rest(self) -> None:
        """Stop accepting, end every connection with its answer and idle ones soon, and stay: `resume` takes it back."""

    def resume(self) -> bool:
        """Serve again after `rest`. True if the driver accepts now, False if it has been told to retire.

        Connections that have been told to close stay told.
        """

    def retire(self, sweep: bool = False) -> None:
        """Stop accepting, answer what has been read, announce `Connection: close`, end idle keep-alives; `run` then returns.

        With `sweep`, first accept and answer what waits in the kernel's queue, as threads (reactor: open connections)
        become free, until nobody waits. A call without `sweep` ends a sweep.
        """

    def worn(self) -> str:
        """The name of the bound that was reached first ("max_connections_per_child", "max_requests_per_child", "timeout"), or "".

        "timeout" is a thread that did not come back within `timeout_grace`.

        The driver goes on serving, and rings `bell_fd` once: a replacement can be there before the child is retired.
        """

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

    def part(self) -> None:
        """As `BlockingDriver.part`."""

    def rest(self) -> None:
        """As `BlockingDriver.rest`."""

    def resume(self) -> bool:
        """As `BlockingDriver.resume`."""

    def retire(self, sweep: bool = False) -> None:
        """As `BlockingDriver.retire`."""

    def worn(self) -> str:
        """As `BlockingDriver.worn`."""

def check_access_log_format(format: str) -> None:
    """Raise ValueError that names the first directive of `format` that is not known."""
