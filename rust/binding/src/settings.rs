//! `EngineSettings`: decided values on their way from Python to the engine, checked once for what the types cannot say.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::addresses::{Addresses, ClientBounds, Network};
use engine::connection::Protocol;
use engine::drive::{Bounds, Budget, Context, Deadline, Orders, QueueBounds, Readers, Spool, Then, Wear};
use engine::limits::Limits;
use engine::log::{AccessLog, ErrorLog, Format, Level};
use engine::scoreboard::{Holdings, OwnRow};
use engine::timeouts::{Contended, HandlerTime, Rate, Timeouts};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::addresses::AddressTables;

/// One stage of `request_read_timeout` as Python writes it: initial, maximum, minimum rate.
type Stage = (f64, Option<f64>, Option<u32>);

/// The plain values the engine needs; made once per child.
#[pyclass(frozen, module = "tricorn._engine")]
pub(crate) struct EngineSettings {
    protocol: Arc<Protocol>,
    spool_directory: PathBuf,
    request_memory: u64,
    response_memory: u64,
    response_limit: u64,
    bounds: Bounds,
    open_connections: usize,
    queue: QueueBounds,
    per_address: ClientBounds,
    trusted: Vec<Network>,
    address_tables: Option<Py<AddressTables>>,
    server_timing: bool,
    deadline: Deadline,
    connections_per_child: u64,
    requests_per_child: u64,
    error_log_fd: RawFd,
    level: Level,
    log_name: String,
    access_log: Option<(RawFd, Format)>,
    bell_fd: Option<RawFd>,
    spare_bell_fd: Option<RawFd>,
}

#[pymethods]
impl EngineSettings {
    #[new]
    #[pyo3(signature = (*, limit_request_line, limit_request_fields, limit_request_field_size, limit_request_head,
        limit_request_body, requests_per_connection, handshake_timeout, header_timeout, body_timeout, response_timeout,
        keep_alive_timeout, contended_timeout, timeout, timeout_grace, ends_when_overdue, spool_directory, request_memory,
        response_memory,
        response_limit, buffer_memory_per_child, spool_limit_per_child, spool_limit, max_connections_per_child,
        max_requests_per_child, max_open_connections, max_queued_requests, max_queue_time, max_connections_per_address,
        max_unfinished_requests_per_address, address_prefix_ipv6, trusted_proxies, server_timing, server_header,
        error_log_fd, log_level, log_name, access_log_fd, access_log_format, bell_fd = None, spare_bell_fd = None,
        address_tables = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python; one place translates")]
    fn new(
        limit_request_line: usize,
        limit_request_fields: usize,
        limit_request_field_size: usize,
        limit_request_head: usize,
        limit_request_body: u64,
        requests_per_connection: u32,
        handshake_timeout: Stage,
        header_timeout: Stage,
        body_timeout: Stage,
        response_timeout: Stage,
        keep_alive_timeout: f64,
        contended_timeout: (f64, f64, f64),
        timeout: f64,
        timeout_grace: f64,
        ends_when_overdue: bool,
        spool_directory: PathBuf,
        request_memory: u64,
        response_memory: u64,
        response_limit: u64,
        buffer_memory_per_child: u64,
        spool_limit_per_child: u64,
        spool_limit: u64,
        max_connections_per_child: u64,
        max_requests_per_child: u64,
        max_open_connections: usize,
        max_queued_requests: usize,
        max_queue_time: f64,
        max_connections_per_address: u32,
        max_unfinished_requests_per_address: u32,
        address_prefix_ipv6: u8,
        trusted_proxies: Vec<String>,
        server_timing: bool,
        server_header: String,
        error_log_fd: RawFd,
        log_level: &str,
        log_name: String,
        access_log_fd: Option<RawFd>,
        access_log_format: &str,
        bell_fd: Option<RawFd>,
        spare_bell_fd: Option<RawFd>,
        address_tables: Option<Py<AddressTables>>,
    ) -> PyResult<Self> {
        let level = Level::from_word(log_level)
            .ok_or_else(|| PyValueError::new_err(format!("log_level: {log_level:?} is no level")))?;
        if server_header.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(PyValueError::new_err("server_header: control characters cannot be sent"));
        }
        let access_log = match access_log_fd {
            Some(fd) => Some((
                fd,
                Format::compile(access_log_format).map_err(|unknown| PyValueError::new_err(unknown.to_string()))?,
            )),
            None => None,
        };
        let limits = Limits {
            request_line: limit_request_line,
            fields: limit_request_fields,
            field_size: limit_request_field_size,
            head: limit_request_head,
            body: limit_request_body,
            requests_per_connection,
        };
        let timeouts = Timeouts {
            handshake: rate("handshake_timeout", handshake_timeout)?,
            header: rate("header_timeout", header_timeout)?,
            body: rate("body_timeout", body_timeout)?,
            response: rate("response_timeout", response_timeout)?,
            keep_alive: seconds("keep_alive_timeout", keep_alive_timeout)?,
            contended: contended(contended_timeout)?,
            ..Timeouts::default()
        };
        let server = (!server_header.is_empty()).then(|| server_header.into_bytes().into_boxed_slice());
        Ok(Self {
            protocol: Arc::new(Protocol { limits, timeouts, server }),
            spool_directory,
            request_memory,
            response_memory,
            response_limit,
            bounds: Bounds { memory: buffer_memory_per_child, spool: spool_limit_per_child, server_spool: spool_limit },
            open_connections: max_open_connections,
            per_address: ClientBounds {
                connections: max_connections_per_address,
                requests: max_unfinished_requests_per_address,
                ipv6_prefix: address_prefix_ipv6,
            },
            trusted: trusted_proxies.into_iter().map(|text| network(&text)).collect::<PyResult<_>>()?,
            address_tables,
            queue: QueueBounds { requests: max_queued_requests, time: seconds("max_queue_time", max_queue_time)? },
            server_timing,
            deadline: Deadline {
                time: HandlerTime {
                    time: seconds("timeout", timeout)?,
                    grace: seconds("timeout_grace", timeout_grace)?,
                },
                then: if ends_when_overdue { Then::EndProcess } else { Then::AwaitThread },
            },
            connections_per_child: max_connections_per_child,
            requests_per_child: max_requests_per_child,
            error_log_fd,
            level,
            log_name,
            access_log,
            bell_fd,
            spare_bell_fd,
        })
    }
}

impl EngineSettings {
    /// What the threads of child `child` share. Starts the writer of the access log, so only after the last fork.
    pub(crate) fn context(&self, board: &Arc<engine::scoreboard::Scoreboard>, child: usize) -> PyResult<Context> {
        let spare_bell = self.spare_bell_fd.map(|fd| duplicate("spare_bell_fd", fd)).transpose()?;
        let no_row = || PyValueError::new_err(format!("child: the scoreboard has no row {child}"));
        let row = OwnRow::new(Arc::clone(board), child, spare_bell).ok_or_else(no_row)?;
        let holdings = Holdings::new(Arc::clone(board), child).ok_or_else(no_row)?;
        let error_log = ErrorLog::new(open("error_log_fd", self.error_log_fd)?, self.level, self.log_name.clone());
        let access_log = match &self.access_log {
            Some((fd, format)) => Some(AccessLog::new(open("access_log_fd", *fd)?, format.clone())?),
            None => None,
        };
        let tables = self.address_tables.as_ref().filter(|_| !self.per_address.is_none()).map(Py::get);
        let ledger = tables.map(|tables| tables.ledger(child)).transpose()?;
        let bell = self.bell_fd.map(|fd| duplicate("bell_fd", fd)).transpose()?;
        Ok(Context {
            protocol: Arc::clone(&self.protocol),
            spool: Spool {
                directory: self.spool_directory.clone(),
                request_memory: self.request_memory,
                response_memory: self.response_memory,
                response_limit: self.response_limit,
                budget: Arc::new(Budget::new(self.bounds, holdings)),
            },
            readers: Readers::default(),
            open_connections: self.open_connections,
            queue: self.queue,
            addresses: Addresses::new(self.trusted.clone(), self.per_address, ledger, Arc::clone(board.laggards())),
            server_timing: self.server_timing,
            error_log,
            access_log,
            row,
            orders: Orders::default(),
            deadline: self.deadline,
            wear: Wear::new(self.connections_per_child, self.requests_per_child, bell),
        })
    }
}

fn network(text: &str) -> PyResult<Network> {
    Network::parse(text).ok_or_else(|| PyValueError::new_err(format!("trusted_proxies: {text:?} is no network")))
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("{name}: {value} is not a time in seconds")))
}

fn rate(name: &str, (initial, maximum, min_rate): Stage) -> PyResult<Rate> {
    let maximum = maximum.map(|maximum| seconds(name, maximum)).transpose()?;
    Ok(Rate { initial: seconds(name, initial)?, maximum, min_rate })
}

fn contended((header, body, response): (f64, f64, f64)) -> PyResult<Contended> {
    let seconds = |value| seconds("contended_timeout", value);
    Ok(Contended {
        header: seconds(header)?,
        body: seconds(body)?,
        response: seconds(response)?,
        ..Contended::default()
    })
}

/// A descriptor of our own for one that Python keeps.
pub(crate) fn duplicate(name: &str, fd: RawFd) -> PyResult<OwnedFd> {
    let duplicate = open(name, fd)?.try_clone_to_owned();
    duplicate.map_err(|error| PyValueError::new_err(format!("{name}: {fd} cannot be duplicated: {error}")))
}

/// A descriptor that Python keeps open for the life of the process.
fn open(name: &str, fd: RawFd) -> PyResult<BorrowedFd<'static>> {
    borrow(fd)
        .filter(|fd| rustix::io::fcntl_getfd(fd).is_ok())
        .ok_or_else(|| PyValueError::new_err(format!("{name}: {fd} is not an open descriptor")))
}

/// Looks at a descriptor that Python keeps open for as long as the result is used.
#[allow(unsafe_code)] // Python hands descriptors over as numbers.
pub(crate) fn borrow<'a>(fd: RawFd) -> Option<BorrowedFd<'a>> {
    if fd < 0 {
        return None;
    }
    // SAFETY: not -1; the manual asks callers to keep it open. A closed one gives EBADF from the first call on it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    Some(borrowed)
}
