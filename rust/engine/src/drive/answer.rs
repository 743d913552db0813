//! The part of an answer that the client has not taken yet: memory up to a bound, then an unlinked temporary file; and
//! pieces of the application's own files, which are sent by the kernel.
//!
//! The budget of the child is asked for memory and file. When both are used up what comes is kept in memory nevertheless,
//! as a debt: whoever makes the answer has to wait until the client has taken it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Spool;
use super::budget::{Memory, Space, What};
use crate::net::{Sent, Socket};

#[derive(Debug)]
enum Segment {
    Memory {
        bytes: Vec<u8>,
        sent: usize,
    },
    /// A range of the answer's own spool file.
    Spooled {
        file: Arc<SpoolFile>,
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
    /// The socket may take more, but so much has been sent in a row that others should have their turn.
    Paused,
    /// The client is gone, or a file ended before its announced length.
    Gone,
}

/// Size from which a spool file makes way for a new one once most of it has been sent, which gives its space back: an
/// answer may never end.
const WORN: u64 = 4 << 20;

/// Bytes sent to one client in a row before others have their turn: a client that reads as fast as we send would keep
/// the thread for the whole of a large answer.
const IN_A_ROW: usize = 1 << 20;

/// A temporary file with the room that it takes.
#[derive(Debug)]
struct SpoolFile {
    file: File,
    space: Space,
}

/// The end of the spool file that is being written.
#[derive(Debug)]
struct Tail {
    file: Arc<SpoolFile>,
    length: u64,
}

/// Bytes in order, on their way to one client.
#[derive(Debug, Default)]
pub(super) struct Answer {
    segments: VecDeque<Segment>,
    spool: Option<Tail>,
    /// Room for what is still to be made, where that is known.
    ahead: Option<Space>,
    in_memory: u64,
    held: u64,
    /// What is counted of `in_memory`: all of it.
    counted: Memory,
    /// How much of it is there although the budget had no room.
    debt: u64,
}

impl Answer {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes held in memory and in the spool file; the application's own files do not count.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Bytes that are held although the budgets are used up.
    pub(super) fn debt(&self) -> u64 {
        self.debt
    }

    /// Nothing more is going to be added.
    pub(super) fn made(&mut self) {
        self.ahead = None;
    }

    /// Adds `bytes` at the end, which `more` will follow as far as is known. A file is begun only if it has room for all of
    /// that: a part in a file frees nobody from waiting.
    ///
    /// # Errors
    /// When the spool file cannot be made or written; the bytes have been added all the same.
    pub(super) fn push(&mut self, bytes: &[u8], more: u64, spool: &Spool) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let length = bytes.len() as u64;
        self.held += length;
        if self.in_memory + length <= spool.response_memory && self.counted.take(length, &spool.budget) {
            self.push_memory(bytes);
            return Ok(());
        }
        let spooled = self.push_spooled(bytes, more, spool);
        if !matches!(spooled, Ok(true)) {
            self.counted.take_anyway(length, &spool.budget);
            self.debt += length;
            self.push_memory(bytes);
        }
        spooled.map(drop)
    }

    fn push_memory(&mut self, bytes: &[u8]) {
        self.in_memory += bytes.len() as u64;
        if let Some(Segment::Memory { bytes: last, sent }) = self.segments.back_mut() {
            if *sent > last.len() / 2 {
                last.drain(..std::mem::take(sent));
            }
            last.extend_from_slice(bytes);
        } else {
            self.segments.push_back(Segment::Memory { bytes: bytes.to_vec(), sent: 0 });
        }
    }

    /// False when there is no room in the budget.
    fn push_spooled(&mut self, bytes: &[u8], more: u64, spool_in: &Spool) -> io::Result<bool> {
        let worn = WORN.max(self.held.saturating_mul(2));
        let length = bytes.len() as u64;
        if more > 0 && self.spool.is_none() && self.ahead.is_none() {
            let ahead = Space::new(What::Answer, &spool_in.budget);
            if !ahead.reserve(length.saturating_add(more).min(spool_in.response_limit.max(length))) {
                return Ok(false);
            }
            self.ahead = Some(ahead);
        }
        let has_room =
            |space: &Space| self.ahead.as_ref().is_some_and(|ahead| ahead.pass(length, space)) || space.take(length);
        let tail = match &mut self.spool {
            Some(tail) if tail.length <= worn => {
                if !has_room(&tail.file.space) {
                    return Ok(false);
                }
                tail
            }
            spool => {
                let space = Space::new(What::Answer, &spool_in.budget);
                if !has_room(&space) {
                    return Ok(false);
                }
                let file = Arc::new(SpoolFile { file: tempfile::tempfile_in(&spool_in.directory)?, space });
                spool.insert(Tail { file, length: 0 })
            }
        };
        if let Err(error) = tail.file.file.write_all_at(bytes, tail.length) {
            tail.file.space.give_back(length);
            return Err(error);
        }
        let offset = tail.length;
        tail.length += length;
        match self.segments.back_mut() {
            // Only this value writes the file, and only at its end: the last range ends where this piece begins.
            Some(Segment::Spooled { file, remaining, .. }) if Arc::ptr_eq(file, &tail.file) => *remaining += length,
            _ => {
                let file = Arc::clone(&tail.file);
                self.segments.push_back(Segment::Spooled { file, offset, remaining: length });
            }
        }
        Ok(true)
    }

    /// Adds `length` bytes of `file` from `offset`.
    pub(super) fn push_file(&mut self, file: OwnedFd, offset: u64, length: u64) {
        if length > 0 {
            self.segments.push_back(Segment::File { file, offset, remaining: length });
        }
    }

    /// Sends what the socket takes, up to `IN_A_ROW`; also tells how many bytes that was.
    pub(super) fn send(&mut self, socket: &Socket) -> (Progress, usize) {
        let mut total = 0;
        while let Some(segment) = self.segments.front_mut() {
            if total >= IN_A_ROW {
                return (Progress::Paused, total);
            }
            let sent = match segment {
                Segment::Memory { bytes, sent } => socket.send(&bytes[*sent..]),
                Segment::Spooled { file, offset, remaining } => {
                    socket.send_file(file.file.as_fd(), *offset, *remaining)
                }
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
                self.debt = self.debt.saturating_sub(count);
                self.counted.give_back(count);
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::drive::budget::unbounded;

    const BLOCK: usize = 64 * 1024;

    /// An endless answer to a reader that keeps pace but never takes all: nothing that was sent is kept.
    fn keep_pace(held: usize, response_memory: u64, check: impl Fn(&Answer)) {
        let (socket, mut client) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        client.set_nonblocking(true).unwrap();
        let socket = Socket::new(socket.into());
        let spool = Spool {
            directory: std::env::temp_dir(),
            request_memory: 0,
            response_memory,
            response_limit: u64::MAX,
            budget: unbounded(),
        };
        let mut answer = Answer::default();
        let mut counter = 0_u64..;
        let mut expected = 0_u64..;
        let mut received = Vec::new();
        for _ in 0..2000 {
            while answer.held() < held as u64 {
                let block: Vec<u8> = (&mut counter).take(BLOCK / 8).flat_map(u64::to_le_bytes).collect();
                answer.push(&block, 0, &spool).unwrap();
            }
            assert_ne!(answer.send(&socket).0, Progress::Gone);
            let mut block = vec![0; BLOCK];
            let n = client.read(&mut block).unwrap();
            received.extend_from_slice(&block[..n]);
            for word in received.chunks_exact(8) {
                assert_eq!(u64::from_le_bytes(word.try_into().unwrap()), expected.next().unwrap());
            }
            received.drain(..received.len() / 8 * 8);
            check(&answer);
        }
    }

    #[test]
    fn memory_of_what_was_sent_is_given_back() {
        keep_pace(8 * BLOCK, u64::MAX, |answer| {
            for segment in &answer.segments {
                if let Segment::Memory { bytes, .. } = segment {
                    assert!(bytes.capacity() < 64 * BLOCK, "{}", bytes.capacity());
                }
            }
        });
    }

    #[test]
    fn disk_space_of_what_was_sent_is_given_back() {
        keep_pace(8 * BLOCK, 0, |answer| {
            let tail = answer.spool.as_ref().unwrap();
            assert!(tail.length <= WORN + BLOCK as u64, "{}", tail.length);
            let mut files: Vec<_> = answer
                .segments
                .iter()
                .filter_map(|segment| match segment {
                    Segment::Spooled { file, .. } => Some(Arc::as_ptr(file)),
                    Segment::Memory { .. } | Segment::File { .. } => None,
                })
                .collect();
            files.dedup();
            assert!(files.len() <= 2, "{}", files.len());
        });
    }

    #[test]
    fn a_reader_as_fast_as_we_are_gets_no_more_than_its_turn() {
        let (socket, mut client) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let reading = std::thread::spawn(move || std::io::copy(&mut client, &mut std::io::sink()).unwrap());
        let socket = Socket::new(socket.into());
        let file = tempfile::tempfile().unwrap();
        file.set_len(256 << 20).unwrap();
        let mut answer = Answer::default();
        answer.push_file(file.into(), 0, 256 << 20);
        loop {
            // One call of the system may go beyond the turn by as much as it sends at once.
            let (progress, sent) = answer.send(&socket);
            assert!(sent <= 2 * IN_A_ROW, "{sent}");
            match progress {
                Progress::Done => break,
                Progress::Paused | Progress::Blocked => std::thread::yield_now(),
                Progress::Gone => panic!("the reader has gone"),
            }
        }
        drop(socket);
        assert_eq!(reading.join().unwrap(), 256 << 20);
    }
}
