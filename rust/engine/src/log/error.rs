//! The error log as the engine writes it: one line, one system call.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clock::Utc;

/// How serious a line is, most serious first. Mirrored by `tricorn.config.settings.LogLevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that the operator or developer must look at.
    Error,
    /// Something is not as it should be; serving goes on.
    Warning,
    /// What happens in normal operation.
    Info,
    /// What helps to find a fault.
    Debug,
}

impl Level {
    /// The word in the line and in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Error, Self::Warning, Self::Info, Self::Debug].into_iter().find(|level| level.word() == word)
    }
}

/// Clients can cause lines at will; so many a period are written, the rest is counted in one line.
const CLIENT_LINES: u32 = 20;
const CLIENT_PERIOD: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct ClientLines {
    since: Instant,
    written: u32,
    withheld: u64,
}

/// Whether a write of one line would not wait: a pipe that polls as writable takes a line of ordinary length whole, a file
/// always does.
fn has_room(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let no_time = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&no_time)).is_ok_and(|count| count > 0)
}

/// The error log of one child. The descriptor is not its own: whoever replaces the file behind it (`dup2`) has reopened the
/// log.
#[derive(Debug)]
pub struct ErrorLog {
    fd: BorrowedFd<'static>,
    level: Level,
    name: String,
    clients: Mutex<ClientLines>,
}

impl ErrorLog {
    /// Lines go to `fd` when they are at least as serious as `level`, under `name` (for example `child=3 gen=2`).
    #[must_use]
    pub fn new(fd: BorrowedFd<'static>, level: Level, name: String) -> Self {
        let clients = Mutex::new(ClientLines { since: Instant::now(), written: 0, withheld: 0 });
        Self { fd, level, name, clients }
    }

    /// Writes one line; line ends and control characters inside `text` are escaped.
    pub fn line(&self, level: Level, text: &str) {
        if level > self.level {
            return;
        }
        let mut line = Vec::with_capacity(text.len() + self.name.len() + 48);
        Utc::now().write_rfc3339(&mut line);
        // Writing to memory cannot fail.
        let _ = write!(line, " {:<7} {}: ", level.word(), self.name);
        for character in text.chars() {
            if character.is_control() {
                line.extend(character.escape_default().map(|escaped| escaped as u8));
            } else {
                let _ = write!(line, "{character}");
            }
        }
        line.push(b'\n');
        // A pipe, a terminal, a socket: when nobody reads it, lines are lost rather than requests.
        if !has_room(self.fd) {
            return;
        }
        // A log that cannot be written (a full disk, a closed pipe) must not stop the server.
        let _ = rustix::io::write(self.fd, &line);
    }

    /// Writes a line that a client has caused, at `Level::Info`, unless clients have caused too many of late.
    pub fn client_line(&self, text: impl FnOnce() -> String) {
        if self.level < Level::Info {
            return;
        }
        let withheld = {
            let Ok(mut clients) = self.clients.lock() else {
                return;
            };
            let now = Instant::now();
            let mut withheld = 0;
            if now.duration_since(clients.since) >= CLIENT_PERIOD {
                withheld = std::mem::take(&mut clients.withheld);
                clients.since = now;
                clients.written = 0;
            }
            if clients.written >= CLIENT_LINES {
                clients.withheld += 1;
                return;
            }
            clients.written += 1;
            withheld
        };
        if withheld > 0 {
            self.line(Level::Info, &format!("{withheld} more lines about clients were left out"));
        }
        self.line(Level::Info, &text());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::os::fd::{AsFd, OwnedFd};

    use super::{ErrorLog, Level};

    /// A pipe whose writing end stays open for good, as the descriptor of a log does.
    fn lasting_pipe() -> (PipeReader, &'static OwnedFd) {
        let (reader, writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        (reader, Box::leak(Box::new(OwnedFd::from(writer))))
    }

    /// What is in the pipe now.
    fn read_all(reader: &mut PipeReader) -> String {
        let mut bytes = Vec::new();
        let end = reader.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::WouldBlock);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_pipe_that_nobody_reads_stops_nobody() {
        let (mut reader, writer) = lasting_pipe();
        let log = ErrorLog::new(writer.as_fd(), Level::Info, "child=0".to_owned());
        let text = "x".repeat(1000);
        // Far more than a pipe holds.
        for _ in 0..2000 {
            log.line(Level::Error, &text);
        }
        let mut held = vec![0; 1 << 16];
        let n = reader.read(&mut held).unwrap();
        assert!(held[..n].starts_with(b"20") && n > 1000);
        log.line(Level::Error, "and then it is read again");
        let rest = read_all(&mut reader);
        assert!(rest.ends_with("error   child=0: and then it is read again\n"));
    }

    #[test]
    fn no_text_can_forge_a_line() {
        let (mut reader, writer) = lasting_pipe();
        let log = ErrorLog::new(writer.as_fd(), Level::Warning, "child=0".to_owned());
        log.line(Level::Info, "not serious enough");
        log.line(Level::Warning, "a\nb\u{1b}[0m\u{85}é");
        let written = read_all(&mut reader);
        assert!(written.ends_with("Z warning child=0: a\\nb\\u{1b}[0m\\u{85}é\n"), "{written}");
    }
}
