//! What the application has said about its response, as plain bytes, and what is wrong with it. Not here: who may say it
//! when; see `response`.

use super::report::kind;
use engine::connection::{BadResponse, BodyLength};
use engine::drive::Exchange;
use engine::http::fields;
use engine::http::response::{Meaning, check_field, parse_status};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

/// How far the application has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// No request: before the first one, or the application has kept `start_response` beyond its request.
    #[default]
    Over,
    /// `start_response()` has not been called.
    Called,
    /// A head is noted and may still be replaced.
    Started,
    /// The head has been given to the engine.
    Sent,
}

/// What the application has said about its response. One value is used again for many requests, for its buffers.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) phase: Phase,
    /// Content-Length, if the application gave one.
    pub(super) declared: Option<u64>,
    /// The client has left while `write()` sent.
    pub(super) gone: bool,
    /// The application wrote more than it declared.
    pub(super) excess: bool,
    /// What `start_response()` returns: the bound method `write`.
    pub(super) write: Option<Py<PyAny>>,
    /// Where the status ends in `text`.
    status: usize,
    /// End of each name and of each value in `text`, in order.
    ends: Vec<usize>,
    /// The status, then every name and value.
    text: Vec<u8>,
}

impl Noted {
    /// A request begins.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.phase = Phase::Called;
        self.gone = false;
        self.excess = false;
        self.clear_head();
    }

    /// The request is over. Large buffers are given back.
    #[inline]
    pub(super) fn end(&mut self) {
        self.phase = Phase::Over;
        if self.text.capacity() > 4096 {
            self.text = Vec::new();
            self.ends = Vec::new();
        }
    }

    fn clear_head(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.declared = None;
    }

    /// Give the noted head to the engine.
    pub(super) fn send_head(&mut self, exchange: &mut Exchange<'_>, length: BodyLength) -> Result<(), BadResponse> {
        let (status, _) = self.text.split_at(self.status);
        let mut head = exchange.respond(status)?;
        let mut start = self.status;
        for pair in self.ends.chunks_exact(2) {
            if let [name, value] = *pair {
                head.field(&self.text[start..name], &self.text[name..value])?;
                start = value;
            }
        }
        head.finish(length)?;
        self.phase = Phase::Sent;
        Ok(())
    }

    /// Note a head; what `start_response()` checks is checked here. After an error nothing is noted.
    pub(super) fn note<'py>(
        &mut self,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
    ) -> Result<(), Refusal<'py>> {
        self.clear_head();
        self.phase = Phase::Called;
        self.note_status(status)?;
        let headers = headers.cast::<PyList>().map_err(|_| Refusal::Headers(headers.clone()))?;
        for header in headers.iter() {
            self.note_header(&header)?;
        }
        self.phase = Phase::Started;
        Ok(())
    }

    #[inline]
    fn note_status<'py>(&mut self, status: &Bound<'py, PyAny>) -> Result<(), Refusal<'py>> {
        let text = status.cast::<PyString>().map_err(|_| Refusal::Status(status.clone()))?;
        push_latin1(&mut self.text, text).ok_or_else(|| Refusal::Latin1("the status", status.clone()))?;
        self.status = self.text.len();
        parse_status(&self.text).map(drop).map_err(Refusal::Bad)
    }

    #[inline]
    fn note_header<'py>(&mut self, header: &Bound<'py, PyAny>) -> Result<(), Refusal<'py>> {
        let pair = header.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2);
        let items = pair.and_then(|pair| Some((pair.get_borrowed_item(0).ok()?, pair.get_borrowed_item(1).ok()?)));
        let Some((name, value)) = items else {
            return Err(Refusal::Header(header.clone()));
        };
        let (Ok(name_text), Ok(value_text)) = (name.cast::<PyString>(), value.cast::<PyString>()) else {
            return Err(Refusal::Texts(name.to_owned(), value.to_owned()));
        };
        let start = self.text.len();
        push_latin1(&mut self.text, &name_text).ok_or_else(|| Refusal::Latin1("a header's name", name.to_owned()))?;
        let middle = self.text.len();
        push_latin1(&mut self.text, &value_text)
            .ok_or_else(|| Refusal::Latin1("a header's value", value.to_owned()))?;
        let end = self.text.len();
        self.ends.push(middle);
        self.ends.push(end);
        let value = fields::trim(&self.text[middle..end]);
        match check_field(&self.text[start..middle], value).map_err(Refusal::Bad)? {
            Meaning::Length(length) if self.declared.replace(length).is_some() => {
                Err(Refusal::Bad(BadResponse::SecondLength))
            }
            Meaning::Plain | Meaning::Date | Meaning::Server | Meaning::Length(_) => Ok(()),
        }
    }
}

/// Why a head is refused. Only a sentence made of it, later, runs code of the application: the names of its types, the
/// `repr` of its objects; that must not happen while the lock is held.
pub(super) enum Refusal<'py> {
    Status(Bound<'py, PyAny>),
    Headers(Bound<'py, PyAny>),
    Header(Bound<'py, PyAny>),
    Texts(Bound<'py, PyAny>, Bound<'py, PyAny>),
    Latin1(&'static str, Bound<'py, PyAny>),
    Bad(BadResponse),
}

impl From<Refusal<'_>> for PyErr {
    #[cold]
    fn from(refusal: Refusal<'_>) -> Self {
        match refusal {
            Refusal::Status(status) => PyTypeError::new_err(format!(
                "start_response(): the status must be a str such as \"200 OK\", not {}",
                kind(&status)
            )),
            Refusal::Headers(headers) => PyTypeError::new_err(format!(
                "start_response(): the headers must be a list of (name, value) tuples, not {}",
                kind(&headers)
            )),
            Refusal::Header(header) => PyTypeError::new_err(format!(
                "start_response(): each header must be a (name, value) tuple of two str, not {}",
                kind(&header)
            )),
            Refusal::Texts(name, value) => PyTypeError::new_err(format!(
                "start_response(): a header's name and value must be str, not {} and {}",
                kind(&name),
                kind(&value)
            )),
            Refusal::Latin1(what, text) => {
                let shown = text.repr().map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned());
                PyValueError::new_err(format!(
                    "start_response(): {what} holds a character that Latin-1 cannot express, encode it first: {shown}"
                ))
            }
            Refusal::Bad(bad) => PyValueError::new_err(format!("start_response(): {bad}")),
        }
    }
}

/// Append `text` as Latin-1; None if it holds other characters.
#[inline]
fn push_latin1(into: &mut Vec<u8>, text: &Bound<'_, PyString>) -> Option<()> {
    let utf8 = text.to_str().ok()?;
    if utf8.is_ascii() {
        into.extend_from_slice(utf8.as_bytes());
        return Some(());
    }
    for character in utf8.chars() {
        into.push(u8::try_from(u32::from(character)).ok()?);
    }
    Some(())
}
