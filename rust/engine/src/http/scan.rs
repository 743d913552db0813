//! Finding the end of a request head as its bytes arrive (RFC 9112 section 2). Every byte is looked at once, however the
//! head was cut, and a line beyond its limit is refused before its end has come. Not here: what the lines say (`head`).

use crate::http::{Reject, fields};
use crate::limits::Limits;

/// Empty lines that may precede a request line (RFC 9112 section 2.2 asks for "at least one").
const BLANK_LINES: u8 = 4;
/// No head is larger, whatever the limits say, so that 32 bits hold every offset.
const MAXIMUM: usize = 1 << 28;

/// Looks for the end of a head, and remembers how far it has looked. Offsets count from the beginning of the request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scan {
    /// Where the request line begins: behind the blank lines.
    pub(crate) begin: usize,
    /// Where the line begins that is being looked at.
    line: usize,
    searched: usize,
    /// Where the request line ends, without its line end; 0 while it is not complete.
    pub(super) request_line: usize,
    pub(super) fields: usize,
    blank_lines: u8,
}

impl Scan {
    /// Look at what has arrived; gives the length of the head once it is complete.
    ///
    /// What comes first in the head is refused first, so that the status is the same however the head was cut: a line is
    /// judged by its bytes within the bound on the whole head, before that bound is.
    pub(crate) fn find_end(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Reject> {
        const TOO_LARGE: Reject = Reject::fields_too_large("the head exceeds its limit");
        let maximum = limits.head.min(MAXIMUM);
        while let Some(distance) = input.get(self.searched..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let line_feed = self.searched + distance;
            self.searched = line_feed + 1;
            let bound = self.begin + maximum;
            self.check_line(input.get(self.line..line_feed.min(bound)).unwrap_or_default(), limits)?;
            if self.searched > bound {
                return Err(TOO_LARGE);
            }
            if line_feed == self.line || input.get(line_feed - 1) != Some(&b'\r') {
                return Err(Reject::bad_request("a line of the head ends in LF without CR"));
            }
            let end = line_feed - 1;
            if end > self.line {
                self.count_line(end, limits)?;
            } else if self.request_line > 0 {
                return Ok(Some(self.searched));
            } else {
                self.skip_blank_line()?;
            }
            self.line = self.searched;
        }
        self.searched = input.len();
        let bound = self.begin + maximum;
        self.check_line(input.get(self.line..input.len().min(bound)).unwrap_or_default(), limits)?;
        if input.len() > bound {
            return Err(TOO_LARGE);
        }
        Ok(None)
    }

    /// Check what has come of a line: a CR may be there already, and is not counted.
    fn check_line(&self, line: &[u8], limits: &Limits) -> Result<(), Reject> {
        let length = line.len() - usize::from(line.last() == Some(&b'\r'));
        if self.request_line > 0 {
            if length > limits.field_size {
                return Err(Reject::fields_too_large("a field exceeds the limit for fields"));
            }
            return Ok(());
        }
        match line.first() {
            Some(0x16) => Err(Reject::bad_request("TLS was spoken to a port that serves plain HTTP")),
            Some(&byte) if byte != b'\r' && !fields::is_token_byte(byte) => {
                Err(Reject::bad_request("a request does not begin with a method"))
            }
            Some(_) | None if length > limits.request_line => Err(Reject::line_too_long()),
            Some(_) | None => Ok(()),
        }
    }

    fn count_line(&mut self, end: usize, limits: &Limits) -> Result<(), Reject> {
        if self.request_line == 0 {
            self.request_line = end;
            return Ok(());
        }
        self.fields += 1;
        if self.fields > limits.fields {
            return Err(Reject::fields_too_large("the head has too many fields"));
        }
        Ok(())
    }

    fn skip_blank_line(&mut self) -> Result<(), Reject> {
        self.blank_lines += 1;
        if self.blank_lines > BLANK_LINES {
            return Err(Reject::bad_request("too many empty lines before a request"));
        }
        self.begin = self.searched;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of the refusal of `input`, received in pieces of `size`.
    fn refused(input: &[u8], size: usize, limits: &Limits) -> Option<u16> {
        let mut scan = Scan::default();
        let ends = (size..input.len()).step_by(size).chain([input.len()]);
        let results = ends.map(|end| scan.find_end(&input[..end], limits));
        results.filter_map(Result::err).map(|reject| reject.status).next()
    }

    #[test]
    fn the_first_limit_that_is_passed_decides_however_the_head_is_cut() {
        let (line, field) = (b"a".repeat(100), [b"GET / HTTP/1.1\r\n", b"a".repeat(100).as_slice()].concat());
        for (input, request_line, field_size, head, status) in [
            (&line, 60, 60, 50, 431),
            (&line, 49, 60, 50, 414),
            (&line, 50, 60, 50, 431),
            (&field, 60, 60, 50, 431),
            (&field, 60, 10, 50, 431),
        ] {
            for end in ["", "\r\n", "\r\n\r\n", "\n"] {
                let input = [input.as_slice(), end.as_bytes()].concat();
                let limits = Limits { request_line, field_size, head, ..Limits::default() };
                for size in [1, 7, input.len()] {
                    assert_eq!(refused(&input, size, &limits), Some(status), "{size}: {}", input.escape_ascii());
                }
            }
        }
    }
}
