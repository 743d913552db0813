//! What a child's wires and drivers have in common: decided values, logs, the child's row.

use std::path::PathBuf;
use std::sync::Arc;

use super::budget::Budget;
use super::duty::Orders;
use super::overdue::Deadline;
use super::overload::QueueBounds;
use super::readers::Readers;
use super::wear::Wear;
use crate::addresses::Addresses;
use crate::connection::Protocol;
use crate::log::{AccessLog, ErrorLog};
use crate::scoreboard::OwnRow;

/// Where bodies and answers wait, and how much of one waits where. Directives of the same names.
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
    /// What all of them together may hold.
    pub budget: Arc<Budget>,
}

/// One per child, shared by its threads.
#[derive(Debug)]
pub struct Context {
    /// Limits and deadlines of every connection.
    pub protocol: Arc<Protocol>,
    /// Where bodies and answers wait.
    pub spool: Spool,
    /// Connections that the reactor holds open at once at most. Directive: `max_open_connections`.
    pub open_connections: usize,
    /// How many complete requests may wait for a thread of the reactor, and for how long.
    pub queue: QueueBounds,
    /// What one client may have at once, and whose word is believed.
    pub addresses: Addresses,
    /// Whether answers tell how long their requests have waited. Directive: `server_timing`.
    pub server_timing: bool,
    /// Threads that wait for readers.
    pub readers: Readers,
    /// Lines for the operator.
    pub error_log: ErrorLog,
    /// Lines for answered requests, when there is an access log.
    pub access_log: Option<AccessLog>,
    /// The child's row of the scoreboard.
    pub row: OwnRow,
    /// What the child is to do about clients.
    pub orders: Orders,
    /// How long the application may take.
    pub deadline: Deadline,
    /// The bounds of the child's life.
    pub wear: Wear,
}
