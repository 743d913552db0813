//! How a request's body is delimited (RFC 9112 section 6). Every doubt is refused: two readers that disagree here are a
//! request smuggled past one of them. Not here: receiving the body; see `chunked` and `connection`.

use crate::http::{Reject, Version, fields};

/// How the body of a request is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// Exactly so many bytes (more than none).
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
}

/// Gathers what the fields of one head say about its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Announced {
    length: Option<u64>,
    chunked: bool,
}

impl Announced {
    /// A Content-Length field was met.
    ///
    /// # Errors
    /// 400 for a second one (equal or not), and for anything but decimal digits that fit 64 bits.
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.length.is_some() {
            return Err(Reject::bad_request("more than one Content-Length"));
        }
        match parse_length(value) {
            Some(length) => {
                self.length = Some(length);
                Ok(())
            }
            None => Err(Reject::bad_request("Content-Length is not one decimal number")),
        }
    }

    /// A Transfer-Encoding field was met.
    ///
    /// # Errors
    /// 400 for a second one and for a list in which chunked is not exactly once and last; 501 for any other coding.
    pub fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.chunked {
            return Err(Reject::bad_request("more than one Transfer-Encoding"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let is_chunked = |member: &[u8]| member.eq_ignore_ascii_case(b"chunked");
        let count = fields::members(value).count();
        let misplaced = fields::members(value).take(count.saturating_sub(1)).any(is_chunked);
        if count == 0 || misplaced || !fields::members(value).all(fields::is_token) {
            return Err(Reject::bad_request("Transfer-Encoding is malformed"));
        }
        if count == 1 && fields::members(value).all(is_chunked) {
            return Err(Reject::bad_request("Transfer-Encoding is malformed")); // "chunked," and the like
        }
        Err(Reject::not_implemented("a transfer coding other than chunked"))
    }

    /// The decision, once all fields have been met.
    ///
    /// # Errors
    /// 400 for a transfer coding together with a length, or in HTTP/1.0.
    pub fn decide(self, version: Version) -> Result<Framing, Reject> {
        if self.chunked {
            if self.length.is_some() {
                return Err(Reject::bad_request("Content-Length and Transfer-Encoding in one request"));
            }
            if version == Version::Http10 {
                return Err(Reject::bad_request("Transfer-Encoding in HTTP/1.0"));
            }
            return Ok(Framing::Chunked);
        }
        Ok(match self.length {
            None | Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
        })
    }

    /// The announced length.
    #[must_use]
    pub const fn length(self) -> Option<u64> {
        self.length
    }
}

/// The value of a Content-Length (RFC 9110 section 8.6): digits only, no sign, no list, no overflow.
#[must_use]
pub fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        length.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(lengths: &[&[u8]], codings: &[&[u8]], version: Version) -> Result<Framing, u16> {
        let mut announced = Announced::default();
        for length in lengths {
            announced.content_length(length).map_err(|reject| reject.status)?;
        }
        for coding in codings {
            announced.transfer_encoding(coding).map_err(|reject| reject.status)?;
        }
        announced.decide(version).map_err(|reject| reject.status)
    }

    #[test]
    fn lengths() {
        assert_eq!(decide(&[], &[], Version::Http11), Ok(Framing::None));
        assert_eq!(decide(&[b"0"], &[], Version::Http11), Ok(Framing::None));
        assert_eq!(decide(&[b"0005"], &[], Version::Http10), Ok(Framing::Length(5)));
        assert_eq!(parse_length(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"+5", b"-5", b"5, 5", b"5,5", b"0x5", b"5 5", b"18446744073709551616", b"5a", b" 5"] {
            assert_eq!(decide(&[bad], &[], Version::Http11), Err(400), "{}", bad.escape_ascii());
        }
        assert_eq!(decide(&[b"5", b"5"], &[], Version::Http11), Err(400));
    }

    #[test]
    fn codings() {
        assert_eq!(decide(&[], &[b"Chunked"], Version::Http11), Ok(Framing::Chunked));
        assert_eq!(decide(&[], &[b"chunked"], Version::Http10), Err(400));
        assert_eq!(decide(&[b"5"], &[b"chunked"], Version::Http11), Err(400));
        assert_eq!(decide(&[], &[b"chunked", b"chunked"], Version::Http11), Err(400));
        assert_eq!(decide(&[], &[b"gzip"], Version::Http11), Err(501));
        assert_eq!(decide(&[], &[b"gzip, chunked"], Version::Http11), Err(501));
        assert_eq!(decide(&[], &[b"xchunked"], Version::Http11), Err(501));
        assert_eq!(decide(&[], &[b"identity"], Version::Http11), Err(501));
        for bad in [&b""[..], b",", b"chunked,", b"chunked, chunked", b"chunked, gzip", b"\"chunked\"", b"chunked;q=1"]
        {
            assert_eq!(decide(&[], &[bad], Version::Http11), Err(400), "{}", bad.escape_ascii());
        }
    }
}
