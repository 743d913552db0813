//! From the name of a request's field to its environ variable, and the strings that come again and again. Not here:
//! which fields there are and how duplicates are joined; see `environ`.

use super::fast::latin1;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// What a field is to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Not shown: framing is the server's, and names that could be mistaken for another are dropped.
    Hidden,
    /// `CONTENT_TYPE`.
    ContentType,
    /// `HTTP_…`.
    Variable,
}

impl Meaning {
    /// What the field `name` is to an application.
    ///
    /// A name with an underscore is hidden: as a variable it could not be told from the name with a hyphen, which a
    /// proxy in front may have vouched for (nginx drops such fields, and Apache since 2.4). `Proxy` is hidden because
    /// `HTTP_PROXY` has a meaning of its own to many libraries ("httpoxy", CVE-2016-5385). `Content-Length` is told from
    /// what was counted; `Transfer-Encoding` is no longer true of a body that has been gathered.
    pub(super) fn of(name: &[u8]) -> Self {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            5 if is(b"proxy") => Self::Hidden,
            12 if is(b"content-type") => Self::ContentType,
            14 if is(b"content-length") => Self::Hidden,
            17 if is(b"transfer-encoding") => Self::Hidden,
            _ if memchr::memchr(b'_', name).is_some() => Self::Hidden,
            _ => Self::Variable,
        }
    }
}

/// The variable `HTTP_…` of a field name.
pub(super) fn variable(name: &[u8]) -> Vec<u8> {
    let mut variable = Vec::with_capacity(5 + name.len());
    variable.extend_from_slice(b"HTTP_");
    variable.extend(name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }));
    variable
}

/// What separates the values of a field that came more than once (RFC 9110 section 5.3, RFC 6265 section 5.4).
pub(super) fn separator(name: &[u8]) -> &'static [u8] {
    if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b"," }
}

const SLOTS: usize = 256;
const LONGEST_NAME: usize = 48;
const LONGEST_VALUE: usize = 256;

/// Remembers variables by the spelling of the field's name, and the last value of each.
///
/// A table in which a spelling has exactly one place: it takes what it finds there or puts itself there. So its memory
/// is bounded whatever clients send, and a hostile choice of names costs each request what it would cost without.
pub(super) struct Names {
    slots: Vec<Option<Slot>>,
}

struct Slot {
    name: Box<[u8]>,
    meaning: Meaning,
    variable: Py<PyString>,
    /// Whether the last value is remembered: its bytes, and the text made of them.
    repeated: bool,
    value: Vec<u8>,
    text: Option<Py<PyString>>,
}

/// A field as Python sees it.
pub(super) struct Named<'a, 'py> {
    pub(super) meaning: Meaning,
    pub(super) variable: &'a Bound<'py, PyString>,
    pub(super) value: Bound<'py, PyString>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| None).collect() }
    }

    /// Hand the field to `use_it`.
    #[inline]
    pub(super) fn field<'py>(
        &mut self,
        py: Python<'py>,
        name: &[u8],
        value: &[u8],
        use_it: impl FnOnce(Named<'_, 'py>) -> PyResult<()>,
    ) -> PyResult<()> {
        if name.len() > LONGEST_NAME {
            let slot = Slot::new(py, name)?;
            let value = latin1(py, value)?;
            return use_it(Named { meaning: slot.meaning, variable: slot.variable.bind(py), value });
        }
        let place = &mut self.slots[place(name)];
        let slot = match place {
            Some(slot) if *slot.name == *name => slot,
            _ => place.insert(Slot::new(py, name)?),
        };
        let value = slot.value(py, value)?;
        use_it(Named { meaning: slot.meaning, variable: slot.variable.bind(py), value })
    }
}

impl Slot {
    #[cold]
    fn new(py: Python<'_>, name: &[u8]) -> PyResult<Self> {
        let variable = variable(name);
        let common = COMMON.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        let variable = match (common, std::str::from_utf8(&variable)) {
            // Interned, a key is found by comparing pointers. Interned strings may live for ever, so only these are.
            (Some(_), Ok(text)) => PyString::intern(py, text),
            _ => latin1(py, &variable)?,
        };
        Ok(Self {
            name: name.into(),
            meaning: Meaning::of(name),
            variable: variable.unbind(),
            repeated: common.is_some_and(|(_, repeated)| *repeated),
            value: Vec::new(),
            text: None,
        })
    }

    #[inline]
    fn value<'py>(&mut self, py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if let Some(text) = &self.text {
            if self.value == value {
                return Ok(text.bind(py).clone());
            }
        }
        let text = latin1(py, value)?;
        if self.repeated && value.len() <= LONGEST_VALUE {
            self.value.clear();
            self.value.extend_from_slice(value);
            self.text = Some(text.clone().unbind());
        }
        Ok(text)
    }
}

/// The place of a name: any function will do, as there are no chains that a clever client could make long.
#[inline]
fn place(name: &[u8]) -> usize {
    let mut hash = name.len() as u64;
    for part in name.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    #[allow(clippy::cast_possible_truncation)] // the upper byte, which is below SLOTS
    let place = (hash >> 56) as usize;
    place
}

/// Names that frameworks look up as constants, and whether the last value is worth remembering: not what is secret, and
/// not what differs every time.
const COMMON: [(&[u8], bool); 44] = [
    (b"accept", true),
    (b"accept-charset", true),
    (b"accept-encoding", true),
    (b"accept-language", true),
    (b"access-control-request-headers", true),
    (b"access-control-request-method", true),
    (b"authorization", false),
    (b"cache-control", true),
    (b"connection", true),
    (b"cookie", false),
    (b"date", false),
    (b"dnt", true),
    (b"expect", true),
    (b"forwarded", false),
    (b"from", false),
    (b"host", true),
    (b"if-match", false),
    (b"if-modified-since", false),
    (b"if-none-match", false),
    (b"if-range", false),
    (b"if-unmodified-since", false),
    (b"keep-alive", true),
    (b"max-forwards", true),
    (b"origin", true),
    (b"pragma", true),
    (b"priority", true),
    (b"range", false),
    (b"referer", false),
    (b"sec-fetch-dest", true),
    (b"sec-fetch-mode", true),
    (b"sec-fetch-site", true),
    (b"sec-fetch-user", true),
    (b"te", true),
    (b"upgrade-insecure-requests", true),
    (b"user-agent", true),
    (b"via", true),
    (b"x-csrftoken", false),
    (b"x-forwarded-for", false),
    (b"x-forwarded-host", true),
    (b"x-forwarded-port", true),
    (b"x-forwarded-proto", true),
    (b"x-real-ip", false),
    (b"x-request-id", false),
    (b"x-requested-with", true),
];
