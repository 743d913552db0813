//! `wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling"): an iterable over a file that the gateway
//! recognises when it is returned. Not here: how a file is sent; see `answer`.

use super::fast::duplicate;
use pyo3::exceptions::PyStopIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Reads `filelike` in blocks. As an iterable it works for anything with `read`.
#[pyclass(frozen, module = "tricorn._engine")]
pub(crate) struct FileWrapper {
    filelike: Py<PyAny>,
    block_size: isize,
    closed: AtomicBool,
}

/// What is left of a regular file, to be sent by the kernel.
pub(super) struct FilePart {
    pub(super) file: OwnedFd,
    pub(super) offset: u64,
    pub(super) length: u64,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size = 8192))]
    fn new(filelike: Py<PyAny>, block_size: isize) -> Self {
        Self { filelike, block_size: if block_size > 0 { block_size } else { 8192 }, closed: AtomicBool::new(false) }
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let block = self.filelike.bind(py).call_method1(intern!(py, "read"), (self.block_size,))?;
        if block.is_truthy()? { Ok(block) } else { Err(PyStopIteration::new_err(())) }
    }

    /// Close the file, the first time this is called.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        if let Some(close) = self.filelike.bind(py).getattr_opt(intern!(py, "close"))? {
            close.call0()?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.filelike)
    }
}

impl FileWrapper {
    /// What is left of the file from its position on, if it is a regular file, read as bytes without any transformation.
    ///
    /// A `fileno()` alone does not tell that: a `GzipFile` has one too, and it leads to the compressed bytes. So only the
    /// classes are trusted whose `read` is known to give what the descriptor gives; everything else is iterated.
    pub(super) fn regular_file(&self, py: Python<'_>) -> PyResult<Option<FilePart>> {
        let Some(file) = plain_file(self.filelike.bind(py))? else {
            return Ok(None);
        };
        if !file.call_method0(intern!(py, "readable"))?.is_truthy()? {
            return Ok(None);
        }
        // `tell` knows of buffered bytes that have been read, and not yet written: those are written first.
        if file.call_method0(intern!(py, "writable"))?.is_truthy()? {
            file.call_method0(intern!(py, "flush"))?;
        }
        let fd: RawFd = file.call_method0(intern!(py, "fileno"))?.extract()?;
        let file_descriptor = duplicate(py, fd)?;
        let status = rustix::fs::fstat(&file_descriptor).map_err(std::io::Error::from)?;
        if rustix::fs::FileType::from_raw_mode(status.st_mode) != rustix::fs::FileType::RegularFile {
            return Ok(None);
        }
        let offset: u64 = file.call_method0(intern!(py, "tell"))?.extract()?;
        let size = u64::try_from(status.st_size).unwrap_or(0);
        if size == 0 {
            // Empty, or one of those whose content is made when it is read (`/proc`).
            return Ok(None);
        }
        Ok(Some(FilePart { file: file_descriptor, offset, length: size.saturating_sub(offset) }))
    }
}

/// `filelike` itself, or what it stands for, if its class is one of those that hand through a descriptor's bytes.
fn plain_file<'py>(filelike: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static NAMED_TEMPORARY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static FILE_IO: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static READER: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static RANDOM: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = filelike.py();
    let mut file = filelike.clone();
    if file.get_type().is(NAMED_TEMPORARY.import(py, "tempfile", "_TemporaryFileWrapper")?) {
        file = file.getattr(intern!(py, "file"))?;
    }
    let file_io = FILE_IO.import(py, "io", "FileIO")?;
    if file.get_type().is(file_io) {
        return Ok(Some(file));
    }
    let buffered = file.get_type().is(READER.import(py, "io", "BufferedReader")?)
        || file.get_type().is(RANDOM.import(py, "io", "BufferedRandom")?);
    // A closed or detached file raises here; iterating it raises again, with a better text.
    let raw = if buffered { file.getattr(intern!(py, "raw")).ok() } else { None };
    Ok(raw.filter(|raw| raw.get_type().is(file_io)).map(|_| file))
}
