//! What the client gets: the automaton of one answer, from its head to its last byte. Not here: requests (`inbound`),
//! stages and deadlines (`Connection`), the grammar of fields (`http::response`).

use super::Protocol;
use crate::http::response::{BadResponse, Meaning, SizeLine, check_field, parse_status};
use crate::http::{Reject, Version, date, fields};

/// What is known of the length of an answer's body before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// The whole body has so many bytes. A Content-Length set by the application goes before it.
    Known(u64),
    /// It ends when it ends: chunked for HTTP/1.1, until close for HTTP/1.0, unless there is a Content-Length.
    Unknown,
}

/// How to put one block of an answer's body on the wire: `before`, then the first `take` bytes of the block, then
/// `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The chunk size line, if any.
    pub before: SizeLine,
    /// How much of the block to send: nothing where the answer has no body (HEAD, 204, 304), and no more than the
    /// declared Content-Length allows.
    pub take: usize,
    /// The block goes beyond the declared Content-Length: an error in the application.
    pub excess: bool,
    /// The end of the chunk, if any.
    pub after: &'static [u8],
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// All of it has been framed.
    Complete,
    /// It has fewer bytes than its Content-Length declared; the connection closes, so that the client sees it broken.
    Short {
        /// Bytes that were declared and have not come.
        missing: u64,
    },
}

/// How the body of an answer is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delimited {
    /// There is none: HEAD, 204, 205, 304.
    NoBody,
    Length {
        left: u64,
    },
    Chunks,
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No head has been written.
    Idle,
    Body(Delimited),
    Done,
    /// The answer cannot be completed; closing must show it.
    Broken {
        reset: bool,
    },
}

/// The facts of the request that its answer depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// The connection may be kept if the answer allows it.
    pub(super) persistent: bool,
}

#[derive(Debug)]
pub(super) struct Outbound {
    state: State,
    /// The answer has told the client that the connection stays open.
    kept: bool,
}

impl Outbound {
    pub(super) const fn new() -> Self {
        Self { state: State::Idle, kept: false }
    }

    pub(super) fn responding(&self) -> bool {
        self.state != State::Idle
    }

    /// A head has been written that lets the connection live on, and nothing has broken since.
    pub(super) fn kept(&self) -> bool {
        self.kept && !self.broken()
    }

    pub(super) fn broken(&self) -> bool {
        matches!(self.state, State::Broken { .. })
    }

    /// Nothing more belongs to the answer.
    pub(super) fn ended(&self) -> bool {
        matches!(self.state, State::Done | State::Broken { .. })
    }

    pub(super) fn must_reset(&self) -> bool {
        matches!(self.state, State::Broken { reset: true })
    }

    pub(super) fn respond<'a>(
        &'a mut self,
        protocol: &'a Protocol,
        asked: Asked,
        status: &[u8],
        out: &'a mut Vec<u8>,
    ) -> Result<ResponseHead<'a>, BadResponse> {
        if self.responding() {
            return Err(BadResponse::AlreadyResponding);
        }
        let code = parse_status(status)?;
        let start = out.len();
        // Room for an everyday head, so that it grows once at most.
        out.reserve(256);
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status);
        out.extend_from_slice(if status.len() == 3 { b" \r\n" } else { b"\r\n" });
        let body = match code {
            204 | 205 => Body::Never,
            304 => Body::NotModified,
            _ if asked.is_head => Body::Omitted,
            _ => Body::Sent,
        };
        Ok(ResponseHead {
            outbound: self,
            protocol,
            out,
            start,
            asked,
            code,
            body,
            length: None,
            own: Own::default(),
            refused: None,
        })
    }

    /// Bytes that were declared and have not been framed; 0 where nothing was declared.
    pub(super) fn left(&self) -> u64 {
        match self.state {
            State::Body(Delimited::Length { left }) => left,
            State::Body(Delimited::NoBody | Delimited::Chunks | Delimited::Close)
            | State::Idle
            | State::Done
            | State::Broken { .. } => 0,
        }
    }

    pub(super) fn frame(&mut self, length: usize) -> Frame {
        let plain = |take, excess| Frame { before: SizeLine::NONE, take, excess, after: b"" };
        let State::Body(delimited) = &mut self.state else {
            return plain(0, false);
        };
        match delimited {
            Delimited::NoBody => plain(0, false),
            Delimited::Close => plain(length, false),
            Delimited::Chunks if length == 0 => plain(0, false),
            Delimited::Chunks => Frame { before: SizeLine::new(length), take: length, excess: false, after: b"\r\n" },
            Delimited::Length { left } => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(length);
                *left -= u64::try_from(take).unwrap_or(*left);
                plain(take, take < length)
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Finished {
        match self.state {
            State::Body(Delimited::Length { left }) if left > 0 => {
                self.state = State::Broken { reset: false };
                return Finished::Short { missing: left };
            }
            State::Body(Delimited::Chunks) => out.extend_from_slice(b"0\r\n\r\n"),
            State::Body(_) | State::Done => {}
            State::Idle | State::Broken { .. } => {
                self.break_off();
                return Finished::Short { missing: 0 };
            }
        }
        self.state = State::Done;
        Finished::Complete
    }

    pub(super) fn break_off(&mut self) {
        if !self.broken() {
            // A body that ends with the connection looks complete unless the connection is reset.
            self.state = State::Broken { reset: self.state == State::Body(Delimited::Close) };
        }
    }

    /// As `break_off`, for a client that does not take the answer: the system is not to hold for it what it was given.
    pub(super) fn give_up(&mut self) {
        self.state = State::Broken { reset: true };
    }

    pub(super) fn reject(&mut self, protocol: &Protocol, is_head: bool, reject: &Reject, out: &mut Vec<u8>) {
        if self.responding() {
            self.break_off();
            return;
        }
        let mut number = itoa::Buffer::new();
        let code = number.format(reject.status);
        for part in [b"HTTP/1.1 ", code.as_bytes(), b" ", reject.phrase().as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
        Own::default().write(protocol, out);
        if let Some(seconds) = reject.retry_after {
            number_field(b"Retry-After: ", u64::from(seconds), out);
        }
        let parts = [code.as_bytes(), b" ", reject.phrase().as_bytes(), b": ", reject.reason.as_bytes(), b"\n"];
        let length = parts.iter().map(|part| u64::try_from(part.len()).unwrap_or(0)).sum();
        out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
        number_field(b"Content-Length: ", length, out);
        out.extend_from_slice(b"Connection: close\r\n\r\n");
        if !is_head {
            for part in parts {
                out.extend_from_slice(part);
            }
        }
        self.state = State::Done;
        self.kept = false;
    }
}

fn number_field(name: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether the answer has a body, by its status and the request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Sent,
    /// HEAD: the fields are as for GET, the body stays out.
    Omitted,
    /// 304: as HEAD, but nothing about a length is added.
    NotModified,
    /// 204 and 205: there is none, and a Content-Length of the application is dropped (RFC 9110 sections 8.6, 15.3.6).
    Never,
}

/// The fields the server adds unless the application has set them.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    date: bool,
    server: bool,
}

impl Own {
    fn write(self, protocol: &Protocol, out: &mut Vec<u8>) {
        if !self.date {
            out.extend_from_slice(b"Date: ");
            out.extend_from_slice(&date::now());
            out.extend_from_slice(b"\r\n");
        }
        if let (false, Some(server)) = (self.server, &protocol.server) {
            out.extend_from_slice(b"Server: ");
            out.extend_from_slice(server);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The head of an answer while it is being written. Dropped before `finish`, or after an error, it leaves the buffer
/// as it was, and `respond` may be called again.
#[derive(Debug)]
pub struct ResponseHead<'a> {
    outbound: &'a mut Outbound,
    protocol: &'a Protocol,
    out: &'a mut Vec<u8>,
    start: usize,
    asked: Asked,
    code: u16,
    body: Body,
    length: Option<u64>,
    own: Own,
    refused: Option<BadResponse>,
}

impl ResponseHead<'_> {
    /// Add one field. Blanks around the value are trimmed.
    ///
    /// # Errors
    /// [`BadResponse`] for a field that must not be sent; the whole head is then given up, `finish` fails too.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
        self.add(name, fields::trim(value)).inspect_err(|refused| self.refused = Some(refused.clone()))
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
        match check_field(name, value)? {
            Meaning::Plain => {}
            Meaning::Date => self.own.date = true,
            Meaning::Server => self.own.server = true,
            Meaning::Length(length) => {
                if self.length.replace(length).is_some() {
                    return Err(BadResponse::SecondLength);
                }
                if self.body == Body::Never {
                    return Ok(());
                }
            }
        }
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// End the head: decide how the body is delimited and whether the connection is kept, and add the server's fields.
    ///
    /// # Errors
    /// The first error that [`field`](Self::field) gave.
    pub fn finish(mut self, body: BodyLength) -> Result<(), BadResponse> {
        if let Some(refused) = self.refused.take() {
            return Err(refused);
        }
        self.own.write(self.protocol, self.out);
        let delimited = self.delimit(body);
        let persistent = self.asked.persistent && delimited != Delimited::Close;
        match (persistent, self.asked.version) {
            (true, Version::Http11) => self.out.extend_from_slice(b"\r\n"),
            (true, Version::Http10) => self.out.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
            (false, _) => self.out.extend_from_slice(b"Connection: close\r\n\r\n"),
        }
        self.outbound.kept = persistent;
        self.outbound.state = State::Body(delimited);
        self.start = self.out.len();
        Ok(())
    }

    fn delimit(&mut self, body: BodyLength) -> Delimited {
        let known = match body {
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        };
        match self.body {
            Body::Never => {
                if self.code == 205 {
                    self.out.extend_from_slice(b"Content-Length: 0\r\n");
                }
                Delimited::NoBody
            }
            Body::NotModified => Delimited::NoBody,
            Body::Omitted => {
                // An application that makes no body for HEAD knows nothing of the length that GET would have.
                if let (None, Some(length @ 1..)) = (self.length, known) {
                    number_field(b"Content-Length: ", length, self.out);
                }
                Delimited::NoBody
            }
            Body::Sent => match (self.length, known) {
                (Some(left), _) => Delimited::Length { left },
                (None, Some(left)) => {
                    number_field(b"Content-Length: ", left, self.out);
                    Delimited::Length { left }
                }
                (None, None) if self.asked.version == Version::Http10 => Delimited::Close,
                (None, None) => {
                    self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                    Delimited::Chunks
                }
            },
        }
    }
}

impl Drop for ResponseHead<'_> {
    fn drop(&mut self) {
        // After `finish` nothing lies behind `start`.
        self.out.truncate(self.start);
    }
}
