//! `environ["tricorn.extend_timeout"]`: by it an application that knows it will take long asks for the time.

use engine::drive::Seat;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// One for each thread, used again for all its requests: making one would cost each request more than it is worth.
#[pyclass(frozen, module = "tricorn._engine")]
pub(super) struct ExtendTimeout {
    seat: Arc<Seat>,
}

impl ExtendTimeout {
    pub(super) fn new(seat: Arc<Seat>) -> Self {
        Self { seat }
    }
}

#[pymethods]
impl ExtendTimeout {
    /// Let the request under way go on for `seconds` from now on at least, whatever `timeout` says.
    #[pyo3(signature = (seconds, /))]
    fn __call__(&self, seconds: f64) -> PyResult<()> {
        let extended = Duration::try_from_secs_f64(seconds).is_ok_and(|time| self.seat.extend(time));
        if extended {
            return Ok(());
        }
        Err(PyValueError::new_err(format!("extend_timeout(): the time must be from 0 to 86400 seconds, not {seconds}")))
    }
}
