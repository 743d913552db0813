//! A process that the application has forked off inside a request, and that comes back from the application as if it were
//! the server (`if os.fork() == 0: work(); sys.exit()` is a common habit). It is ended here: as a second server it would
//! answer the same client, share the poller and the sockets of this child, and outlive everybody.
//!
//! A copy that never comes back (`os._exit`, `os.exec…`) is the application's business.

use pyo3::exceptions::PySystemExit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process is a copy of the child that made the gateway.
static COPY: AtomicBool = AtomicBool::new(false);

/// From now on forks by way of Python's `os.fork` are noticed. Run in the child; further calls change nothing.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    static WATCHING: AtomicBool = AtomicBool::new(false);
    if WATCHING.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let note = PyCFunction::new_closure(py, None, None, |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        COPY.store(true, Ordering::Relaxed);
    })?;
    let hooks = PyDict::new(py);
    hooks.set_item(intern!(py, "after_in_child"), note)?;
    py.import(intern!(py, "os"))?.call_method(intern!(py, "register_at_fork"), (), Some(&hooks))?;
    Ok(())
}

/// End this process if it is a copy; `raised` is what it came back with.
#[inline]
pub(super) fn end_if_copy(py: Python<'_>, raised: Option<&PyErr>) {
    if COPY.load(Ordering::Relaxed) {
        end(py, raised);
    }
}

/// As the end of a Python program: what was printed is written, the exit code is that of `sys.exit`, an exception is shown.
#[cold]
fn end(py: Python<'_>, raised: Option<&PyErr>) {
    let code = match raised {
        None => 0,
        Some(error) if error.is_instance_of::<PySystemExit>(py) => exit_code(error.value(py)),
        Some(error) => {
            error.display(py);
            1
        }
    };
    let ended = || -> PyResult<()> {
        let streams = py.import(intern!(py, "sys"))?;
        for stream in [intern!(py, "stdout"), intern!(py, "stderr")] {
            // Whatever keeps them from being written, the process ends.
            let _ = streams.getattr(stream).and_then(|stream| stream.call_method0(intern!(py, "flush")));
        }
        py.import(intern!(py, "os"))?.call_method1(intern!(py, "_exit"), (code,))?;
        Ok(())
    };
    // It does not return; if it could not even be called, there is one way left.
    let _ = ended();
    std::process::abort();
}

/// What `sys.exit` was given: nothing is 0, a number is itself, anything else is a failure.
fn exit_code(exit: &Bound<'_, PyAny>) -> i32 {
    match exit.getattr(intern!(exit.py(), "code")) {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract().unwrap_or(1),
        Err(_) => 1,
    }
}
