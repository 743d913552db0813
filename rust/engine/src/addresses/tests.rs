//! Whatever happens, in whatever order: no address has more than it may, and what ends is counted no more.

use std::collections::HashMap;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

const CHILDREN: usize = 3;
const MOST: usize = 6;

fn peer(number: u8) -> Endpoint {
    Endpoint::Tcp(SocketAddr::from(([10, 0, 0, number], 1000)))
}

/// A child as the tests have it: its connections and whom they are from.
struct Child {
    addresses: Addresses,
    held: Vec<(u8, Presence)>,
}

struct World {
    tables: Arc<Tables>,
    bounds: ClientBounds,
    children: Vec<Child>,
}

impl World {
    fn new(bounds: ClientBounds) -> Self {
        let tables = Arc::new(Tables::new(CHILDREN, MOST, None).unwrap());
        let mut world = Self { tables, bounds, children: Vec::new() };
        world.children = (0..CHILDREN).map(|child| world.fork(child)).collect();
        world
    }

    fn fork(&self, child: usize) -> Child {
        let ledger = Ledger::new(Arc::clone(&self.tables), child, Vec::new()).unwrap();
        Child { addresses: Addresses::new(Vec::new(), self.bounds, Some(ledger), laggards()), held: Vec::new() }
    }

    /// As a kill with signal 9: nothing is given back by whoever has it; the parent reaps, and forks another.
    fn kill(&mut self, child: usize) {
        for (_, presence) in self.children[child].held.drain(..) {
            std::mem::forget(presence);
        }
        self.tables.clear(child);
        self.children[child] = self.fork(child);
    }

    fn total(&self, number: u8) -> Counts {
        let limited = self.children[0].addresses.limited.as_ref().unwrap();
        let Endpoint::Tcp(address) = peer(number) else { unreachable!() };
        limited.ledger.total(limited.ledger.key(network::client(address.ip(), 64)))
    }

    fn expected(&self) -> HashMap<u8, Counts> {
        let mut expected = HashMap::new();
        for (number, presence) in self.children.iter().flat_map(|child| &child.held) {
            let counts: &mut Counts = expected.entry(*number).or_default();
            *counts = counts.plus(presence.share.as_ref().unwrap().has);
        }
        expected
    }
}

#[derive(Debug, Clone)]
enum Event {
    Connect { child: usize, number: u8 },
    Begin { child: usize, which: usize },
    End { child: usize, which: usize },
    Blocked { child: usize, which: usize },
    Close { child: usize, which: usize },
    Kill { child: usize },
}

fn event() -> impl Strategy<Value = Event> {
    let child = 0..CHILDREN;
    prop_oneof![
        4 => (child.clone(), 0..8_u8).prop_map(|(child, number)| Event::Connect { child, number }),
        4 => (child.clone(), 0..MOST).prop_map(|(child, which)| Event::Begin { child, which }),
        2 => (child.clone(), 0..MOST).prop_map(|(child, which)| Event::End { child, which }),
        1 => (child.clone(), 0..MOST).prop_map(|(child, which)| Event::Blocked { child, which }),
        3 => (child.clone(), 0..MOST).prop_map(|(child, which)| Event::Close { child, which }),
        1 => child.prop_map(|child| Event::Kill { child }),
    ]
}

proptest! {
    #[test]
    fn counts_are_what_is_there_and_return_to_zero(
        events in prop::collection::vec(event(), 0..200),
        connections in 0_u32..5,
        requests in 0_u32..4,
    ) {
        let bounds = ClientBounds { connections, requests, ipv6_prefix: 64 };
        prop_assume!(!bounds.is_none());
        let now = Instant::now();
        let mut world = World::new(bounds);
        for event in events {
            match event {
                Event::Connect { child, number } if world.children[child].held.len() < MOST => {
                    let before = world.total(number);
                    let admitted = world.children[child].addresses.admit(peer(number), now);
                    prop_assert_eq!(admitted.is_ok(), connections == 0 || before.connections < connections);
                    world.children[child].held.extend(admitted.ok().map(|presence| (number, presence)));
                }
                Event::Begin { child, which } => if let Some((number, presence)) = world.children[child].held.get_mut(which) {
                    let (number, had) = (*number, presence.share.as_ref().unwrap().has.requests);
                    let before = world.total(number).requests;
                    let began = world.children[child].held[which].1.begin_request(now);
                    prop_assert_eq!(began.is_ok(), had == 1 || requests == 0 || before < requests);
                },
                Event::End { child, which } => if let Some((_, presence)) = world.children[child].held.get_mut(which) {
                    presence.end_request();
                },
                Event::Blocked { child, which } => if let Some((_, presence)) = world.children[child].held.get_mut(which) {
                    if presence.end_request() {
                        presence.resume_request();
                    }
                },
                Event::Close { child, which } => if which < world.children[child].held.len() {
                    world.children[child].held.swap_remove(which);
                },
                Event::Kill { child } => world.kill(child),
                Event::Connect { .. } => {}
            }
            let expected = world.expected();
            for number in 0..8 {
                prop_assert_eq!(world.total(number), expected.get(&number).copied().unwrap_or_default());
            }
        }
        for child in 0..CHILDREN {
            world.children[child].held.clear();
            prop_assert_eq!(world.children[child].addresses.limited.as_ref().unwrap().ledger.addresses(), 0);
        }
    }
}

fn addresses(tables: &Arc<Tables>, child: usize, bounds: ClientBounds, elders: Vec<Arc<Tables>>) -> Addresses {
    let ledger = Ledger::new(Arc::clone(tables), child, elders).unwrap();
    Addresses::new(vec![Network::parse("192.0.2.0/24").unwrap()], bounds, Some(ledger), laggards())
}

fn laggards() -> Arc<Laggards> {
    Arc::new(Laggards::new().unwrap())
}

const TWO: ClientBounds = ClientBounds { connections: 2, requests: 0, ipv6_prefix: 64 };

#[test]
fn proxies_and_unix_sockets_are_believed_and_have_no_limit() {
    let tables = Arc::new(Tables::new(1, 4, None).unwrap());
    let addresses = addresses(&tables, 0, TWO, Vec::new());
    let now = Instant::now();
    let trusted = [Endpoint::Unix, Endpoint::Tcp("192.0.2.9:1".parse().unwrap())];
    for peer in trusted.repeat(50) {
        let mut presence = addresses.admit(peer, now).unwrap();
        assert!(presence.trusted() && presence.begin_request(now).is_ok());
        std::mem::forget(presence);
    }
    assert!(!addresses.admit(peer(1), now).unwrap().trusted());
    assert!(!Addresses::default().admit(peer(1), now).unwrap().trusted());
}

#[test]
fn laggards_are_clients_as_limits_tell_them_apart_with_or_without_limits() {
    let tables = Arc::new(Tables::new(1, 4, None).unwrap());
    let prefix = ClientBounds { ipv6_prefix: 64, ..ClientBounds::default() };
    let off = Addresses::new(vec![Network::parse("192.0.2.0/24").unwrap()], prefix, None, laggards());
    for addresses in [off, addresses(&tables, 0, TWO, Vec::new())] {
        let now = Instant::now();
        let tcp = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        let is_laggard = |text| addresses.is_laggard(tcp(text), now);
        for peer in [Endpoint::Unix, tcp("192.0.2.9:1"), tcp("[::ffff:192.0.2.9]:1")].repeat(9) {
            addresses.broke_off(peer, now);
            assert!(!addresses.has_laggards(now) && !addresses.is_laggard(peer, now));
        }
        for peer in ["10.0.0.1:1", "10.0.0.1:2", "[::ffff:10.0.0.1]:3"] {
            assert!(!is_laggard("10.0.0.1:4"));
            addresses.broke_off(tcp(peer), now);
        }
        assert!(is_laggard("10.0.0.1:4") && is_laggard("[::ffff:10.0.0.1]:4") && !is_laggard("10.0.0.2:4"));
        for peer in ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::ffff:0:0:1]:1"] {
            addresses.broke_off(tcp(peer), now);
        }
        assert!(is_laggard("[2001:db8::3]:1") && !is_laggard("[2001:db8:0:1::1]:1") && addresses.has_laggards(now));
    }
}

#[test]
fn what_one_child_learns_of_an_address_all_know() {
    let (shared, now) = (laggards(), Instant::now());
    let child = || Addresses::new(Vec::new(), ClientBounds::default(), None, Arc::clone(&shared));
    let [one, two, three] = [child(), child(), child()];
    for child in [&one, &two, &one] {
        assert!(!three.has_laggards(now));
        child.broke_off(peer(1), now);
    }
    assert!(three.is_laggard(peer(1), now) && !three.is_laggard(peer(2), now));
}

#[test]
fn a_new_generation_counts_what_the_old_one_has() {
    let old = Arc::new(Tables::new(1, 4, None).unwrap());
    let new = Arc::new(Tables::new(2, 40, Some(&old)).unwrap());
    let (before, now) = (addresses(&old, 0, TWO, Vec::new()), Instant::now());
    let after = addresses(&new, 1, TWO, vec![Arc::clone(&old)]);
    let held = (before.admit(peer(1), now).unwrap(), after.admit(peer(1), now).unwrap());
    let refused = after.admit(peer(1), now).unwrap_err();
    assert_eq!((refused.reject.status, refused.reject.retry_after, refused.told), (429, Some(1), Some(0)));
    assert_eq!(after.admit(peer(1), now).unwrap_err().told, None);
    assert!(after.admit(peer(2), now).is_ok());
    drop(held.0);
    assert!(after.admit(peer(1), now).is_ok());
}

#[test]
fn a_full_table_counts_no_more_but_refuses_nobody() {
    let tables = Arc::new(Tables::new(1, 1, None).unwrap());
    let (addresses, now) = (addresses(&tables, 0, TWO, Vec::new()), Instant::now());
    let held: Vec<Presence> = (0..50).map(|number| addresses.admit(peer(number), now).unwrap()).collect();
    drop(held);
    assert_eq!(addresses.limited.as_ref().unwrap().ledger.addresses(), 0);
}

#[test]
fn many_threads_leave_nothing_behind() {
    let tables = Arc::new(Tables::new(2, 64, None).unwrap());
    let bounds = ClientBounds { connections: 3, requests: 2, ipv6_prefix: 64 };
    let children = [0, 1].map(|child| Arc::new(addresses(&tables, child, bounds, Vec::new())));
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let own = Arc::clone(&children[usize::from(thread % 2)]);
            scope.spawn(move || {
                for round in 0..2000_u32 {
                    let number = u8::try_from(round % 7).unwrap();
                    let Ok(mut presence) = own.admit(peer(number), Instant::now()) else { continue };
                    if presence.begin_request(Instant::now()).is_ok() && round % 3 == 0 {
                        presence.end_request();
                    }
                }
            });
        }
    });
    for child in &children {
        assert_eq!(child.limited.as_ref().unwrap().ledger.addresses(), 0);
    }
}
