"""A small world for configurations: a directory, an environment, a machine; and one sample value for each directive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tricorn.config import commandline
from tricorn.config.commandline import CommandLine, Given
from tricorn.config.configuration import Configuration, configure
from tricorn.config.machine import Machine
from tricorn.config.settings import (
    Contended,
    Interface,
    LogLevel,
    Mpm,
    Preload,
    Rate,
    Settings,
    TcpAddress,
    UnixAddress,
)

MACHINE = Machine(cpus=4, platform="linux", user=0, group=0, memory=8 << 30, control_directory=Path("/run/tricorn"))
SYSTEMS = frozenset({"linux", "darwin", "freebsd"})


@dataclass
class World:
    """What a configuration is made from, without touching this process."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)
    machine: Machine = field(default_factory=lambda: MACHINE)
    systems: Callable[[Mpm], frozenset[str]] = lambda _: SYSTEMS

    def write(self, text: str, name: str = "tricorn.toml") -> None:
        (self.directory / name).write_text(text)

    def configure(self, *words: str, app: str | None = "project:app", config: str | None = None) -> Configuration:
        """Configure from options as they would be typed; `words` without a value are known from the table."""
        given = []
        left = list(words)
        while left:
            flag = left.pop(0)
            given.append(Given(flag, left.pop(0) if commandline.spellings()[flag].takes_value else None))
        line = CommandLine(app, tuple(given), None if config is None else Path(config))
        return configure(line, self.variables, self.directory, self.machine, self.systems)


@dataclass(frozen=True)
class Sample:
    """A value that is not the default: as text, in TOML, and what it becomes in the settings."""

    text: str
    toml: str
    found: Callable[[Settings], Any]
    becomes: Any
    mpm: Mpm = Mpm.EVENT


SAMPLES: Mapping[str, Sample] = {
    "app": Sample("other:app", '"other:app"', lambda s: s.application.reference, "other:app"),
    "interface": Sample("wsgi", '"wsgi"', lambda s: s.application.interface, Interface.WSGI),
    "factory": Sample("on", "true", lambda s: s.application.factory, True),
    "listen": Sample(
        "[::1]:81,unix:/run/x",
        '["[::1]:81", "unix:/run/x"]',
        lambda s: s.listen.addresses,
        (TcpAddress("::1", 81), UnixAddress("/run/x")),
    ),
    "backlog": Sample("7", "7", lambda s: s.listen.backlog, 7),
    "unix_socket_mode": Sample("600", '"600"', lambda s: s.listen.unix_socket_mode, 0o600),
    "unix_socket_user": Sample("12", "12", lambda s: s.listen.unix_socket_user, 12),
    "unix_socket_group": Sample("13", "13", lambda s: s.listen.unix_socket_group, 13),
    "mpm": Sample("worker", '"worker"', lambda s: s.mpm, Mpm.WORKER, Mpm.WORKER),
    "workers": Sample("3", "3", lambda s: (s.capacity.start, s.capacity.least, s.capacity.most), (3, 3, 3)),
    "start_servers": Sample("3", "3", lambda s: s.capacity.start, 3),
    "min_spare_servers": Sample("3", "3", lambda s: s.capacity.min_spare, 3, Mpm.PREFORK),
    "max_spare_servers": Sample("10", "10", lambda s: s.capacity.max_spare, 10, Mpm.PREFORK),
    "min_spare_threads": Sample("16", "16", lambda s: s.capacity.min_spare, 16),
    "max_spare_threads": Sample("33", "33", lambda s: s.capacity.max_spare, 33),
    "max_request_workers": Sample("80", "80", lambda s: s.capacity.most, 10),
    "threads_per_child": Sample("5", "5", lambda s: s.capacity.threads_per_child, 5),
    "max_open_connections": Sample("99", "99", lambda s: s.capacity.max_open_connections, 99),
    "max_queued_requests": Sample("77", "77", lambda s: s.capacity.max_queued_requests, 77),
    "max_queue_time": Sample("1500ms", "1.5", lambda s: s.capacity.max_queue_time, 1.5),
    "max_connections_per_child": Sample("1000", "1000", lambda s: s.capacity.max_connections_per_child, 1000),
    "max_requests_per_child": Sample("1000", "1000", lambda s: s.capacity.max_requests_per_child, 1000),
    "max_child_lifetime": Sample("2h", '"2h"', lambda s: s.lifecycle.max_child_lifetime, 7200.0),
    "max_child_memory": Sample("300M", '"300M"', lambda s: s.memory.child, 300 << 20),
    "memory_limit": Sample("50%", '"50%"', lambda s: s.memory.limit, 4 << 30),
    "limit_request_line": Sample("4K", '"4K"', lambda s: s.limits.request_line, 4096),
    "limit_request_fields": Sample("50", "50", lambda s: s.limits.fields, 50),
    "limit_request_field_size": Sample("2048", "2048", lambda s: s.limits.field_size, 2048),
    "limit_request_head": Sample("32K", '"32K"', lambda s: s.limits.head, 32768),
    "limit_request_body": Sample("unlimited", '"unlimited"', lambda s: s.limits.body, 2**64 - 1),
    "max_keep_alive_requests": Sample("9", "9", lambda s: s.limits.requests_per_connection, 9),
    "max_connections_per_address": Sample("20", "20", lambda s: s.clients.connections, 20),
    "max_unfinished_requests_per_address": Sample("10", "10", lambda s: s.clients.unfinished_requests, 10),
    "address_prefix_ipv6": Sample("56", "56", lambda s: s.clients.ipv6_prefix, 56),
    "trusted_proxies": Sample(
        "10.0.0.0/8,::1",
        '["10.0.0.0/8", "::1"]',
        lambda s: [str(network) for network in s.clients.trusted],
        ["10.0.0.0/8", "::1/128"],
    ),
    "request_read_timeout": Sample(
        "body=5-9,MinRate=70",
        "{ body = { initial = 5, maximum = 9, min_rate = 70 } }",
        lambda s: (s.timeouts.header, s.timeouts.body),
        (Rate(20.0, 40.0, 500), Rate(5.0, 9.0, 70)),
    ),
    "contended_timeout": Sample(
        "body=3.5 header=0",
        "{ body = 3.5, header = 0 }",
        lambda s: s.timeouts.contended,
        Contended(0.0, 3.5, 5.0),
    ),
    "timeout": Sample("2m", '"2m"', lambda s: s.timeouts.handler, 120.0),
    "timeout_grace": Sample("1500ms", "1.5", lambda s: s.timeouts.handler_grace, 1.5),
    "keep_alive_timeout": Sample("500ms", "0.5", lambda s: s.timeouts.keep_alive, 0.5),
    "spool_directory": Sample("/", '"/"', lambda s: s.spool.directory, Path("/")),
    "request_memory": Sample("1M", '"1M"', lambda s: s.spool.request_memory, 1 << 20),
    "response_memory": Sample("2M", '"2M"', lambda s: s.spool.response_memory, 2 << 20),
    "response_limit": Sample("1G", '"1G"', lambda s: s.spool.response_limit, 1 << 30),
    "buffer_memory_per_child": Sample("8M", '"8M"', lambda s: s.spool.memory_per_child, 8 << 20),
    "spool_limit_per_child": Sample("2G", '"2G"', lambda s: s.spool.limit_per_child, 2 << 30),
    "spool_limit": Sample("3G", '"3G"', lambda s: s.spool.limit, 3 << 30),
    "root_path": Sample("/api/v1", '"/api/v1"', lambda s: s.gateway.root_path, "/api/v1"),
    "server_timing": Sample("on", "true", lambda s: s.gateway.server_timing, True),
    "server_header": Sample("off", "false", lambda s: s.gateway.server_header, ""),
    "chdir": Sample("/srv", '"/srv"', lambda s: s.environment.chdir, Path("/srv")),
    "python_path": Sample("/a,b", '["/a", "b"]', lambda s: s.environment.python_path, ("/a", "b")),
    "env": Sample("A=x=y", '{ A = "x=y" }', lambda s: s.environment.variables, (("A", "x=y"),)),
    "process_name": Sample("shop", '"shop"', lambda s: s.environment.process_name, "shop"),
    "user": Sample("0", "0", lambda s: s.identity.user, 0),
    "group": Sample("21", "21", lambda s: s.identity.group, 21),
    "umask": Sample("027", '"027"', lambda s: s.identity.umask, 0o027),
    "graceful_timeout": Sample("2m", '"2m"', lambda s: s.lifecycle.graceful_timeout, 120.0),
    "start_timeout": Sample("5", "5", lambda s: s.lifecycle.start_timeout, 5.0),
    "preload": Sample("off", "false", lambda s: s.lifecycle.preload, Preload.OFF),
    "warm_up": Sample(
        "/a?b=c,http://x.y:8/",
        '["/a?b=c", "http://x.y:8/"]',
        lambda s: s.lifecycle.warm_up,
        ("/a?b=c", "http://x.y:8/"),
    ),
    "pid_file": Sample("/run/t.pid", '"/run/t.pid"', lambda s: s.lifecycle.pid_file, Path("/run/t.pid")),
    "drain_delay": Sample("5", "5", lambda s: s.lifecycle.drain_delay, 5.0),
    "control_socket": Sample(
        "/run/c.sock",
        '"/run/c.sock"',
        lambda s: (s.lifecycle.control_socket, s.lifecycle.control_directory),
        (Path("/run/c.sock"), None),
    ),
    "error_log": Sample("/var/e.log", '"/var/e.log"', lambda s: s.logs.error_log, "/var/e.log"),
    "log_level": Sample("debug", '"debug"', lambda s: s.logs.log_level, LogLevel.DEBUG),
    "access_log": Sample("-", '"-"', lambda s: s.logs.access_log, "-"),
    "access_log_format": Sample("common", '"common"', lambda s: s.logs.access_log_format, '%h %l %u %t "%r" %>s %b'),
}
