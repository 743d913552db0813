//! What a client may ask for at most. Values only; each is a directive (see `tricorn/config`), all are enforced in
//! `connection`.

/// Bounds on one request and one connection. Exceeding one is answered with the status named here, then the
/// connection is closed.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the request line without its line end; beyond: 414. Apache: `LimitRequestLine`.
    pub request_line: usize,
    /// Number of header fields; beyond: 431. Apache: `LimitRequestFields`.
    pub fields: usize,
    /// Bytes of one field line, name to value; beyond: 431. Apache: `LimitRequestFieldSize`.
    pub field_size: usize,
    /// Bytes of the whole head, request line and line ends included; beyond: 431.
    pub head: usize,
    /// Bytes of a body, announced or counted; beyond: 413. Apache: `LimitRequestBody`. `u64::MAX` is no limit.
    pub body: u64,
    /// Requests on one connection before it is closed after an answer; 0 is no limit. Apache: `MaxKeepAliveRequests`.
    pub requests_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 8190,
            fields: 100,
            field_size: 8190,
            head: 65_536,
            body: 1 << 30,
            requests_per_connection: 0,
        }
    }
}
