"""Directives about clients: what each may have at once, and which of them are proxies that speak for others."""

from __future__ import annotations

from tricorn.config.compound_kinds import Many
from tricorn.config.directives.shape import Change, Directive, Equivalents, Section
from tricorn.config.kinds import Integer
from tricorn.config.networks import NetworkKind

MAX_CONNECTIONS_PER_ADDRESS = Directive(
    name="max_connections_per_address",
    section=Section.CLIENTS,
    kind=Integer(0, 1_000_000, "CONNECTIONS"),
    default=0,
    meaning="Open connections of one client address, in all children together; 0 is no limit. One more is answered with"
    " 429 and closed at once, and takes no process or thread. Trusted proxies and Unix sockets have no limit.",
    reason="Off: behind a proxy that is not named in trusted_proxies, all clients would be one.",
    change=Change.RELOAD,
    equivalents=Equivalents("QS_SrvMaxConnPerIP (mod_qos)", "", ""),
)
MAX_UNFINISHED_REQUESTS_PER_ADDRESS = Directive(
    name="max_unfinished_requests_per_address",
    section=Section.CLIENTS,
    kind=Integer(0, 1_000_000, "REQUESTS"),
    default=0,
    meaning="Requests of one client address, in all children together, from the first byte of each until its answer is"
    " sent; 0 is no limit. One more is answered with 429 and Retry-After, without the application. Kept-alive"
    " connections that are silent do not count. Trusted proxies and Unix sockets have no limit.",
    reason="Off, as max_connections_per_address.",
    change=Change.RELOAD,
)
ADDRESS_PREFIX_IPV6 = Directive(
    name="address_prefix_ipv6",
    section=Section.CLIENTS,
    kind=Integer(1, 128, "BITS"),
    default=64,
    meaning="How many bits of an IPv6 address make one client for the limits above. An IPv4 address is one as a whole.",
    reason="A subscriber has a network of 64 bits at least, and may use a new address of it for each connection.",
    change=Change.RELOAD,
)
TRUSTED_PROXIES = Directive(
    name="trusted_proxies",
    section=Section.CLIENTS,
    kind=Many(NetworkKind(), ","),
    default=(),
    meaning="Addresses and networks of the proxies in front of the server: no limit per address holds for them, they"
    " are not refused because some of their readers are slow, and what they say of when they took a request"
    " (X-Request-Start) is believed. Whoever connects to a Unix socket is trusted"
    " in any case. May be repeated.",
    reason="Nobody: a client that is believed by mistake could say anything.",
    change=Change.RELOAD,
    equivalents=Equivalents("RemoteIPInternalProxy (mod_remoteip)", "", ""),
)
