//! The life of a connection: stages, deadlines, keep-alive, retirement, lingering, memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod harness;

use engine::connection::{BodyLength, Connection, Expired, Next, Protocol, Stage, Step};
use engine::limits::Limits;
use engine::timeouts::Timeouts;
use harness::{decode, protocol, respond};
use std::sync::Arc;
use std::time::{Duration, Instant};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn connection(now: Instant) -> Connection {
    Connection::new(protocol(Limits::default()), now)
}

/// Receive and step; a piece of body is dropped.
fn feed(connection: &mut Connection, bytes: &[u8], now: Instant) -> bool {
    connection.receive(bytes, now);
    loop {
        match connection.step(&mut Vec::new(), now) {
            Step::NeedData => return false,
            Step::Body(_) => {}
            Step::Request => return true,
            step @ (Step::Reject(_) | Step::End) => panic!("{step:?}"),
        }
    }
}

fn answer(connection: &mut Connection, now: Instant) -> Next {
    let mut out = Vec::new();
    respond(connection, b"200 OK", &[], &[b"ok"], Some(2), &mut out);
    connection.next_exchange(now)
}

fn refused(connection: &mut Connection, now: Instant) -> (u16, Next) {
    let Expired::Reject(reject) = connection.expire(now) else { panic!("is refused") };
    let mut out = Vec::new();
    connection.reject(&reject, &mut out);
    (decode(&out, false).0.status, connection.next_exchange(now))
}

#[test]
fn a_silent_client_is_closed_in_silence() {
    let start = Instant::now();
    let mut connection = connection(start);
    assert_eq!((connection.stage(), connection.deadline()), (Stage::Head, Some(start + seconds(20))));
    assert_eq!(connection.expire(start + Duration::from_millis(19_999)), Expired::NotYet);
    assert_eq!(connection.expire(start + seconds(20)), Expired::Close);
}

#[test]
fn empty_lines_alone_are_no_request() {
    let start = Instant::now();
    let mut connection = connection(start);
    feed(&mut connection, b"\r\n", start);
    assert_eq!(connection.expire(start + seconds(20)), Expired::Close);
}

#[test]
fn a_slow_head_is_refused_and_lingers_shortly() {
    let start = Instant::now();
    let mut connection = connection(start);
    feed(&mut connection, b"G", start + seconds(19));
    let end = start + seconds(20) + Duration::from_millis(2);
    assert_eq!(connection.deadline(), Some(end), "a byte is worth one byte");
    assert_eq!(refused(&mut connection, end), (408, Next::Linger));
    assert_eq!((connection.stage(), connection.deadline()), (Stage::Linger, Some(end + seconds(2))));
    assert_eq!(connection.expire(end + seconds(2)), Expired::Close);
}

#[test]
fn a_body_has_its_own_clock_and_buys_time() {
    let start = Instant::now();
    let mut connection = connection(start);
    let begun = start + seconds(10);
    assert!(!feed(&mut connection, POST, begun));
    assert!(connection.wants_body());
    assert_eq!((connection.stage(), connection.deadline()), (Stage::Body, Some(begun + seconds(20))));
    feed(&mut connection, &[0; 500], begun + seconds(5));
    assert_eq!(connection.deadline(), Some(begun + seconds(21)));
    assert_eq!(refused(&mut connection, begun + seconds(21)), (408, Next::Linger));
}

#[test]
fn the_application_has_no_deadline_and_the_answer_has() {
    let start = Instant::now();
    let mut connection = connection(start);
    assert!(feed(&mut connection, GET, start));
    connection.enter_queue(start);
    assert_eq!((connection.stage(), connection.deadline()), (Stage::Queued, None));
    connection.enter_handler(start);
    assert_eq!((connection.stage(), connection.deadline()), (Stage::Handler, None));
    connection.respond(b"200 OK", &mut Vec::new()).unwrap().finish(BodyLength::Known(9)).unwrap();
    connection.enter_write(start);
    assert_eq!((connection.stage(), connection.deadline()), (Stage::Write, Some(start + seconds(60))));
    connection.delivered(1, start + seconds(50));
    let end = start + seconds(60) + Duration::from_millis(2);
    assert_eq!(connection.deadline(), Some(end), "a byte is worth one byte");
    assert_eq!(connection.expire(end), Expired::Close);
    assert!(!connection.persistent());
}

#[test]
fn keep_alive_ends_in_silence_and_the_next_head_has_a_new_clock() {
    let start = Instant::now();
    let mut connection = connection(start);
    assert!(feed(&mut connection, GET, start));
    assert_eq!(answer(&mut connection, start), Next::KeepAlive);
    assert_eq!((connection.stage(), connection.deadline()), (Stage::KeepAlive, Some(start + seconds(5))));
    let begun = start + seconds(4);
    assert!(!feed(&mut connection, b"GET", begun));
    assert_eq!((connection.stage(), connection.deadline()), (Stage::Head, Some(begun + seconds(20))));
    assert!(feed(&mut connection, &GET[3..], begun));
    assert_eq!((connection.requests(), answer(&mut connection, begun)), (2, Next::KeepAlive));
    assert_eq!(connection.expire(begun + seconds(5)), Expired::Close);
}

#[test]
fn keep_alive_can_be_turned_off() {
    let start = Instant::now();
    let timeouts = Timeouts { keep_alive: Duration::ZERO, ..Timeouts::default() };
    let mut connection = Connection::new(Arc::new(Protocol { timeouts, ..Protocol::default() }), start);
    assert!(feed(&mut connection, GET, start));
    assert!(!connection.persistent());
    assert_eq!(answer(&mut connection, start), Next::Linger);
}

#[test]
fn requests_per_connection_are_counted() {
    let start = Instant::now();
    let limits = Limits { requests_per_connection: 2, ..Limits::default() };
    let mut connection = Connection::new(protocol(limits), start);
    assert!(feed(&mut connection, &[GET, GET, GET].concat(), start));
    assert_eq!(answer(&mut connection, start), Next::Request);
    assert!(feed(&mut connection, b"", start));
    assert!(!connection.persistent());
    assert_eq!(answer(&mut connection, start), Next::Linger, "the third is not answered");
}

#[test]
fn a_retired_connection_says_close() {
    let start = Instant::now();
    let mut connection = connection(start);
    assert!(feed(&mut connection, GET, start));
    connection.retire(start);
    let mut out = Vec::new();
    respond(&mut connection, b"200 OK", &[], &[b"ok"], Some(2), &mut out);
    assert_eq!(decode(&out, false).0.field("Connection"), Some("close"));
    assert_eq!(connection.next_exchange(start), Next::Linger);
}

#[test]
fn retiring_ends_idle_connections_soon_but_not_requests_on_their_way() {
    let start = Instant::now();
    let grace = Timeouts::default().retired;
    let retired_at = start + seconds(4);
    let mut kept = connection(start);
    assert!(feed(&mut kept, GET, start));
    assert_eq!(answer(&mut kept, start), Next::KeepAlive);
    for mut idle in [kept, connection(start)] {
        idle.retire(retired_at);
        assert_eq!(idle.deadline(), Some(retired_at + grace));
        idle.retire(retired_at + seconds(9));
        assert_eq!(idle.expire(retired_at + grace), Expired::Close);
        assert!(feed(&mut idle, GET, retired_at), "what was sent before is answered");
        assert_eq!(answer(&mut idle, retired_at), Next::Linger);
    }
    for (requests, next) in [(&[GET, GET].concat(), Next::Request), (&GET.to_vec(), Next::KeepAlive)] {
        let mut announced = connection(start);
        assert!(feed(&mut announced, requests, start));
        let mut out = Vec::new();
        respond(&mut announced, b"200 OK", &[], &[b"ok"], Some(2), &mut out);
        announced.retire(start);
        assert_eq!(announced.next_exchange(start), next, "a kept connection was announced");
        if next == Next::KeepAlive {
            assert_eq!(announced.deadline(), Some(start + grace));
        }
        assert!(feed(&mut announced, if next == Next::Request { b"" } else { GET }, start));
        assert_eq!(answer(&mut announced, start), Next::Linger);
    }
}

#[test]
fn lingering_is_bounded_in_time_and_bytes() {
    let start = Instant::now();
    let limits = Limits { body: 10, ..Limits::default() };
    let mut connection = Connection::new(protocol(limits), start);
    connection.receive(POST, start);
    let Step::Reject(reject) = connection.step(&mut Vec::new(), start) else { panic!("is refused") };
    connection.reject(&reject, &mut Vec::new());
    connection.receive(b"more", start);
    assert!(matches!(connection.step(&mut Vec::new(), start), Step::End), "nothing is read any more");
    assert_eq!(connection.next_exchange(start), Next::Linger);
    assert_eq!(connection.deadline(), Some(start + seconds(2)), "a silent client is not waited for");
    assert!(connection.lingered(1, start + seconds(1)));
    assert_eq!(connection.deadline(), Some(start + seconds(3)));
    assert!(connection.lingered(1, start + seconds(29)));
    assert_eq!(connection.deadline(), Some(start + seconds(30)));
    let enough = (1..1000).find(|_| !connection.lingered(1 << 20, start));
    assert_eq!(enough, Some(64), "64 MiB are thrown away, two bytes less");
}

#[test]
fn the_end_of_the_peer_in_every_stage() {
    let start = Instant::now();
    let end = |bytes: &[u8]| {
        let mut connection = connection(start);
        connection.receive(bytes, start);
        connection.receive_end();
        loop {
            match connection.step(&mut Vec::new(), start) {
                Step::Body(_) => {}
                Step::End => return None,
                Step::Request => return Some(answer(&mut connection, start)),
                step @ (Step::NeedData | Step::Reject(_)) => panic!("{step:?}"),
            }
        }
    };
    assert_eq!(end(b""), None);
    assert_eq!(end(b"GET / HT"), None);
    assert_eq!(end(POST), None);
    assert_eq!(end(GET), Some(Next::Close));
    assert_eq!(end(&[GET, GET].concat()), Some(Next::Request));
}

#[test]
fn the_client_is_told_to_continue_only_when_it_waits() {
    let start = Instant::now();
    let expecting = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    for (extra, interim) in [(&b""[..], &b"HTTP/1.1 100 Continue\r\n\r\n"[..]), (b"a", b"")] {
        let mut connection = connection(start);
        connection.receive(&[expecting, extra].concat(), start);
        let mut out = Vec::new();
        while matches!(connection.step(&mut out, start), Step::Body(_)) {}
        assert_eq!(out, interim);
        while matches!(connection.step(&mut out, start), Step::Body(_)) {}
        assert_eq!(out, interim, "once");
        assert!(feed(&mut connection, &b"ab"[extra.len()..], start));
    }
}

#[test]
fn the_head_stays_while_the_body_comes() {
    let start = Instant::now();
    let mut connection = connection(start);
    feed(&mut connection, POST, start);
    for _ in 0..10 {
        feed(&mut connection, &[b'x'; 100], start);
        assert_eq!(connection.head().method(), b"POST");
    }
    assert_eq!(connection.head().host(), Some(&b"a"[..]));
    assert_eq!((connection.stage(), connection.requests()), (Stage::Queued, 1));
}

/// A head that comes byte by byte must not cost the square of its length: a thousand times the bytes may take some
/// thousand times the steps, which a test can only see by finishing.
#[test]
fn a_large_head_byte_by_byte_finishes() {
    let start = Instant::now();
    let limits = Limits { head: 1 << 24, field_size: 1 << 24, ..Limits::default() };
    let mut connection = Connection::new(protocol(limits), start);
    connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\nA: ", start);
    for _ in 0..(1 << 20) {
        connection.receive(b"b", start);
        assert!(matches!(connection.step(&mut Vec::new(), start), Step::NeedData));
    }
    assert!(feed(&mut connection, b"\r\n\r\n", start));
}
