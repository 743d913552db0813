//! What must hold for all inputs: cutting changes nothing, framing decodes to what was framed,
//! nothing panics. What must hold for all arrivals in time: `rates`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod harness;

use engine::connection::{Connection, Finished, Step};
use engine::http::target::decode_path;
use engine::limits::Limits;
use harness::{Session, decode, drive, protocol, respond};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Instant;

/// Pieces of requests, good and bad, that meet in any order.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST /a?b HTTP/1.1\r\n",
        b"GET http://b/%41 HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Expect: 100-continue\r\n",
        b"A: b\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]);
    prop_oneof![9 => known.prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..9)]
}

fn small() -> Limits {
    Limits { request_line: 40, fields: 6, field_size: 40, head: 160, body: 20, requests_per_connection: 0 }
}

/// What may not depend on how the bytes were cut.
fn essence(session: Session) -> (Vec<harness::Request>, Option<u16>, bool, bool) {
    let closes = session.closes();
    (session.requests, session.reject.map(|reject| reject.status), session.ended, closes)
}

fn cut<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = input;
    for &size in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

/// `body` in chunks of the sizes, with an extension here and there.
fn chunked(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut framed = Vec::new();
    for (index, piece) in cut(body, sizes).into_iter().enumerate() {
        let extension = if index % 3 == 1 { ";name=value" } else { "" };
        framed.extend_from_slice(format!("{:X}{extension}\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
    framed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn cutting_changes_nothing(
        fragments in vec(fragment(), 0..14),
        cuts in vec(1_usize..30, 1..8),
        half_close in any::<bool>(),
    ) {
        let input = fragments.concat();
        let whole = essence(drive(small(), [input.as_slice()], half_close));
        let pieces = essence(drive(small(), cut(&input, &cuts), half_close));
        let bytes = essence(drive(small(), input.chunks(1), half_close));
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(&whole, &bytes);
    }

    #[test]
    fn no_input_panics(input in vec(any::<u8>(), 0..400), cuts in vec(1_usize..50, 1..4)) {
        drive(small(), cut(&input, &cuts), true);
    }

    #[test]
    fn bodies_decode_to_what_was_sent(
        bodies in vec((vec(any::<u8>(), 0..2000), any::<bool>()), 1..4),
        sizes in vec(1_usize..300, 1..5),
        cuts in vec(1_usize..1000, 1..6),
    ) {
        let mut input = Vec::new();
        for (body, coded) in &bodies {
            input.extend_from_slice(b"POST / HTTP/1.1\r\nHost: a\r\n");
            if *coded {
                input.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                input.extend_from_slice(&chunked(body, &sizes));
            } else {
                input.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                input.extend_from_slice(body);
            }
        }
        let session = drive(Limits::default(), cut(&input, &cuts), false);
        prop_assert_eq!(session.reject, None);
        let received: Vec<_> = session.requests.iter().map(|request| (&request.body, request.length)).collect();
        let sent: Vec<_> = bodies.iter().map(|(body, _)| (body, Some(body.len() as u64))).collect();
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn answers_decode_to_what_was_put_in(
        blocks in vec(vec(any::<u8>(), 0..500), 0..6),
        values in vec("[ -~\t]{0,20}", 0..5),
        known in any::<bool>(),
        request in prop::sample::select(vec![
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]),
    ) {
        let now = Instant::now();
        let mut connection = Connection::new(protocol(Limits::default()), now);
        connection.receive(request, now);
        prop_assert!(matches!(connection.step(&mut Vec::new(), now), Step::Request));
        let body = blocks.concat();
        let pieces: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
        let fields: Vec<(&str, &str)> = values.iter().map(|value| ("X-Value", value.as_str())).collect();
        let mut out = Vec::new();
        respond(&mut connection, b"200 OK", &fields, &pieces, known.then_some(body.len() as u64), &mut out);
        let is_head = request.starts_with(b"HEAD");
        let (answer, rest) = decode(&out, is_head);
        prop_assert_eq!(rest, b"");
        prop_assert_eq!(answer.body.as_slice(), if is_head { &b""[..] } else { body.as_slice() });
        let received: Vec<&str> =
            answer.fields.iter().filter(|(name, _)| name == "X-Value").map(|(_, value)| value.as_str()).collect();
        let sent: Vec<&str> = values.iter().map(|value| value.trim_matches([' ', '\t'])).collect();
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn a_declared_length_is_never_exceeded(declared in 0_u64..1000, blocks in vec(0_usize..400, 0..6)) {
        let now = Instant::now();
        let mut connection = Connection::new(protocol(Limits::default()), now);
        connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", now);
        prop_assert!(matches!(connection.step(&mut Vec::new(), now), Step::Request));
        let mut out = Vec::new();
        respond(&mut connection, b"200 OK", &[], &[], Some(0), &mut Vec::new());
        prop_assert_eq!(connection.frame(5).take, 0, "nothing after the end");

        let mut connection = Connection::new(protocol(Limits::default()), now);
        connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", now);
        prop_assert!(matches!(connection.step(&mut Vec::new(), now), Step::Request));
        let head = connection.respond(b"200 OK", &mut out).unwrap();
        head.finish(engine::connection::BodyLength::Known(declared)).unwrap();
        let mut taken = 0;
        for &length in &blocks {
            let frame = connection.frame(length);
            prop_assert_eq!(frame.excess, frame.take < length);
            taken += frame.take as u64;
        }
        let offered: u64 = blocks.iter().map(|&length| length as u64).sum();
        prop_assert_eq!(taken, offered.min(declared));
        let finished = connection.finish(&mut out);
        let missing = declared - taken;
        let expected = if missing == 0 { Finished::Complete } else { Finished::Short { missing } };
        prop_assert_eq!(finished, expected);
    }

    #[test]
    fn paths_decode_to_what_was_encoded(path in vec(1_u8..=255, 0..100), plain in any::<bool>()) {
        let encode = |byte: &u8| {
            if plain && byte.is_ascii_alphanumeric() { vec![*byte] } else { format!("%{byte:02x}").into_bytes() }
        };
        let encoded: Vec<u8> = path.iter().flat_map(encode).collect();
        let mut decoded = Vec::new();
        decode_path(&encoded, &mut decoded).unwrap();
        prop_assert_eq!(decoded, path);
    }
}

/// httparse and our tables must agree on what a field is, for every byte.
#[test]
fn fields_are_judged_alike_for_every_byte() {
    for byte in 0..=255_u8 {
        let name = [b"GET / HTTP/1.1\r\nHost: a\r\nA", &[byte][..], b"B: c\r\n\r\n"].concat();
        // A colon ends the name, so that the line is another field and a good one.
        let good = engine::http::fields::is_token_byte(byte) || byte == b':';
        assert_eq!(drive(Limits::default(), [name.as_slice()], false).reject.is_none(), good, "name {byte}");
        let value = [b"GET / HTTP/1.1\r\nHost: a\r\nA: b", &[byte][..], b"c\r\n\r\n"].concat();
        let good = engine::http::fields::is_value_byte(byte);
        assert_eq!(drive(Limits::default(), [value.as_slice()], false).reject.is_none(), good, "value {byte}");
        let target = [b"GET /a", &[byte][..], b"41 HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let good = byte.is_ascii_graphic() && byte != b'#';
        assert_eq!(drive(Limits::default(), [target.as_slice()], false).reject.is_none(), good, "target {byte}");
    }
}
