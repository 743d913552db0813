//! `BlockingDriver` and `ReactorDriver`: the engine's drivers as Python classes. Threads are made in Python, so that
//! each has one thread state for its life; here they are only detached while they wait.

use std::os::fd::RawFd;
use std::sync::Arc;

use engine::drive::{Gateway, Interrupted, Supervisor, Worn};
use engine::net::{Attention, Listener, Listeners};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::rows::Scoreboard;
use crate::settings::{EngineSettings, borrow};
use crate::wsgi::Wsgi;

/// Each thread that calls `run` accepts one connection at a time and drives it from accept to close.
#[pyclass(frozen, module = "tricorn._engine")]
pub(crate) struct BlockingDriver {
    driver: engine::drive::BlockingDriver,
}

#[pymethods]
impl BlockingDriver {
    #[new]
    fn new(
        gateway: &Wsgi,
        listeners: Vec<RawFd>,
        settings: &EngineSettings,
        scoreboard: &Scoreboard,
        child: usize,
        threads: usize,
    ) -> PyResult<Self> {
        let context = Arc::new(settings.context(&scoreboard.board, child)?);
        let gateway: Arc<dyn Gateway> = gateway.gateway();
        let driver = engine::drive::BlockingDriver::new(gateway, duplicates(listeners)?, context, threads)?;
        Ok(Self { driver })
    }

    #[pyo3(signature = (thread, watch = None, on_watch = None))]
    fn run(&self, py: Python<'_>, thread: usize, watch: Option<RawFd>, on_watch: Option<Py<PyAny>>) -> PyResult<()> {
        let watched = watch.and_then(borrow);
        let mut supervisor = PythonSupervisor { on_watch, raised: None };
        let result = py.detach(|| self.driver.run(thread, watched, &mut supervisor));
        match (result?, supervisor.raised) {
            (Ok(()), _) => Ok(()),
            (Err(Interrupted), Some(raised)) => Err(raised),
            (Err(Interrupted), None) => Err(PyRuntimeError::new_err("interrupted without a reason")),
        }
    }

    #[pyo3(signature = (sweep = false))]
    fn retire(&self, sweep: bool) {
        self.driver.retire(sweep);
    }

    fn part(&self) {
        self.driver.part();
    }

    fn rest(&self) {
        self.driver.rest();
    }

    fn resume(&self) -> bool {
        self.driver.resume()
    }

    fn worn(&self) -> &'static str {
        self.driver.worn().map_or("", Worn::directive)
    }
}

/// Attends to the watched descriptor by `on_watch`, and to signals by their Python handlers.
struct PythonSupervisor {
    on_watch: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Supervisor for PythonSupervisor {
    fn attend(&mut self, attention: Attention) -> Result<(), Interrupted> {
        let attended = Python::attach(|py| {
            py.check_signals()?;
            match &self.on_watch {
                Some(on_watch) if attention == Attention::Watched => on_watch.call0(py).map(drop),
                Some(_) | None => Ok(()),
            }
        });
        attended.map_err(|raised| {
            self.raised = Some(raised);
            Interrupted
        })
    }
}

/// `threads` threads may be inside the application; `threads` + 1 call `run` and share the listener's role.
#[pyclass(frozen, module = "tricorn._engine")]
pub(crate) struct ReactorDriver {
    driver: engine::drive::ReactorDriver,
}

#[pymethods]
impl ReactorDriver {
    #[new]
    fn new(
        py: Python<'_>,
        gateway: &Wsgi,
        listeners: Vec<RawFd>,
        settings: &EngineSettings,
        scoreboard: &Scoreboard,
        child: usize,
        threads: usize,
    ) -> PyResult<Self> {
        let context = Arc::new(settings.context(&scoreboard.board, child)?);
        let gateway: Arc<dyn Gateway> = gateway.gateway();
        let parallel = runs_in_parallel(py)?;
        let driver = engine::drive::ReactorDriver::new(gateway, duplicates(listeners)?, context, threads, parallel)?;
        Ok(Self { driver })
    }

    fn run(&self, py: Python<'_>, thread: usize) -> PyResult<()> {
        py.detach(|| self.driver.run(thread))?;
        Ok(())
    }

    #[pyo3(signature = (sweep = false))]
    fn retire(&self, sweep: bool) {
        self.driver.retire(sweep);
    }

    fn part(&self) {
        self.driver.part();
    }

    fn rest(&self) {
        self.driver.rest();
    }

    fn resume(&self) -> bool {
        self.driver.resume()
    }

    fn worn(&self) -> &'static str {
        self.driver.worn().map_or("", Worn::directive)
    }
}

/// Whether Python code of several threads runs at the same time: a free-threaded build whose lock is off.
fn runs_in_parallel(py: Python<'_>) -> PyResult<bool> {
    let sys = py.import("sys")?;
    match sys.getattr_opt("_is_gil_enabled")? {
        Some(is_enabled) => Ok(!is_enabled.call0()?.extract::<bool>()?),
        None => Ok(false),
    }
}

fn duplicates(fds: Vec<RawFd>) -> PyResult<Listeners> {
    if fds.is_empty() {
        return Err(PyValueError::new_err("listeners: there must be at least one"));
    }
    let listener = |fd: RawFd| {
        let fd = borrow(fd).ok_or_else(|| PyValueError::new_err(format!("listeners: {fd} is not a descriptor")))?;
        Listener::duplicate(fd).map_err(PyErr::from)
    };
    fds.into_iter().map(listener).collect::<PyResult<_>>().map(Listeners::new)
}
