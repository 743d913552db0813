//! What a child's wires and drivers have in common: decided values, logs, the child's row.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::connection::Protocol;
use crate::log::{AccessLog, ErrorLog};
use crate::scoreboard::OwnRow;

/// Where bodies and answers wait. Directives of the same names.
#[derive(Debug, Clone)]
pub struct Spool {
    /// The directory of unlinked temporary files.
    pub directory: PathBuf,
    /// Bytes of a request body held in memory before it goes to a file.
    pub request_memory: u64,
    /// Bytes of an answer held in memory before it goes to a file.
    pub response_memory: u64,
    /// Bytes of an answer held (memory and file) before the application has to wait for the client.
    pub response_limit: u64,
}

/// How many connections a child takes. Directives of the same names.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections after which the child retires; 0 is never. Apache: `MaxConnectionsPerChild`.
    pub connections_per_child: u64,
    /// Connections open at once (reactor).
    pub open_connections: usize,
}

/// One per child, shared by its threads.
#[derive(Debug)]
pub struct Context {
    /// Limits and deadlines of every connection.
    pub protocol: Arc<Protocol>,
    /// Where bodies and answers wait.
    pub spool: Spool,
    /// How many connections are taken.
    pub bounds: Bounds,
    /// Lines for the operator.
    pub error_log: ErrorLog,
    /// Lines for answered requests, when there is an access log.
    pub access_log: Option<AccessLog>,
    /// The child's row of the scoreboard.
    pub row: OwnRow,
    /// Whether the child takes no more connections.
    pub retired: Retired,
}

/// Whether the child takes no more connections and tells those it has that they end; never taken back.
#[derive(Debug, Default)]
pub struct Retired {
    set: AtomicBool,
    bell: Option<OwnedFd>,
}

impl Retired {
    /// Not set; when it is, one byte is written to `bell`, so that whoever supervises the child hears of it at once.
    #[must_use]
    pub fn with_bell(bell: OwnedFd) -> Self {
        Self { set: AtomicBool::new(false), bell: Some(bell) }
    }

    /// Whether it has been set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.load(SeqCst)
    }

    /// Sets it; true for the caller that was first.
    pub(super) fn set(&self) -> bool {
        let first = !self.set.swap(true, SeqCst);
        if let Some(bell) = self.bell.as_ref().filter(|_| first) {
            // A pipe that is full has rung already.
            let _ = rustix::io::write(bell, &[0]);
        }
        first
    }
}
