//! The error log as the engine writes it: one line, one system call.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

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

/// The error log of one child.
#[derive(Debug)]
pub struct ErrorLog {
    fd: OwnedFd,
    level: Level,
    name: String,
    clients: Mutex<ClientLines>,
}

impl ErrorLog {
    /// Lines go to `fd` when they are at least as serious as `level`, under `name` (for example `child=3 gen=2`).
    #[must_use]
    pub fn new(fd: OwnedFd, level: Level, name: String) -> Self {
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
        // A log that cannot be written (a full disk, a closed pipe) must not stop the server.
        let _ = rustix::io::write(&self.fd, &line);
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
