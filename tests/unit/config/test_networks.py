"""Networks as they are written: read, written back, and refused with what was meant."""

from __future__ import annotations

import pytest

from tests.unit.config.world import World
from tricorn.config.networks import NetworkKind
from tricorn.errors import ConfigError


@pytest.mark.parametrize("text", ["10.0.0.7", "10.0.0.0/8", "0.0.0.0/0", "::1", "2001:db8::/32", "::/0"])
def test_written_as_it_was_read(text: str) -> None:
    kind = NetworkKind()
    assert kind.to_text(kind.from_text(text)) == text


def test_an_address_with_the_prefix_of_its_network_is_no_network(world: World) -> None:
    with pytest.raises(ConfigError) as refused:
        world.configure("--trusted-proxies", "10.0.0.7/8")
    assert "write 10.0.0.0/8 for the network, or the address without a prefix" in str(refused.value)


def test_names_are_not_looked_up(world: World) -> None:
    with pytest.raises(ConfigError) as refused:
        world.configure("--trusted-proxies", "proxy.example")
    assert "names of hosts are not looked up" in str(refused.value)


def test_several_are_parted_by_commas_and_the_option_may_be_repeated(world: World) -> None:
    found = world.configure("--trusted-proxies", "10.0.0.0/8,::1", "--trusted-proxies", "192.0.2.1").settings.clients
    assert [str(network) for network in found.trusted] == ["10.0.0.0/8", "::1/128", "192.0.2.1/32"]


def test_nobody_is_trusted_and_nothing_counted_at_first(world: World) -> None:
    clients = world.configure().settings.clients
    assert (clients.trusted, clients.counted) == ((), False)
    assert world.configure("--max-connections-per-address", "1").settings.clients.counted
