//! When a front end took a request, as it says itself in `X-Request-Start` or `X-Queue-Start`. There is no standard for
//! the fields, only custom: a time since 1970, perhaps after `t=`, in seconds with a fraction, or in whole seconds,
//! milliseconds or microseconds, which can be told apart by their magnitude. Whether it is believed, and what is made of
//! it, is the drivers' business.

use std::time::Duration;

use crate::http::head::Head;

const NAMES: [&[u8]; 2] = [b"x-request-start", b"x-queue-start"];

/// Seconds, milliseconds and microseconds: numbers below the bound, and how many of them a second has. The bounds are
/// crossed in the years 5138 and 1973.
const UNITS: [(u64, u64); 3] =
    [(100_000_000_000, 1), (100_000_000_000_000, 1_000), (100_000_000_000_000_000, 1_000_000)];

/// The time since 1970 at which the front end took the request; None when it does not say so, or not in a known way.
pub(crate) fn request_start(head: &Head) -> Option<Duration> {
    let field = |name: &[u8]| head.fields().find(|(field, _)| field.eq_ignore_ascii_case(name));
    NAMES.into_iter().find_map(field).and_then(|(_, value)| parse(value))
}

fn parse(value: &[u8]) -> Option<Duration> {
    let number = value.strip_prefix(b"t=").unwrap_or(value);
    let (whole, fraction) = match memchr::memchr(b'.', number) {
        Some(point) => (number.get(..point)?, number.get(point + 1..)?),
        None => (number, &b"0"[..]),
    };
    let (whole, digits) = (decimal(whole, 18)?, fraction.len());
    let (_, a_second) = UNITS.into_iter().find(|(bound, _)| whole < *bound)?;
    let unit = 1_000_000_000 / a_second;
    let fraction = decimal(fraction, 9)?.checked_mul(unit)? / 10_u64.checked_pow(u32::try_from(digits).ok()?)?;
    let nanoseconds = (whole % a_second).checked_mul(unit)?;
    Some(Duration::from_secs(whole / a_second) + Duration::from_nanos(nanoseconds) + Duration::from_nanos(fraction))
}

/// One to `most` digits.
fn decimal(text: &[u8], most: usize) -> Option<u64> {
    if text.is_empty() || text.len() > most || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn every_customary_form_is_the_same_moment() {
        let moment = Duration::from_millis(1_700_000_000_123);
        for text in [
            "t=1700000000.123",
            "1700000000.123",
            "1700000000.123000000",
            "1700000000123",
            "t=1700000000123",
            "1700000000123.0",
            "1700000000123000",
            "t=1700000000123000",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(moment), "{text}");
        }
        assert_eq!(parse(b"1700000000"), Some(Duration::from_secs(1_700_000_000)));
        assert_eq!(parse(b"0"), Some(Duration::ZERO));
        assert_eq!(parse(b"1700000000123.5"), Some(Duration::from_micros(1_700_000_000_123_500)));
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            "t=",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e9",
            "t=t=1",
            "T=1",
            "now",
            "1 700",
            "1,5",
            "1700000000.1234567890",
            "170000000000000000",
            "999999999999999999",
            "9999999999999999999999",
            "\u{661}",
            "0x1",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
