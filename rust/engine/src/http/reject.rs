//! Refusals by the byte path: a status, and which rule was broken. Not here: how a refusal reaches the wire, which is
//! the business of `connection`.

/// A refusal by the byte path, answered without the application. The connection is closed after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// Status code of the answer.
    pub status: u16,
    /// Which rule was broken: a short text for the log and for the small body of the answer.
    pub reason: &'static str,
    /// Seconds for a `Retry-After` field (RFC 9110 section 10.2.3).
    pub retry_after: Option<u16>,
}

impl Reject {
    /// A refusal with any status.
    #[must_use]
    pub const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, retry_after: None }
    }

    /// 400: the bytes are no request that this server would answer safely.
    #[must_use]
    pub const fn bad_request(reason: &'static str) -> Self {
        Self::new(400, reason)
    }

    /// 408: the request did not arrive in time.
    #[must_use]
    pub const fn timeout(reason: &'static str) -> Self {
        Self::new(408, reason)
    }

    /// 413: the body is larger than the limit.
    #[must_use]
    pub const fn body_too_large() -> Self {
        Self::new(413, "the body exceeds the limit for request bodies")
    }

    /// 414: the request line is larger than the limit.
    #[must_use]
    pub const fn line_too_long() -> Self {
        Self::new(414, "the request line exceeds its limit")
    }

    /// 431: fields are too many or too large.
    #[must_use]
    pub const fn fields_too_large(reason: &'static str) -> Self {
        Self::new(431, reason)
    }

    /// 500: the application failed before it began an answer.
    #[must_use]
    pub const fn application_failed() -> Self {
        Self::new(500, "the application failed")
    }

    /// 501: a method or a coding that this server does not implement.
    #[must_use]
    pub const fn not_implemented(reason: &'static str) -> Self {
        Self::new(501, reason)
    }

    /// 503: there is no room for the request now; the client may try again after that many seconds.
    #[must_use]
    pub const fn unavailable(reason: &'static str, retry_after: u16) -> Self {
        Self { status: 503, reason, retry_after: Some(retry_after) }
    }

    /// 504: the application has not begun an answer in time.
    #[must_use]
    pub const fn gateway_timeout() -> Self {
        Self::new(504, "the application took too long")
    }

    /// 429: the client has as much as it may have at once; it may try again after that many seconds.
    #[must_use]
    pub const fn too_many(reason: &'static str, retry_after: u16) -> Self {
        Self { status: 429, reason, retry_after: Some(retry_after) }
    }

    /// The reason phrase of the status line.
    #[must_use]
    pub const fn phrase(&self) -> &'static str {
        match self.status {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            413 => "Content Too Large",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            507 => "Insufficient Storage",
            _ => "Refused",
        }
    }
}
