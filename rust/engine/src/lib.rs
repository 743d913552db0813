//! The byte path of Tricorn. Sans Python: every item here can be used and tested without an interpreter.
//!
//! Rooms: `http` (grammar: heads, framing, rejects, dates), `connection` (one sans-I/O state machine for all MPMs),
//! `timeouts` (the only place that computes a deadline), `drive` (the two drivers that move connections, and what they
//! share), `net` (sockets and their errors), `addresses` (what one client may have at once), `scoreboard` (what
//! children do), `shared_memory` (words that processes share), `log` (lines for the error and access logs).
//! The engine knows drivers, not MPMs: which driver runs with how many threads is decided in Python (`tricorn/mpm`).

pub mod addresses;
pub mod connection;
pub mod drive;
pub mod http;
pub mod limits;
pub mod log;
pub mod net;
pub mod scoreboard;
mod shared_memory;
pub mod timeouts;
