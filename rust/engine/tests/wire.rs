//! Runs the wire cases (tests/wire/cases, described in tests/wire/README.md) against the connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod harness;

use engine::limits::Limits;
use harness::{Request, Session, decode, drive};
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The cases of one kind: name, bytes, expectations.
fn cases(kind: &str) -> Vec<(String, Vec<u8>, Table)> {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "tests", "wire", "cases", kind].iter().collect();
    let mut cases: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap(), table(&path)))
        .collect();
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    cases
}

fn table(path: &Path) -> Table {
    let path = path.with_extension("toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Characters to the bytes of their numbers.
fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().unwrap().chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}

fn flag(table: &Table, name: &str) -> bool {
    table.get(name).is_some_and(|value| value.as_bool().unwrap())
}

/// The session as a whole, byte by byte, and in pieces of seven; all must be the same.
fn sessions(name: &str, input: &[u8], half_close: bool) -> Session {
    let whole = drive(Limits::default(), [input], half_close);
    for size in [1, 7] {
        let mut cut = drive(Limits::default(), input.chunks(size), half_close);
        // Whether the next request has begun to arrive depends on the cutting; nothing else does.
        cut.next = if cut.closes() == whole.closes() { whole.next } else { cut.next };
        assert_eq!(settled(cut), settled(whole.clone()), "{name}, in pieces of {size}");
    }
    whole
}

/// Neither the second nor whether the body was on its way when the head was complete is a matter of the case.
fn settled(mut session: Session) -> Session {
    let text = String::from_utf8_lossy(&session.sent).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    session.sent = text.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n").into_bytes();
    session
}

#[test]
fn rejects() {
    let cases = cases("reject");
    assert!(cases.len() >= 60, "the cases are there");
    for (name, input, expected) in cases {
        let session = sessions(&name, &input, flag(&expected, "half_close"));
        assert_eq!(session.requests, [], "{name}: nothing reaches the application");
        assert_eq!(session.closes(), flag(&expected, "closes"), "{name}");
        let status = expected["status"].as_integer().unwrap();
        if status == 0 {
            assert_eq!((session.reject, session.sent.as_slice()), (None, &b""[..]), "{name}");
            continue;
        }
        let reject = session.reject.unwrap_or_else(|| panic!("{name}: is refused"));
        assert_eq!(i64::from(reject.status), status, "{name}: {}", reject.reason);
        // A client that sent HEAD is not in these cases, so every answer has its body.
        let (answer, rest) = decode(&session.sent, false);
        assert_eq!((i64::from(answer.status), rest), (status, &b""[..]), "{name}");
        assert_eq!(answer.field("Connection"), Some("close"), "{name}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(expected["reason"].as_str().unwrap()), "{name}: {text}");
    }
}

#[test]
fn accepts() {
    let cases = cases("accept");
    assert!(cases.len() >= 30, "the cases are there");
    for (name, input, expected) in cases {
        let session = sessions(&name, &input, flag(&expected, "half_close"));
        assert_eq!(session.reject, None, "{name}");
        let wanted: Vec<Request> = expected["request"].as_array().unwrap().iter().map(request).collect();
        for (seen, wanted) in session.requests.iter().zip(&wanted) {
            let length = seen.length;
            assert_eq!(Request { length: None, ..seen.clone() }, *wanted, "{name}");
            let announced = seen.fields.iter().any(|(field, _)| {
                field.eq_ignore_ascii_case(b"content-length") || field.eq_ignore_ascii_case(b"transfer-encoding")
            });
            assert_eq!(length, announced.then_some(seen.body.len() as u64), "{name}");
        }
        assert_eq!(session.requests.len(), wanted.len(), "{name}");
        assert_eq!(session.closes(), flag(&expected, "closes"), "{name}");
        let mut rest = session.sent.as_slice();
        for request in &session.requests {
            let (answer, more) = decode(rest, request.method == b"HEAD");
            assert_eq!(answer.status, 200, "{name}");
            rest = more;
        }
        assert_eq!(rest, b"", "{name}: one answer to each request and nothing else");
    }
}

fn request(value: &Value) -> Request {
    let table = value.as_table().unwrap();
    let pair = |field: &Value| (bytes(&field[0]), bytes(&field[1]));
    Request {
        method: bytes(&table["method"]),
        path: bytes(&table["path"]),
        query: bytes(&table["query"]),
        version: match table["version"].as_str().unwrap() {
            "HTTP/1.0" => "HTTP/1.0",
            _ => "HTTP/1.1",
        },
        host: table.get("host").map(bytes),
        fields: table["fields"].as_array().unwrap().iter().map(pair).collect(),
        body: bytes(&table["body"]),
        length: None,
    }
}
