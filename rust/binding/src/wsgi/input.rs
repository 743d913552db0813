//! `wsgi.input` (PEP 3333, "Input and Error Streams"): a gathered request body as a Python stream of bytes. It owns the
//! body, so it works as long as anybody keeps it, also when its request is over. Not here: how a body is gathered.

use super::fast::references;
use engine::drive::Body;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt as _;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PySlice};
use std::io::Read as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes read ahead from a spooled body when lines are wanted.
const AHEAD: u64 = 16 * 1024;

/// A request body. Any thread may read it; each byte is given once.
#[pyclass(frozen, module = "tricorn._engine")]
pub(super) struct Input(Mutex<Source>);

/// A body, and what has been read ahead of it from its file.
#[derive(Default)]
struct Source {
    body: Body,
    ahead: Vec<u8>,
    /// How much of `ahead` has been given.
    given: usize,
}

impl Input {
    pub(super) fn new(body: Body) -> Self {
        Self(Mutex::new(Source { body, ..Source::default() }))
    }

    /// Whether there is a file with bytes that have not been read.
    pub(super) fn holds_file(&self, py: Python<'_>) -> bool {
        self.source(py).body.memory().is_none()
    }

    /// The request is over. Whoever keeps the body may still read it; but if it is only kept by a cycle of dead objects,
    /// such as an exception and its frames, then its file must not stay on the disk until the collector happens to come.
    pub(super) fn request_over(py: Python<'_>, input: &Py<Self>) {
        if references(py, input) > 1 && input.get().holds_file(py) {
            // The objects of a request are young. What fails here is not the request's fault, and is told as Python does.
            let collected = py.import(intern!(py, "gc")).and_then(|gc| gc.call_method1(intern!(py, "collect"), (1,)));
            if let Err(error) = collected {
                error.write_unraisable(py, None);
            }
        }
    }

    fn source(&self, py: Python<'_>) -> MutexGuard<'_, Source> {
        self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many bytes a caller wants: none given, None and negative numbers mean all.
fn wanted(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX)
}

#[pymethods]
impl Input {
    /// At most `size` bytes; all that remain without it. `b""` at the end.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.source(py).read(py, wanted(size))
    }

    /// As `read`; there is no lower layer that a read could be shorter for.
    #[pyo3(signature = (size = None, /))]
    fn read1<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.source(py).read(py, wanted(size))
    }

    /// Up to and with the next newline, at most `size` bytes.
    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.source(py).line(py, wanted(size))
    }

    /// The remaining lines; with a positive `hint`, no more once they hold so many bytes.
    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        let hint = hint.filter(|hint| *hint > 0).and_then(|hint| usize::try_from(hint).ok()).unwrap_or(usize::MAX);
        let lines = PyList::empty(py);
        let mut source = self.source(py);
        let mut total = 0_usize;
        while total < hint {
            let line = source.line(py, u64::MAX)?;
            let length = line.as_bytes().len();
            if length == 0 {
                break;
            }
            total = total.saturating_add(length);
            lines.append(line)?;
        }
        Ok(lines)
    }

    /// Fill `buffer`; returns how many bytes were put there.
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let view = PyMemoryView::from(buffer)?.call_method1(intern!(py, "cast"), (intern!(py, "B"),))?;
        let data = self.source(py).read(py, view.len()? as u64)?;
        let length = data.as_bytes().len();
        view.set_item(PySlice::new(py, 0, isize::try_from(length)?, 1), data)?;
        Ok(length)
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.source(py).line(py, u64::MAX)?;
        Ok(if line.as_bytes().is_empty() { None } else { Some(line) })
    }

    /// Does nothing: an application may not close this stream (PEP 3333).
    #[allow(clippy::unused_self)]
    fn close(&self) {}

    #[getter]
    #[allow(clippy::unused_self)]
    fn closed(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self)]
    fn readable(&self) -> bool {
        true
    }

    #[allow(clippy::unused_self)]
    fn writable(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self)]
    fn seekable(&self) -> bool {
        false
    }
}

impl Source {
    /// At most `size` of the bytes that remain.
    fn read<'py>(&mut self, py: Python<'py>, size: u64) -> PyResult<Bound<'py, PyBytes>> {
        if let Some(rest) = self.in_memory() {
            let count = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
            let data = PyBytes::new(py, &rest[..count]);
            self.body.skip(count as u64);
            self.let_go();
            return Ok(data);
        }
        let ahead = self.ahead.len() - self.given;
        let count = size.min(self.body.remaining().saturating_add(ahead as u64));
        let data = PyBytes::new_with(py, usize::try_from(count)?, |buffer| {
            // A file may have to be fetched from a disk.
            py.detach(|| {
                let (first, second) = buffer.split_at_mut(buffer.len().min(ahead));
                let start = self.given;
                first.copy_from_slice(&self.ahead[start..start + first.len()]);
                self.body.read_exact(second)
            })?;
            Ok(())
        })?;
        self.given += data.as_bytes().len().min(ahead);
        self.let_go();
        Ok(data)
    }

    /// What remains, when it is all in the body's memory.
    fn in_memory(&self) -> Option<&[u8]> {
        if self.given < self.ahead.len() { None } else { self.body.memory() }
    }

    /// Up to and with the next newline, at most `size` bytes.
    fn line<'py>(&mut self, py: Python<'py>, size: u64) -> PyResult<Bound<'py, PyBytes>> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if let Some(rest) = self.in_memory() {
            let line = PyBytes::new(py, first_line(rest, size).unwrap_or(&rest[..size.min(rest.len())]));
            self.body.skip(line.as_bytes().len() as u64);
            self.let_go();
            return Ok(line);
        }
        let mut searched = 0;
        loop {
            let rest = &self.ahead[self.given..];
            let fresh = first_line(&rest[searched..], size.saturating_sub(searched)).map(|line| searched + line.len());
            let end = match fresh {
                Some(end) => end,
                None if rest.len() >= size || self.body.remaining() == 0 => size.min(rest.len()),
                None => {
                    searched = rest.len();
                    py.detach(|| self.read_ahead())?;
                    continue;
                }
            };
            let line = PyBytes::new(py, &rest[..end]);
            self.given += end;
            return Ok(line);
        }
    }

    /// Get more of the file into `ahead`.
    fn read_ahead(&mut self) -> std::io::Result<()> {
        self.ahead.drain(..self.given);
        self.given = 0;
        let before = self.ahead.len();
        let more = usize::try_from(self.body.remaining().min(AHEAD.max(before as u64))).unwrap_or(0);
        self.ahead.resize(before + more, 0);
        let outcome = self.body.read_exact(&mut self.ahead[before..]);
        if outcome.is_err() {
            self.ahead.truncate(before);
        }
        self.let_go();
        outcome
    }

    /// Give the memory or the file of a body back that has been read: frameworks keep their requests, and so this stream,
    /// in cycles that only the garbage collector ends, some time.
    fn let_go(&mut self) {
        if self.body.remaining() == 0 {
            self.body = Body::default();
        }
    }
}

/// The line that `text` begins with, newline included, if it ends within the first `size` bytes.
fn first_line(text: &[u8], size: usize) -> Option<&[u8]> {
    let text = &text[..size.min(text.len())];
    memchr::memchr(b'\n', text).map(|end| &text[..=end])
}
