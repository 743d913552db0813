//! One HTTP/1.1 connection as seen by a server: bytes in, verdicts out. No socket, no clock, no thread, no Python.
//!
//! Two small automata, `inbound` (what the client sends) and `outbound` (what it gets), joined here; the `Stage` is
//! derived from the pair and is what deadlines, the scoreboard and logs speak of. Drivers (`crate::drive`) own the
//! socket: they call `receive` with what they read, `step` until it wants more, write what `out` buffers hold, and act on
//! `expire`. Whoever owns the value may call it; ownership moves between threads, nothing here locks.
//!
//! API CONTRACT (skeleton; the connection room fills it in):
//!
//! ```text
//! pub struct Protocol { pub limits: Limits, pub timeouts: Timeouts, pub server: Option<Box<[u8]>> /* Server field */ }
//!
//! Connection::new(protocol: Arc<Protocol>, now: Instant) -> Connection       // stage HEAD; the clock starts at accept
//!   // ---- inbound
//!   .receive(&mut self, data: &[u8], now: Instant)       // append what was read (copied; bounded by drivers' read size)
//!   .receive_end(&mut self)                              // the peer has shut down its sending side
//!   .step(&mut self, out: &mut Vec<u8>, now: Instant) -> Step<'_>
//!        Step::NeedData            // read more; `out` may have got an interim 100 (Continue) to send first
//!        Step::Body(&[u8])         // a decoded piece of the body, in order; store it, call step again
//!        Step::Request             // the request is complete, body included; `head()` is valid until `next_exchange`
//!        Step::Reject(Reject)      // refuse: call `reject`, send, linger
//!        Step::End                 // the peer closed between requests (or broke off inside one): close, no answer
//!   .head(&self) -> &Head          // method(), target(), path(), query(), version(), fields() -> (name, value) bytes,
//!                                  // host(), content_length (known after the body is complete, chunked too)
//!   .wants_body(&self) -> bool     // head is complete and a body is being received
//!   // ---- outbound
//!   .respond<'a>(&'a mut self, status: &[u8], out: &'a mut Vec<u8>) -> Result<ResponseHead<'a>, BadResponse>
//!        // status "200 OK" as in WSGI. ResponseHead::field(name, value) -> Result<(), BadResponse>;
//!        // ResponseHead::finish(self, body: BodyLength) -> Result<(), BadResponse>   BodyLength::{Known(u64), Unknown}
//!        // writes Date, Server, Connection, Content-Length or Transfer-Encoding as needed. Any BadResponse, or dropping
//!        // it unfinished, truncates `out` to where it was, and `respond` may be called again.
//!   .frame(&mut self, length: usize) -> Frame            // for a block of `length` bytes of the answer's body:
//!        // Frame { before: small inline bytes (chunk size line), take: usize (0 for HEAD/204/304; less than length if the
//!        // declared Content-Length would be exceeded), excess: bool, after: &'static [u8] }
//!   .finish(&mut self, out: &mut Vec<u8>) -> Finished    // last chunk; Finished::{Complete, Short{missing: u64}}: short makes
//!        // the connection close without a proper end
//!   .break_off(&mut self)                                // the answer cannot be completed: close visibly broken
//!   .reject(&mut self, reject: &Reject, out: &mut Vec<u8>)   // a whole small answer with Connection: close
//!   .responding(&self) -> bool                           // a response head has been written
//!   .persistent(&self) -> bool                           // will be kept alive after this exchange
//!   .retire(&mut self)                                   // the server is draining: answer `Connection: close` from now on
//!   // ---- between
//!   .enter_queue(now) .enter_handler(now) .enter_write(now)  // told by the driver; stages QUEUED, HANDLER, WRITE
//!   .next_exchange(&mut self, now: Instant) -> Next      // after the answer is wholly sent:
//!        // Next::Request (bytes already here: call step), Next::KeepAlive (wait), Next::Linger (shutdown write side, drain
//!        // and discard what comes until EOF/deadline), Next::Close (nothing unread: close at once)
//!   .lingered(&mut self, n: usize) -> bool               // n bytes were thrown away; false: the byte bound is reached, close
//!   .sent(&mut self, n: usize, now: Instant)             // progress of a pending answer (credit for the response stage)
//!   // ---- time
//!   .stage(&self) -> Stage                               // HANDSHAKE HEAD BODY QUEUED HANDLER WRITE KEEP_ALIVE LINGER
//!   .deadline(&self) -> Option<Instant>
//!   .expire(&mut self, now: Instant) -> Expired          // NotYet | Reject(408) | Close
//!   .requests(&self) -> u32                              // complete requests so far
//! ```
