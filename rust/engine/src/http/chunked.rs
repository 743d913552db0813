//! The chunked transfer coding, received (RFC 9112 section 7.1): a decoder that is fed any pieces of the bytes and tells
//! which of them are body. It copies and keeps nothing. Not here: chunks that are sent; see `response`.
//!
//! Sizes are hexadecimal digits and nothing else, line ends are CRLF and nothing else. Extensions are skipped; trailer
//! fields are checked as strictly as those of a head, then dropped: none of them reaches the application, so that no
//! list of forbidden trailer fields (RFC 9110 section 6.5.1) is needed.

use crate::http::{Reject, fields};

/// Digits of a chunk size; 16 are 64 bits.
const SIZE_DIGITS: u8 = 16;
/// Bytes of extensions that a body may have beyond its bytes of data so far. Hardly anybody sends any; without a bound
/// they would be a way to keep a receiver busy for nothing.
const EXTENSIONS: u16 = 16_384;

/// Bounds on one chunked body.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of body.
    pub body: u64,
    /// Number of trailer fields.
    pub trailers: usize,
    /// Bytes of one trailer field.
    pub trailer_size: usize,
    /// Bytes of all trailer fields.
    pub trailer_section: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the first digit of a size, or after some.
    Size {
        digits: u8,
    },
    /// After spaces or tabs behind a size: only an extension may follow.
    Gap,
    /// Inside an extension.
    Extension,
    /// After the CR of a size line.
    SizeEnd,
    /// Inside the data of a chunk.
    Data,
    /// After the data: CR, then LF.
    DataCr,
    DataLf,
    /// At the beginning of a trailer line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    /// After the CR of a trailer line.
    TrailerLf,
    /// After the CR of the empty line at the end.
    LastLf,
    End,
}

/// The decoder of one body.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
    /// Of the present chunk: the size so far, then the bytes still to come.
    size: u64,
    /// Bytes of body that may still come.
    room: u64,
    extensions: u16,
    trailers: usize,
    trailer_size: usize,
    trailer_line: usize,
    trailer_section: usize,
}

/// What the decoder made of a piece of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// All of it was framing; more is needed.
    More,
    /// After `skip` bytes of framing come `length` bytes of body; call again with what follows them.
    Data {
        /// Bytes of framing before the data.
        skip: usize,
        /// Bytes of data, more than none.
        length: usize,
    },
    /// The body ends after `used` bytes of framing.
    End {
        /// Bytes of framing.
        used: usize,
    },
}

impl Decoder {
    /// A decoder at the beginning of a body.
    #[must_use]
    pub const fn new(bounds: &Bounds) -> Self {
        Self {
            state: State::Size { digits: 0 },
            size: 0,
            room: bounds.body,
            extensions: EXTENSIONS,
            trailers: bounds.trailers,
            trailer_size: bounds.trailer_size,
            trailer_line: 0,
            trailer_section: bounds.trailer_section,
        }
    }

    /// Go through `input` up to the end of the first piece of body in it.
    ///
    /// # Errors
    /// 400 for a broken rule, 413 for a body beyond its bound (as soon as the size of a chunk tells), 431 for trailers
    /// beyond theirs. The decoder is of no use afterwards.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Reject> {
        let mut used = 0;
        loop {
            if self.state == State::Data {
                let available = input.len() - used;
                if available == 0 {
                    return Ok(Decoded::More);
                }
                let length = usize::try_from(self.size).unwrap_or(usize::MAX).min(available);
                self.size -= u64::try_from(length).unwrap_or(self.size);
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Decoded::Data { skip: used, length });
            }
            if self.state == State::End {
                return Ok(Decoded::End { used });
            }
            let Some(&byte) = input.get(used) else {
                return Ok(Decoded::More);
            };
            self.state = self.advance(byte)?;
            used += 1;
        }
    }

    /// One byte of framing.
    fn advance(&mut self, byte: u8) -> Result<State, Reject> {
        match self.state {
            State::Size { digits } => self.size_byte(digits, byte),
            State::Gap | State::Extension => self.extension_byte(byte),
            State::SizeEnd if byte == b'\n' => self.begin_chunk(),
            State::SizeEnd => Err(Reject::bad_request("a chunk size line does not end in CRLF")),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Size { digits: 0 }),
            State::DataCr | State::DataLf => Err(Reject::bad_request("the data of a chunk is not followed by CRLF")),
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf | State::LastLf => {
                self.trailer_byte(byte)
            }
            State::Data | State::End => Ok(self.state),
        }
    }

    fn size_byte(&mut self, digits: u8, byte: u8) -> Result<State, Reject> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if digits == SIZE_DIGITS {
                return Err(Reject::bad_request("a chunk size has too many digits"));
            }
            self.size = self.size << 4 | u64::from(digit);
            return Ok(State::Size { digits: digits + 1 });
        }
        match byte {
            _ if digits == 0 => Err(Reject::bad_request("a chunk size does not begin with a hexadecimal digit")),
            b'\r' => Ok(State::SizeEnd),
            b';' => Ok(State::Extension),
            b' ' | b'\t' => Ok(State::Gap),
            _ => Err(Reject::bad_request("a chunk size holds something else than hexadecimal digits")),
        }
    }

    fn extension_byte(&mut self, byte: u8) -> Result<State, Reject> {
        self.extensions =
            self.extensions.checked_sub(1).ok_or(Reject::bad_request("the chunk extensions are too long"))?;
        match (self.state, byte) {
            (State::Extension, b'\r') => Ok(State::SizeEnd),
            (State::Gap, b';') | (State::Extension, b'\t' | b' '..=b'~') => Ok(State::Extension),
            (State::Gap, b' ' | b'\t') => Ok(State::Gap),
            _ => Err(Reject::bad_request("a chunk extension is malformed")),
        }
    }

    /// The line end behind a size was met.
    fn begin_chunk(&mut self) -> Result<State, Reject> {
        if self.size == 0 {
            return Ok(State::TrailerStart);
        }
        self.room = self.room.checked_sub(self.size).ok_or(Reject::body_too_large())?;
        let bought = u16::try_from(self.size).unwrap_or(EXTENSIONS);
        self.extensions = self.extensions.saturating_add(bought).min(EXTENSIONS);
        Ok(State::Data)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, Reject> {
        const TOO_LARGE: Reject = Reject::fields_too_large("the trailer fields exceed the limits for fields");
        self.trailer_section = self.trailer_section.checked_sub(1).ok_or(TOO_LARGE)?;
        let next = match (self.state, byte) {
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::LastLf, b'\n') => State::End,
            (State::TrailerStart, _) if fields::is_token_byte(byte) => {
                self.trailers = self.trailers.checked_sub(1).ok_or(TOO_LARGE)?;
                self.trailer_line = 0;
                State::TrailerName
            }
            (State::TrailerName, _) if fields::is_token_byte(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, _) if fields::is_value_byte(byte) => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            _ => return Err(Reject::bad_request("a trailer field is malformed")),
        };
        if matches!(next, State::TrailerName | State::TrailerValue) {
            self.trailer_line += 1;
            if self.trailer_line > self.trailer_size {
                return Err(TOO_LARGE);
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { body: 100, trailers: 2, trailer_size: 20, trailer_section: 66 };

    /// The body and the number of bytes used, fed in pieces of `size`.
    fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, Option<usize>), u16> {
        let mut decoder = Decoder::new(&BOUNDS);
        let (mut body, mut total) = (Vec::new(), 0);
        for piece in input.chunks(size) {
            let mut rest = piece;
            loop {
                match decoder.decode(rest).map_err(|reject| reject.status)? {
                    Decoded::More => break,
                    Decoded::Data { skip, length } => {
                        body.extend_from_slice(&rest[skip..skip + length]);
                        rest = &rest[skip + length..];
                    }
                    Decoded::End { used } => {
                        return Ok((body, Some(total + piece.len() - rest.len() + used)));
                    }
                }
            }
            total += piece.len();
        }
        Ok((body, None))
    }

    #[test]
    fn decodes_any_cutting() {
        let input = b"5\r\nhello\r\nA ; name=\"value\"\r\n0123456789\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\nGET";
        for size in 1..input.len() {
            assert_eq!(decode(input, size), Ok((b"hello0123456789".to_vec(), Some(input.len() - 3))), "{size}");
        }
    }

    #[test]
    fn refuses() {
        for (input, status) in [
            (&b"\r\n"[..], 400),
            (b"g\r\n", 400),
            (b"-1\r\n", 400),
            (b"+1\r\n", 400),
            (b"0x1\r\n", 400),
            (b" 1\r\n", 400),
            (b"1 \r\n", 400),
            (b"1\n", 400),
            (b"1\rx", 400),
            (b"1_0\r\n", 400),
            (b"00000000000000001\r\n", 400),
            (b"ffffffffffffffff\r\n", 413),
            (b"65\r\n", 413),
            (b"1;a\n", 400),
            (b"1;\0\r\n", 400),
            (b"1;a\x7f\r\n", 400),
            (b"1\r\nab", 400),
            (b"1\r\na\n", 400),
            (b"1\r\na\rx", 400),
            (b"0\r\n\n", 400),
            (b"0\r\n\rx", 400),
            (b"0\r\nA b: c\r\n", 400),
            (b"0\r\n: c\r\n", 400),
            (b"0\r\nA : c\r\n", 400),
            (b"0\r\n A: c\r\n", 400),
            (b"0\r\nA: b\0\r\n", 400),
            (b"0\r\nA: b\n\r\n", 400),
            (b"0\r\nA\r\n\r\n", 400),
            (b"0\r\nA: b\r\r\n", 400),
            (b"0\r\nA:b\r\nA:b\r\nA:b\r\n\r\n", 431),
            (b"0\r\nA: 012345678901234567\r\n\r\n", 431),
        ] {
            for size in [1, 2, input.len()] {
                assert_eq!(decode(input, size), Err(status), "{}", input.escape_ascii());
            }
        }
        let two = b"0\r\nA: 01234567890123456\r\nA: 01234567890123456\r\n\r\n";
        assert_eq!(decode(two, 7), Ok((Vec::new(), Some(two.len()))));
        let mut long = b"1;".to_vec();
        long.resize(usize::from(EXTENSIONS) + 10, b'a');
        assert_eq!(decode(&long, 100), Err(400));
    }

    #[test]
    fn the_bound_counts_all_chunks() {
        assert_eq!(decode(&[&b"64\r\n"[..], &[b'x'; 100], b"\r\n0\r\n\r\n"].concat(), 9).unwrap().0.len(), 100);
        assert_eq!(decode(&[&b"63\r\n"[..], &[b'x'; 99], b"\r\n2\r\n"].concat(), 9), Err(413));
    }
}
