//! Request heads (RFC 9112 sections 2 to 5), parsed. Not here: finding where a head ends (`scan`), what its fields say
//! about the body (`framing`), what is received after it (`connection`).

use crate::http::framing::{Announced, Framing};
use crate::http::scan::Scan;
use crate::http::target::{self, Form};
use crate::http::{Reject, Version, fields};
use std::ops::Range;

/// A range of the receive buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(range: &Range<usize>) -> Self {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(range.start), end: narrow(range.end) }
    }

    fn of(self, bytes: &[u8]) -> &[u8] {
        let wide = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        bytes.get(wide(self.start)..wide(self.end)).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
struct FieldSpan {
    name: Span,
    value: Span,
}

/// One request head. Valid from `Step::Request` (or while the body comes) until `next_exchange`. After a refusal it holds
/// what had been understood, which may be nothing: then method, target and path are empty.
///
/// It holds the buffer into which its connection receives, because it is made of ranges of that buffer: nothing is
/// copied or allocated for a request whose head fits what is there already.
#[derive(Debug)]
pub struct Head {
    pub(crate) buffer: Vec<u8>,
    fields: Vec<FieldSpan>,
    method: Span,
    target: Span,
    path: Span,
    query: Span,
    host: Span,
    pub(crate) content_length: Option<u64>,
    version: Version,
    form: Plain,
}

/// How the path is to be read when its span is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    AsSent,
    Root,
    Asterisk,
}

/// What a head says about its connection and body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) framing: Framing,
    /// The client wants the connection to be kept.
    pub(crate) keep_alive: bool,
    /// The client waits for an interim response before it sends the body.
    pub(crate) expects_continue: bool,
}

/// What is gathered while going through the fields.
#[derive(Default)]
struct Gathered {
    host: Option<Span>,
    host_index: usize,
    announced: Announced,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            fields: Vec::new(),
            method: Span::default(),
            target: Span::default(),
            path: Span::default(),
            query: Span::default(),
            host: Span::default(),
            content_length: None,
            version: Version::Http11,
            form: Plain::AsSent,
        }
    }

    /// The method, as sent: methods are case-sensitive.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.buffer)
    }

    /// The request target, as sent.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.target.of(&self.buffer)
    }

    /// The path, percent-encoded as sent; see [`target::decode_path`]. `*` for the asterisk form.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        match self.form {
            Plain::AsSent => self.path.of(&self.buffer),
            Plain::Root => b"/",
            Plain::Asterisk => b"*",
        }
    }

    /// What follows the first `?` of the target, as sent; empty when there is none.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        self.query.of(&self.buffer)
    }

    /// The version the request declares.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The fields in the order sent: name as sent, value without surrounding blanks. Where the target has an authority,
    /// the value of Host is that authority (RFC 9112 section 3.2.2).
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields { buffer: &self.buffer, spans: self.fields.iter() }
    }

    /// The host (with port) that is asked: from the target if it has one, else from Host. None only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        let host = self.host.of(&self.buffer);
        if host.is_empty() { None } else { Some(host) }
    }

    /// Bytes of the body: as announced, or as counted once a chunked body is complete. None when no length was
    /// announced (yet).
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether the method is HEAD, so that the answer has no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// Forget the request, keep the buffer's contents. The spans of the old head mean nothing any more.
    pub(crate) fn forget(&mut self) {
        self.fields.clear();
        for span in [&mut self.method, &mut self.target, &mut self.path, &mut self.query, &mut self.host] {
            *span = Span::default();
        }
        self.form = Plain::AsSent;
        self.content_length = None;
    }

    /// Give memory back that an idle connection should not hold.
    pub(crate) fn shrink(&mut self, bytes: usize, fields: usize) {
        if self.buffer.is_empty() && self.buffer.capacity() > bytes {
            self.buffer = Vec::new();
        }
        if self.fields.is_empty() && self.fields.capacity() > fields {
            self.fields = Vec::new();
        }
    }

    /// Parse the head that lies in the buffer at `start`, whose end `scan` has found at `start + length`.
    pub(crate) fn parse(&mut self, start: usize, length: usize, scan: &Scan) -> Result<Facts, Reject> {
        self.forget();
        let line_end = start + scan.request_line;
        let announced_to = self.parse_request_line(start + scan.begin, line_end)?;
        let gathered = self.parse_fields(line_end + 2, start + length, scan.fields)?;
        self.settle_host(announced_to, &gathered)?;
        let framing = gathered.announced.decide(self.version)?;
        self.content_length = gathered.announced.length();
        let keep_alive = match self.version {
            Version::Http11 => !gathered.close,
            Version::Http10 => gathered.keep_alive && !gathered.close,
        };
        Ok(Facts { framing, keep_alive, expects_continue: gathered.expects_continue })
    }

    /// Gives the authority of a target in absolute form.
    fn parse_request_line(&mut self, start: usize, end: usize) -> Result<Option<Span>, Reject> {
        const MALFORMED: Reject = Reject::bad_request("the request line is malformed");
        let line = self.buffer.get(start..end).unwrap_or_default();
        let first = memchr::memchr(b' ', line).ok_or(MALFORMED)?;
        let last = memchr::memrchr(b' ', line).ok_or(MALFORMED)?;
        let (method, version) = (line.get(..first).unwrap_or_default(), line.get(last + 1..).unwrap_or_default());
        if !fields::is_token(method) {
            return Err(Reject::bad_request("the method is malformed"));
        }
        self.version = parse_version(version)?;
        let target = line.get(first + 1..last).ok_or(MALFORMED)?;
        let parts = target::parse(method, target)?;
        let base = start + first + 1;
        let shift = |range: &Range<usize>| Span::new(&(base + range.start..base + range.end));
        self.form = match parts.form {
            Form::Absolute(_) if parts.path.is_empty() && method == b"OPTIONS" && parts.query.is_empty() => {
                Plain::Asterisk
            }
            Form::Absolute(_) if parts.path.is_empty() => Plain::Root,
            Form::Origin | Form::Absolute(_) | Form::Asterisk => Plain::AsSent,
        };
        self.method = Span::new(&(start..start + first));
        self.target = Span::new(&(base..start + last));
        self.path = shift(&parts.path);
        self.query = shift(&parts.query);
        Ok(match parts.form {
            Form::Absolute(authority) => Some(shift(&authority)),
            Form::Origin | Form::Asterisk => None,
        })
    }

    fn parse_fields(&mut self, start: usize, end: usize, count: usize) -> Result<Gathered, Reject> {
        const FEW: usize = 16;
        let empty = httparse::EMPTY_HEADER;
        let mut gathered = Gathered::default();
        let section = self.buffer.get(start..end).unwrap_or_default();
        let base = Base { address: section.as_ptr().addr(), offset: start };
        self.fields.reserve(count);
        if count <= FEW {
            collect(section, &mut [empty; FEW], base, self.version, &mut self.fields, &mut gathered)?;
        } else {
            collect(section, &mut vec![empty; count], base, self.version, &mut self.fields, &mut gathered)?;
        }
        Ok(gathered)
    }

    /// Exactly one valid Host in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 section 3.2).
    fn settle_host(&mut self, authority: Option<Span>, gathered: &Gathered) -> Result<(), Reject> {
        if let Some(host) = gathered.host {
            if !target::is_authority(host.of(&self.buffer)) {
                return Err(Reject::bad_request("Host is malformed"));
            }
            if let (Some(authority), Some(field)) = (authority, self.fields.get_mut(gathered.host_index)) {
                field.value = authority;
            }
        } else if self.version == Version::Http11 {
            return Err(Reject::bad_request("Host is missing"));
        }
        self.host = authority.or(gathered.host).unwrap_or_default();
        Ok(())
    }
}

fn parse_version(text: &[u8]) -> Result<Version, Reject> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            if *major == b'1' {
                Ok(Version::Http11)
            } else {
                Err(Reject::new(505, "a version other than HTTP/1"))
            }
        }
        _ => Err(Reject::bad_request("the version of the request line is malformed")),
    }
}

/// Where a slice of the buffer lies: turns addresses of its parts into offsets of the buffer.
#[derive(Clone, Copy)]
struct Base {
    address: usize,
    offset: usize,
}

impl Base {
    fn span(self, part: &[u8]) -> Span {
        let start = self.offset + part.as_ptr().addr().wrapping_sub(self.address);
        Span::new(&(start..start + part.len()))
    }
}

/// Parse the field section with httparse (its defaults are its strictest settings), then judge the fields that concern
/// a server.
fn collect<'a>(
    section: &'a [u8],
    headers: &mut [httparse::Header<'a>],
    base: Base,
    version: Version,
    spans: &mut Vec<FieldSpan>,
    gathered: &mut Gathered,
) -> Result<(), Reject> {
    let Ok(httparse::Status::Complete((used, headers))) = httparse::parse_headers(section, headers) else {
        return Err(what_is_wrong(section));
    };
    if used != section.len() {
        return Err(what_is_wrong(section));
    }
    for header in headers {
        let (name, value) = (header.name.as_bytes(), header.value);
        gathered.field(name, value, version, base, spans.len())?;
        spans.push(FieldSpan { name: base.span(name), value: base.span(value) });
    }
    Ok(())
}

impl Gathered {
    fn field(&mut self, name: &[u8], value: &[u8], version: Version, base: Base, index: usize) -> Result<(), Reject> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.is_some() {
                    return Err(Reject::bad_request("more than one Host"));
                }
                self.host = Some(base.span(value));
                self.host_index = index;
            }
            6 if name.eq_ignore_ascii_case(b"expect") && version == Version::Http11 => {
                if !fields::members(value).all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
                    return Err(Reject::new(417, "an expectation other than 100-continue"));
                }
                self.expects_continue = fields::members(value).next().is_some();
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for member in fields::members(value) {
                    self.close |= member.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.announced.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.announced.transfer_encoding(value)?,
            _ => {}
        }
        Ok(())
    }
}

/// Which rule a refused field section breaks; only asked after it was refused.
#[cold]
fn what_is_wrong(section: &[u8]) -> Reject {
    for line in section.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Reject::bad_request("a field line is folded or begins with a blank");
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            if line.is_empty() {
                continue;
            }
            return Reject::bad_request("a field line has no colon");
        };
        let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        if matches!(name.last(), Some(b' ' | b'\t')) {
            return Reject::bad_request("a blank between a field name and its colon");
        }
        if !fields::is_token(name) {
            return Reject::bad_request("a field name is malformed");
        }
        if !fields::is_value(value) {
            return Reject::bad_request("a field value holds a control character");
        }
    }
    Reject::bad_request("a field is malformed")
}

/// The fields of a head: pairs of name and value.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    buffer: &'a [u8],
    spans: std::slice::Iter<'a, FieldSpan>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.spans.next().map(|field| (field.name.of(self.buffer), field.value.of(self.buffer)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}
