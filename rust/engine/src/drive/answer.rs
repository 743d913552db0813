//! The part of an answer that the client has not taken yet: memory up to a bound, then an unlinked temporary file; and
//! pieces of the application's own files, which are sent by the kernel.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::Spool;
use crate::net::{Sent, Socket};

#[derive(Debug)]
enum Segment {
    Memory {
        bytes: Vec<u8>,
        sent: usize,
    },
    /// A range of the answer's own spool file.
    Spooled {
        file: Arc<File>,
        offset: u64,
        remaining: u64,
    },
    /// A range of a file of the application.
    File {
        file: OwnedFd,
        offset: u64,
        remaining: u64,
    },
}

/// How far sending has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything has been handed to the socket.
    Done,
    /// The socket takes nothing more now.
    Blocked,
    /// The client is gone, or a file ended before its announced length.
    Gone,
}

/// Bytes in order, on their way to one client.
#[derive(Debug, Default)]
pub(super) struct Answer {
    segments: VecDeque<Segment>,
    spool: Option<Arc<File>>,
    in_memory: u64,
    held: u64,
}

impl Answer {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes held in memory and in the spool file; the application's own files do not count.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Adds `bytes` at the end.
    ///
    /// # Errors
    /// When the spool file cannot be made or written.
    pub(super) fn push(&mut self, bytes: &[u8], spool: &Spool) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let length = bytes.len() as u64;
        if self.in_memory + length <= spool.response_memory {
            if let Some(Segment::Memory { bytes: last, .. }) = self.segments.back_mut() {
                last.extend_from_slice(bytes);
            } else {
                self.segments.push_back(Segment::Memory { bytes: bytes.to_vec(), sent: 0 });
            }
            self.in_memory += length;
        } else {
            self.push_spooled(bytes, spool)?;
        }
        self.held += length;
        Ok(())
    }

    fn push_spooled(&mut self, bytes: &[u8], spool: &Spool) -> io::Result<()> {
        let file = if let Some(file) = &self.spool {
            Arc::clone(file)
        } else {
            let file = Arc::new(tempfile::tempfile_in(&spool.directory)?);
            self.spool = Some(Arc::clone(&file));
            file
        };
        let offset = (&*file).seek(SeekFrom::End(0))?;
        (&*file).write_all(bytes)?;
        let length = bytes.len() as u64;
        if let Some(Segment::Spooled { remaining, .. }) = self.segments.back_mut() {
            // Only this value writes the file, and only at its end: the last range ends where this piece begins.
            *remaining += length;
        } else {
            self.segments.push_back(Segment::Spooled { file, offset, remaining: length });
        }
        Ok(())
    }

    /// Adds `length` bytes of `file` from `offset`.
    pub(super) fn push_file(&mut self, file: OwnedFd, offset: u64, length: u64) {
        if length > 0 {
            self.segments.push_back(Segment::File { file, offset, remaining: length });
        }
    }

    /// Sends what the socket takes; also tells how many bytes that was.
    pub(super) fn send(&mut self, socket: &Socket) -> (Progress, usize) {
        let mut total = 0;
        while let Some(segment) = self.segments.front_mut() {
            let sent = match segment {
                Segment::Memory { bytes, sent } => socket.send(&bytes[*sent..]),
                Segment::Spooled { file, offset, remaining } => socket.send_file(file.as_fd(), *offset, *remaining),
                Segment::File { file, offset, remaining } => socket.send_file(file.as_fd(), *offset, *remaining),
            };
            match sent {
                Sent::Bytes(n) => {
                    total += n;
                    self.took(n);
                }
                Sent::Blocked => return (Progress::Blocked, total),
                Sent::Gone => return (Progress::Gone, total),
            }
        }
        self.spool = None;
        (Progress::Done, total)
    }

    /// The socket took `n` bytes of the first segment.
    fn took(&mut self, n: usize) {
        let count = n as u64;
        let finished = match self.segments.front_mut() {
            Some(Segment::Memory { bytes, sent }) => {
                *sent += n;
                self.in_memory -= count;
                self.held -= count;
                *sent == bytes.len()
            }
            Some(Segment::Spooled { offset, remaining, .. }) => {
                *offset += count;
                *remaining -= count;
                self.held -= count;
                *remaining == 0
            }
            Some(Segment::File { offset, remaining, .. }) => {
                *offset += count;
                *remaining -= count;
                *remaining == 0
            }
            None => false,
        };
        if finished {
            self.segments.pop_front();
        }
    }
}
