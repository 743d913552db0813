"""What tests need to run a driver of the engine in their own process: settings and an application."""

from __future__ import annotations

import os
from pathlib import Path

from tricorn._engine import EngineSettings, Scoreboard, Wsgi

RATE = (10.0, None, None)


def engine_settings(error_log: int, access_log: int | None, spool: Path) -> EngineSettings:
    return EngineSettings(
        limit_request_line=8190,
        limit_request_fields=100,
        limit_request_field_size=8190,
        limit_request_head=65536,
        limit_request_body=0,
        requests_per_connection=0,
        handshake_timeout=RATE,
        header_timeout=RATE,
        body_timeout=RATE,
        response_timeout=RATE,
        keep_alive_timeout=5.0,
        timeout=60.0,
        timeout_grace=10.0,
        ends_when_overdue=False,
        spool_directory=os.fspath(spool),
        request_memory=65536,
        response_memory=65536,
        response_limit=1 << 30,
        buffer_memory_per_child=1 << 24,
        spool_limit_per_child=1 << 30,
        spool_limit=1 << 30,
        max_connections_per_child=0,
        max_requests_per_child=0,
        max_open_connections=10,
        max_queued_requests=10,
        max_queue_time=0,
        contended_timeout=(0.5, 2, 5),
        max_connections_per_address=0,
        max_unfinished_requests_per_address=0,
        address_prefix_ipv6=64,
        trusted_proxies=[],
        server_timing=False,
        server_header="",
        error_log_fd=error_log,
        log_level="info",
        log_name="child=0",
        access_log_fd=access_log,
        access_log_format="%r %s",
    )


def application(environ: dict[str, object], start_response: object) -> list[bytes]:
    del environ
    assert callable(start_response)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def gateway() -> Wsgi:
    """Calls `application`."""
    return Wsgi(
        application,
        multithread=False,
        multiprocess=False,
        script_name="",
        errors=None,
        on_overdue=lambda *_: None,
        overdue_exit_code=124,
    )


def board() -> Scoreboard:
    """One child with one thread, starting."""
    made = Scoreboard(1, 1)
    made.claim(0, os.getpid(), 1)
    return made
