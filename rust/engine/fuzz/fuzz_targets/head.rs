//! One request head: whatever is accepted must be well-formed.
#![no_main]

use engine::connection::{Connection, Protocol, Step};
use engine::http::target::decode_path;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::Instant;

fuzz_target!(|input: &[u8]| {
    let now = Instant::now();
    let mut connection = Connection::new(Arc::new(Protocol::default()), now);
    connection.receive(input, now);
    let accepted = match connection.step(&mut Vec::new(), now) {
        Step::Request | Step::Body(_) => true,
        Step::NeedData => connection.wants_body(),
        Step::Reject(reject) => {
            assert!((400..600).contains(&reject.status));
            false
        }
        Step::End => panic!("the peer has not ended"),
    };
    if !accepted {
        return;
    }
    let head = connection.head();
    let path = head.path();
    assert!(!head.method().is_empty() && !head.method().contains(&b' '));
    assert!(path == b"*" || path.first() == Some(&b'/'));
    let mut decoded = Vec::new();
    decode_path(path, &mut decoded).expect("an accepted path decodes");
    assert!(!decoded.contains(&0));
    let mut lengths = 0;
    for (name, value) in head.fields() {
        assert!(!name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':'));
        assert!(value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F)));
        assert!(![value.first(), value.last()].iter().flatten().any(|byte| matches!(byte, b' ' | b'\t')));
        lengths += usize::from(name.eq_ignore_ascii_case(b"content-length"));
        lengths += usize::from(name.eq_ignore_ascii_case(b"transfer-encoding"));
    }
    assert!(lengths <= 1, "one framing at most");
    if let Some(host) = head.host() {
        assert!(!host.iter().any(|byte| b"/@\\ ?#".contains(byte)));
    }
});
