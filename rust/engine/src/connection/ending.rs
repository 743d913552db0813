//! Whether a connection is kept after its present or next answer. Drivers only ever bring the end nearer.

/// See the module's first line; in order of nearness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// It is kept for as long as limits and the client allow.
    Open,
    /// The next answer is the last.
    WithAnswer,
    /// As `WithAnswer`, and a request of which nothing has come is awaited for a moment only.
    Soon,
}
