//! The few calls of the C API that the gateway makes for every request and that `PyO3` offers only slower or not at all.
//! The only file of the gateway that speaks to `CPython` directly; no rule of WSGI lives here.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// A `str` with one character per byte of `bytes`: the "bytes in disguise" of PEP 3333.
///
/// # Errors
/// `MemoryError`.
#[inline]
pub(super) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = ffi::Py_ssize_t::try_from(bytes.len())?;
    // SAFETY: we are attached; the pointer and length describe `bytes`, which CPython only reads during the call.
    let text = unsafe { ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null()) };
    // SAFETY: the call returned a new reference, or null with an exception set.
    let text = unsafe { Bound::from_owned_ptr_or_err(py, text) }?;
    // SAFETY: PyUnicode_DecodeLatin1 returns a `str` exactly.
    Ok(unsafe { text.cast_into_unchecked() })
}

/// Whether the caller's reference is the only one to `object`, so that nobody else can ever see it again.
///
/// On a free-threaded build the answer may be no although it is yes, never the other way round, provided that the
/// object was made by the calling thread.
#[inline]
pub(super) fn is_unique<T>(py: Python<'_>, object: &Py<T>) -> bool {
    references(py, object) == 1
}

/// How many references to `object` there are; on a free-threaded build at least so many.
#[inline]
pub(super) fn references<T>(_py: Python<'_>, object: &Py<T>) -> isize {
    // SAFETY: we are attached and `object` is a live object, as we hold a reference.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}

/// Duplicate the descriptor `fd` of an open Python file; the duplicate is closed on exec.
///
/// # Errors
/// What `os.dup` raises: the descriptor is not open.
pub(super) fn duplicate(py: Python<'_>, fd: RawFd) -> PyResult<OwnedFd> {
    let copy: RawFd = py.import(pyo3::intern!(py, "os"))?.call_method1(pyo3::intern!(py, "dup"), (fd,))?.extract()?;
    // SAFETY: `os.dup` has just opened `copy` for us and kept no note of it: it is ours to close.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
