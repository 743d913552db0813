//! The chunked coding: cutting changes nothing, and the bound holds. The first byte chooses the cutting.
#![no_main]

use engine::http::chunked::{Bounds, Decoded, Decoder};
use libfuzzer_sys::fuzz_target;

const BOUNDS: Bounds = Bounds { body: 300, trailers: 4, trailer_size: 50, trailer_section: 120 };

/// The body, and how many bytes its framing took if it has ended; or the status of a refusal.
fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, Option<usize>), u16> {
    let mut decoder = Decoder::new(&BOUNDS);
    let mut body = Vec::new();
    let mut before = 0;
    for piece in input.chunks(size) {
        let mut used = 0;
        loop {
            match decoder.decode(&piece[used..]).map_err(|reject| reject.status)? {
                Decoded::More => break,
                Decoded::Data { skip, length } => {
                    assert!(length > 0);
                    body.extend_from_slice(&piece[used + skip..used + skip + length]);
                    used += skip + length;
                }
                Decoded::End { used: last } => return Ok((body, Some(before + used + last))),
            }
        }
        before += piece.len();
    }
    Ok((body, None))
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, input)) = input.split_first() else { return };
    let whole = decode(input, input.len().max(1));
    assert_eq!(whole, decode(input, usize::from(first).max(1)));
    assert_eq!(whole, decode(input, 1));
    if let Ok((body, end)) = whole {
        assert!(body.len() <= 300);
        assert!(end.is_none_or(|end| input[..end].ends_with(b"\r\n")));
    }
});
