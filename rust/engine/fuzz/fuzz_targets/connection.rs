//! A whole conversation with small limits: the same requests and the same outcome, however it is cut. The first byte
//! chooses the cutting and whether the client half-closes.
#![no_main]

#[path = "../../tests/harness/mod.rs"]
mod harness;

use engine::limits::Limits;
use harness::{Request, Session, drive};
use libfuzzer_sys::fuzz_target;

fn limits() -> Limits {
    Limits { request_line: 60, fields: 8, field_size: 60, head: 300, body: 40, requests_per_connection: 5 }
}

fn essence(session: Session) -> (Vec<Request>, Option<u16>, bool, bool) {
    let closes = session.closes();
    (session.requests, session.reject.map(|reject| reject.status), session.ended, closes)
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, input)) = input.split_first() else { return };
    let half_close = first & 1 == 1;
    let whole = essence(drive(limits(), [input], half_close));
    let cut = essence(drive(limits(), input.chunks(usize::from(first).max(1)), half_close));
    assert_eq!(whole, cut);
    for request in &whole.0 {
        assert!(request.body.len() <= 40);
        assert_eq!(request.length.unwrap_or(0), request.body.len() as u64);
    }
});
