//! How connections are moved: two drivers, and what they share.
//!
//! `blocking`: a thread holds one connection from accept to close. `reactor`: one thread at a time receives for many
//! connections, and a worker thread has a request only from its last byte received to its answer made. Both hold a
//! connection as a `Wire` (socket, sans-I/O connection, body, answer) and hand complete requests to a `Gateway` as an
//! `Exchange`. Ownership of a wire moves between threads; nothing locks a connection.

mod accept;
mod answer;
mod blocking;
mod body;
mod budget;
mod contention;
mod context;
mod duty;
mod exchange;
mod front_end;
mod no_room;
mod overdue;
mod overload;
mod reactor;
mod readers;
mod ready;
mod refusal;
mod role;
mod seat;
mod surplus;
mod turn;
mod wear;
mod wire;

pub use blocking::BlockingDriver;
pub use body::{Body, NoRoom};
pub use budget::{Bounds, Budget};
pub use context::{Context, Spool};
pub use duty::{Duty, Orders};
pub use exchange::{Exchange, Gone, Queued};
pub use overdue::{Deadline, Got, Overdue, Then};
pub use overload::QueueBounds;
pub use readers::Readers;
pub use role::ReactorDriver;
pub use seat::{Seat, TooLate, Waits};
pub use wear::{Wear, Worn};

use crate::net::Attention;

/// Calls the application. One value per child, shared by its threads.
pub trait Gateway: Send + Sync + 'static {
    /// Answers every exchange of `batch`, attached to the interpreter once for all of them.
    fn serve(&self, batch: &mut dyn Batch);

    /// A request takes longer than it may, and its client was answered: shows what its thread does, and asks it to come
    /// back. Run by a thread of its own, which may wait for the interpreter.
    fn overdue(&self, overdue: &Overdue) {
        let _ = overdue;
    }

    /// Ends the process at once, without the interpreter: it has nothing else to offer. Run by a thread of the engine.
    fn end_process(&self) {}
}

/// Complete requests for one thread, one at a time.
pub trait Batch {
    /// Completes the exchange given out before (sends, hands the connection back), then gives the next complete request,
    /// or None when there is nothing to do for this thread now. Never waits for a client or for another thread.
    fn next(&mut self) -> Option<Exchange<'_>>;
}

/// What the thread that drives may be asked to do between two waits: the only thread of a prefork child hears its parent
/// and runs signal handlers this way.
pub trait Supervisor {
    /// The watched descriptor can be read, or a signal has arrived.
    ///
    /// # Errors
    /// `Interrupted` makes the driver return at once.
    fn attend(&mut self, attention: Attention) -> Result<(), Interrupted>;
}

/// The supervisor wants the driver to return at once; why is the supervisor's to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;
