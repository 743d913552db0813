//! Lines for the error log and the access log. Where the files are, who opens and reopens them, is decided in Python
//! (`tricorn/logs`), which writes lines of the same shape; here they are only formatted and written.

mod access;
mod clock;
mod error;
mod format;

pub use access::{AccessLog, Record};
pub use error::{ErrorLog, Level};
pub use format::{Format, UnknownDirective};
