//! Who is refused, and what a refused client gets. A client that has too much already (`crate::addresses` says what that
//! is) is refused when its connection is accepted, or when the first bytes of a request are here; other reasons are found
//! by whoever calls `refuse`. Both drivers; nothing here waits.

use std::time::Instant;

use super::Context;
use super::wire::{Noted, Scratch, Verdict, Wire};
use crate::addresses::{Presence, TooMany};
use crate::http::Reject;
use crate::net::{Endpoints, Socket};

impl Wire {
    /// A client that was just accepted; None if it was refused because its address has too many connections.
    pub(super) fn admit(
        socket: Socket,
        endpoints: Endpoints,
        now: Instant,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Option<Self> {
        match context.addresses.admit(endpoints.peer, now) {
            Ok(presence) => Some(Self::new(socket, endpoints, presence, context, now)),
            Err(too_many) => {
                let wire = Self::new(socket, endpoints, Presence::default(), context, now);
                wire.turn_back(&too_many, scratch, context);
                None
            }
        }
    }

    /// Counts the request of which something has come, if anything has; cheap to repeat. Refused if there are too many.
    #[inline]
    pub(super) fn begin_request(&mut self, now: Instant, scratch: &mut Scratch, context: &Context) -> Option<Verdict> {
        if self.connection.idle() {
            return None;
        }
        let too_many = self.presence.begin_request(now).err()?;
        self.tell_of_share(&too_many, context);
        // Nobody is asked to go on (100) who is refused.
        scratch.out.clear();
        self.noted = Noted::begin(now);
        Some(self.give_refusal(&too_many.reject, now, scratch, context))
    }

    /// Refuses a connection whose client has too many of them. Never waits: what has come is thrown away, since closing
    /// over it would reset the connection, and the answer goes as far as the system takes it at once.
    fn turn_back(mut self, too_many: &TooMany, scratch: &mut Scratch, context: &Context) {
        self.tell_of_share(too_many, context);
        self.connection.reject(&too_many.reject, &mut scratch.out);
        // Whatever goes wrong with either, the connection ends here.
        let _ = self.socket.receive(&mut scratch.received);
        let _ = self.socket.send(&scratch.out);
        scratch.out.clear();
        self.socket.shutdown_write();
    }

    fn tell_of_share(&self, too_many: &TooMany, context: &Context) {
        context.row.refused_by_address();
        let Some(more) = too_many.told else { return };
        context.error_log.client_line(|| {
            let sentence = self.refusal_sentence(&too_many.reject);
            if more == 0 {
                sentence
            } else {
                format!("{sentence}; so were {more} more of its address since it was told")
            }
        });
    }

    /// Refuses a complete request for which there is no thread.
    pub(super) fn turn_away(
        &mut self,
        reject: &Reject,
        now: Instant,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Verdict {
        self.noted.waited = now.saturating_duration_since(self.noted.complete_at);
        context.row.turned_away();
        self.send_refusal(reject, now, scratch, context)
    }

    /// Answers a refusal by the byte path.
    pub(super) fn refuse(
        &mut self,
        reject: &Reject,
        now: Instant,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Verdict {
        self.noted = Noted::begin(now);
        self.send_refusal(reject, now, scratch, context)
    }

    fn send_refusal(&mut self, reject: &Reject, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        context.error_log.client_line(|| self.refusal_sentence(reject));
        self.give_refusal(reject, now, scratch, context)
    }

    fn refusal_sentence(&self, reject: &Reject) -> String {
        format!("refused with {}: {} client={}", reject.status, reject.reason, self.peer())
    }

    /// Answers a refusal that has been told of.
    fn give_refusal(&mut self, reject: &Reject, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        self.connection.reject(reject, &mut scratch.out);
        self.noted.status = reject.status;
        self.record(now, context);
        self.settle(now, scratch, context)
    }
}
