//! One client connection as a driver holds it: socket, sans-I/O connection, body, answer. Both drivers move wires with
//! `proceed` (when the socket may have something) and `complete` (when the application has answered); which thread does
//! so, and how it waits in between, is theirs.

use std::time::{Duration, Instant};

use super::answer::{Answer, Progress};
use super::no_room::body_refusal;
use super::{Body, Context};
use crate::addresses::Presence;
use crate::connection::{Connection, Next, Stage, Step};
use crate::http::Reject;
use crate::log::Record;
use crate::net::{Endpoint, Endpoints, Interest, Sent, Socket};

/// Bytes one receive takes at most.
const RECEIVE: usize = 64 * 1024;
/// Receives in a row for one wire before others get their turn.
const RECEIVES_IN_A_ROW: usize = 16;

/// The status in the access log of a request whose client has gone before it was answered. Not of HTTP; nginx's number.
const CLIENT_GONE: u16 = 499;

/// Memory that a thread lends to the wire it is moving, so that a resting wire holds none.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) received: Box<[u8]>,
    pub(super) out: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { received: vec![0; RECEIVE].into_boxed_slice(), out: Vec::with_capacity(4096) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.must_reset() {
            self.socket.reset_on_close();
        }
    }
}

/// What a wire needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A complete request is there: call the application.
    Request,
    /// Wait for the socket (`interest`) or the deadline.
    Wait,
    /// There is more to do, but others should have their turn first.
    Again,
    /// Drop the wire, which closes the socket.
    Close,
}

/// What is noted of the exchange under way, for the access log.
#[derive(Debug)]
pub(super) struct Noted {
    /// When the request was complete; before that by as long as a trusted front end has had it.
    pub(super) complete_at: Instant,
    /// How long the complete request has waited for a thread.
    pub(super) waited: Duration,
    pub(super) status: u16,
    pub(super) bytes: u64,
    /// The access log has it.
    recorded: bool,
}

impl Noted {
    pub(super) fn begin(now: Instant) -> Self {
        Self { complete_at: now, waited: Duration::ZERO, status: 0, bytes: 0, recorded: false }
    }

    /// The request has waited in front of this server, too.
    pub(super) fn has_waited(&mut self, before: Duration) {
        self.complete_at = self.complete_at.checked_sub(before).unwrap_or(self.complete_at);
    }

    /// The value of a Server-Timing field at the beginning of an answer: milliseconds in the queue, and in the application so
    /// far.
    pub(super) fn timing(&self, now: Instant) -> String {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let took = now.saturating_duration_since(self.complete_at).saturating_sub(self.waited);
        format!("queue;dur={:.3}, app;dur={:.3}", milliseconds(self.waited), milliseconds(took))
    }
}

/// See the module's first lines.
#[derive(Debug)]
pub(super) struct Wire {
    /// What the connection has of what its client may have. Dropped first: who sees its connection closed may come again.
    pub(super) presence: Presence,
    pub(super) connection: Connection,
    pub(super) body: Body,
    pub(super) answer: Answer,
    pub(super) socket: Socket,
    pub(super) endpoints: Endpoints,
    pub(super) noted: Noted,
    /// The socket may have bytes. Set by whoever polls; unset when a receive finds less than it asked for.
    pub(super) readable: bool,
    /// The poller saw the end of what the client sends: only a receive of nothing may unset `readable` now.
    pub(super) ended: bool,
    /// The client has gone, or its answer cannot be held: nothing more can be sent.
    pub(super) lost: bool,
    pub(super) reader: Reader,
}

/// The client as the reader of its answer.
#[derive(Debug)]
pub(super) struct Reader {
    /// Bytes of a waiting answer that the system held for it at the last look.
    unsent: usize,
    /// When it was last seen to have taken some of a waiting answer.
    pub(super) taken_at: Instant,
    /// The system holds little for it: see `Socket::hold_little`.
    pub(super) holds_little: bool,
    /// The thread that made its answer has given that up for another request.
    pub(super) gave_way: bool,
}

impl Wire {
    pub(super) fn new(
        socket: Socket,
        endpoints: Endpoints,
        presence: Presence,
        context: &Context,
        now: Instant,
    ) -> Self {
        Self {
            connection: Connection::new(std::sync::Arc::clone(&context.protocol), now),
            body: Body::default(),
            answer: Answer::default(),
            socket,
            endpoints,
            noted: Noted::begin(now),
            presence,
            readable: false,
            ended: false,
            lost: false,
            reader: Reader { unsent: 0, taken_at: now, holds_little: false, gave_way: false },
        }
    }

    /// What a wait on the socket is for.
    pub(super) fn interest(&self) -> Interest {
        if self.answer.is_empty() { Interest::Receive } else { Interest::Send }
    }

    /// Moves the wire as far as it goes without waiting and without the application.
    pub(super) fn proceed(&mut self, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        let verdict = match self.connection.stage() {
            Stage::Write => self.settle(now, scratch, context),
            Stage::Linger => self.throw_away(now, scratch),
            Stage::Handshake | Stage::Head | Stage::Body | Stage::KeepAlive | Stage::Queued | Stage::Handler => {
                self.receive(now, scratch, context)
            }
        };
        match verdict {
            // A client that is faster than we are never lets its wire rest, and is not waited for: it has deadlines, too.
            Verdict::Again => {
                let expired = self.connection.expire(now);
                self.act_on(expired, Verdict::Again, now, scratch, context)
            }
            Verdict::Request | Verdict::Wait | Verdict::Close => verdict,
        }
    }

    fn receive(&mut self, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        // An interim answer that the socket did not take goes before anything else.
        if !self.answer.is_empty() {
            match self.answer.send(&self.socket).0 {
                Progress::Done => {}
                Progress::Blocked => return Verdict::Wait,
                Progress::Paused => return Verdict::Again,
                Progress::Gone => return Verdict::Close,
            }
        }
        let mut receives = 0;
        loop {
            match self.connection.step(&mut scratch.out, now) {
                Step::Body(piece) => {
                    if let Err(no_room) = self.body.append(piece, &context.spool) {
                        return self.refuse(&body_refusal(&no_room, now, context), now, scratch, context);
                    }
                }
                Step::Request => {
                    if let Some(refused) = self.begin_request(now, scratch, context) {
                        return refused;
                    }
                    self.noted = Noted::begin(now);
                    self.count_the_wait_before();
                    return Verdict::Request;
                }
                Step::Reject(reject) => return self.refuse(&reject, now, scratch, context),
                Step::End => return Verdict::Close,
                Step::NeedData => {
                    if let Some(refused) = self.begin_request(now, scratch, context) {
                        return refused;
                    }
                    if !scratch.out.is_empty() && !self.send_interim(&mut scratch.out, now, context) {
                        return Verdict::Close;
                    }
                    if !self.readable {
                        return Verdict::Wait;
                    }
                    if receives == RECEIVES_IN_A_ROW {
                        return Verdict::Again;
                    }
                    receives += 1;
                    match self.socket.receive(&mut scratch.received) {
                        Ok(0) => self.connection.receive_end(),
                        Ok(n) => {
                            // Less than asked for: the socket is empty, unless its end is already waiting behind.
                            self.readable = n == scratch.received.len() || self.ended;
                            self.connection.receive(&scratch.received[..n], now);
                        }
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.readable = false,
                        Err(_) => return Verdict::Close,
                    }
                }
            }
        }
    }

    /// Sends an interim answer (100). What the socket does not take waits in the answer.
    fn send_interim(&mut self, out: &mut Vec<u8>, now: Instant, context: &Context) -> bool {
        self.hold(out, now, context);
        self.answer.send(&self.socket).0 != Progress::Gone
    }

    /// The application is about to have the request.
    pub(super) fn begin_answer(&mut self, now: Instant, context: &Context) {
        self.noted.waited = now.saturating_duration_since(self.noted.complete_at);
        context.row.waited(self.noted.waited);
        self.connection.enter_handler(now);
    }

    /// The application has answered (or given up): ends the exchange and moves on.
    pub(super) fn complete(&mut self, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        self.record(now, context);
        context.row.answered();
        context.wear.answered();
        match self.settle(now, scratch, context) {
            Verdict::Again => self.proceed(now, scratch, context),
            verdict @ (Verdict::Request | Verdict::Wait | Verdict::Close) => verdict,
        }
    }

    /// The client of a complete request has gone before the application began with it.
    pub(super) fn drop_request(&mut self, now: Instant, context: &Context) -> Verdict {
        self.noted.waited = now.saturating_duration_since(self.noted.complete_at);
        self.noted.status = CLIENT_GONE;
        context.row.dropped();
        self.record(now, context);
        Verdict::Close
    }

    /// An exchange that the gateway left without an answer, or without its end, gets one.
    pub(super) fn end_answer(&mut self, out: &mut Vec<u8>) {
        if self.connection.answered() {
            return;
        }
        if self.connection.responding() {
            self.connection.break_off();
        } else {
            self.noted.status = 500;
            self.connection.reject(&Reject::new(500, "the gateway gave no answer"), out);
        }
    }

    /// Sends what is left of the answer, and enters what follows it.
    pub(super) fn settle(&mut self, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        self.answer.made();
        // First: the client may see the end of its answer, and ask for more elsewhere, before this thread goes on.
        let counted = self.presence.end_request();
        match self.send(&mut scratch.out, now, context) {
            Progress::Gone => return Verdict::Close,
            Progress::Blocked if self.is_beyond_the_reserve(context) => {
                self.break_off(now, "nothing more can be held for slow readers", context);
                return Verdict::Close;
            }
            held @ (Progress::Blocked | Progress::Paused) => {
                if counted {
                    self.presence.resume_request();
                }
                self.await_reader(now);
                return if held == Progress::Paused { Verdict::Again } else { Verdict::Wait };
            }
            Progress::Done => {}
        }
        match self.connection.next_exchange(now) {
            Next::Request => {
                self.body = Body::default();
                Verdict::Again
            }
            Next::KeepAlive => {
                self.body = Body::default();
                if self.readable { Verdict::Again } else { Verdict::Wait }
            }
            Next::Linger => {
                self.body = Body::default();
                self.socket.shutdown_write();
                match self.throw_away(now, scratch) {
                    // Nobody keeps a process or a thread by asking for too much.
                    Verdict::Wait | Verdict::Again if self.presence.refused() => Verdict::Close,
                    verdict @ (Verdict::Wait | Verdict::Again | Verdict::Close | Verdict::Request) => verdict,
                }
            }
            Next::Close => Verdict::Close,
        }
    }

    /// Sends `out` and the answer that waits before it; `out`, which the next wire will use, is empty afterwards in every
    /// outcome. Never waits.
    pub(super) fn send(&mut self, out: &mut Vec<u8>, now: Instant, context: &Context) -> Progress {
        if self.lost {
            out.clear();
            return Progress::Gone;
        }
        if self.answer.is_empty() {
            // The usual case: the whole answer in one call, without passing through a queue.
            let mut from = 0;
            while from < out.len() {
                match self.socket.send(&out[from..]) {
                    Sent::Bytes(n) => from += n,
                    Sent::Blocked => break,
                    Sent::Gone => {
                        out.clear();
                        self.lost = true;
                        return Progress::Gone;
                    }
                }
            }
            if from == out.len() {
                out.clear();
                return Progress::Done;
            }
            out.drain(..from);
        }
        self.hold(out, now, context);
        let (progress, sent) = self.answer.send(&self.socket);
        if self.connection.stage() == Stage::Write {
            self.reader.unsent = self.reader.unsent.saturating_add(sent);
            // Also after a wait in vain: what was taken long ago is not to pay for the time since.
            self.look_at_reader(now);
        }
        if progress == Progress::Gone {
            self.lost = true;
        }
        progress
    }

    /// The answer waits for the client from now on.
    pub(super) fn await_reader(&mut self, now: Instant) {
        if self.connection.stage() != Stage::Write {
            self.reader.unsent = self.socket.unsent();
            if self.connection.enter_write(now) {
                self.reader.taken_at = now;
            }
        }
    }

    /// Moves `out` to the answer that waits.
    pub(super) fn hold(&mut self, out: &mut Vec<u8>, now: Instant, context: &Context) {
        self.hold_block(out, now, context);
        out.clear();
    }

    pub(super) fn peer(&self) -> String {
        match self.endpoints.peer {
            Endpoint::Tcp(address) => address.to_string(),
            Endpoint::Unix => "unix".to_owned(),
        }
    }

    /// LINGER: reads and throws away until the client ends, the bound is reached, or the deadline comes.
    fn throw_away(&mut self, now: Instant, scratch: &mut Scratch) -> Verdict {
        for _ in 0..RECEIVES_IN_A_ROW {
            match self.socket.receive(&mut scratch.received) {
                Ok(0) => return Verdict::Close,
                Ok(n) => {
                    if !self.connection.lingered(n, now) {
                        return Verdict::Close;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Verdict::Wait;
                }
                Err(_) => return Verdict::Close,
            }
        }
        Verdict::Again
    }

    /// Notes the exchange under way in the access log, once.
    pub(super) fn record(&mut self, now: Instant, context: &Context) {
        if std::mem::replace(&mut self.noted.recorded, true) {
            return;
        }
        let Some(log) = &context.access_log else {
            return;
        };
        let head = self.connection.head();
        log.record(&Record {
            endpoints: self.endpoints,
            method: head.method(),
            target: head.target(),
            protocol: head.version().as_str().as_bytes(),
            status: self.noted.status,
            bytes: self.noted.bytes,
            waited: self.noted.waited,
            took: now.saturating_duration_since(self.noted.complete_at),
            field: &|name| head.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value),
        });
    }
}

mod time;
