"""The values that configure a server, decided and checked: frozen, without behaviour.

Every room gets the branch it needs and nothing else. How a value comes to be (directive, option, environment, file,
default) is the business of the other modules in `config`. Durations are seconds (float), sizes are bytes (int).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network
"""All addresses that begin with the same bits."""


class Mpm(Enum):
    """The multi-processing modules; exactly one is selected."""

    PREFORK = "prefork"
    WORKER = "worker"
    EVENT = "event"


class Interface(Enum):
    """How the application is called."""

    AUTO = "auto"
    WSGI = "wsgi"
    ASGI = "asgi"


class Preload(Enum):
    """Where the application is imported: once in the template, or in each child."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class LogLevel(Enum):
    """How much the error log tells, least first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP address to listen on; `host` is a literal address or a name, "" is every interface."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket to listen on."""

    path: str


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """A listening socket that is already open as descriptor `fd`."""

    fd: int


Address = TcpAddress | UnixAddress | InheritedAddress


@dataclass(frozen=True, slots=True)
class Application:
    """Which application to serve, as written by the operator."""

    reference: str
    factory: bool
    interface: Interface


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen. Systemd's inherited sockets replace `addresses` when there are any."""

    addresses: tuple[Address, ...]
    backlog: int
    unix_socket_mode: int
    unix_socket_user: int | None
    unix_socket_group: int | None


@dataclass(frozen=True, slots=True)
class Capacity:
    """The numbers of the selected MPM. A unit is a process under prefork, where a child has one thread, else a thread.

    A pool that does not change its size has `start == least == most`.
    """

    start: int
    """Children at the start (StartServers)."""
    least: int
    """Children below which sizing never goes: as many as make `min_spare` units, and at least 1."""
    most: int
    """Children above which sizing never goes (MaxRequestWorkers, in children)."""
    min_spare: int
    """Units: fewer idle ones make the server grow (MinSpareServers, MinSpareThreads)."""
    max_spare: int
    """Units: more idle ones make it shrink (MaxSpareServers, MaxSpareThreads)."""
    threads_per_child: int
    """Units of one child; 1 under prefork."""
    max_connections_per_child: int
    """Connections after which a child is replaced, before its own share is drawn; 0 is never."""
    max_requests_per_child: int
    """Requests after which a child is replaced, before its own share is drawn; 0 is never."""
    max_open_connections: int
    """event: connections one child holds at once at most; prefork and worker: equal to `threads_per_child`."""
    max_queued_requests: int
    """event: complete requests that wait for a thread of one child at most; beyond, they are answered with 503. In the
    others none wait, and this and the next are 0."""
    max_queue_time: float
    """event: how long each may wait before it is answered with 503; 0 is for ever."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bounds of memory, in bytes."""

    limit: int | None
    """PSS of the whole tree of processes beyond which nothing more is started; None is no limit."""
    child: int
    """USS of one child beyond which it is replaced; 0 is never."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request; mirrors `engine::limits::Limits`."""

    request_line: int
    fields: int
    field_size: int
    head: int
    body: int
    requests_per_connection: int


@dataclass(frozen=True, slots=True)
class Clients:
    """What one client address may have at once in the whole server (0 is no limit), and who is believed."""

    connections: int
    unfinished_requests: int
    ipv6_prefix: int
    """How many bits of an IPv6 address make one client."""
    trusted: tuple[Network, ...]
    """Proxies: nothing is counted for them."""

    @property
    def counted(self) -> bool:
        """Whether there is a limit."""
        return self.connections > 0 or self.unfinished_requests > 0


@dataclass(frozen=True, slots=True)
class Rate:
    """One stage of `request_read_timeout`: `initial[-maximum][,MinRate=min_rate]`; initial 0 is no limit.

    With a `min_rate` in bytes a second, `initial` is how many seconds a client may fall behind it; without one, how many
    seconds the stage may take.
    """

    initial: float
    maximum: float | None
    min_rate: int | None


@dataclass(frozen=True, slots=True)
class Contended:
    """How many seconds a client may be behind the rate of its stage while others need what it holds; 0 is as ever."""

    header: float
    body: float
    response: float


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines by stage."""

    handshake: Rate
    header: Rate
    body: Rate
    response: Rate
    keep_alive: float
    """0 turns keep-alive off."""
    contended: Contended
    handler: float
    """How long the application may take to give the next thing; 0 is for ever."""
    handler_grace: float
    """worker and event: how long a thread that was late has to come back; 0 in prefork, where the child ends."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Where bodies and answers wait."""

    directory: Path
    request_memory: int
    """Bytes of a request body held in memory before it goes to an unlinked temporary file."""
    response_memory: int
    """Bytes of an answer held in memory before it goes to an unlinked temporary file."""
    response_limit: int
    """Bytes of an answer held (memory and file) before the application has to wait for the client."""
    memory_per_child: int
    """Bytes of all bodies and answers of one child held in memory."""
    limit_per_child: int
    """Bytes of all bodies and answers of one child in temporary files."""
    limit: int
    """Bytes of all bodies and answers of all children of a generation in temporary files."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the template and the children are; None keeps what the parent is."""

    user: int | None
    group: int | None
    umask: int | None


@dataclass(frozen=True, slots=True)
class Environment:
    """What surrounds the application."""

    chdir: Path | None
    python_path: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    process_name: str


@dataclass(frozen=True, slots=True)
class Logs:
    """Where the logs go; "-" is standard error (error log) or standard output (access log)."""

    error_log: str
    log_level: LogLevel
    access_log: str | None
    access_log_format: str


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How the server starts, stops and replaces."""

    graceful_timeout: float
    start_timeout: float
    """How long a child (or the template's import) may take to become ready."""
    preload: Preload
    warm_up: tuple[str, ...]
    """Paths or URLs to ask the application for before the first fork."""
    pid_file: Path | None
    drain_delay: float
    """For how long a server that was told to stop goes on accepting; `graceful_timeout` counts from its end."""
    max_child_lifetime: float
    """Age at which a child is replaced, before its own share is drawn; 0 is never."""
    control_socket: Path | None
    """The control socket itself, where the operator has named it."""
    control_directory: Path | None
    """Where the parent puts PID.sock, when it is to choose; without both there is no control socket."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """How requests reach the application."""

    root_path: str
    """SCRIPT_NAME."""
    server_header: str
    """The Server field; "" sends none."""
    server_timing: bool
    """Whether answers have a Server-Timing field."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One server, wholly decided."""

    application: Application
    mpm: Mpm
    listen: Listen
    capacity: Capacity
    memory: Memory
    limits: Limits
    clients: Clients
    timeouts: Timeouts
    spool: Spool
    identity: Identity
    environment: Environment
    logs: Logs
    lifecycle: Lifecycle
    gateway: Gateway
