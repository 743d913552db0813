//! The application's hold on its response: `start_response()` and `write()` (PEP 3333), and what they have noted so far.
//! Not here: what an application returns; see `answer`.
//!
//! A head is only noted by `start_response()`: it may be replaced (`exc_info`) until the first byte of a body exists, and
//! only then is it known whether the body's length is.

use super::fast::{is_unique, references};
use super::loan::Loan;
use engine::connection::{BadResponse, BodyLength};
use engine::drive::Exchange;
use engine::http::fields;
use engine::http::response::{Meaning, check_field, parse_status};
use pyo3::exceptions::{PyBaseException, PyBrokenPipeError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt as _;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes handed to the engine at once before it may have to wait for the client; a longer block is cut, so that what is
/// held for a slow client stays bounded.
pub(super) const PIECE: usize = 256 * 1024;

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
    write: Option<Py<PyAny>>,
    /// Where the status ends in `text`.
    status: usize,
    /// End of each name and of each value in `text`, in order.
    ends: Vec<usize>,
    /// The status, then every name and value.
    text: Vec<u8>,
}

impl Noted {
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

    /// Note a head; what `start_response()` checks is checked here.
    fn note(&mut self, status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        self.clear_head();
        let status = status.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!(
                "start_response(): the status must be a str such as \"200 OK\", not {}",
                kind(status)
            ))
        })?;
        push_latin1(&mut self.text, status, "the status")?;
        self.status = self.text.len();
        parse_status(&self.text).map_err(|bad| refused(&bad))?;
        let headers = headers.cast::<PyList>().map_err(|_| {
            PyTypeError::new_err(format!(
                "start_response(): the headers must be a list of (name, value) tuples, not {}",
                kind(headers)
            ))
        })?;
        for header in headers.iter() {
            self.note_header(&header)?;
        }
        Ok(())
    }

    #[inline]
    fn note_header(&mut self, header: &Bound<'_, PyAny>) -> PyResult<()> {
        let pair = header.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2).ok_or_else(|| {
            PyTypeError::new_err(format!(
                "start_response(): each header must be a (name, value) tuple of two str, not {}",
                kind(header)
            ))
        })?;
        let name = pair.get_borrowed_item(0)?;
        let value = pair.get_borrowed_item(1)?;
        let (Ok(name), Ok(value)) = (name.cast::<PyString>(), value.cast::<PyString>()) else {
            return Err(PyTypeError::new_err(format!(
                "start_response(): a header's name and value must be str, not {} and {}",
                kind(&name),
                kind(&value)
            )));
        };
        let start = self.text.len();
        push_latin1(&mut self.text, &name, "a header's name")?;
        let middle = self.text.len();
        push_latin1(&mut self.text, &value, "a header's value")?;
        let end = self.text.len();
        self.ends.push(middle);
        self.ends.push(end);
        let value = fields::trim(&self.text[middle..end]);
        if let Meaning::Length(length) = check_field(&self.text[start..middle], value).map_err(|bad| refused(&bad))? {
            if self.declared.replace(length).is_some() {
                return Err(refused(&BadResponse::SecondLength));
            }
        }
        Ok(())
    }
}

/// `start_response` and `write` are bound methods of one such object.
#[pyclass(frozen, module = "tricorn._engine")]
pub(super) struct Response {
    noted: Mutex<Noted>,
    pub(super) loan: Loan,
}

impl Response {
    /// A response object with its two bound methods, of which it keeps `write` and gives `start_response`.
    pub(super) fn create(py: Python<'_>) -> PyResult<(Py<Self>, Py<PyAny>)> {
        let response = Bound::new(py, Self { noted: Mutex::default(), loan: Loan::default() })?;
        let start_response = response.getattr(intern!(py, "start_response"))?.unbind();
        response.get().noted(py).write = Some(response.getattr(intern!(py, "write"))?.unbind());
        Ok((response.unbind(), start_response))
    }

    /// What has been noted. Held for moments only, never while Python code runs.
    #[inline]
    pub(super) fn noted(&self, py: Python<'_>) -> MutexGuard<'_, Noted> {
        self.noted.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    /// Break the cycle response, `write`, response, so that the object goes as soon as the application lets go of it.
    pub(super) fn retire(&self, py: Python<'_>) {
        let write = self.noted(py).write.take();
        drop(write);
    }

    /// A request begins.
    #[inline]
    pub(super) fn begin(&self, py: Python<'_>) {
        let mut noted = self.noted(py);
        noted.phase = Phase::Called;
        noted.gone = false;
        noted.excess = false;
        noted.clear_head();
    }

    /// The request is over: what the application may have kept is dead from now on. Tells whether it has kept nothing,
    /// so that `response` and its methods can serve another request.
    #[inline]
    pub(super) fn end(py: Python<'_>, response: &Py<Self>, start_response: &Py<PyAny>) -> bool {
        let mut noted = response.get().noted(py);
        noted.phase = Phase::Over;
        if noted.text.capacity() > 4096 {
            noted.text = Vec::new();
            noted.ends = Vec::new();
        }
        // Three references to the response: the caller's, and one of each bound method.
        noted.write.as_ref().is_some_and(|write| is_unique(py, write))
            && is_unique(py, start_response)
            && references(py, response) == 3
    }
}

#[pymethods]
impl Response {
    /// PEP 3333: begin the response; returns `write`.
    #[pyo3(signature = (status, response_headers, exc_info = None))]
    fn start_response(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        response_headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let raised = exc_info.map(raised).transpose()?;
        let mut noted = self.noted(py);
        match noted.phase {
            Phase::Called => {}
            Phase::Over => return Err(over()),
            Phase::Started | Phase::Sent => {
                let Some(raised) = raised else {
                    return Err(PyRuntimeError::new_err(
                        "start_response() was called a second time without exc_info; only an error handler may call it again",
                    ));
                };
                if noted.phase == Phase::Sent {
                    return Err(raised);
                }
            }
        }
        if let Err(error) = noted.note(status, response_headers) {
            noted.phase = Phase::Called;
            noted.clear_head();
            return Err(error);
        }
        noted.phase = Phase::Started;
        noted.write.as_ref().map(|write| write.clone_ref(py)).ok_or_else(over)
    }

    /// PEP 3333: send `data` before returning. For frameworks that cannot return their output.
    #[pyo3(signature = (data))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = data
            .cast::<PyBytes>()
            .map_err(|_| PyTypeError::new_err(format!("write(): the data must be bytes, not {}", kind(data))))?;
        let data = data.as_bytes();
        self.loan.with(py, |exchange| self.write_now(py, exchange, data)).unwrap_or_else(|| {
            Err(PyRuntimeError::new_err("write() was called after the application had returned; only it may call write()"))
        })
    }

    /// The garbage collector's view: the cycle through `write`.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.noted.try_lock() {
            Ok(noted) => visit.call(&noted.write),
            // In use by a thread, so not garbage.
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let write = self.noted.try_lock().ok().and_then(|mut noted| noted.write.take());
        drop(write);
    }
}

impl Response {
    fn write_now(&self, py: Python<'_>, exchange: &mut Exchange<'_>, data: &[u8]) -> PyResult<()> {
        if data.is_empty() {
            return Ok(());
        }
        {
            let mut noted = self.noted(py);
            if noted.gone {
                return Err(gone());
            }
            if noted.phase != Phase::Sent {
                noted
                    .send_head(exchange, BodyLength::Unknown)
                    .map_err(|bad| PyValueError::new_err(format!("the response cannot be sent: {bad}")))?;
            }
        }
        for piece in data.chunks(PIECE) {
            let queued = exchange.queue(piece);
            if py.detach(|| exchange.flush()).is_err() {
                self.noted(py).gone = true;
                return Err(gone());
            }
            if queued.excess {
                self.noted(py).excess = true;
                return Err(PyValueError::new_err("write(): more data than the declared Content-Length"));
            }
        }
        Ok(())
    }
}

#[cold]
fn over() -> PyErr {
    PyRuntimeError::new_err("start_response() was called after its request was over")
}

#[cold]
fn gone() -> PyErr {
    PyBrokenPipeError::new_err("write(): the client has left")
}

/// The exception of an `exc_info` triple, which keeps its traceback.
#[cold]
fn raised(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let triple = exc_info.cast::<PyTuple>().ok().filter(|triple| triple.len() == 3);
    let error = triple.and_then(|triple| triple.get_item(1).ok());
    match error.filter(|error| error.is_instance_of::<PyBaseException>()) {
        Some(error) => Ok(PyErr::from_value(error)),
        None => Err(PyTypeError::new_err(
            "start_response(): exc_info must be the tuple that sys.exc_info() returns while an exception is handled",
        )),
    }
}

#[cold]
fn refused(bad: &BadResponse) -> PyErr {
    PyValueError::new_err(format!("start_response(): {bad}"))
}

/// Append `text` as Latin-1.
#[inline]
fn push_latin1(into: &mut Vec<u8>, text: &Bound<'_, PyString>, what: &str) -> PyResult<()> {
    let utf8 = text.to_str().map_err(|_| beyond_latin1(what, text))?;
    if utf8.is_ascii() {
        into.extend_from_slice(utf8.as_bytes());
        return Ok(());
    }
    for character in utf8.chars() {
        into.push(u8::try_from(u32::from(character)).map_err(|_| beyond_latin1(what, text))?);
    }
    Ok(())
}

#[cold]
fn beyond_latin1(what: &str, text: &Bound<'_, PyString>) -> PyErr {
    let shown = text.repr().map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned());
    PyValueError::new_err(format!(
        "start_response(): {what} holds a character that Latin-1 cannot express, encode it first: {shown}"
    ))
}

/// The type of `object`, for a sentence.
#[cold]
pub(super) fn kind(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| String::from("an object"), |name| name.to_string_lossy().into_owned())
}

/// Bytes in quotes, with everything unprintable escaped, cut to a length that suits a log line.
#[cold]
pub(super) fn show(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let (shown, rest) = bytes.split_at(bytes.len().min(LONGEST));
    format!("\"{}\"{}", shown.escape_ascii(), if rest.is_empty() { "" } else { "…" })
}
