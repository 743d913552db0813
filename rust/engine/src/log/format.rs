//! Access log formats: Apache's `%` directives and gunicorn's `%(atom)s`, compiled once, written per request.

use std::fmt;
use std::io::Write;

use super::Record;
use super::clock::Utc;
use crate::net::Endpoint;

/// Apache's `common` and `combined`.
const COMMON: &str = "%h %l %u %t \"%r\" %>s %b";
const COMBINED: &str = "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"";

/// A directive that no format knows, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDirective(pub String);

impl fmt::Display for UnknownDirective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not known in an access log format; known are %h %a %l %u %t %r %m %U %q %H %s %>s %b %B %D %T %Q %p %P \
             %{{Name}}i %% and gunicorn's %(h)s forms of them",
            self.0
        )
    }
}

impl std::error::Error for UnknownDirective {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(Vec<u8>),
    PeerAddress,
    Nothing,
    Time,
    RequestLine,
    Method,
    Path,
    Query,
    Protocol,
    Status,
    BytesOrDash,
    Bytes,
    Microseconds,
    QueueMicroseconds,
    Milliseconds,
    Seconds,
    DecimalSeconds,
    LocalPort,
    ProcessId,
    ProcessIdInBrackets,
    Field(Vec<u8>),
}

/// A compiled format.
#[derive(Debug, Clone)]
pub struct Format {
    items: Vec<Item>,
}

impl Format {
    /// Compiles `text`, or one of the names `common` and `combined`.
    ///
    /// # Errors
    /// Names the first directive that is not known.
    pub fn compile(text: &str) -> Result<Self, UnknownDirective> {
        let mut rest = match text {
            "common" => COMMON,
            "combined" => COMBINED,
            other => other,
        };
        let mut items = Vec::new();
        while let Some(at) = rest.find('%') {
            if at > 0 {
                items.push(Item::Text(rest.as_bytes()[..at].to_vec()));
            }
            let (item, length) = directive(&rest[at..])?;
            items.push(item);
            rest = &rest[at + length..];
        }
        if !rest.is_empty() {
            items.push(Item::Text(rest.as_bytes().to_vec()));
        }
        Ok(Self { items })
    }

    /// Appends the line for `record`, with its line end.
    pub fn write(&self, record: &Record<'_>, line: &mut Vec<u8>) {
        for item in &self.items {
            write_item(item, record, line);
        }
        line.push(b'\n');
    }
}

/// The item at the beginning of `text`, which begins with `%`, and its length.
fn directive(text: &str) -> Result<(Item, usize), UnknownDirective> {
    let unknown = |length: usize| UnknownDirective(text.chars().take(length.max(2)).collect());
    let after = &text[1..];
    if let Some(atom) = after.strip_prefix('(') {
        let Some(end) = atom.find(")s") else {
            return Err(unknown(12));
        };
        let item = atom_item(&atom[..end]).ok_or_else(|| unknown(end + 4))?;
        return Ok((item, end + 4));
    }
    if let Some(named) = after.strip_prefix('{') {
        let Some(end) = named.find('}') else {
            return Err(unknown(12));
        };
        let item = match (&named[..end], named[end + 1..].chars().next()) {
            (name, Some('i')) => Item::Field(name.as_bytes().to_vec()),
            ("us", Some('T')) => Item::Microseconds,
            ("ms", Some('T')) => Item::Milliseconds,
            ("s", Some('T')) => Item::Seconds,
            _ => return Err(unknown(end + 4)),
        };
        return Ok((item, end + 4));
    }
    let (letters, length) = after.strip_prefix('>').map_or((after, 2), |letters| (letters, 3));
    let item = match letters.chars().next() {
        Some('h' | 'a') => Item::PeerAddress,
        Some('l' | 'u') => Item::Nothing,
        Some('t') => Item::Time,
        Some('r') => Item::RequestLine,
        Some('m') => Item::Method,
        Some('U') => Item::Path,
        Some('q') => Item::Query,
        Some('H') => Item::Protocol,
        Some('s') => Item::Status,
        Some('b') => Item::BytesOrDash,
        Some('B') => Item::Bytes,
        Some('D') => Item::Microseconds,
        Some('T') => Item::Seconds,
        Some('Q') => Item::QueueMicroseconds,
        Some('p') => Item::LocalPort,
        Some('P') => Item::ProcessId,
        Some('%') => Item::Text(b"%".to_vec()),
        _ => return Err(unknown(length)),
    };
    Ok((item, length))
}

/// gunicorn's atoms; its `a` is the user agent, unlike Apache's.
fn atom_item(atom: &str) -> Option<Item> {
    Some(match atom {
        "h" => Item::PeerAddress,
        "l" | "u" => Item::Nothing,
        "t" => Item::Time,
        "r" => Item::RequestLine,
        "m" => Item::Method,
        "U" => Item::Path,
        "q" => Item::Query,
        "H" => Item::Protocol,
        "s" => Item::Status,
        "b" => Item::BytesOrDash,
        "B" => Item::Bytes,
        "f" => Item::Field(b"referer".to_vec()),
        "a" => Item::Field(b"user-agent".to_vec()),
        "T" => Item::Seconds,
        "M" => Item::Milliseconds,
        "D" => Item::Microseconds,
        "Q" => Item::QueueMicroseconds,
        "L" => Item::DecimalSeconds,
        "p" => Item::ProcessIdInBrackets,
        other => Item::Field(other.strip_prefix('{')?.strip_suffix("}i")?.as_bytes().to_vec()),
    })
}

fn write_item(item: &Item, record: &Record<'_>, line: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    // Writing to memory cannot fail, hence the ignored results of `write!`.
    match item {
        Item::Text(text) => line.extend_from_slice(text),
        Item::PeerAddress => match record.endpoints.peer {
            Endpoint::Tcp(address) => {
                let _ = write!(line, "{}", address.ip());
            }
            Endpoint::Unix => line.push(b'-'),
        },
        Item::Nothing => line.push(b'-'),
        Item::Time => Utc::now().write_common(line),
        Item::RequestLine => {
            escape(record.method, line);
            line.push(b' ');
            escape(record.target, line);
            line.push(b' ');
            line.extend_from_slice(record.protocol);
        }
        Item::Method => escape(record.method, line),
        Item::Path => escape(split_target(record.target).0, line),
        Item::Query => escape(split_target(record.target).1, line),
        Item::Protocol => line.extend_from_slice(record.protocol),
        Item::Status => line.extend_from_slice(number.format(record.status).as_bytes()),
        Item::BytesOrDash if record.bytes == 0 => line.push(b'-'),
        Item::BytesOrDash | Item::Bytes => line.extend_from_slice(number.format(record.bytes).as_bytes()),
        Item::Microseconds => line.extend_from_slice(number.format(record.took.as_micros()).as_bytes()),
        Item::QueueMicroseconds => line.extend_from_slice(number.format(record.waited.as_micros()).as_bytes()),
        Item::Milliseconds => line.extend_from_slice(number.format(record.took.as_millis()).as_bytes()),
        Item::Seconds => line.extend_from_slice(number.format(record.took.as_secs()).as_bytes()),
        Item::DecimalSeconds => {
            let _ = write!(line, "{}.{:06}", record.took.as_secs(), record.took.subsec_micros());
        }
        Item::LocalPort => match record.endpoints.local {
            Endpoint::Tcp(address) => line.extend_from_slice(number.format(address.port()).as_bytes()),
            Endpoint::Unix => line.push(b'-'),
        },
        Item::ProcessId => line.extend_from_slice(number.format(std::process::id()).as_bytes()),
        Item::ProcessIdInBrackets => {
            let _ = write!(line, "<{}>", std::process::id());
        }
        Item::Field(name) => match (record.field)(name) {
            Some(value) => escape(value, line),
            None => line.push(b'-'),
        },
    }
}

/// Path and query; the query with its `?`, as Apache writes it.
fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', target) {
        Some(at) => target.split_at(at),
        None => (target, b""),
    }
}

/// A client's bytes, such that no client can forge a line or close a quotation: as Apache escapes them.
fn escape(bytes: &[u8], line: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => line.push(byte),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Format, Record};
    use crate::net::{Endpoint, Endpoints};

    fn line(format: &str) -> String {
        let record = Record {
            endpoints: Endpoints {
                local: Endpoint::Tcp("127.0.0.1:8000".parse().unwrap()),
                peer: Endpoint::Tcp("[::1]:5000".parse().unwrap()),
            },
            method: b"GET",
            target: b"/a\"b?x=1\n",
            protocol: b"HTTP/1.1",
            status: 200,
            bytes: 13,
            waited: Duration::from_micros(234),
            took: Duration::from_micros(1_234_567),
            field: &|name| name.eq_ignore_ascii_case(b"referer").then_some(b"http://x/\x80".as_slice()),
        };
        let mut line = Vec::new();
        Format::compile(format).unwrap().write(&record, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn both_dialects() {
        assert_eq!(line("%h %l %u \"%r\" %>s %b"), "::1 - - \"GET /a\\\"b?x=1\\x0a HTTP/1.1\" 200 13\n");
        assert_eq!(
            line("%m %U %q %H %s %B %D %T %{ms}T %Q %p %%"),
            "GET /a\\\"b ?x=1\\x0a HTTP/1.1 200 13 1234567 1 1234 234 8000 %\n"
        );
        assert_eq!(line("%(h)s %(s)s %(Q)s %(L)s %(f)s %({Accept}i)s"), "::1 200 234 1.234567 http://x/\\x80 -\n");
        assert!(line("combined").ends_with("\"http://x/\\x80\" \"-\"\n"));
    }

    #[test]
    fn unknown_directives_are_named() {
        for (format, named) in [("%h %Z", "%Z"), ("%(nope)s", "%(nope)s"), ("%{X}o", "%{X}o"), ("%", "%")] {
            assert_eq!(Format::compile(format).unwrap_err().0, named);
        }
    }
}
