"""Values that are each allowed but contradict each other, this version or this machine. Nothing is corrected here.

Each function returns the sentences about what it looks at, empty when all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from tricorn.config.addresses import AddressKind
from tricorn.config.check_capacity import check_capacity, check_memory
from tricorn.config.directives import lifecycle, requests, serving
from tricorn.config.directives.shape import EVERY_MPM
from tricorn.config.kinds import number_text
from tricorn.config.machine import Machine
from tricorn.config.origins import shown
from tricorn.config.resolve import Resolution
from tricorn.config.settings import Interface, Mpm, TcpAddress

Systems = Callable[[Mpm], Collection[str]]
"""The systems an MPM runs on, as beginnings of `sys.platform`."""

FORMATS = {"common": lifecycle.COMMON, "combined": lifecycle.COMBINED}


def contradictions(resolution: Resolution, machine: Machine, systems: Systems) -> list[str]:
    """Everything that is wrong with the values together."""
    return [
        *check_application(resolution),
        *check_mpm(resolution, machine.platform, systems),
        *(sentence for mpm in resolution.of_mpm for sentence in check_capacity(resolution, mpm)),
        *check_memory(resolution, machine),
        *check_addresses(resolution),
        *check_limits(resolution),
        *check_keep_alive(resolution),
        *check_access_log_format(resolution),
    ]


def check_application(resolution: Resolution) -> list[str]:
    """There is an application, and this version can call it."""
    sentences = []
    if resolution.value(serving.APP) is None:
        sentences.append(
            "no application is named: write it as the argument (`tricorn serve module:attribute`), as app in the"
            " configuration file, or into the environment variable TRICORN_APP."
        )
    interface = resolution.stated(serving.INTERFACE)
    if interface.value is Interface.ASGI:
        sentences.append(
            f"{interface}: interface asgi is not served yet, only WSGI. Until a version does, serve an ASGI application"
            " with a server for ASGI, or name the WSGI callable of the project if it has one (Django: project.wsgi)."
        )
    return sentences


def check_mpm(resolution: Resolution, platform: str, systems: Systems) -> list[str]:
    """The selected MPM runs on this system."""
    if any(platform.startswith(system) for system in systems(resolution.mpm)):
        return []
    others = [
        mpm.value
        for mpm in EVERY_MPM
        if mpm is not resolution.mpm and any(platform.startswith(system) for system in systems(mpm))
    ]
    instead = f"use --mpm {' or --mpm '.join(others)} instead" if others else "no MPM runs on it"
    mpm = resolution.stated(serving.MPM)
    return [f"{mpm}: the {resolution.mpm.value} MPM does not run on this system ({platform}): {instead}."]


def check_addresses(resolution: Resolution) -> list[str]:
    """No address is named twice; port 0 may be."""
    listen = resolution.stated(serving.LISTEN)
    seen = set()
    sentences = []
    for address in resolution.value(serving.LISTEN):
        if address in seen and not (isinstance(address, TcpAddress) and address.port == 0):
            sentences.append(
                f"{listen}: listen names {AddressKind().to_text(address)} twice. Allowed is each address once."
            )
        seen.add(address)
    return sentences


def check_limits(resolution: Resolution) -> list[str]:
    """The limits leave room for each other."""
    sentences = []
    head = resolution.stated(requests.LIMIT_REQUEST_HEAD)
    for part in (requests.LIMIT_REQUEST_LINE, requests.LIMIT_REQUEST_FIELD_SIZE):
        stated = resolution.stated(part)
        if head.value < stated.value + 4:  # the part, its line end, and the empty line
            sentences.append(
                f"{head}: limit_request_head cannot be {shown(requests.LIMIT_REQUEST_HEAD, head.value)}, which has no"
                f" room for a {part.name} of {shown(part, stated.value)} ({stated}). Allowed is {stated.value + 4} or"
                " more."
            )
    memory = resolution.stated(requests.RESPONSE_MEMORY)
    limit = resolution.stated(requests.RESPONSE_LIMIT)
    if limit.value < memory.value:
        sentences.append(
            f"{limit}: response_limit cannot be {shown(requests.RESPONSE_LIMIT, limit.value)}, below the"
            f" response_memory of {shown(requests.RESPONSE_MEMORY, memory.value)} ({memory}), which is part of it."
            f" Allowed is {shown(requests.RESPONSE_MEMORY, memory.value)} or more."
        )
    return sentences


def check_keep_alive(resolution: Resolution) -> list[str]:
    """The two directives that can say how long a next request is waited for do not say two things."""
    stage = resolution.value(requests.REQUEST_READ_TIMEOUT).get("keep_alive")
    alone = resolution.stated(requests.KEEP_ALIVE_TIMEOUT)
    if stage is None or alone.is_default or alone.value == stage.initial:
        return []
    rates = resolution.stated(requests.REQUEST_READ_TIMEOUT)
    sentence = (
        f"{alone}: keep_alive_timeout is {number_text(alone.value)} seconds, but the stage keep_alive of"
        f" request_read_timeout ({rates}), which is the same thing, is {number_text(stage.initial)}: leave one of them"
        " out."
    )
    return [sentence]


def check_access_log_format(resolution: Resolution) -> list[str]:
    """The engine understands the format of the access log."""
    stated = resolution.stated(lifecycle.ACCESS_LOG_FORMAT)
    if stated.value in FORMATS:
        return []
    # The engine is loaded only for somebody who has a format of his own.
    from tricorn._engine import check_access_log_format as check  # noqa: PLC0415

    try:
        check(stated.value)
    except ValueError as error:
        return [f"{stated}: access_log_format cannot be {shown(lifecycle.ACCESS_LOG_FORMAT, stated.value)!r}: {error}."]
    return []
