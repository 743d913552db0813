//! The body of a request: gathered before the application is called, in memory up to a bound, then in an unlinked
//! temporary file that vanishes with its descriptor, whatever becomes of the process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::Spool;

/// Bytes that are gathered before they are written to the file: a client can cut its body into pieces of one byte, and
/// a system call for each would keep the listener busy.
const GATHER: usize = 16 * 1024;

/// Bytes in order, written once and read from the beginning.
#[derive(Debug, Default)]
pub struct Body {
    file: Option<File>,
    /// How much is in the file.
    filed: u64,
    /// What follows the file's contents, or all of the body.
    memory: Vec<u8>,
    position: u64,
}

impl Body {
    /// Adds a piece.
    ///
    /// # Errors
    /// When the temporary file cannot be made or written (a full disk, a missing directory).
    pub fn append(&mut self, piece: &[u8], spool: &Spool) -> io::Result<()> {
        let after = self.memory.len() + piece.len();
        let room = if self.file.is_some() { GATHER as u64 } else { spool.request_memory };
        if after as u64 <= room {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&spool.directory)?),
        };
        file.write_all(&self.memory)?;
        self.filed += self.memory.len() as u64;
        self.memory.clear();
        self.memory.shrink_to(GATHER);
        if piece.len() < GATHER {
            self.memory.extend_from_slice(piece);
        } else {
            file.write_all(piece)?;
            self.filed += piece.len() as u64;
        }
        Ok(())
    }

    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.filed + self.memory.len() as u64
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.length() - self.position
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
        self.position = self.length().min(self.position.saturating_add(count));
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match &self.file {
            Some(file) if self.position < self.filed => file.read_at(buffer, self.position)?,
            Some(_) | None => {
                let position = usize::try_from(self.position - self.filed).unwrap_or(usize::MAX);
                let rest = self.memory.get(position..).unwrap_or_default();
                let n = rest.len().min(buffer.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                n
            }
        };
        self.position += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(request_memory: u64) -> Spool {
        Spool { directory: std::env::temp_dir(), request_memory, response_memory: 0, response_limit: 0 }
    }

    #[test]
    fn pieces_of_any_size_come_back_in_order() {
        let all: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for request_memory in [0, 1, 5000, 300_000, 1 << 30] {
            for size in [1, 7, 4096, GATHER - 1, GATHER, 65_536, all.len()] {
                let mut body = Body::default();
                for piece in all.chunks(size) {
                    body.append(piece, &spool(request_memory)).unwrap();
                }
                assert_eq!(body.length(), all.len() as u64);
                let mut back = vec![0; all.len() - 5];
                body.skip(5);
                body.read_exact(&mut back).unwrap();
                assert!(back == all[5..] && body.remaining() == 0, "{request_memory} {size}");
                assert_eq!(body.read(&mut back).unwrap(), 0);
            }
        }
    }

    #[test]
    fn small_pieces_are_gathered_before_they_are_written() {
        let mut body = Body::default();
        let mut filed = 0;
        let mut writes = 0;
        for _ in 0..1_000_000 {
            body.append(b"x", &spool(1000)).unwrap();
            writes += u32::from(std::mem::replace(&mut filed, body.filed) != body.filed);
            assert!(body.memory.capacity() <= 2 * GATHER);
        }
        assert!(writes < 100, "{writes}");
    }
}
