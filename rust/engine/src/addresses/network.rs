//! Addresses of clients as numbers: what belongs to a network, and what counts as one client.
//!
//! IPv4 and IPv6 are one space here: an IPv4 address is the IPv6 address that stands for it (`::ffff:a.b.c.d`), in whatever
//! form the system tells it.

use std::net::IpAddr;

/// Bits of an IPv6 address before the IPv4 address that it stands for.
const MAPPED: u8 = 96;

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
}

impl Network {
    /// The addresses that share their first `prefix` bits with `address`; None for a prefix longer than the address.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let prefix = match address {
            IpAddr::V4(_) if prefix > 32 => return None,
            IpAddr::V4(_) => MAPPED + prefix,
            IpAddr::V6(_) if prefix > 128 => return None,
            IpAddr::V6(_) => prefix,
        };
        let mask = mask(prefix);
        Some(Self { bits: number(address) & mask, mask })
    }

    /// From `ADDRESS/PREFIX`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        Self::new(address.parse().ok()?, prefix.parse().ok()?)
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask == self.bits
    }
}

/// What all addresses of one client have in common: an IPv4 address as a whole, the first `ipv6_prefix` bits of another.
#[must_use]
pub(super) fn client(address: IpAddr, ipv6_prefix: u8) -> u128 {
    let number = number(address);
    if number >> 32 == 0xffff { number } else { number & mask(ipv6_prefix) }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The first `prefix` bits.
fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Network, client};

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn networks_contain_what_begins_like_them() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1/32", "::ffff:127.0.0.1", "::1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "not asked"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
        ] {
            assert!(network(text).contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(outside == "not asked" || !network(text).contains(outside.parse().unwrap()), "{text} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.1", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "::/-1", "10.0.0.0/8/8", "::/"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn one_client_has_an_ipv4_address_or_an_ipv6_network() {
        let same = |one: &str, other: &str, prefix| {
            client(one.parse().unwrap(), prefix) == client(other.parse().unwrap(), prefix)
        };
        assert!(same("10.0.0.1", "::ffff:10.0.0.1", 64));
        assert!(!same("10.0.0.1", "10.0.0.2", 64));
        assert!(!same("10.0.0.1", "10.0.0.2", 0));
        assert!(same("2001:db8::1", "2001:db8::ffff:0:0:1", 64));
        assert!(!same("2001:db8::1", "2001:db8::ffff:0:0:1", 128));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1", 64));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:2::1", 48));
    }
}
