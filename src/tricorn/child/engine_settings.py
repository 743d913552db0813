"""Settings for the engine: the only place that knows both sides. Values in, values out."""

from __future__ import annotations

import os
import random

from tricorn._engine import EngineSettings
from tricorn.child.heritage import Heritage
from tricorn.config.settings import Rate


def engine_settings(heritage: Heritage, who: str, bell: int, *, ends_when_overdue: bool) -> EngineSettings:
    """The values for a child that calls itself `who` in the log, and wants `bell` rung when it is worn.

    Raises:
        ValueError: the engine refuses a value; the text names it.
    """
    settings = heritage.settings
    contended = settings.timeouts.contended
    return EngineSettings(
        limit_request_line=settings.limits.request_line,
        limit_request_fields=settings.limits.fields,
        limit_request_field_size=settings.limits.field_size,
        limit_request_head=settings.limits.head,
        limit_request_body=settings.limits.body,
        requests_per_connection=settings.limits.requests_per_connection,
        handshake_timeout=_rate(settings.timeouts.handshake),
        header_timeout=_rate(settings.timeouts.header),
        body_timeout=_rate(settings.timeouts.body),
        response_timeout=_rate(settings.timeouts.response),
        keep_alive_timeout=settings.timeouts.keep_alive,
        contended_timeout=(contended.header, contended.body, contended.response),
        timeout=settings.timeouts.handler,
        timeout_grace=settings.timeouts.handler_grace,
        ends_when_overdue=ends_when_overdue,
        spool_directory=os.fspath(settings.spool.directory),
        request_memory=settings.spool.request_memory,
        response_memory=settings.spool.response_memory,
        response_limit=settings.spool.response_limit,
        buffer_memory_per_child=settings.spool.memory_per_child,
        spool_limit_per_child=settings.spool.limit_per_child,
        spool_limit=settings.spool.limit,
        max_connections_per_child=_share(settings.capacity.max_connections_per_child),
        max_requests_per_child=_share(settings.capacity.max_requests_per_child),
        max_open_connections=settings.capacity.max_open_connections,
        max_queued_requests=settings.capacity.max_queued_requests,
        max_queue_time=settings.capacity.max_queue_time,
        max_connections_per_address=settings.clients.connections,
        max_unfinished_requests_per_address=settings.clients.unfinished_requests,
        address_prefix_ipv6=settings.clients.ipv6_prefix,
        trusted_proxies=[str(network) for network in settings.clients.trusted],
        address_tables=heritage.scoreboard.addresses,
        server_timing=settings.gateway.server_timing,
        server_header=settings.gateway.server_header,
        error_log_fd=heritage.logs.error,
        log_level=settings.logs.log_level.value,
        log_name=who,
        access_log_fd=heritage.logs.access,
        access_log_format=settings.logs.access_log_format,
        bell_fd=bell,
        spare_bell_fd=heritage.spare_bell,
    )


def _share(bound: int) -> int:
    """This child's own number from the last tenth below a bound, so that children that began together end apart."""
    # A generator of its own: the application's, which a fork has copied, is not to be touched.
    return bound - random.SystemRandom().randint(0, bound // 10) if bound else 0


def _rate(rate: Rate) -> tuple[float, float | None, int | None]:
    return rate.initial, rate.maximum, rate.min_rate
