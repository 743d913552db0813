//! The WSGI gateway: calls one application as PEP 3333 says. Rooms: `environ` (what a request becomes), `names` (its field
//! names), `input` (its body), `response` (`start_response`, `write`), `noted` (what they were told), `loan` (how `write`
//! reaches the exchange), `answer` (what the application returns), `file_wrapper`, `report` (what the error log is told),
//! `overdue` (what is done about a request that takes too long), `extension` (its request for more time), `forked` (copies that come back), `fast` (calls of the C API).
//! Not here: bytes, sockets and threads; those are the engine's.
//!
//! All of this runs in a child, on whichever thread a driver calls [`Gateway::serve`], attached to the interpreter.

mod answer;
mod environ;
mod extension;
mod fast;
mod file_wrapper;
mod forked;
mod input;
mod loan;
mod names;
mod noted;
mod overdue;
mod report;
mod response;

use answer::{Answer, Failure};
use engine::drive::{Batch, Exchange, Gateway, Overdue, TooLate};
use environ::{Constants, Maker};
use input::Input;
use pyo3::exceptions::{PyBrokenPipeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use response::Response;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The gateway as the engine knows it.
pub(crate) struct WsgiGateway {
    number: u64,
    application: Py<PyAny>,
    constants: Constants,
    on_overdue: Py<PyAny>,
    overdue_exit_code: i32,
}

/// The gateway as Python makes it; see `_engine.pyi`.
#[pyclass(frozen, module = "tricorn._engine")]
pub(crate) struct Wsgi {
    gateway: Arc<WsgiGateway>,
}

/// What a thread keeps from one batch to the next.
struct Desk {
    /// The gateway it was made for.
    gateway: u64,
    /// What Python calls the thread.
    thread: u64,
    maker: Maker,
    spare: Option<(Py<Response>, Py<PyAny>)>,
}

thread_local! {
    static DESK: RefCell<Option<Box<Desk>>> = const { RefCell::new(None) };
}

#[pymethods]
impl Wsgi {
    #[new]
    #[pyo3(signature = (application, *, multithread, multiprocess, script_name, errors, on_overdue, overdue_exit_code))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        py: Python<'_>,
        application: &Bound<'_, PyAny>,
        multithread: bool,
        multiprocess: bool,
        script_name: &str,
        errors: Py<PyAny>,
        on_overdue: Py<PyAny>,
        overdue_exit_code: i32,
    ) -> PyResult<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        if !application.is_callable() {
            return Err(PyTypeError::new_err(format!(
                "the application must be callable with environ and start_response; {} is not",
                report::kind(application)
            )));
        }
        let script_name = script_name.trim_end_matches('/');
        if !script_name.is_empty() && !script_name.starts_with('/') {
            return Err(PyValueError::new_err(format!("script_name must begin with a slash, not {script_name:?}")));
        }
        let constants = Constants {
            multithread,
            multiprocess,
            script_name: script_name.as_bytes().to_vec(),
            errors,
            software: concat!("tricorn/", env!("CARGO_PKG_VERSION")),
        };
        forked::watch(py)?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let gateway = Arc::new(WsgiGateway {
            number,
            application: application.clone().unbind(),
            constants,
            on_overdue,
            overdue_exit_code,
        });
        Ok(Self { gateway })
    }
}

impl Wsgi {
    /// For a driver.
    pub(crate) fn gateway(&self) -> Arc<WsgiGateway> {
        Arc::clone(&self.gateway)
    }
}

impl Gateway for WsgiGateway {
    fn serve(&self, batch: &mut dyn Batch) {
        Python::attach(|py| {
            let desk = DESK.with_borrow_mut(Option::take).filter(|desk| desk.gateway == self.number);
            let mut desk = desk.unwrap_or_else(|| {
                let thread = overdue::this_thread(py);
                Box::new(Desk { gateway: self.number, thread, maker: Maker::new(), spare: None })
            });
            while let Some(mut exchange) = batch.next() {
                exchange.seat().occupied_by(desk.thread);
                let answered = self.answer(py, &mut desk, &mut exchange);
                forked::end_if_copy(py, None);
                overdue::come_back(py, desk.thread, &mut exchange);
                if let Err(failure) = answered {
                    self.fail(py, &mut exchange, &failure);
                }
                if let Some(input) = desk.maker.spooled.take() {
                    Input::request_over(py, &input);
                }
            }
            DESK.set(Some(desk));
        });
    }

    fn overdue(&self, overdue: &Overdue) {
        Python::attach(|py| overdue::tell(py, self.on_overdue.bind(py), overdue));
    }

    fn end_process(&self) {
        overdue::end_process(self.overdue_exit_code);
    }
}

impl WsgiGateway {
    /// Call the application for one request and send what it returns.
    fn answer(&self, py: Python<'_>, desk: &mut Desk, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        let environ = desk.maker.environ(py, &self.constants, exchange)?;
        let (response, start_response) = match desk.spare.take() {
            Some(spare) => spare,
            None => Response::create(py)?,
        };
        let outcome = self.call(py, response.get(), environ, start_response.bind(py), exchange, desk.thread);
        if Response::end(py, &response, &start_response) {
            desk.spare = Some((response, start_response));
        } else {
            response.get().retire(py);
        }
        outcome
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        response: &Response,
        environ: Bound<'py, PyDict>,
        start_response: &Bound<'py, PyAny>,
        exchange: &mut Exchange<'_>,
        thread: u64,
    ) -> Result<(), Failure> {
        response.begin(py);
        let application = self.application.bind(py);
        let returned = response.loan.lend(py, exchange, || {
            let returned = application.call1((environ, start_response));
            forked::end_if_copy(py, returned.as_ref().err());
            returned
        });
        let (returned, in_time) = returned;
        let returned = match returned {
            Ok(returned) => returned,
            // Whatever became of a request that was too late is of no use to anybody.
            Err(_) if in_time.is_err() => return Err(Failure::TooLate),
            Err(error) => return Err(judge(py, response, error)),
        };
        let outcome = match in_time {
            Ok(()) => Answer { py, response, exchange }.send(&returned),
            Err(TooLate) => Err(Failure::TooLate),
        };
        if answer::cannot_be_closed(&returned) {
            return outcome;
        }
        // It lets go of what the application holds: what is still to be raised in a late thread does not end it half-way,
        // and it has time of its own.
        overdue::come_back(py, thread, exchange);
        let (closed, in_time) = exchange.away(|_| answer::close(&returned));
        if let (Err(error), Ok(())) = (closed, in_time) {
            report::close_failure(py, self.constants.errors.bind(py), exchange.head(), &error);
        }
        outcome
    }

    /// Tell the log, and let the client see that there is no answer, or no whole one.
    ///
    /// What is raised stays here, `SystemExit` and `KeyboardInterrupt` included: an application may end its request, and
    /// not the child that serves others (a stop is asked for by signals, which the child handles itself).
    #[cold]
    fn fail(&self, py: Python<'_>, exchange: &mut Exchange<'_>, failure: &Failure) {
        report::failure(py, self.constants.errors.bind(py), exchange.head(), failure);
        exchange.refuse(500);
    }
}

/// What the application raised, unless it is only what `write()` has told it about a client that left.
#[cold]
fn judge(py: Python<'_>, response: &Response, error: PyErr) -> Failure {
    let noted = response.noted(py);
    if noted.gone && error.is_instance_of::<PyBrokenPipeError>(py) { Failure::Gone } else { Failure::Raised(error) }
}
