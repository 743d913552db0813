//! A client and an application around one connection, without a socket: drives it as a driver would, and reads answers
//! with a decoder of its own, which shares nothing with the engine.
#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part of it")]

use engine::connection::{BodyLength, Connection, Head, Next, Protocol, Step};
use engine::http::Reject;
use engine::limits::Limits;
use engine::timeouts::Timeouts;
use std::sync::Arc;
use std::time::Instant;

/// A request as the application sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub path: Vec<u8>,
    pub query: Vec<u8>,
    pub version: &'static str,
    pub host: Option<Vec<u8>>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    pub length: Option<u64>,
}

impl Request {
    pub fn new(head: &Head, body: Vec<u8>) -> Self {
        Self {
            method: head.method().to_vec(),
            path: head.path().to_vec(),
            query: head.query().to_vec(),
            version: head.version().as_str(),
            host: head.host().map(<[u8]>::to_vec),
            fields: head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            body,
            length: head.content_length(),
        }
    }
}

/// A connection with these timeouts and no limits that would be met first.
pub fn unlimited(timeouts: Timeouts, now: Instant) -> Connection {
    let limits = Limits { head: usize::MAX, field_size: usize::MAX, body: u64::MAX, ..Limits::default() };
    Connection::new(Arc::new(Protocol { limits, timeouts, server: None }), now)
}

/// Receive and step; pieces of a body are dropped.
pub fn feed(connection: &mut Connection, bytes: &[u8], now: Instant) {
    connection.receive(bytes, now);
    while let Step::Body(_) = connection.step(&mut Vec::new(), now) {}
}

/// All that became of what one client sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    pub requests: Vec<Request>,
    pub reject: Option<Reject>,
    /// The connection asked to be closed without an answer.
    pub ended: bool,
    /// How the last answer left the connection.
    pub next: Option<Next>,
    /// What the server sent.
    pub sent: Vec<u8>,
}

impl Session {
    pub fn closes(&self) -> bool {
        self.ended || matches!(self.next, Some(Next::Linger | Next::Close))
    }
}

pub fn protocol(limits: Limits) -> Arc<Protocol> {
    Arc::new(Protocol { limits, timeouts: Timeouts::default(), server: Some(b"test".as_slice().into()) })
}

/// Feed `pieces`, answer every request with a short text, and tell what happened.
pub fn drive<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>, half_close: bool) -> Session {
    let now = Instant::now();
    let mut connection = Connection::new(protocol(limits), now);
    let mut session = Session::default();
    let mut body = Vec::new();
    for piece in pieces {
        connection.receive(piece, now);
        if !advance(&mut connection, &mut session, &mut body, now) {
            return session;
        }
    }
    if half_close {
        connection.receive_end();
        advance(&mut connection, &mut session, &mut body, now);
    }
    session
}

/// Step until more is needed; false when the connection is at its end.
fn advance(connection: &mut Connection, session: &mut Session, body: &mut Vec<u8>, now: Instant) -> bool {
    loop {
        let mut out = Vec::new();
        match connection.step(&mut out, now) {
            Step::NeedData => {
                session.sent.append(&mut out);
                return true;
            }
            Step::Body(piece) => {
                body.extend_from_slice(piece);
                session.sent.append(&mut out);
                continue;
            }
            Step::End => {
                session.ended = true;
                return false;
            }
            Step::Reject(reject) => {
                session.reject = Some(reject);
                connection.reject(&reject, &mut out);
            }
            Step::Request => {
                session.requests.push(Request::new(connection.head(), std::mem::take(body)));
                respond(connection, b"200 OK", &[], &[b"ok"], Some(2), &mut out);
            }
        }
        session.sent.append(&mut out);
        let next = connection.next_exchange(now);
        session.next = Some(next);
        match next {
            // In KEEP_ALIVE nothing is here; but the peer may have ended, which only another step tells.
            Next::Request | Next::KeepAlive => {}
            Next::Linger | Next::Close => return false,
        }
    }
}

/// Write a whole answer.
pub fn respond(
    connection: &mut Connection,
    status: &[u8],
    fields: &[(&str, &str)],
    blocks: &[&[u8]],
    known: Option<u64>,
    out: &mut Vec<u8>,
) {
    let mut head = connection.respond(status, out).expect("the status is good");
    for (name, value) in fields {
        head.field(name.as_bytes(), value.as_bytes()).expect("the field is good");
    }
    head.finish(known.map_or(BodyLength::Unknown, BodyLength::Known)).expect("the head is good");
    for block in blocks {
        let frame = connection.frame(block.len());
        out.extend_from_slice(&frame.before);
        out.extend_from_slice(&block[..frame.take]);
        out.extend_from_slice(frame.after);
    }
    connection.finish(out);
}

/// An answer as a client understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body was complete by its own framing, not by the end of the connection.
    pub delimited: bool,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Decode one answer at the start of `bytes`; gives it and what follows.
pub fn decode(bytes: &[u8], to_head: bool) -> (Answer, &[u8]) {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the head has an end");
    let text = std::str::from_utf8(&bytes[..end]).expect("the head is text");
    let mut rest = &bytes[end + 4..];
    let mut lines = text.split("\r\n");
    let line = lines.next().expect("a status line");
    assert!(line.starts_with("HTTP/1.1 ") && line.as_bytes()[12] == b' ', "{line:?}");
    let status = line[9..12].parse().expect("a status");
    let fields: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").expect("a field"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, fields, body: Vec::new(), delimited: true };
    if to_head || matches!(status, 100..=199 | 204 | 304) {
        return (answer, rest);
    }
    if answer.field("Transfer-Encoding") == Some("chunked") {
        assert_eq!(answer.field("Content-Length"), None);
        loop {
            let line_end = rest.windows(2).position(|window| window == b"\r\n").expect("a chunk size line");
            let size =
                usize::from_str_radix(std::str::from_utf8(&rest[..line_end]).unwrap(), 16).expect("a chunk size");
            rest = &rest[line_end + 2..];
            answer.body.extend_from_slice(&rest[..size]);
            assert_eq!(&rest[size..size + 2], b"\r\n");
            rest = &rest[size + 2..];
            if size == 0 {
                return (answer, rest);
            }
        }
    }
    if let Some(length) = answer.field("Content-Length") {
        let length: usize = length.parse().expect("a length");
        answer.body.extend_from_slice(&rest[..length]);
        return (answer, &rest[length..]);
    }
    assert_eq!(answer.field("Connection"), Some("close"));
    answer.delimited = false;
    answer.body.extend_from_slice(rest);
    (answer, &[])
}
