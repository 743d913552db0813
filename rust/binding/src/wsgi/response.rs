//! The application's hold on its response: `start_response()` and `write()` (PEP 3333), and what they have noted so far.
//! Not here: what an application returns; see `answer`.
//!
//! A head is only noted by `start_response()`: it may be replaced (`exc_info`) until the first byte of a body exists, and
//! only then is it known whether the body's length is.

use super::fast::{is_unique, references};
use super::loan::Loan;
use super::noted::{Noted, Phase};
use super::report::kind;
use engine::connection::BodyLength;
use engine::drive::{Exchange, TooLate};
use pyo3::exceptions::{PyBaseException, PyBrokenPipeError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt as _;
use pyo3::types::{PyBytes, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes handed to the engine at once before it may have to wait for the client; a longer block is cut, so that what is
/// held for a slow client stays bounded.
pub(super) const PIECE: usize = 256 * 1024;

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
        self.noted(py).begin();
    }

    /// The request is over: what the application may have kept is dead from now on. Tells whether it has kept nothing,
    /// so that `response` and its methods can serve another request.
    #[inline]
    pub(super) fn end(py: Python<'_>, response: &Py<Self>, start_response: &Py<PyAny>) -> bool {
        let mut noted = response.get().noted(py);
        noted.end();
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
        match (noted.phase, &raised) {
            (Phase::Over, _) => return Err(over()),
            (Phase::Called, _) | (Phase::Started, Some(_)) => {}
            (Phase::Sent, Some(error)) => return Err(error.clone_ref(py)),
            (Phase::Started | Phase::Sent, None) => {
                return Err(PyRuntimeError::new_err(
                    "start_response() was called a second time without exc_info; only an error handler may call it again",
                ));
            }
        }
        if let Err(refusal) = noted.note(status, response_headers) {
            drop(noted);
            return Err(refusal.into());
        }
        noted.write.as_ref().map(|write| write.clone_ref(py)).ok_or_else(over)
    }

    /// PEP 3333: send `data` before returning. For frameworks that cannot return their output.
    #[pyo3(signature = (data))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = data
            .cast::<PyBytes>()
            .map_err(|_| PyTypeError::new_err(format!("write(): the data must be bytes, not {}", kind(data))))?;
        let data = data.as_bytes();
        match self.loan.with(py, |exchange| self.write_now(py, exchange, data)) {
            Some(Ok(written)) => written,
            Some(Err(TooLate)) => {
                self.noted(py).gone = true;
                Err(PyBrokenPipeError::new_err("write(): the request took too long, and its client was answered"))
            }
            None => Err(PyRuntimeError::new_err(
                "write() was called after the application had returned; only it may call write()",
            )),
        }
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
    match error.filter(pyo3::types::PyAnyMethods::is_instance_of::<PyBaseException>) {
        Some(error) => Ok(PyErr::from_value(error)),
        None => Err(PyTypeError::new_err(
            "start_response(): exc_info must be the tuple that sys.exc_info() returns while an exception is handled",
        )),
    }
}
