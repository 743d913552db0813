//! Answers as they stand on the wire: which fields the server adds, how bodies are delimited, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod harness;

use engine::connection::{BadResponse, BodyLength, Connection, Finished, Next, Step};
use engine::http::Reject;
use engine::limits::Limits;
use harness::{Answer, decode, protocol, respond};
use std::time::Instant;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
const OLD_KEPT: &[u8] = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";

/// A connection that has received one complete request.
fn asked(request: &[u8]) -> Connection {
    let now = Instant::now();
    let mut connection = Connection::new(protocol(Limits::default()), now);
    connection.receive(request, now);
    assert!(matches!(connection.step(&mut Vec::new(), now), Step::Request));
    connection
}

fn answer(
    request: &[u8],
    status: &str,
    fields: &[(&str, &str)],
    blocks: &[&[u8]],
    known: Option<u64>,
) -> (Answer, Next) {
    let mut connection = asked(request);
    let mut out = Vec::new();
    respond(&mut connection, status.as_bytes(), fields, blocks, known, &mut out);
    let (answer, rest) = decode(&out, request.starts_with(b"HEAD"));
    assert_eq!(rest, b"", "nothing follows the answer");
    (answer, connection.next_exchange(Instant::now()))
}

#[test]
fn a_known_length_is_announced_and_the_connection_kept() {
    let (answer, next) = answer(GET, "200 OK", &[("X-A", " b \t")], &[b"hello"], Some(5));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(answer.field("Content-Length"), Some("5"));
    assert_eq!(answer.field("X-A"), Some("b"), "blanks around a value are trimmed");
    assert_eq!(answer.field("Server"), Some("test"));
    assert_eq!(answer.field("Date").map(str::len), Some(29));
    assert_eq!(answer.field("Connection"), None);
    assert_eq!(next, Next::KeepAlive);
}

#[test]
fn own_fields_give_way_to_the_application() {
    let (answer, _) = answer(GET, "200 OK", &[("server", "mine"), ("DATE", "then")], &[], Some(0));
    let count = |name: &str| answer.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count();
    assert_eq!((count("Server"), count("Date")), (1, 1));
    assert_eq!((answer.field("Server"), answer.field("Date")), (Some("mine"), Some("then")));
}

#[test]
fn an_unknown_length_is_chunked() {
    let (answer, next) = answer(GET, "200 OK", &[], &[b"hello", b"", &[b'x'; 300]], None);
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answer.body.len(), 305);
    assert_eq!(next, Next::KeepAlive);
}

#[test]
fn an_unknown_length_ends_with_the_connection_in_http_1_0() {
    for request in [OLD, OLD_KEPT] {
        let (answer, next) = answer(request, "200 OK", &[], &[b"hello"], None);
        assert_eq!((answer.delimited, answer.body.as_slice()), (false, &b"hello"[..]));
        assert_eq!(answer.field("Connection"), Some("close"));
        assert!(matches!(next, Next::Close | Next::Linger));
    }
}

#[test]
fn http_1_0_is_kept_when_asked() {
    let (answer, next) = answer(OLD_KEPT, "200 OK", &[], &[b"hello"], Some(5));
    assert_eq!(answer.field("Connection"), Some("keep-alive"));
    assert_eq!(next, Next::KeepAlive);
    let (answer, next) = self::answer(OLD, "200 OK", &[], &[b"hello"], Some(5));
    assert_eq!(answer.field("Connection"), Some("close"));
    assert_eq!(next, Next::Close, "the client sends nothing more");
}

#[test]
fn head_has_the_fields_and_no_body() {
    let (answer, next) = answer(HEAD, "200 OK", &[("Content-Length", "99")], &[b"hello"], None);
    assert_eq!((answer.field("Content-Length"), next), (Some("99"), Next::KeepAlive));
    let (answer, _) = self::answer(HEAD, "200 OK", &[], &[b"hello"], Some(5));
    assert_eq!(answer.field("Content-Length"), Some("5"));
    for known in [None, Some(0)] {
        let (answer, _) = self::answer(HEAD, "200 OK", &[], &[], known);
        assert_eq!((answer.field("Content-Length"), answer.field("Transfer-Encoding")), (None, None));
    }
}

#[test]
fn statuses_without_body() {
    let (answer, next) = answer(GET, "204 No Content", &[("Content-Length", "5")], &[b"hello"], Some(5));
    assert_eq!((answer.field("Content-Length"), next), (None, Next::KeepAlive));
    let (answer, next) = self::answer(GET, "304 Not Modified", &[("Content-Length", "5")], &[b"hello"], None);
    assert_eq!((answer.field("Content-Length"), next), (Some("5"), Next::KeepAlive));
    let (answer, _) = self::answer(GET, "304 Not Modified", &[], &[], Some(0));
    assert_eq!(answer.field("Content-Length"), None);
    let (answer, next) = self::answer(GET, "205 Reset Content", &[("Content-Length", "5")], &[b"hello"], None);
    assert_eq!((answer.field("Content-Length"), answer.body.len(), next), (Some("0"), 0, Next::KeepAlive));
}

#[test]
fn a_declared_length_is_enforced() {
    let mut connection = asked(GET);
    let mut out = Vec::new();
    let mut head = connection.respond(b"200 OK", &mut out).unwrap();
    head.field(b"Content-Length", b"5").unwrap();
    head.finish(BodyLength::Known(99)).unwrap();
    assert!(String::from_utf8_lossy(&out).contains("Content-Length: 5\r\n"), "the declared length goes first");
    let frame = connection.frame(3);
    assert_eq!((frame.take, frame.excess), (3, false));
    let frame = connection.frame(4);
    assert_eq!((frame.take, frame.excess), (2, true));
    assert_eq!(connection.finish(&mut out), Finished::Complete);
    assert_eq!(connection.next_exchange(Instant::now()), Next::KeepAlive);
}

#[test]
fn a_short_answer_closes_the_connection() {
    let mut connection = asked(GET);
    let mut out = Vec::new();
    connection.respond(b"200 OK", &mut out).unwrap().finish(BodyLength::Known(5)).unwrap();
    assert!(connection.persistent());
    connection.frame(3);
    assert_eq!(connection.finish(&mut out), Finished::Short { missing: 2 });
    assert!(!connection.persistent());
    assert_eq!((connection.next_exchange(Instant::now()), connection.must_reset()), (Next::Close, false));
}

#[test]
fn a_broken_answer_is_visibly_broken() {
    for (request, reset) in [(GET, false), (OLD, true)] {
        let mut connection = asked(request);
        let mut out = Vec::new();
        connection.respond(b"200 OK", &mut out).unwrap().finish(BodyLength::Unknown).unwrap();
        let length = out.len();
        connection.break_off();
        connection.finish(&mut out);
        assert_eq!(out.len(), length, "no last chunk");
        assert_eq!(connection.next_exchange(Instant::now()), Next::Close);
        assert_eq!(connection.must_reset(), reset, "only a reset shows that a body until close is not complete");
    }
}

#[test]
fn a_refused_head_leaves_nothing_behind() {
    let mut connection = asked(GET);
    let mut out = b"before".to_vec();
    assert!(matches!(connection.respond(b"200\r\n", &mut out), Err(BadResponse::Status(_))));
    assert!(matches!(connection.respond(b"100 Continue", &mut out), Err(BadResponse::Interim(100))));
    let mut head = connection.respond(b"200 OK", &mut out).unwrap();
    head.field(b"A", b"b").unwrap();
    let refused = head.field(b"A", b"b\r\nEvil: yes").unwrap_err();
    assert_eq!(refused, BadResponse::Value("A".to_owned()));
    head.field(b"C", b"d").unwrap();
    assert_eq!(head.finish(BodyLength::Unknown), Err(refused), "what was refused cannot be sent after all");
    let mut head = connection.respond(b"200 OK", &mut out).unwrap();
    head.field(b"Content-Length", b"1").unwrap();
    assert_eq!(head.field(b"content-length", b"1"), Err(BadResponse::SecondLength));
    drop(head);
    assert_eq!((out.as_slice(), connection.responding()), (&b"before"[..], false));
    respond(&mut connection, b"500 Internal Server Error", &[], &[b"sorry"], Some(5), &mut out);
    assert!(matches!(connection.respond(b"200 OK", &mut out), Err(BadResponse::AlreadyResponding)));
    let (answer, _) = decode(&out[6..], false);
    assert_eq!((answer.status, answer.fields.iter().any(|(name, _)| name == "A")), (500, false));
}

#[test]
fn nothing_is_answered_before_it_is_asked() {
    let mut connection = Connection::new(protocol(Limits::default()), Instant::now());
    assert!(matches!(connection.respond(b"200 OK", &mut Vec::new()), Err(BadResponse::NothingToAnswer)));
}

#[test]
fn a_refusal_is_a_whole_answer() {
    let mut connection = asked(HEAD);
    let mut out = Vec::new();
    connection.reject(&Reject::unavailable("the queue is full", 3), &mut out);
    let (answer, rest) = decode(&out, true);
    assert_eq!((answer.status, answer.field("Retry-After"), rest), (503, Some("3"), &b""[..]));
    assert_eq!(answer.field("Connection"), Some("close"));
    assert_eq!(connection.next_exchange(Instant::now()), Next::Linger);
}

#[test]
fn a_refusal_after_the_head_breaks_the_answer_off() {
    let mut connection = asked(GET);
    let mut out = Vec::new();
    connection.respond(b"200 OK", &mut out).unwrap().finish(BodyLength::Unknown).unwrap();
    let length = out.len();
    connection.reject(&Reject::application_failed(), &mut out);
    assert_eq!((out.len(), connection.next_exchange(Instant::now())), (length, Next::Close));
}
