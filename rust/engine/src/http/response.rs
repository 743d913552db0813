//! Grammar of what is sent (RFC 9110 section 15, RFC 9112 sections 4 and 7): status lines, fields that an application
//! may set, chunk size lines. Not here: where an answer stands; see `connection::outbound`.

use crate::http::fields;
use crate::http::framing::parse_length;
use std::fmt;
use std::ops::Deref;

/// Why an application's response head cannot be sent. The text is for the application's developer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadResponse {
    /// The status is not three digits, a space and a reason phrase without control characters.
    Status(String),
    /// The status is an interim one (1xx); those are the server's own.
    Interim(u16),
    /// A field name is not a token.
    Name(String),
    /// The value of the field with this name holds a control character.
    Value(String),
    /// The field speaks about the connection, which is the server's.
    HopByHop(String),
    /// A Content-Length that is not a decimal number.
    Length(String),
    /// A second Content-Length.
    SecondLength,
    /// A response head has already been written for this request.
    AlreadyResponding,
    /// There is no complete request to answer.
    NothingToAnswer,
}

impl fmt::Display for BadResponse {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(
                to,
                "the status {status:?} is not valid: it must be three digits from 200 to 599, a space and a reason without \
                 control characters, for example \"200 OK\""
            ),
            Self::Interim(status) => {
                write!(to, "the status {status} is interim: an application answers with a final status, 200 to 599")
            }
            Self::Name(name) => write!(
                to,
                "the header name {name:?} is not valid: letters, digits and !#$%&'*+-.^_`|~ are allowed, and at least one"
            ),
            Self::Value(name) => write!(
                to,
                "the value of the header {name:?} holds a control character (a line break, a NUL or the like)"
            ),
            Self::HopByHop(name) => {
                write!(to, "the header {name:?} is about the connection, which is the server's business: leave it out")
            }
            Self::Length(value) => {
                write!(to, "the value {value:?} of the header Content-Length is not a decimal number")
            }
            Self::SecondLength => write!(to, "the header Content-Length was given twice"),
            Self::AlreadyResponding => write!(to, "the head of an answer has already been sent for this request"),
            Self::NothingToAnswer => write!(to, "there is no complete request to answer"),
        }
    }
}

impl std::error::Error for BadResponse {}

/// Check a status as WSGI gives it ("200 OK") and give its code. The reason may be empty, with or without the space.
///
/// # Errors
/// `Status` for a malformed one, `Interim` for 1xx.
pub fn parse_status(status: &[u8]) -> Result<u16, BadResponse> {
    let malformed = || BadResponse::Status(lossy(status));
    let (code, reason) = match status {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] => {
            (u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'), reason)
        }
        _ => return Err(malformed()),
    };
    let reason_is_good = match reason {
        [] => true,
        [b' ', text @ ..] => fields::is_value(text),
        _ => false,
    };
    if !reason_is_good {
        return Err(malformed());
    }
    if code < 200 {
        return Err(BadResponse::Interim(code));
    }
    Ok(code)
}

/// What a field of an application's answer means to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: it is passed on.
    Plain,
    /// The server need not add Date.
    Date,
    /// The server need not add Server.
    Server,
    /// The length of the body.
    Length(u64),
}

/// Check one field of an answer. `value` is to be trimmed by the caller.
///
/// # Errors
/// `Name`, `Value`, `HopByHop` or `Length`.
pub fn check_field(name: &[u8], value: &[u8]) -> Result<Meaning, BadResponse> {
    if !fields::is_token(name) {
        return Err(BadResponse::Name(lossy(name)));
    }
    if !fields::is_value(value) {
        return Err(BadResponse::Value(lossy(name)));
    }
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let meaning = match name.len() {
        4 if is(b"date") => Meaning::Date,
        6 if is(b"server") => Meaning::Server,
        14 if is(b"content-length") => match parse_length(value) {
            Some(length) => Meaning::Length(length),
            None => return Err(BadResponse::Length(lossy(value))),
        },
        2 if is(b"te") => return Err(BadResponse::HopByHop(lossy(name))),
        7 if is(b"trailer") || is(b"upgrade") => return Err(BadResponse::HopByHop(lossy(name))),
        10 if is(b"connection") || is(b"keep-alive") => {
            return Err(BadResponse::HopByHop(lossy(name)));
        }
        16 if is(b"proxy-connection") => return Err(BadResponse::HopByHop(lossy(name))),
        17 if is(b"transfer-encoding") => return Err(BadResponse::HopByHop(lossy(name))),
        18 if is(b"proxy-authenticate") => return Err(BadResponse::HopByHop(lossy(name))),
        19 if is(b"proxy-authorization") => return Err(BadResponse::HopByHop(lossy(name))),
        _ => Meaning::Plain,
    };
    Ok(meaning)
}

#[cold]
fn lossy(text: &[u8]) -> String {
    const SHOWN: usize = 200;
    String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(text)).into_owned()
}

/// A chunk size line, held inline: at most sixteen digits and CRLF. Dereferences to its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLine {
    bytes: [u8; 18],
    start: u8,
}

impl SizeLine {
    /// No line at all.
    pub const NONE: Self = Self { bytes: [0; 18], start: 18 };

    /// The line for a chunk of `length` bytes, which must be more than none.
    #[must_use]
    pub fn new(length: usize) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut line = Self { bytes: [0; 18], start: 16 };
        let [digits @ .., carriage_return, line_feed] = &mut line.bytes;
        (*carriage_return, *line_feed) = (b'\r', b'\n');
        let mut rest = length;
        for place in digits.iter_mut().rev() {
            *place = DIGITS[rest & 15];
            line.start -= 1;
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        line
    }
}

impl Deref for SizeLine {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(usize::from(self.start)..).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        assert_eq!(parse_status(b"200 OK"), Ok(200));
        assert_eq!(parse_status(b"404"), Ok(404));
        assert_eq!(parse_status(b"599 "), Ok(599));
        assert_eq!(parse_status(b"101 Switching Protocols"), Err(BadResponse::Interim(101)));
        for bad in
            [&b""[..], b"OK", b"20", b"2000 OK", b"200OK", b"200 O\r\nK", b"099 x", b"600 x", b"200\tOK", b" 200"]
        {
            assert!(matches!(parse_status(bad), Err(BadResponse::Status(_))), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn fields_of_an_answer() {
        assert_eq!(check_field(b"X-A", b"b"), Ok(Meaning::Plain));
        assert_eq!(check_field(b"dAte", b"b"), Ok(Meaning::Date));
        assert_eq!(check_field(b"Content-Length", b"12"), Ok(Meaning::Length(12)));
        assert!(matches!(check_field(b"Content-Length", b"-1"), Err(BadResponse::Length(_))));
        assert!(matches!(check_field(b"A b", b""), Err(BadResponse::Name(_))));
        assert!(matches!(check_field(b"A", b"b\r\nSet-Cookie: c"), Err(BadResponse::Value(_))));
        for name in [
            "Connection",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
        ] {
            let refused = check_field(name.as_bytes(), b"x").unwrap_err();
            assert_eq!(refused, BadResponse::HopByHop(name.to_owned()));
            assert!(refused.to_string().contains(name));
        }
    }

    #[test]
    fn size_lines() {
        assert_eq!(&*SizeLine::new(1), b"1\r\n");
        assert_eq!(&*SizeLine::new(255), b"ff\r\n");
        assert_eq!(&*SizeLine::new(usize::MAX), b"ffffffffffffffff\r\n");
        assert_eq!(&*SizeLine::NONE, b"");
    }
}
