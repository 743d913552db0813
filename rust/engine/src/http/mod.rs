//! HTTP/1.1 as grammar (RFC 9110, RFC 9112): heads, targets, fields, framing, chunked coding, response heads, rejects,
//! dates. Pure functions and small values over bytes; what state they are in is the business of `connection`.

pub mod chunked;
pub mod date;
pub mod fields;
pub mod framing;
pub mod head;
pub mod reject;
mod request_start;
pub mod response;
pub(crate) mod scan;
pub mod target;

pub use reject::Reject;
pub(crate) use request_start::request_start;

/// The version a request declares, as far as it matters to a server of HTTP/1.1.
///
/// Every other 1.x is treated as 1.1 (RFC 9110 section 2.5); other major versions are refused with 505.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, or a later minor version of HTTP/1.
    Http11,
}

impl Version {
    /// The version as it stands in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}
