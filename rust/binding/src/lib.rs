//! The Python face of the engine (`tricorn._engine`; its manual is `src/tricorn/_engine.pyi`). Thin: values in, errors
//! out, attaching and detaching; what moves bytes is in the `engine` crate, what decides is in Python.

mod addresses;
mod drivers;
mod rows;
mod settings;
mod wsgi;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Raise `ValueError` that names the first directive of `format` that is not known.
#[pyfunction]
fn check_access_log_format(format: &str) -> PyResult<()> {
    engine::log::Format::compile(format).map(drop).map_err(|unknown| PyValueError::new_err(unknown.to_string()))
}

#[pymodule(gil_used = false)]
mod _engine {
    #[pymodule_export]
    use super::addresses::AddressTables;
    #[pymodule_export]
    use super::check_access_log_format;
    #[pymodule_export]
    use super::drivers::{BlockingDriver, ReactorDriver};
    #[pymodule_export]
    use super::rows::{ChildRow, Scoreboard};
    #[pymodule_export]
    use super::settings::EngineSettings;
    #[pymodule_export]
    use super::wsgi::Wsgi;
}
