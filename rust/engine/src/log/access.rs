//! The access log: lines are formatted by the thread that has answered, and written by a thread of their own, so that a
//! slow disk or a full pipe stops nobody.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Format;
use crate::net::Endpoints;

/// One answered request, as the log sees it.
pub struct Record<'a> {
    /// Both ends of the connection.
    pub endpoints: Endpoints,
    /// The method as sent.
    pub method: &'a [u8],
    /// The request target as sent.
    pub target: &'a [u8],
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub protocol: &'a [u8],
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the complete request to the application.
    pub waited: Duration,
    /// From the complete request to the end of the answer.
    pub took: Duration,
    /// A field of the request by its name, without regard to case.
    pub field: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
}

/// Bytes of lines that may wait for the writer; beyond, lines are dropped and counted.
const MOST_WAITING: usize = 1 << 20;
/// How long the writer gathers lines before it writes them.
const GATHER: Duration = Duration::from_millis(50);
/// How long a child that leaves waits for somebody to read a pipe that is full.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// The access log of one child. Dropping it writes what waits.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Starts the writer for `fd`, which is not its own, as in the error log. Only after the last fork.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(fd: BorrowedFd<'static>, format: Format) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("tricorn-access-log".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || write_until_closed(&of_writer, fd))?;
        Ok(Self { format, shared, writer: Mutex::new(Some(writer)) })
    }

    /// Adds the line for `record`. Never waits for the disk.
    pub fn record(&self, record: &Record<'_>) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() >= MOST_WAITING {
            waiting.dropped += 1;
            return;
        }
        let first = waiting.lines.is_empty();
        self.format.write(record, &mut waiting.lines);
        drop(waiting);
        if first {
            self.shared.changed.notify_one();
        }
    }

    /// Writes what waits and ends the writer. Run once, when the child's last exchange is over.
    pub fn close(&self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        self.shared.changed.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has nothing more to write.
            let _ = writer.join();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// The life of the writer thread.
fn write_until_closed(shared: &Shared, fd: BorrowedFd<'_>) {
    let mut lines = Vec::new();
    loop {
        let waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closing;
        let waiting = shared.changed.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner);
        let gathering = |waiting: &mut Waiting| !waiting.closing;
        let (mut waiting, _) =
            shared.changed.wait_timeout_while(waiting, GATHER, gathering).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut lines, &mut waiting.lines);
        let dropped = std::mem::take(&mut waiting.dropped);
        let closing = waiting.closing;
        drop(waiting);
        if dropped > 0 {
            lines.extend_from_slice(format!("# {dropped} lines were dropped: the log is too slow\n").as_bytes());
        }
        write_all(shared, fd, &lines);
        lines.clear();
        lines.shrink_to(64 * 1024);
        if closing {
            return;
        }
    }
}

/// Writes all lines; gives up when the log is closed and nobody makes room for them.
fn write_all(shared: &Shared, fd: BorrowedFd<'_>, mut lines: &[u8]) {
    while !lines.is_empty() {
        match rustix::io::write(fd, lines) {
            Ok(0) => return,
            Ok(n) => lines = &lines[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let closing = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).closing;
                let deadline = Instant::now() + PATIENCE;
                let waited = crate::net::wait_one(fd, crate::net::Interest::Send, Some(deadline));
                if waited.is_err() || (closing && waited.is_ok_and(|room| !room)) {
                    return;
                }
            }
            // A log that cannot be written must not stop the server; the error log has its own file.
            Err(_) => return,
        }
    }
}
