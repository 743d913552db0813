//! The body of a request: gathered before the application is called, in memory up to a bound, then in an unlinked
//! temporary file that vanishes with its descriptor, whatever becomes of the process. The budget of the child is asked for
//! both; where memory is used up, the file comes sooner.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::Spool;
use super::budget::{Memory, Space, What};

/// Bytes that are gathered before they are written to the file: a client can cut its body into pieces of one byte, and
/// a system call for each would keep the listener busy.
const GATHER: usize = 16 * 1024;
/// Bytes of each body that are not counted: the usual form costs the budget no thought, and even when memory is used up
/// so much is gathered before it is written.
const UNCOUNTED: u64 = 4 * 1024;
/// In what steps memory is counted.
const STEP: u64 = 16 * 1024;

/// Why a body cannot be gathered.
#[derive(Debug)]
pub enum NoRoom {
    /// It alone is more than could ever be held.
    Ever,
    /// Others hold too much at the moment.
    Now,
    /// The temporary file cannot be made or written (a full disk, a missing directory).
    Failed(io::Error),
}

/// A temporary file with the room that it takes.
#[derive(Debug)]
struct Filed {
    file: File,
    space: Space,
}

/// Bytes in order, written once and read from the beginning.
#[derive(Debug, Default)]
pub struct Body {
    file: Option<Filed>,
    /// How much is in the file.
    filed: u64,
    /// What follows the file's contents, or all of the body.
    memory: Vec<u8>,
    counted: Memory,
    position: u64,
}

impl Body {
    /// Adds a piece.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn append(&mut self, piece: &[u8], spool: &Spool) -> Result<(), NoRoom> {
        let after = self.memory.len() + piece.len();
        if self.may_keep(after as u64, spool) {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        let memory = std::mem::take(&mut self.memory);
        self.file(&memory, spool)?;
        if !self.may_keep(piece.len() as u64, spool) {
            return self.file(piece, spool);
        }
        self.memory = memory;
        self.memory.clear();
        self.memory.shrink_to(GATHER);
        self.memory.extend_from_slice(piece);
        Ok(())
    }

    /// Whether so many bytes may be in memory.
    fn may_keep(&mut self, bytes: u64, spool: &Spool) -> bool {
        let most = if self.file.is_some() { GATHER as u64 } else { spool.request_memory };
        if bytes > most {
            return false;
        }
        let counted = self.counted.bytes();
        if bytes <= UNCOUNTED.max(counted) {
            return true;
        }
        let more = bytes.next_multiple_of(STEP) - counted;
        self.counted.take(more, &spool.budget)
    }

    /// Writes to the end of the file.
    fn file(&mut self, bytes: &[u8], spool: &Spool) -> Result<(), NoRoom> {
        let length = bytes.len() as u64;
        if self.filed.saturating_add(length) > spool.budget.most_spooled() {
            return Err(NoRoom::Ever);
        }
        let filed = match &mut self.file {
            Some(filed) => filed,
            None => self.file.insert(Filed {
                file: tempfile::tempfile_in(&spool.directory).map_err(NoRoom::Failed)?,
                space: Space::new(What::Body, &spool.budget),
            }),
        };
        if !filed.space.take(length) {
            return Err(NoRoom::Now);
        }
        filed.file.write_all(bytes).map_err(NoRoom::Failed)?;
        self.filed += length;
        // From now on it is only gathered in memory.
        self.counted.give_back(self.counted.bytes().saturating_sub(GATHER as u64));
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
            Some(filed) if self.position < self.filed => filed.file.read_at(buffer, self.position)?,
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
    use super::super::budget::{Bounds, budget, unbounded};
    use super::*;

    fn spool(request_memory: u64) -> Spool {
        Spool {
            directory: std::env::temp_dir(),
            request_memory,
            response_memory: 0,
            response_limit: 0,
            budget: unbounded(),
        }
    }

    #[test]
    fn pieces_of_any_size_come_back_in_order() {
        let all: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for request_memory in [0, 1, 5000, 300_000, 1 << 30] {
            for size in [1, 7, 4096, GATHER - 1, GATHER, 65_536, all.len()] {
                let mut body = Body::default();
                let spool = spool(request_memory);
                for piece in all.chunks(size) {
                    body.append(piece, &spool).unwrap();
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
        let spool = spool(1000);
        for _ in 0..1_000_000 {
            body.append(b"x", &spool).unwrap();
            writes += u32::from(std::mem::replace(&mut filed, body.filed) != body.filed);
            assert!(body.memory.capacity() <= 2 * GATHER);
        }
        assert!(writes < 100, "{writes}");
    }

    fn bounded(memory: u64, spool: u64) -> Spool {
        Spool {
            directory: std::env::temp_dir(),
            request_memory: 1 << 20,
            response_memory: 0,
            response_limit: 0,
            budget: budget(Bounds { memory, spool, server_spool: u64::MAX }),
        }
    }

    #[test]
    fn what_has_no_room_in_memory_goes_to_the_file_and_what_has_none_there_is_refused() {
        let spool = bounded(32 * 1024, 100_000);
        let mut first = Body::default();
        for _ in 0..30 {
            first.append(&[b'a'; 1024], &spool).unwrap();
        }
        assert!(first.memory().is_some());
        let mut second = Body::default();
        for _ in 0..80 {
            second.append(&[b'b'; 1024], &spool).unwrap();
        }
        assert!(second.memory().is_none() && second.filed > 70_000);
        let mut third = Body::default();
        let refused = (0..80).find_map(|_| third.append(&[b'c'; 1024], &spool).err());
        assert!(matches!(refused, Some(NoRoom::Now)), "{refused:?}");
        drop(second);
        drop(third);
        let mut fourth = Body::default();
        for _ in 0..80 {
            fourth.append(&[b'd'; 1024], &spool).unwrap();
        }
        let refused = (0..80).find_map(|_| fourth.append(&[b'd'; 1024], &spool).err());
        assert!(matches!(refused, Some(NoRoom::Ever)), "{refused:?}");
    }

    #[test]
    fn a_byte_at_a_time_without_memory_is_written_in_pages() {
        let spool = bounded(0, u64::MAX);
        let (mut body, mut filed, mut writes) = (Body::default(), 0, 0);
        for _ in 0..100_000 {
            body.append(b"x", &spool).unwrap();
            writes += u32::from(std::mem::replace(&mut filed, body.filed) != body.filed);
        }
        assert!(writes < 30, "{writes}");
        let mut back = Vec::new();
        body.read_to_end(&mut back).unwrap();
        assert!(back == vec![b'x'; 100_000]);
    }
}
