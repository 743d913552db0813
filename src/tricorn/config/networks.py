"""How a network of addresses is written: one address, or all that begin with the same bits (CIDR)."""

# ruff: noqa: D102  (what the methods of a kind do is said once, in `Kind`)
from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from tricorn.config.kinds import Kind
from tricorn.config.settings import Network


@dataclass(frozen=True)
class NetworkKind(Kind[Network]):
    """ADDRESS or ADDRESS/PREFIX, of IPv4 or IPv6."""

    metavar: str = "NETWORK"
    allowed: str = "an address like 10.0.0.7 or ::1, or a network like 10.0.0.0/8 or 2001:db8::/32"

    def from_text(self, text: str) -> Network:
        if "%" in text:
            raise ValueError(
                "a zone (what follows the %) is a matter of this machine's interfaces and is not looked at"
            )
        try:
            return ipaddress.ip_network(text, strict=True)
        except ValueError:
            raise ValueError(self._problem(text)) from None

    def to_text(self, value: Network) -> str:
        return str(value.network_address) if value.prefixlen == value.max_prefixlen else str(value)

    @staticmethod
    def _problem(text: str) -> str:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return "it is neither an address nor a network (names of hosts are not looked up)"
        return f"it is an address inside a network: write {meant} for the network, or the address without a prefix"
