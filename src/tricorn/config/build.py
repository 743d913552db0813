"""From values to `Settings`: looking up accounts, making paths absolute, choosing automatic numbers."""

from __future__ import annotations

import grp
import os
import pwd
import tempfile
from collections.abc import Callable
from pathlib import Path

from tricorn.config.capacity import asked_of, in_children, sizes
from tricorn.config.check import FORMATS
from tricorn.config.directives import capacity, children, clients, lifecycle, requests, serving
from tricorn.config.directives.shape import Directive
from tricorn.config.machine import Machine, free_space
from tricorn.config.resolve import Resolution
from tricorn.config.settings import (
    Address,
    Application,
    Capacity,
    Clients,
    Contended,
    Environment,
    Gateway,
    Identity,
    Lifecycle,
    Limits,
    Listen,
    Logs,
    Memory,
    Mpm,
    Settings,
    Spool,
    Timeouts,
    UnixAddress,
)
from tricorn.config.shares import Share
from tricorn.errors import ConfigError

LONGEST_SOCKET_PATH, LONGEST_SOCKET_PATH_ELSEWHERE = 107, 103
"""Bytes of sun_path without its end, on Linux and on macOS and the BSDs."""
MOST_SPOOLED, SHARE_OF_FREE_SPACE = 4 << 30, 4
"""What the server may spool where nobody states it: so many bytes, and one part in so many of the free space."""
Account = Directive[str | int | None]
Lookup = Callable[[Resolution, Account], int | None]


def build(values: Resolution, machine: Machine, directory: Path) -> Settings:
    """Make settings of checked values. `directory` is where relative paths begin. Raises ConfigError."""
    rates = values.value(requests.REQUEST_READ_TIMEOUT)
    return Settings(
        application=Application(
            reference=values.value(serving.APP) or "",
            factory=values.value(serving.FACTORY),
            interface=values.value(serving.INTERFACE),
        ),
        mpm=values.mpm,
        listen=Listen(
            addresses=tuple(absolute(address, directory) for address in values.value(serving.LISTEN)),
            backlog=values.value(serving.BACKLOG),
            unix_socket_mode=values.value(serving.UNIX_SOCKET_MODE),
            unix_socket_user=reachable(values, serving.UNIX_SOCKET_USER, user_number, machine.user, machine),
            unix_socket_group=group_number(values, serving.UNIX_SOCKET_GROUP),
        ),
        capacity=capacity_of(values, machine.cpus),
        memory=memory_of(values, machine.memory),
        limits=Limits(
            request_line=values.value(requests.LIMIT_REQUEST_LINE),
            fields=values.value(requests.LIMIT_REQUEST_FIELDS),
            field_size=values.value(requests.LIMIT_REQUEST_FIELD_SIZE),
            head=values.value(requests.LIMIT_REQUEST_HEAD),
            body=values.value(requests.LIMIT_REQUEST_BODY),
            requests_per_connection=values.value(requests.MAX_KEEP_ALIVE_REQUESTS),
        ),
        clients=Clients(
            connections=values.value(clients.MAX_CONNECTIONS_PER_ADDRESS),
            unfinished_requests=values.value(clients.MAX_UNFINISHED_REQUESTS_PER_ADDRESS),
            ipv6_prefix=values.value(clients.ADDRESS_PREFIX_IPV6),
            trusted=values.value(clients.TRUSTED_PROXIES),
        ),
        timeouts=Timeouts(
            handshake=rates["handshake"],
            header=rates["header"],
            body=rates["body"],
            response=rates["response"],
            keep_alive=(
                rates["keep_alive"].initial if "keep_alive" in rates else values.value(requests.KEEP_ALIVE_TIMEOUT)
            ),
            contended=contended(values),
            handler=values.value(requests.TIMEOUT),
            handler_grace=0.0 if values.mpm is Mpm.PREFORK else values.value(requests.TIMEOUT_GRACE),
        ),
        spool=spool_of(values, directory),
        identity=identity(values, machine),
        environment=Environment(
            chdir=path_or_none(values.value(lifecycle.CHDIR), directory),
            python_path=values.value(lifecycle.PYTHON_PATH),
            variables=values.value(lifecycle.ENV),
            process_name=values.value(lifecycle.PROCESS_NAME),
        ),
        logs=Logs(
            error_log=log_target(values.value(lifecycle.ERROR_LOG), directory),
            log_level=values.value(lifecycle.LOG_LEVEL),
            access_log=None if (log := values.value(lifecycle.ACCESS_LOG)) is None else log_target(log, directory),
            access_log_format=FORMATS.get(
                values.value(lifecycle.ACCESS_LOG_FORMAT), values.value(lifecycle.ACCESS_LOG_FORMAT)
            ),
        ),
        lifecycle=Lifecycle(
            graceful_timeout=values.value(lifecycle.GRACEFUL_TIMEOUT),
            start_timeout=values.value(lifecycle.START_TIMEOUT),
            preload=values.value(lifecycle.PRELOAD),
            warm_up=values.value(lifecycle.WARM_UP),
            pid_file=path_or_none(values.value(lifecycle.PID_FILE), directory),
            drain_delay=values.value(lifecycle.DRAIN_DELAY),
            max_child_lifetime=values.value(children.MAX_CHILD_LIFETIME),
            control_socket=control_socket(values, directory, machine.platform),
            control_directory=(
                machine.control_directory if values.value(lifecycle.CONTROL_SOCKET) == lifecycle.AUTO else None
            ),
        ),
        gateway=Gateway(
            root_path=values.value(requests.ROOT_PATH),
            server_header=values.value(requests.SERVER_HEADER),
            server_timing=values.value(requests.SERVER_TIMING),
        ),
    )


def capacity_of(values: Resolution, cpus: int) -> Capacity:
    """The numbers of the selected MPM."""
    threads = values.value(capacity.THREADS_PER_CHILD)
    found = sizes(values.mpm, cpus, threads, asked_of(values, values.mpm))
    most = found.limit.value // threads
    holds_requests = values.mpm is Mpm.EVENT
    least = most if found.fixed else in_children(found.min_spare.value, threads)
    return Capacity(
        start=found.start.value,
        least=least or 1,
        most=most,
        min_spare=found.min_spare.value,
        max_spare=found.max_spare.value,
        threads_per_child=threads,
        max_connections_per_child=values.value(children.MAX_CONNECTIONS_PER_CHILD),
        max_requests_per_child=values.value(children.MAX_REQUESTS_PER_CHILD),
        max_open_connections=values.value(capacity.MAX_OPEN_CONNECTIONS) if holds_requests else threads,
        max_queued_requests=values.value(capacity.MAX_QUEUED_REQUESTS) if holds_requests else 0,
        max_queue_time=values.value(capacity.MAX_QUEUE_TIME) if holds_requests else 0.0,
    )


def contended(values: Resolution) -> Contended:
    """What is left of a slow client's time while others need what it holds."""
    return Contended(**values.value(requests.CONTENDED_TIMEOUT))


def memory_of(values: Resolution, memory: int | None) -> Memory:
    """The bounds of memory in bytes, where `memory` is what the server may use; a share of the unknown is no limit."""
    limit = values.value(capacity.MEMORY_LIMIT)
    if isinstance(limit, Share):
        limit = None if memory is None else limit.of(memory)
    return Memory(limit=limit, child=values.value(children.MAX_CHILD_MEMORY))


def identity(values: Resolution, machine: Machine) -> Identity:
    """Who serves; a user other than the one who starts the server brings its own group. Raises ConfigError."""
    user = reachable(values, lifecycle.USER, user_number, machine.user, machine)
    group = reachable(values, lifecycle.GROUP, group_number, machine.group, machine)
    if user is not None and user != machine.user and group is None:
        try:
            group = pwd.getpwuid(user).pw_gid
        except KeyError:
            stated = values.stated(lifecycle.USER)
            raise ConfigError(
                f"{stated}: user {user} has no account on this system, so its group is not known: state group too."
            ) from None
    return Identity(user, group, values.value(lifecycle.UMASK))


def reachable(values: Resolution, directive: Account, number: Lookup, own: int, machine: Machine) -> int | None:
    """The number of an account that this process can change to or give a file to. Raises ConfigError."""
    found = number(values, directive)
    if found is None or machine.user == 0 or found == own:
        return found
    stated = values.stated(directive)
    raise ConfigError(
        f'{stated}: {directive.name} cannot be "{stated.value}", since only root can change it and the server is started'
        f" by user {machine.user}. Leave it out, or start the server as root."
    )


def user_number(values: Resolution, directive: Account) -> int | None:
    """The number of a user given by name or number. Raises ConfigError."""
    account = values.value(directive)
    try:
        return pwd.getpwnam(account).pw_uid if isinstance(account, str) else account
    except KeyError:
        raise ConfigError(no_account(values, directive, "user")) from None


def group_number(values: Resolution, directive: Account) -> int | None:
    """The number of a group given by name or number. Raises ConfigError."""
    account = values.value(directive)
    try:
        return grp.getgrnam(account).gr_gid if isinstance(account, str) else account
    except KeyError:
        raise ConfigError(no_account(values, directive, "group")) from None


def no_account(values: Resolution, directive: Account, kind: str) -> str:
    """The sentence about an account that is not there."""
    stated = values.stated(directive)
    return (
        f'{stated}: {directive.name} cannot be "{stated.value}": there is no such {kind} on this system.'
        f" Allowed is {directive.kind.allowed}."
    )


def spool_of(values: Resolution, directory: Path) -> Spool:
    """Where bodies and answers wait, and how many. Raises ConfigError."""
    path = spool_directory(values, directory)
    limit = values.value(requests.SPOOL_LIMIT)
    if limit is None:
        free = free_space(path)
        limit = MOST_SPOOLED if free is None else min(MOST_SPOOLED, free // SHARE_OF_FREE_SPACE)
    return Spool(
        directory=path,
        request_memory=values.value(requests.REQUEST_MEMORY),
        response_memory=values.value(requests.RESPONSE_MEMORY),
        response_limit=values.value(requests.RESPONSE_LIMIT),
        memory_per_child=values.value(requests.BUFFER_MEMORY_PER_CHILD),
        limit_per_child=values.value(requests.SPOOL_LIMIT_PER_CHILD),
        limit=limit,
    )


def spool_directory(values: Resolution, directory: Path) -> Path:
    """Where temporary files go; it must be a directory. Raises ConfigError."""
    stated = values.value(requests.SPOOL_DIRECTORY)
    if stated is None:
        return Path(tempfile.gettempdir())
    path = directory / stated
    if not path.is_dir():
        origin = values.stated(requests.SPOOL_DIRECTORY)
        raise ConfigError(f'{origin}: spool_directory cannot be "{stated}": there is no such directory. Make it first.')
    return path


def control_socket(values: Resolution, directory: Path, platform: str) -> Path | None:
    """The control socket that is stated, None where the server chooses or there is to be none. Raises ConfigError."""
    stated = values.value(lifecycle.CONTROL_SOCKET)
    if stated is None or stated == lifecycle.AUTO:
        return None
    path = directory / stated
    longest = LONGEST_SOCKET_PATH if platform.startswith("linux") else LONGEST_SOCKET_PATH_ELSEWHERE
    if len(os.fsencode(path)) > longest:
        raise ConfigError(
            f'{values.stated(lifecycle.CONTROL_SOCKET)}: control_socket cannot be "{path}": the path of a socket has at'
            f" most {longest} bytes on this system. Choose a shorter one, or auto."
        )
    return path


def absolute(address: Address, directory: Path) -> Address:
    """An address whose path does not depend on the current directory."""
    return UnixAddress(str(directory / address.path)) if isinstance(address, UnixAddress) else address


def path_or_none(text: str | None, directory: Path) -> Path | None:
    """A path that does not depend on the current directory."""
    return None if text is None else directory / text


def log_target(text: str, directory: Path) -> str:
    """A log's path made absolute; - stays what it is."""
    return text if text == "-" else str(directory / text)
