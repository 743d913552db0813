//! What is done about a request that takes too long: its thread's stack is shown, an exception is raised in it, and taken
//! back when it was too late for that; or the process ends. Not here: who is late, and what the client gets (the engine);
//! what is logged and raised (`tricorn.child.overdue`); how an application asks for more time (`extension`).
//!
//! An exception must never reach another request. It is raised only in a thread that the engine knows to be late, and
//! which cannot cease to be so meanwhile (`Overdue::while_late`); and a thread that was late forgets what is pending
//! before it runs Python code for anybody else.
#![allow(unsafe_code)] // PyThreadState_SetAsyncExc and _exit have no safe face.

use engine::drive::{Exchange, Overdue, Waits};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// What Python calls this thread; 0, which no thread is called, if that cannot be found out.
#[cold]
pub(super) fn this_thread(py: Python<'_>) -> u64 {
    let ident = py.import(intern!(py, "threading")).and_then(|threading| threading.call_method0("get_ident"));
    ident.and_then(|ident| ident.extract()).unwrap_or(0)
}

/// Have the log told, and raise in the thread what `on_overdue` returns.
#[cold]
pub(super) fn tell(py: Python<'_>, on_overdue: &Bound<'_, PyAny>, overdue: &Overdue) {
    if let Err(error) = try_to_tell(on_overdue, overdue) {
        error.write_unraisable(py, Some(on_overdue));
    }
}

fn try_to_tell(on_overdue: &Bound<'_, PyAny>, overdue: &Overdue) -> PyResult<()> {
    let request = format!("{} {}", overdue.method.escape_ascii(), overdue.path.escape_ascii());
    let age = overdue.age.as_secs_f64();
    let arguments = (overdue.thread, request, age, overdue.got.word(), overdue.waits.word());
    let raised = on_overdue.call1(arguments)?;
    if raised.is_none() || overdue.waits == Waits::ForInterpreter {
        return Ok(());
    }
    let raised = raised.cast::<PyType>()?;
    overdue.while_late(|| set_pending(overdue.thread, raised.as_ptr()));
    Ok(())
}

/// The thread is back from the application. If it was late, what was to be raised in it, and was not yet, must not hit
/// what it does next.
#[inline]
pub(super) fn come_back(py: Python<'_>, thread: u64, exchange: &mut Exchange<'_>) {
    if exchange.settle() {
        forget(py, thread);
    }
}

#[cold]
fn forget(_py: Python<'_>, thread: u64) {
    set_pending(thread, std::ptr::null_mut());
}

/// Set the exception, or null, that a thread raises when it next runs Python code. The caller is attached.
fn set_pending(thread: u64, exception: *mut ffi::PyObject) {
    if let (Ok(thread), true) = (thread.try_into(), thread != 0) {
        // SAFETY: the caller is attached. A thread that is not there (any more) changes nothing. The exception is null or
        // a live class, of which CPython takes a reference of its own.
        unsafe { ffi::PyThreadState_SetAsyncExc(thread, exception) };
    }
}

/// End the process at once. Nothing of the interpreter is touched, which somebody may have for ever.
#[cold]
pub(super) fn end_process(code: i32) {
    // SAFETY: _exit may be called at any time by any thread.
    unsafe { libc::_exit(code) };
}
