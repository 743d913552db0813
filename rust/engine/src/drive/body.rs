//! The body of a request: gathered before the application is called, in memory up to a bound, then in an unlinked
//! temporary file that vanishes with its descriptor, whatever becomes of the process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::Spool;

/// Bytes in order, written once and read from the beginning.
#[derive(Debug, Default)]
pub struct Body {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
    position: u64,
}

impl Body {
    /// Adds a piece.
    ///
    /// # Errors
    /// When the temporary file cannot be made or written (a full disk, a missing directory).
    pub fn append(&mut self, piece: &[u8], spool: &Spool) -> io::Result<()> {
        let after = self.length + piece.len() as u64;
        if self.file.is_none() && after > spool.request_memory {
            let mut file = tempfile::tempfile_in(&spool.directory)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(piece)?,
            None => self.memory.extend_from_slice(piece),
        }
        self.length = after;
        Ok(())
    }

    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.length - self.position
    }

    /// What has not been read yet, when the body is wholly in memory.
    #[must_use]
    pub fn memory(&self) -> Option<&[u8]> {
        if self.file.is_some() {
            return None;
        }
        usize::try_from(self.position).ok().and_then(|position| self.memory.get(position..))
    }

    /// Passes over `count` bytes, or all that remain.
    pub fn skip(&mut self, count: u64) {
        self.position = self.length.min(self.position.saturating_add(count));
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match (&self.file, self.memory()) {
            (Some(file), _) => file.read_at(buffer, self.position)?,
            (None, Some(rest)) => {
                let n = rest.len().min(buffer.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                n
            }
            (None, None) => 0,
        };
        self.position += n as u64;
        Ok(n)
    }
}
