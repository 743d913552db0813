//! What the client sends: the automaton from bytes to a complete request. Not here: answers (`outbound`), stages and
//! deadlines (`Connection`).

use crate::http::chunked::{Bounds, Decoded, Decoder};
use crate::http::framing::Framing;
use crate::http::head::{Facts, Head};
use crate::http::scan::Scan;
use crate::http::{Reject, Version};
use crate::limits::Limits;
use std::ops::Range;

/// Memory that an idle connection may keep: bytes of buffer, fields.
const IDLE_BUFFER: usize = 1024;
const IDLE_FIELDS: usize = 16;
/// Memory behind the head that a connection may keep while it waits for more of a body.
const WAITING_BUFFER: usize = 4096;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) head: Head,
    /// Where the present request begins in the head's buffer.
    start: usize,
    /// Where its body begins, once the head is complete.
    body: usize,
    /// What lies before this in the buffer has been dealt with.
    taken: usize,
    state: State,
    /// The peer has shut down its sending side.
    ended: bool,
    /// What the present request says about the connection.
    keep_alive: bool,
}

#[derive(Debug)]
enum State {
    Head(Scan),
    Length {
        left: u64,
    },
    Chunked {
        decoder: Decoder,
        count: u64,
    },
    Complete,
    /// Refused or broken off: nothing that comes is read any more.
    Over,
}

/// What was found, without borrowing the buffer.
pub(super) enum Found {
    NeedData,
    /// The head has just been completed and a body follows.
    Head,
    Body(Range<usize>),
    Request,
    Reject(Reject),
    End,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self {
            head: Head::new(),
            start: 0,
            body: 0,
            taken: 0,
            state: State::Head(Scan::default()),
            ended: false,
            keep_alive: false,
        }
    }

    pub(super) fn receive(&mut self, data: &[u8]) {
        match self.state {
            State::Over => return,
            State::Head(_) if self.start > 0 => {
                // Requests before this one have been answered; their bytes make room only now, when room is needed.
                self.head.buffer.drain(..self.start);
                self.start = 0;
                self.taken = 0;
            }
            State::Head(_) | State::Length { .. } | State::Chunked { .. } | State::Complete => {}
        }
        self.head.buffer.extend_from_slice(data);
    }

    pub(super) fn receive_end(&mut self) {
        self.ended = true;
    }

    pub(super) fn step(&mut self, limits: &Limits, out: &mut Vec<u8>) -> Found {
        let found = match &mut self.state {
            State::Head(_) => self.step_head(limits, out),
            State::Length { left } => {
                let available = self.head.buffer.len() - self.taken;
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
                *left -= u64::try_from(length).unwrap_or(*left);
                let done = *left == 0;
                Ok(self.hand_out(0, length, done))
            }
            State::Chunked { decoder, count } => {
                match decoder.decode(self.head.buffer.get(self.taken..).unwrap_or_default()) {
                    Ok(Decoded::More) => {
                        self.taken = self.head.buffer.len();
                        Ok(Found::NeedData)
                    }
                    Ok(Decoded::Data { skip, length }) => {
                        *count += u64::try_from(length).unwrap_or(0);
                        Ok(self.hand_out(skip, length, false))
                    }
                    Ok(Decoded::End { used }) => {
                        self.head.content_length = Some(*count);
                        self.taken += used;
                        self.state = State::Complete;
                        Ok(Found::Request)
                    }
                    Err(reject) => Err(reject),
                }
            }
            State::Complete => Ok(Found::Request),
            State::Over => Ok(Found::End),
        };
        match found {
            Ok(Found::NeedData) if self.ended => {
                self.state = State::Over;
                Found::End
            }
            Ok(Found::NeedData) => {
                self.release_body();
                Found::NeedData
            }
            Ok(found) => found,
            Err(reject) => {
                self.state = State::Over;
                Found::Reject(reject)
            }
        }
    }

    /// What has come of a body has been handed out: only the head stays while the rest is awaited.
    fn release_body(&mut self) {
        if self.in_body() && self.taken == self.head.buffer.len() {
            self.head.buffer.truncate(self.body);
            self.taken = self.head.buffer.len();
            if self.head.buffer.capacity() - self.taken > WAITING_BUFFER {
                self.head.buffer.shrink_to(self.taken + IDLE_BUFFER);
            }
        }
    }

    fn hand_out(&mut self, skip: usize, length: usize, done: bool) -> Found {
        if length == 0 {
            return Found::NeedData;
        }
        let piece = self.taken + skip..self.taken + skip + length;
        self.taken = piece.end;
        if done {
            self.state = State::Complete;
        }
        Found::Body(piece)
    }

    fn step_head(&mut self, limits: &Limits, out: &mut Vec<u8>) -> Result<Found, Reject> {
        let State::Head(scan) = &mut self.state else {
            return Ok(Found::NeedData);
        };
        let input = self.head.buffer.get(self.start..).unwrap_or_default();
        let Some(length) = scan.find_end(input, limits)? else {
            return Ok(Found::NeedData);
        };
        let scan = *scan;
        let facts = self.head.parse(self.start, length, &scan)?;
        self.keep_alive = facts.keep_alive;
        self.body = self.start + length;
        self.taken = self.body;
        self.begin_body(&facts, limits)?;
        if matches!(self.state, State::Complete) {
            return Ok(Found::Request);
        }
        // RFC 9110 section 10.1.1: no interim response when the body is already on its way.
        if facts.expects_continue && self.taken == self.head.buffer.len() && !self.ended {
            out.extend_from_slice(CONTINUE);
        }
        Ok(Found::Head)
    }

    fn begin_body(&mut self, facts: &Facts, limits: &Limits) -> Result<(), Reject> {
        self.state = match facts.framing {
            Framing::None => State::Complete,
            Framing::Length(length) if length > limits.body => return Err(Reject::body_too_large()),
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => {
                let bounds = Bounds {
                    body: limits.body,
                    trailers: limits.fields,
                    trailer_size: limits.field_size,
                    trailer_section: limits.head,
                };
                State::Chunked { decoder: Decoder::new(&bounds), count: 0 }
            }
        };
        Ok(())
    }

    pub(super) fn piece(&self, range: Range<usize>) -> &[u8] {
        self.head.buffer.get(range).unwrap_or_default()
    }

    /// Bytes that have arrived and have not been dealt with.
    pub(super) fn unread(&self) -> usize {
        self.head.buffer.len() - self.taken
    }

    /// A byte of the present request has arrived; empty lines before it do not count.
    pub(super) fn begun(&self) -> bool {
        match &self.state {
            State::Head(scan) => self.head.buffer.len() > self.start + scan.begin,
            State::Length { .. } | State::Chunked { .. } | State::Complete | State::Over => true,
        }
    }

    pub(super) fn in_body(&self) -> bool {
        matches!(self.state, State::Length { .. } | State::Chunked { .. })
    }

    pub(super) fn complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// The peer has ended, and all it sent has been dealt with.
    pub(super) fn exhausted(&self) -> bool {
        self.ended && self.unread() == 0
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// The client wants the connection to be kept, as far as the present request says.
    pub(super) fn wants_more(&self) -> bool {
        self.keep_alive
    }

    pub(super) fn version(&self) -> Version {
        self.head.version()
    }

    /// Read nothing any more. The head stays, for the log.
    pub(super) fn give_up(&mut self) {
        self.state = State::Over;
        self.taken = self.head.buffer.len();
    }

    /// As `give_up`, and hold nothing.
    pub(super) fn discard(&mut self) {
        self.give_up();
        self.head = Head::new();
        (self.start, self.body, self.taken) = (0, 0, 0);
    }

    /// Go on to the next request; gives whether bytes of it are here.
    pub(super) fn advance(&mut self) -> bool {
        self.head.forget();
        self.state = State::Head(Scan::default());
        self.keep_alive = false;
        self.start = self.taken;
        if self.unread() > 0 {
            return true;
        }
        self.head.buffer.clear();
        self.start = 0;
        self.taken = 0;
        self.head.shrink(IDLE_BUFFER, IDLE_FIELDS);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(inbound: &mut Inbound, bytes: &[u8]) {
        inbound.receive(bytes);
        while matches!(inbound.step(&Limits::default(), &mut Vec::new()), Found::Head | Found::Body(_)) {}
    }

    fn held(inbound: &Inbound) -> usize {
        inbound.head.buffer.capacity()
    }

    #[test]
    fn an_idle_connection_holds_little() {
        let mut inbound = Inbound::new();
        let large = [&b"GET / HTTP/1.1\r\nHost: a\r\nA: "[..], &[b'x'; 5000], b"\r\n\r\n"].concat();
        steps(&mut inbound, &large);
        assert!(inbound.complete() && held(&inbound) >= 5000);
        assert!(!inbound.advance());
        assert!(held(&inbound) <= IDLE_BUFFER);
    }

    #[test]
    fn a_connection_that_waits_for_its_body_holds_little_more_than_its_head() {
        let mut inbound = Inbound::new();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        steps(&mut inbound, head);
        for _ in 0..9 {
            steps(&mut inbound, &b"x".repeat(65_536));
            assert!(inbound.in_body() && held(&inbound) <= head.len() + WAITING_BUFFER);
            assert_eq!(inbound.head.method(), b"POST");
        }
    }

    #[test]
    fn many_pipelined_requests_leave_as_they_are_answered() {
        let mut inbound = Inbound::new();
        steps(&mut inbound, &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000));
        for _ in 0..1000 {
            assert!(inbound.complete());
            let here = inbound.advance();
            inbound.step(&Limits::default(), &mut Vec::new());
            assert_eq!(here, inbound.complete());
        }
        assert!(held(&inbound) <= IDLE_BUFFER);
    }

    #[test]
    fn a_refused_request_shows_nothing_of_the_one_before() {
        let mut inbound = Inbound::new();
        steps(&mut inbound, b"GET /path?query HTTP/1.1\r\nHost: a\r\n\r\nEVIL EVIL EVIL EVIL EVIL\n");
        assert!(inbound.advance());
        assert!(matches!(inbound.step(&Limits::default(), &mut Vec::new()), Found::Reject(_)));
        let head = &inbound.head;
        assert_eq!([head.method(), head.target(), head.path(), head.query()], [b""; 4]);
        assert_eq!((head.host(), head.fields().len()), (None, 0));
    }
}
