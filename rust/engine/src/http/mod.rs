//! HTTP/1.1 as grammar (RFC 9110, RFC 9112): heads, framing, chunked coding, response heads, rejects, dates.
//! Pure functions and small values over bytes; what state they are in is the business of `connection`.
//!
//! API CONTRACT (skeleton): `Reject { status: u16, reason: &'static str /* for the log: which rule was broken */ }` with
//! constructors; `Version::{Http10, Http11}`; `date::now() -> [u8; 29]` cached per second and thread.
