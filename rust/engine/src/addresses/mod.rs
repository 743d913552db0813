//! What one client may have at once, and whose word about clients is believed. Clients are told apart by address.
//!
//! A driver asks [`Addresses::admit`] for each connection and keeps the [`Presence`] that it gets beside it; whatever was
//! counted is taken back when that is dropped, on whatever way the connection ends. Without limits nothing is counted,
//! looked up or mapped. Not here: what a refused client gets, which is the drivers' business (`drive`).

mod complaints;
mod laggards;
mod network;
mod tables;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::http::Reject;
use crate::net::Endpoint;
use complaints::Complaints;
pub use laggards::Laggards;
pub use network::Network;
use tables::Counts;
pub use tables::{Ledger, Tables};

/// Seconds after which a refused client may come back.
const RETRY: u16 = 1;

/// What one address may have; zero is no limit. Directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientBounds {
    /// Open connections. Directive: `max_connections_per_address`.
    pub connections: u32,
    /// Requests from their first byte until their answer is sent. Directive: `max_unfinished_requests_per_address`.
    pub requests: u32,
    /// How many bits of an IPv6 address make one client. Directive: `address_prefix_ipv6`.
    pub ipv6_prefix: u8,
}

impl ClientBounds {
    /// Whether there is nothing to count.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.connections == 0 && self.requests == 0
    }
}

/// One per child, shared by its threads.
#[derive(Debug, Default)]
pub struct Addresses {
    trusted: Vec<Network>,
    ipv6_prefix: u8,
    limited: Option<Arc<Limited>>,
    laggards: Option<Arc<Laggards>>,
}

#[derive(Debug)]
struct Limited {
    bounds: ClientBounds,
    ledger: Ledger,
    complaints: Complaints,
}

/// An address has as much as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// What the client is told.
    pub reject: Reject,
    /// How many such refusals were not told of since the last that was; None: this one is not to be told of either.
    pub told: Option<u64>,
}

impl Addresses {
    /// Proxies that are believed and are not counted, and what everybody else may have; without a ledger nothing is counted. `laggards`
    /// are those of the server.
    #[must_use]
    pub fn new(trusted: Vec<Network>, bounds: ClientBounds, ledger: Option<Ledger>, laggards: Arc<Laggards>) -> Self {
        let limited = |ledger| Arc::new(Limited { bounds, ledger, complaints: Complaints::default() });
        let limited = ledger.filter(|_| !bounds.is_none()).map(limited);
        Self { trusted, ipv6_prefix: bounds.ipv6_prefix, limited, laggards: Some(laggards) }
    }

    /// A connection of `peer` begins.
    ///
    /// # Errors
    /// When its address has too many already; then it does not count.
    pub fn admit(&self, peer: Endpoint, now: Instant) -> Result<Presence, TooMany> {
        let address = match peer {
            Endpoint::Unix => return Ok(Presence { trusted: true, share: None, refused: false }),
            Endpoint::Tcp(peer) => peer.ip(),
        };
        let trusted = self.trusts(address);
        let share = match &self.limited {
            Some(limited) if !trusted => Some(limited.admit(address, now)?),
            Some(_) | None => None,
        };
        Ok(Presence { trusted, share, refused: false })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// An answer to `peer` had to be broken off.
    pub fn broke_off(&self, peer: Endpoint, now: Instant) {
        if let Some((laggards, client)) = self.laggards.as_ref().zip(self.untrusted(peer)) {
            laggards.broke_off(client, now);
        }
    }

    /// Whether there is any address of which answers had to be broken off again and again; cheap.
    #[inline]
    #[must_use]
    pub fn has_laggards(&self, now: Instant) -> bool {
        self.laggards.as_ref().is_some_and(|laggards| laggards.any(now))
    }

    /// Whether `peer` comes from one.
    #[must_use]
    pub fn is_laggard(&self, peer: Endpoint, now: Instant) -> bool {
        let known = self.laggards.as_ref().zip(self.untrusted(peer));
        known.is_some_and(|(laggards, client)| laggards.has(client, now))
    }

    /// As which client `peer` is remembered; None for those that stand for many.
    fn untrusted(&self, peer: Endpoint) -> Option<u128> {
        let Endpoint::Tcp(peer) = peer else { return None };
        let address = peer.ip();
        (!self.trusts(address)).then(|| network::client(address, self.ipv6_prefix))
    }
}

impl Limited {
    fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Share, TooMany> {
        let key = self.ledger.key(network::client(address, self.bounds.ipv6_prefix));
        let mut share = Share { of: Arc::clone(self), key, has: Counts::default() };
        if self.bounds.connections > 0 && !share.take(Counts::CONNECTION) {
            return Err(self.too_many("too many connections from this address", key, now));
        }
        Ok(share)
    }

    fn too_many(&self, reason: &'static str, key: u64, now: Instant) -> TooMany {
        TooMany { reject: Reject::too_many(reason, RETRY), told: self.complaints.refused(key, now) }
    }

    /// Whether there are too many of what has just been counted.
    fn is_beyond(&self, more: Counts, total: Counts) -> bool {
        (more.connections > 0 && total.connections > self.bounds.connections)
            || (more.requests > 0 && total.requests > self.bounds.requests)
    }
}

/// What one connection has of what its address may have. Given back when it is dropped.
#[derive(Debug)]
struct Share {
    of: Arc<Limited>,
    key: u64,
    has: Counts,
}

impl Share {
    /// Takes `more`, unless that goes beyond what the address may have in the whole server.
    ///
    /// It is counted first and looked at afterwards: of two that come at once, in two children, at least one sees both, so
    /// there are never too many. It may be that both are refused; clients at their limit have to bear that.
    fn take(&mut self, more: Counts) -> bool {
        if !self.of.ledger.add(self.key, more) {
            return true;
        }
        if self.of.is_beyond(more, self.of.ledger.total(self.key)) {
            self.of.ledger.subtract(self.key, more);
            return false;
        }
        self.has = self.has.plus(more);
        true
    }

    /// Takes `more` back that was given up a moment ago, whatever the address has by now.
    fn resume(&mut self, more: Counts) {
        if self.of.ledger.add(self.key, more) {
            self.has = self.has.plus(more);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.has != Counts::default() {
            self.of.ledger.subtract(self.key, self.has);
        }
    }
}

/// What is known of a connection's client; lives as long as the connection.
#[derive(Debug, Default)]
pub struct Presence {
    trusted: bool,
    share: Option<Share>,
    refused: bool,
}

impl Presence {
    /// Whether the peer is a proxy whose word is believed: one that is listed, or whoever may reach a Unix socket.
    #[must_use]
    pub fn trusted(&self) -> bool {
        self.trusted
    }

    /// Whether a request was refused because there were too many.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// Something of a request has come. Cheap to repeat: a connection has one unfinished request at most.
    ///
    /// # Errors
    /// When its address has too many; then it does not count.
    #[inline]
    pub fn begin_request(&mut self, now: Instant) -> Result<(), TooMany> {
        match &mut self.share {
            None => Ok(()),
            Some(share) if share.has.requests > 0 || share.of.bounds.requests == 0 => Ok(()),
            Some(share) => {
                if share.take(Counts::REQUEST) {
                    return Ok(());
                }
                self.refused = true;
                Err(share.of.too_many("too many unfinished requests from this address", share.key, now))
            }
        }
    }

    /// The answer is sent, or is about to be: to be called before the client can see its end and ask for more. Cheap to
    /// repeat. True if a request was counted until now.
    #[inline]
    pub fn end_request(&mut self) -> bool {
        let Some(share) = self.share.as_mut().filter(|share| share.has.requests > 0) else {
            return false;
        };
        share.has.requests = 0;
        share.of.ledger.subtract(share.key, Counts::REQUEST);
        true
    }

    /// The answer could not be sent to its end: the request that was counted still counts, even if others have begun.
    pub fn resume_request(&mut self) {
        if let Some(share) = &mut self.share {
            share.resume(Counts::REQUEST);
        }
    }
}
