//! One HTTP/1.1 connection as seen by a server: bytes in, verdicts out. No socket, no clock, no thread, no Python.
//!
//! Two small automata, `inbound` (what the client sends) and `outbound` (what it gets), joined here; the [`Stage`] is
//! derived from the pair and is what deadlines, the scoreboard and logs speak of. Drivers (`crate::drive`) own the
//! socket: they call `receive` with what they read, `step` until it wants more, write what `out` buffers hold, and act on
//! `expire`. Whoever owns the value may call it; ownership moves between threads, nothing here locks.
//!
//! The life of one exchange:
//!
//! ```text
//! receive, step … step → Request        (or Reject: call `reject`; or End: close)
//! respond, field …, finish(length)      the head of the answer
//! frame …, finish                       its body
//! next_exchange → Request | KeepAlive | Linger | Close
//! ```

mod ending;
mod inbound;
mod outbound;
mod time;

pub use crate::http::head::{Fields, Head};
pub use crate::http::response::{BadResponse, SizeLine};
pub use outbound::{BodyLength, Finished, Frame, ResponseHead};
pub use time::Expired;

use crate::http::Reject;
use crate::limits::Limits;
use crate::timeouts::{Allowance, Timeouts};
use ending::Ending;
use inbound::{Found, Inbound};
use outbound::{Asked, Outbound};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that are read and thrown away in LINGER at most; the deadline ends most of them earlier.
const LINGER_BYTES: u64 = 64 << 20;

/// What all connections of a server share.
#[derive(Debug, Clone, Default)]
pub struct Protocol {
    /// What a client may ask for at most.
    pub limits: Limits,
    /// Deadlines by stage.
    pub timeouts: Timeouts,
    /// The value of the Server field, which must be free of control characters; None sends none.
    pub server: Option<Box<[u8]>>,
}

/// Where a connection stands. The words are those of the scoreboard and the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// TLS is being agreed on (no connection of this version of the engine is ever here).
    Handshake,
    /// The head of a request is awaited, or has come in part.
    Head,
    /// The body of a request is coming.
    Body,
    /// A complete request waits for a thread.
    Queued,
    /// The application makes its answer.
    Handler,
    /// The answer is made and waits for the client to take it.
    Write,
    /// Nothing of a following request has come yet.
    KeepAlive,
    /// The answer is sent; what still comes is thrown away.
    Linger,
}

impl Stage {
    /// Every stage, in the order in which a connection passes through them.
    pub const ALL: [Self; 8] = [
        Self::Handshake,
        Self::Head,
        Self::Body,
        Self::Queued,
        Self::Handler,
        Self::Write,
        Self::KeepAlive,
        Self::Linger,
    ];

    /// The word for this stage, in the scoreboard, logs and documentation.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Head => "head",
            Self::Body => "body",
            Self::Queued => "queued",
            Self::Handler => "handler",
            Self::Write => "write",
            Self::KeepAlive => "keep_alive",
            Self::Linger => "linger",
        }
    }
}

/// What [`Connection::step`] found.
#[derive(Debug)]
pub enum Step<'a> {
    /// Read more. `out` may have got an interim response to send first.
    NeedData,
    /// A decoded piece of the body, in order; store it, call `step` again.
    Body(&'a [u8]),
    /// The request is complete, body included; `head` is valid until `next_exchange`.
    Request,
    /// Refuse: call `reject`, send, go on with `next_exchange`.
    Reject(Reject),
    /// The peer closed between requests or broke off inside one: close, without an answer.
    End,
}

/// What follows an answer that is wholly sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Bytes of the next request are here already: call `step`.
    Request,
    /// Wait for the next request.
    KeepAlive,
    /// Shut down the sending side; read and throw away what comes, until the end, the deadline or `lingered` says so.
    Linger,
    /// Close at once; see [`Connection::must_reset`].
    Close,
}

/// What has been told by the driver, where the automata do not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Receiving,
    Queued,
    Handler,
    /// As `Handler`, after the answer has waited for the client, until the moment that is kept here.
    Resumed(Instant),
    Write,
    KeepAlive,
    Linger {
        bytes: u64,
        heard: Instant,
    },
}

/// One connection of a client.
#[derive(Debug)]
pub struct Connection {
    protocol: Arc<Protocol>,
    inbound: Inbound,
    outbound: Outbound,
    phase: Phase,
    /// What the present stage has used of its time.
    allowance: Allowance,
    /// Bytes that have come since the accept.
    received: usize,
    requests: u32,
    ending: Ending,
    /// The client was too slow.
    timed_out: bool,
}

impl Connection {
    /// A connection just accepted: stage HEAD, and its clock starts.
    #[must_use]
    pub fn new(protocol: Arc<Protocol>, now: Instant) -> Self {
        Self {
            protocol,
            inbound: Inbound::new(),
            outbound: Outbound::new(),
            phase: Phase::Receiving,
            allowance: Allowance::begin(now),
            received: 0,
            requests: 0,
            ending: Ending::Open,
            timed_out: false,
        }
    }

    // ---- inbound

    /// Take what was read; it is copied. To be called after `NeedData` or in the stage `KEEP_ALIVE`: what is received earlier is
    /// kept, so a driver that reads ahead without asking makes the buffer grow by what it reads.
    pub fn receive(&mut self, data: &[u8], now: Instant) {
        if data.is_empty() {
            return;
        }
        if self.phase == Phase::KeepAlive {
            self.enter(Phase::Receiving, now);
        }
        match self.stage() {
            Stage::Head => self.allowance.credit(&self.protocol.timeouts.header, data.len(), now),
            Stage::Body => self.allowance.credit(&self.protocol.timeouts.body, data.len(), now),
            Stage::Handshake | Stage::Queued | Stage::Handler | Stage::Write | Stage::KeepAlive | Stage::Linger => {}
        }
        self.received = self.received.saturating_add(data.len());
        self.inbound.receive(data);
    }

    /// The client was connected, and could send, for `waited` before anybody looked at it: it has used that time. To be
    /// told once, when what had come by then has been received, and before anything is waited for.
    pub fn has_waited(&mut self, waited: Duration, now: Instant) {
        let timeouts = &self.protocol.timeouts;
        let rate = match self.stage() {
            Stage::Head if self.ending < Ending::Soon => &timeouts.header,
            Stage::Body => &timeouts.body,
            Stage::Head
            | Stage::Handshake
            | Stage::Queued
            | Stage::Handler
            | Stage::Write
            | Stage::KeepAlive
            | Stage::Linger => return,
        };
        if let Some(began) = now.checked_sub(waited) {
            self.allowance = Allowance::begin(began);
            self.allowance.credit(rate, self.received, now);
        }
    }

    /// The peer has shut down its sending side. A request that is complete is still answered.
    pub fn receive_end(&mut self) {
        self.inbound.receive_end();
    }

    /// Look at what has been received. An interim response is appended to `out`.
    pub fn step(&mut self, out: &mut Vec<u8>, now: Instant) -> Step<'_> {
        loop {
            let was_complete = self.inbound.complete();
            match self.inbound.step(&self.protocol.limits, out) {
                Found::Head => self.enter(Phase::Receiving, now),
                Found::NeedData => return Step::NeedData,
                Found::Body(range) => {
                    self.count_request(was_complete);
                    return Step::Body(self.inbound.piece(range));
                }
                Found::Request => {
                    self.count_request(was_complete);
                    return Step::Request;
                }
                Found::Reject(reject) => return Step::Reject(reject),
                Found::End => return Step::End,
            }
        }
    }

    fn count_request(&mut self, was_complete: bool) {
        if !was_complete && self.inbound.complete() {
            self.requests = self.requests.saturating_add(1);
        }
    }

    /// The head of the present request.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.inbound.head
    }

    /// Whether the head is complete and a body is being received.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        self.inbound.in_body()
    }

    // ---- outbound

    /// Begin the head of an answer with a status as WSGI gives it, for example `200 OK`. It is appended to `out`.
    ///
    /// # Errors
    /// [`BadResponse`] for a status that cannot be sent, and when there is nothing to answer.
    pub fn respond<'a>(&'a mut self, status: &[u8], out: &'a mut Vec<u8>) -> Result<ResponseHead<'a>, BadResponse> {
        if !self.inbound.complete() {
            return Err(BadResponse::NothingToAnswer);
        }
        let asked = Asked {
            version: self.inbound.version(),
            is_head: self.inbound.head.is_head(),
            persistent: self.may_persist(),
        };
        self.outbound.respond(&self.protocol, asked, status, out)
    }

    fn may_persist(&self) -> bool {
        let maximum = self.protocol.limits.requests_per_connection;
        self.inbound.wants_more()
            && self.ending == Ending::Open
            && !self.inbound.exhausted()
            && !self.protocol.timeouts.keep_alive.is_zero()
            && (maximum == 0 || self.requests < maximum)
    }

    /// How to put a block of `length` bytes of the answer's body on the wire.
    pub fn frame(&mut self, length: usize) -> Frame {
        self.outbound.frame(length)
    }

    /// Bytes of the answer's body that are still to come, where that is known; else 0.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.outbound.left()
    }

    /// The answer's body is complete; the last chunk is appended to `out`.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Finished {
        self.outbound.finish(out)
    }

    /// The answer cannot be completed: the connection closes in a way that shows it to the client.
    pub fn break_off(&mut self) {
        self.outbound.break_off();
    }

    /// The client does not take its answer: nothing more of it is sent, and closing resets the connection.
    pub fn give_up_answer(&mut self) {
        self.outbound.give_up();
    }

    /// Append a whole small answer with `Connection: close`. If an answer has begun, nothing is appended: it is broken
    /// off. Nothing more is received.
    pub fn reject(&mut self, reject: &Reject, out: &mut Vec<u8>) {
        self.timed_out |= reject.status == 408;
        let is_head = self.inbound.head.is_head();
        self.outbound.reject(&self.protocol, is_head, reject, out);
        if !self.inbound.complete() {
            self.inbound.give_up();
        }
    }

    /// Whether the head of an answer has been written.
    #[must_use]
    pub fn responding(&self) -> bool {
        self.outbound.responding()
    }

    /// Whether the connection will be kept after this exchange, as far as is known now.
    #[must_use]
    pub fn persistent(&self) -> bool {
        if self.outbound.responding() {
            self.outbound.kept() && self.ending == Ending::Open
        } else {
            self.may_persist()
        }
    }

    /// Answers `Connection: close` from now on; what the client may take its time for is as before.
    pub fn part(&mut self) {
        self.ending = self.ending.max(Ending::WithAnswer);
    }

    /// As `part`, and waits but shortly for a request of which nothing has come. Changes nothing the second time.
    pub fn retire(&mut self, now: Instant) {
        if self.ending < Ending::Soon {
            self.ending = Ending::Soon;
            if self.idle() {
                self.allowance = Allowance::begin(now);
            }
        }
    }

    /// Whether closing must reset the connection (`SO_LINGER` of zero): its answer was broken off and only a reset shows
    /// that to a client that reads until the end, or the client did not take it in time.
    #[must_use]
    pub fn must_reset(&self) -> bool {
        self.outbound.must_reset()
    }

    // ---- between

    /// A complete request begins to wait for a thread.
    pub fn enter_queue(&mut self, now: Instant) {
        self.enter(Phase::Queued, now);
    }

    /// The application begins with the request, or goes on with an answer that has waited for the client.
    pub fn enter_handler(&mut self, now: Instant) {
        match self.phase {
            Phase::Write => self.phase = Phase::Resumed(now),
            Phase::Resumed(_) => {}
            Phase::Receiving | Phase::Queued | Phase::Handler | Phase::KeepAlive | Phase::Linger { .. } => {
                self.enter(Phase::Handler, now);
            }
        }
    }

    /// The answer waits for the client. Its time begins once: waiting again goes on with what is left of it. True if this was
    /// the beginning.
    pub fn enter_write(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Write => false,
            Phase::Resumed(since) => {
                self.allowance.excuse(now.saturating_duration_since(since));
                self.phase = Phase::Write;
                false
            }
            Phase::Receiving | Phase::Queued | Phase::Handler | Phase::KeepAlive | Phase::Linger { .. } => {
                self.enter(Phase::Write, now);
                true
            }
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.allowance = Allowance::begin(now);
    }

    /// `bytes` of a waiting answer have been taken by the client.
    pub fn delivered(&mut self, bytes: usize, now: Instant) {
        if self.phase == Phase::Write {
            self.allowance.credit(&self.protocol.timeouts.response, bytes, now);
        }
    }

    /// The answer is wholly sent (or broken off): what follows.
    pub fn next_exchange(&mut self, now: Instant) -> Next {
        if self.outbound.broken() {
            self.inbound.give_up();
            return Next::Close;
        }
        if self.inbound.complete() && self.outbound.kept() {
            if self.inbound.exhausted() {
                return Next::Close;
            }
            // Retired or not: this answer has told the client that it may send another request.
            self.outbound = Outbound::new();
            let here = self.inbound.advance();
            self.enter(if here { Phase::Receiving } else { Phase::KeepAlive }, now);
            return if here { Next::Request } else { Next::KeepAlive };
        }
        self.close(now)
    }

    /// A client that has sent all it said it would is not waited for; any other must not lose its answer to the reset
    /// that closing over unread bytes makes.
    fn close(&mut self, now: Instant) -> Next {
        let nothing_comes = self.inbound.complete() && !self.inbound.wants_more() && self.inbound.unread() == 0;
        let ended = self.inbound.ended();
        self.inbound.discard();
        if nothing_comes || ended {
            return Next::Close;
        }
        self.enter(Phase::Linger { bytes: 0, heard: now }, now);
        Next::Linger
    }

    /// `bytes` were read and thrown away in LINGER. False: that is enough, close.
    pub fn lingered(&mut self, bytes: usize, now: Instant) -> bool {
        let Phase::Linger { bytes: total, heard } = &mut self.phase else {
            return false;
        };
        *heard = now;
        *total = total.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        *total <= LINGER_BYTES
    }

    // ---- where it stands

    /// Where the connection stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Receiving if self.inbound.in_body() => Stage::Body,
            Phase::Receiving if self.inbound.complete() => Stage::Queued,
            Phase::Receiving => Stage::Head,
            Phase::Queued => Stage::Queued,
            Phase::Handler | Phase::Resumed(_) => Stage::Handler,
            Phase::Write => Stage::Write,
            Phase::KeepAlive => Stage::KeepAlive,
            Phase::Linger { .. } => Stage::Linger,
        }
    }

    /// Whether a request is awaited of which nothing has come.
    #[must_use]
    pub fn idle(&self) -> bool {
        match self.phase {
            Phase::KeepAlive => true,
            Phase::Receiving => !self.inbound.begun(),
            Phase::Queued | Phase::Handler | Phase::Resumed(_) | Phase::Write | Phase::Linger { .. } => false,
        }
    }

    /// Whether bytes of a request after the present one, which is complete, have come already.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.inbound.complete() && self.inbound.unread() > 0
    }

    /// Whether the answer has been made to its end, broken off or refused: nothing more belongs to it.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.outbound.ended()
    }

    /// Complete requests so far.
    #[must_use]
    pub const fn requests(&self) -> u32 {
        self.requests
    }
}
