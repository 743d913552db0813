//! From what the application returned to bytes: lists and tuples, files, any other iterable; and `close()`, once, in every
//! outcome (PEP 3333). Not here: the call itself, and what is done about a failure; see `mod`.

use super::file_wrapper::FileWrapper;
use super::forked;
use super::noted::Phase;
use super::report::kind;
use super::response::{PIECE, Response};
use engine::connection::{BodyLength, Finished};
use engine::drive::{Exchange, Gone, TooLate};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// Bytes of a piece that is handed to the engine detached from the interpreter.
const LARGE: usize = 32 * 1024;

/// Why an answer could not be made as the application wanted it.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client has left; nothing to tell.
    Gone,
    /// The application has taken too long: the client was answered, the log was told.
    TooLate,
    /// The application raised.
    Raised(PyErr),
    /// The application broke a rule; a sentence for its developer.
    Broken(String),
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<TooLate> for Failure {
    fn from(_: TooLate) -> Self {
        Self::TooLate
    }
}

/// One answer being made from what the application returned.
pub(super) struct Answer<'a, 'e, 'py> {
    pub(super) py: Python<'py>,
    pub(super) response: &'a Response,
    pub(super) exchange: &'a mut Exchange<'e>,
}

impl<'py> Answer<'_, '_, 'py> {
    /// Send the whole answer. Does not call `close()`.
    pub(super) fn send(&mut self, returned: &Bound<'py, PyAny>) -> Result<(), Failure> {
        if let Ok(list) = returned.cast_exact::<PyList>() {
            return match list.len() {
                1 => self.send_all(&[list.get_item(0)?]),
                _ => self.send_all(&list.iter().collect::<Vec<_>>()),
            };
        }
        if let Ok(tuple) = returned.cast_exact::<PyTuple>() {
            return match tuple.len() {
                1 => self.send_all(&[tuple.get_item(0)?]),
                _ => self.send_all(&tuple.iter().collect::<Vec<_>>()),
            };
        }
        if let Ok(wrapper) = returned.cast_exact::<FileWrapper>() {
            if self.send_file(wrapper)? {
                return Ok(());
            }
        }
        self.send_iterable(returned)
    }

    /// Blocks that are all there already: the length of the body is known, and nothing is gained by sending early.
    fn send_all(&mut self, blocks: &[Bound<'py, PyAny>]) -> Result<(), Failure> {
        let mut total = 0;
        for block in blocks {
            total += as_bytes(block)?.len();
        }
        self.start(BodyLength::Known(total as u64))?;
        // A small answer is left to the driver, which sends it with whatever else it has to do for the connection.
        let large = total > PIECE;
        for block in blocks {
            for piece in as_bytes(block)?.chunks(PIECE) {
                self.queue(piece)?;
                if large {
                    self.flush()?;
                }
            }
        }
        self.finish()?;
        if self.exchange.owes() {
            // There is no room to hold the rest of it while somebody else has this thread.
            self.flush()?;
        }
        Ok(())
    }

    /// Blocks that are made one after the other: each is sent before the next is asked for.
    fn send_iterable(&mut self, returned: &Bound<'py, PyAny>) -> Result<(), Failure> {
        if returned.is_instance_of::<PyBytes>() || returned.is_instance_of::<PyString>() {
            return Err(Failure::Broken(format!(
                "the application returned {} itself; it must return an iterable of bytes, such as [body]",
                kind(returned)
            )));
        }
        let (iterator, in_time) = self.exchange.away(|_| returned.try_iter());
        in_time?;
        let mut iterator = match iterator {
            Ok(iterator) => iterator,
            // Its own `__iter__` has failed.
            Err(error) if returned.hasattr(intern!(self.py, "__iter__"))? => {
                return Err(Failure::Raised(error));
            }
            Err(_) => {
                return Err(Failure::Broken(format!(
                    "the application returned {}, which is not an iterable of bytes",
                    kind(returned)
                )));
            }
        };
        let head_only = self.exchange.head().is_head();
        loop {
            let (block, in_time) = self.exchange.away(|_| iterator.next());
            in_time?;
            let Some(block) = block else { break };
            forked::end_if_copy(self.py, block.as_ref().err());
            let block = block?;
            let block = as_bytes(&block)?;
            if block.is_empty() {
                continue;
            }
            self.start(BodyLength::Unknown)?;
            for piece in block.chunks(PIECE) {
                self.queue(piece)?;
                self.flush()?;
            }
            if head_only {
                // No byte of the body will ever be sent, and a stream without end would never see its client leave.
                break;
            }
        }
        self.start(BodyLength::Known(0))?;
        self.finish()?;
        if self.response.noted(self.py).declared.is_none() {
            // The end of the body: the client shall not wait for a slow `close()`.
            self.flush()?;
        }
        Ok(())
    }

    /// Let the kernel send a regular file; false if the wrapped object is something else.
    fn send_file(&mut self, wrapper: &Bound<'py, FileWrapper>) -> Result<bool, Failure> {
        let declared = {
            let noted = self.response.noted(self.py);
            if noted.phase == Phase::Sent {
                return Ok(false); // write() was used before
            }
            noted.declared
        };
        let (part, in_time) = self.exchange.away(|_| wrapper.get().regular_file(self.py));
        in_time?;
        let Some(part) = part? else {
            return Ok(false);
        };
        let length = declared.map_or(part.length, |declared| part.length.min(declared));
        self.start(BodyLength::Known(length))?;
        let exchange = &mut *self.exchange;
        self.py.detach(|| exchange.send_file(part.file, part.offset, length))?;
        self.finish()?;
        Ok(true)
    }

    /// Give the head to the engine, unless that has been done.
    #[inline]
    fn start(&mut self, length: BodyLength) -> Result<(), Failure> {
        let mut noted = self.response.noted(self.py);
        match noted.phase {
            Phase::Sent => return Ok(()),
            Phase::Started => {}
            Phase::Called | Phase::Over => {
                return Err(Failure::Broken(String::from(
                    "the application gave a body without calling start_response()",
                )));
            }
        }
        noted
            .send_head(self.exchange, length)
            .map_err(|bad| Failure::Broken(format!("the response cannot be sent: {bad}")))
    }

    #[inline]
    fn queue(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let exchange = &mut *self.exchange;
        // A long piece is offered to the socket at once, which takes as long as copying it: others may run meanwhile.
        let queued = if piece.len() < LARGE { exchange.queue(piece) } else { self.py.detach(|| exchange.queue(piece)) };
        if !queued.excess {
            return Ok(());
        }
        // What was declared has been sent, so the answer itself is whole.
        self.exchange.finish();
        Err(self.excess())
    }

    #[cold]
    fn excess(&self) -> Failure {
        let declared = self.response.noted(self.py).declared.unwrap_or_default();
        Failure::Broken(format!("the body is longer than the declared Content-Length of {declared} bytes"))
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let exchange = &mut *self.exchange;
        self.py.detach(|| exchange.flush())
    }

    #[inline]
    fn finish(&mut self) -> Result<(), Failure> {
        match self.exchange.finish() {
            // `write()` has told the application, which may have caught it.
            Finished::Complete if self.response.noted(self.py).excess => Err(self.excess()),
            Finished::Complete => Ok(()),
            Finished::Short { missing } => {
                Err(Failure::Broken(format!("the body is {missing} bytes shorter than the declared Content-Length")))
            }
        }
    }
}

/// Whether what the application returned is sure to have no `close()`.
#[inline]
pub(super) fn cannot_be_closed(returned: &Bound<'_, PyAny>) -> bool {
    returned.is_exact_instance_of::<PyList>() || returned.is_exact_instance_of::<PyTuple>()
}

/// Call `close()` if what the application returned has one.
pub(super) fn close(returned: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(close) = returned.getattr_opt(intern!(returned.py(), "close"))? {
        close.call0()?;
    }
    Ok(())
}

#[inline]
fn as_bytes<'a>(block: &'a Bound<'_, PyAny>) -> Result<&'a [u8], Failure> {
    match block.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes()),
        Err(_) => Err(Failure::Broken(format!(
            "the iterable that the application returned gave an item of type {}; every item must be bytes",
            kind(block)
        ))),
    }
}
