//! Request targets (RFC 9112 section 3.2): the four forms, authorities, and decoding of paths. Not here: what a path
//! stands for; that is the application's business.

use crate::http::Reject;
use crate::http::fields::is_token_byte;
use std::ops::Range;

/// The parts of a request target, as ranges of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The path as sent. Empty for an absolute form without one: then it stands for `/` (or `*`, see `Form`).
    pub path: Range<usize>,
    /// What follows the first `?`; empty when there is none.
    pub query: Range<usize>,
    /// Which form it is, and so where the host comes from.
    pub form: Form,
}

/// The forms of a request target that are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`.
    Origin,
    /// `http://authority/path?query`; the authority (given as a range) takes the place of Host (section 3.2.2).
    Absolute(Range<usize>),
    /// `*`, for OPTIONS.
    Asterisk,
}

/// Take a target apart.
///
/// # Errors
/// 400 for a target that fits no form or holds a byte that must not stand there; 501 for CONNECT: this is no proxy.
pub fn parse(method: &[u8], target: &[u8]) -> Result<Target, Reject> {
    if method == b"CONNECT" {
        return Err(Reject::not_implemented("CONNECT is not implemented: this server is no proxy"));
    }
    // Exactly the visible characters without `#`: control characters, spaces and bytes beyond ASCII must be sent
    // percent-encoded. A fold without early exit is turned into vector instructions.
    let clean = target.iter().fold(true, |good, &byte| good & is_target_byte(byte));
    if !clean {
        return Err(Reject::bad_request("the request target holds a character that must be percent-encoded"));
    }
    if target.first() == Some(&b'/') {
        return split(target, 0, Form::Origin);
    }
    if target == b"*" {
        if method != b"OPTIONS" {
            return Err(Reject::bad_request("the request target * is for OPTIONS only"));
        }
        return Ok(Target { path: 0..1, query: 1..1, form: Form::Asterisk });
    }
    let Some(start) = after_scheme(target) else {
        return Err(Reject::bad_request("the request target is neither a path nor an http URI"));
    };
    let rest = target.get(start..).unwrap_or_default();
    let length = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let authority = start..start + length;
    if !is_authority(rest.get(..length).unwrap_or_default()) {
        return Err(Reject::bad_request("the authority of the request target is malformed"));
    }
    let split = split(target, authority.end, Form::Absolute(authority))?;
    Ok(split)
}

/// Visible characters except `#`.
const fn is_target_byte(byte: u8) -> bool {
    byte > 0x20 && byte < 0x7F && byte != b'#'
}

/// Where the authority begins in `http://` or `https://` form.
fn after_scheme(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(|scheme| scheme.len())
}

fn split(target: &[u8], start: usize, form: Form) -> Result<Target, Reject> {
    let rest = target.get(start..).unwrap_or_default();
    let (path, query) = match memchr::memchr(b'?', rest) {
        Some(mark) => (start..start + mark, start + mark + 1..target.len()),
        None => (start..target.len(), target.len()..target.len()),
    };
    check_escapes(target.get(path.clone()).unwrap_or_default())?;
    Ok(Target { path, query, form })
}

/// Refuse what [`decode_path`] would refuse; most paths hold no `%` at all.
fn check_escapes(path: &[u8]) -> Result<(), Reject> {
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        unescape(rest.get(at + 1..).unwrap_or_default())?;
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    Ok(())
}

/// The byte that the two digits at the start of `digits` stand for.
fn unescape(digits: &[u8]) -> Result<u8, Reject> {
    let value = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match digits {
        [high, low, ..] => match (value(high), value(low)) {
            (Some(0), Some(0)) => Err(Reject::bad_request("the path holds an encoded NUL")),
            (Some(high), Some(low)) => Ok(high << 4 | low),
            (None, _) | (_, None) => Err(MALFORMED_ESCAPE),
        },
        _ => Err(MALFORMED_ESCAPE),
    }
}

const MALFORMED_ESCAPE: Reject = Reject::bad_request("the path holds a % that two hexadecimal digits do not follow");

/// Append `path` to `decoded` with each percent-encoding replaced by its byte (RFC 3986 section 2.1), once, and
/// nothing else changed: dot segments and encoded slashes are the application's to judge.
///
/// # Errors
/// 400 for a `%` without two hexadecimal digits, and for `%00`. The path of a [`Head`](super::head::Head) has been
/// checked and decodes without error.
pub fn decode_path(path: &[u8], decoded: &mut Vec<u8>) -> Result<(), Reject> {
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(at);
        decoded.extend_from_slice(plain);
        decoded.push(unescape(escape.get(1..).unwrap_or_default())?);
        rest = escape.get(3..).unwrap_or_default();
    }
    decoded.extend_from_slice(rest);
    Ok(())
}

/// Whether `text` is `uri-host [":" port]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2) with a host that is not empty
/// and without user information.
#[must_use]
pub fn is_authority(text: &[u8]) -> bool {
    let (host_is_good, port) = if text.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', text) else {
            return false;
        };
        let (literal, rest) = text.split_at(end + 1);
        (is_ip_literal(literal.get(1..end).unwrap_or_default()), rest)
    } else {
        let end = memchr::memchr(b':', text).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        (is_registered_name(name), rest)
    };
    host_is_good && is_port(port)
}

/// Nothing, or a colon with at most a port number after it.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => {
            digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
        }
        _ => false,
    }
}

/// `IPv6address` by its rules, `IPvFuture` by its characters.
fn is_ip_literal(text: &[u8]) -> bool {
    if matches!(text.first(), Some(b'v' | b'V')) {
        let Some(dot) = memchr::memchr(b'.', text) else {
            return false;
        };
        let version = text.get(1..dot).unwrap_or_default();
        let address = text.get(dot + 1..).unwrap_or_default();
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|&byte| is_name_byte(byte) || byte == b':');
    }
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_registered_name(text: &[u8]) -> bool {
    if text.is_empty() || !text.iter().all(|&byte| is_name_byte(byte) || byte == b'%') {
        return false;
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        match rest.get(at + 1..at + 3) {
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
            _ => return false,
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    true
}

/// Unreserved characters and sub-delimiters (RFC 3986 section 2).
fn is_name_byte(byte: u8) -> bool {
    let shared = is_token_byte(byte) && !matches!(byte, b'#' | b'%' | b'^' | b'`' | b'|');
    shared || matches!(byte, b'(' | b')' | b',' | b';' | b'=')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn parts(method: &[u8], target: &'static [u8]) -> Result<(&'static [u8], &'static [u8]), u16> {
        parse(method, target).map(|found| (&target[found.path], &target[found.query])).map_err(|reject| reject.status)
    }

    #[test]
    fn forms() {
        assert_eq!(parts(b"GET", b"/a/b?c=d?e"), Ok((&b"/a/b"[..], &b"c=d?e"[..])));
        assert_eq!(parts(b"GET", b"/?"), Ok((&b"/"[..], &b""[..])));
        assert_eq!(parts(b"GET", b"HTTP://Host:80/x?y"), Ok((&b"/x"[..], &b"y"[..])));
        assert_eq!(parts(b"GET", b"https://[::1]?y"), Ok((&b""[..], &b"y"[..])));
        assert_eq!(parts(b"OPTIONS", b"*"), Ok((&b"*"[..], &b""[..])));
        assert_eq!(parts(b"CONNECT", b"host:443"), Err(501));
        for bad in [
            &b""[..],
            b"*",
            b"host:80",
            b"a/b",
            b"/a#b",
            b"/a b",
            b"/\x7f",
            b"/\xc3\xa4",
            b"/\t",
            b"ftp://host/",
            b"http://",
            b"http:///a",
            b"http://user@host/",
            b"http://host:99999/",
            b"/%",
            b"/%4",
            b"/%zz",
            b"/%00",
        ] {
            assert_eq!(parts(b"GET", bad), Err(400), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn decodes_once() {
        let mut decoded = Vec::new();
        decode_path(b"/a%2Fb%2520%c3%A4", &mut decoded).unwrap();
        assert_eq!(decoded, "/a/b%20\u{e4}".as_bytes());
    }

    #[test]
    fn authorities() {
        for good in [
            &b"a"[..],
            b"a.b:80",
            b"a:",
            b"127.0.0.1:8000",
            b"[::1]",
            b"[::1]:80",
            b"[v1.a:b]",
            b"a_b-c~d",
            b"%41b",
            b"a!$&'()*+,;=",
        ] {
            assert!(is_authority(good), "{}", good.escape_ascii());
        }
        for bad in [
            &b""[..],
            b":80",
            b"a b",
            b"a/b",
            b"a@b",
            b"a:b",
            b"a:80:80",
            b"a:65536",
            b"a:000080",
            b"[::1",
            b"[]",
            b"[::1]x",
            b"[::g]",
            b"[v.a]",
            b"a%4",
            b"a%zz",
            b"\xc3",
            b"a\\b",
            b"a?b",
            b"a#",
            b"a|b",
            b"a\"",
        ] {
            assert!(!is_authority(bad), "{}", bad.escape_ascii());
        }
    }
}
