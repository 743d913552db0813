//! What happens when there is no room for more of a body or an answer: what the client and the operator are told, and how a
//! long answer is kept from needing much. How much room there is, is `budget`'s to say.

use std::time::Instant;

use super::Context;
use super::body::NoRoom;
use super::wire::Wire;
use crate::http::Reject;
use crate::log::Level;

/// Bytes of an answer from which on the system is asked to hold little of it.
const LONG_ANSWER: u64 = 64 * 1024;
/// Bytes in memory, beyond `buffer_memory_per_child`, for the ends of answers that no thread waits with.
const RESERVE: u64 = 16 << 20;
/// Seconds after which a client may try again for whose body there is no room now.
const RETRY_BODY: u16 = 5;

impl Wire {
    /// The answer has become long: the system is to hold no more of it than keeps the line busy, so that a client that does
    /// not read costs the machine no megabytes. To be called before so much is sent.
    pub(super) fn expect_length(&mut self, bytes: u64) {
        if bytes > LONG_ANSWER && !self.reader.holds_little {
            self.reader.holds_little = true;
            self.socket.hold_little();
        }
    }

    /// Since when the client has taken too little of a waiting answer: with a rate the time up to which it has paid, without
    /// one when it last took some.
    pub(super) fn behind_since(&mut self, now: Instant) -> Instant {
        self.look_at_reader(now);
        self.connection.paid_until().unwrap_or(self.reader.taken_at)
    }

    /// Adds `block` to the answer that waits. What has no room anywhere is held in memory, and is the answer's debt.
    pub(super) fn hold_block(&mut self, block: &[u8], now: Instant, context: &Context) {
        let debt = self.answer.debt();
        let held = self.answer.push(block, self.connection.left(), &context.spool);
        if self.answer.debt() > debt && context.spool.budget.tells(now) {
            let text = held.map_or_else(
                |error| spool_sentence(context, &error),
                |()| {
                    budget_sentence(
                        "no more of answers can be held for slow readers: applications wait for them",
                        context,
                    )
                },
            );
            context.error_log.line(Level::Warning, &text);
        }
    }

    /// Whether this answer, with which no thread waits, is one too many of those for which there was no room.
    pub(super) fn is_beyond_the_reserve(&self, context: &Context) -> bool {
        let budget = &context.spool.budget;
        self.answer.debt() > 0 && budget.memory() > budget.bounds().memory.saturating_add(RESERVE)
    }

    /// The client does not take its answer, and what it holds is needed: gives up the rest, and tells why.
    pub(super) fn break_off(&mut self, now: Instant, why: &str, context: &Context) {
        self.lost = true;
        self.connection.give_up_answer();
        context.row.broken_off();
        context.addresses.broke_off(self.endpoints.peer, now);
        let behind = now.saturating_duration_since(self.reader.taken_at).as_secs_f64();
        context.error_log.client_line(|| {
            format!("answer broken off after {behind:.3} s without its client taking any: {why} client={}", self.peer())
        });
    }
}

/// The refusal of a request for the body of which there is no room; tells the operator.
pub(super) fn body_refusal(no_room: &NoRoom, now: Instant, context: &Context) -> Reject {
    let (reject, sentence) = match no_room {
        NoRoom::Ever => (Reject::new(507, "the request body is larger than may ever be spooled"), None),
        NoRoom::Now => (
            Reject::unavailable("too many request bodies are being gathered", RETRY_BODY),
            Some(budget_sentence("no more of request bodies can be gathered: they are refused with 503", context)),
        ),
        NoRoom::Failed(error) => {
            (Reject::new(507, "no space to gather the request body"), Some(spool_sentence(context, error)))
        }
    };
    if let Some(sentence) = sentence.filter(|_| context.spool.budget.tells(now)) {
        context.error_log.line(Level::Error, &sentence);
    }
    reject
}

fn spool_sentence(context: &Context, error: &std::io::Error) -> String {
    format!("cannot hold a body in spool_directory {}: {error}", context.spool.directory.display())
}

fn budget_sentence(what: &str, context: &Context) -> String {
    let bounds = context.spool.budget.bounds();
    format!(
        "{what} (temporary files have used up their part of spool_limit_per_child, {} bytes, or of spool_limit, {} bytes)",
        bounds.spool, bounds.server_spool
    )
}
