//! Tests of the reactor from inside: what only shows between two of its turns.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::*;
use crate::addresses::Addresses;
use crate::connection::Protocol;
use crate::drive::{Bounds, Budget, Deadline, Orders, QueueBounds, Readers, Spool, Wear};
use crate::log::ErrorLog;
use crate::net::Listener;
use crate::scoreboard::{Holdings, OwnRow, Scoreboard};

/// What a child has in common, with the smallest of everything.
pub(in crate::drive) fn context() -> Context {
    let stderr: &'static std::os::fd::OwnedFd =
        Box::leak(Box::new(std::io::stderr().as_fd().try_clone_to_owned().unwrap()));
    let board = Arc::new(Scoreboard::new(1, 1).unwrap());
    Context {
        protocol: Arc::new(Protocol::default()),
        spool: Spool {
            directory: std::env::temp_dir(),
            request_memory: 0,
            response_memory: 0,
            response_limit: u64::MAX,
            budget: Arc::new(Budget::new(Bounds::NONE, Holdings::new(Arc::clone(&board), 0).unwrap())),
        },
        readers: Readers::default(),
        open_connections: 10,
        addresses: Addresses::default(),
        server_timing: false,
        queue: QueueBounds { requests: 10, time: Duration::ZERO },
        error_log: ErrorLog::new(stderr.as_fd(), Level::Error, "test".to_owned()),
        access_log: None,
        row: OwnRow::new(board, 0, None).unwrap(),
        orders: Orders::default(),
        deadline: Deadline::default(),
        wear: Wear::new(0, 0, None),
    }
}

/// A reactor with one client that has sent `request`, and the wire with that request.
fn received(request: &[u8], context: &Context) -> (Reactor, TcpStream, Away) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(request).unwrap();
    let listeners = Listeners::new(vec![Listener::duplicate(listener.as_fd()).unwrap()]);
    let (mut reactor, _) = Reactor::new(listeners).unwrap();
    while reactor.complete.is_empty() {
        reactor.turn(Patience::Endless, context).unwrap();
    }
    let away = reactor.complete.remove(0);
    (reactor, client, away)
}

#[test]
fn room_to_send_that_is_told_while_the_wire_is_away_is_not_lost() {
    const BYTES: usize = 30_000_000;
    let context = context();
    let (mut reactor, mut client, mut away) = received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &context);
    let now = Instant::now();
    let mut scratch = Scratch { out: vec![b'x'; BYTES], ..Scratch::default() };
    // The wire comes back with an answer that the socket has not taken, and is registered for sending.
    away.wire.connection.enter_handler(now);
    assert_eq!(away.wire.send(&mut scratch.out, now, &context), crate::drive::answer::Progress::Blocked);
    away.wire.connection.enter_write(now);
    reactor.take_back(away, Verdict::Wait, now, &context);
    // It goes away again; meanwhile the client takes all there is, which is told, and the wire comes back.
    let place = reactor.places.iter().next().unwrap().0;
    let wire = reactor.places[place].wire.take().unwrap();
    let mut left = BYTES;
    let mut block = vec![0; 1 << 20];
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while let Ok(n) = client.read(&mut block) {
        left -= n;
    }
    reactor.turn(Patience::None, &context).unwrap();
    assert!(left > 0 && reactor.places[place].told.is_some(), "room was told while the wire was away");
    reactor.take_back(Away { place, wire }, Verdict::Wait, now, &context);
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    while left > 0 {
        reactor.turn(Patience::None, &context).unwrap();
        left -= client.read(&mut block).unwrap();
    }
}

#[test]
fn deadlines_of_connections_that_have_ended_do_not_pile_up() {
    let context = context();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = Listeners::new(vec![Listener::duplicate(listener.as_fd()).unwrap()]);
    let (mut reactor, _) = Reactor::new(listeners).unwrap();
    for _ in 0..3000 {
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        reactor.turn(Patience::None, &context).unwrap();
        reactor.turn(Patience::None, &context).unwrap();
    }
    assert!(reactor.deadlines.len() < 1200, "{}", reactor.deadlines.len());
}

#[test]
fn a_socket_that_does_not_listen_any_more_is_not_asked_without_end() {
    let context = context();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = Listeners::new(vec![Listener::duplicate(listener.as_fd()).unwrap()]);
    let (mut reactor, _) = Reactor::new(listeners).unwrap();
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
    reactor.turn(Patience::None, &context).unwrap();
    assert!(matches!(reactor.accepting, Accepting::Resting(_)));
}

#[test]
fn what_has_come_goes_before_a_deadline_that_is_acted_on_late() {
    let context = context();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = Listeners::new(vec![Listener::duplicate(listener.as_fd()).unwrap()]);
    let (mut reactor, _) = Reactor::new(listeners).unwrap();
    let mut punctual = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    punctual.write_all(b"GET / HT").unwrap();
    let mut slow = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    slow.write_all(b"GET / HT").unwrap();
    while reactor
        .places
        .iter()
        .filter_map(|(_, place)| place.wire.as_ref())
        .filter(|wire| !wire.connection.idle())
        .count()
        < 2
    {
        reactor.turn(Patience::Endless, &context).unwrap();
    }
    punctual.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // This thread has been busy for longer than the deadline, and has not polled.
    reactor.expire(Instant::now() + Duration::from_secs(21), &context);
    assert_eq!(reactor.complete.len(), 1);
    slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut status = [0; 12];
    slow.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
}
