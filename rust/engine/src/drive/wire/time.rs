//! A wire and its time: deadlines that have come, and what has moved until then, which goes before them. When a deadline comes
//! is computed in `connection::time`.

use std::time::Instant;

use super::{Context, Scratch, Verdict, Wire};
use crate::connection::{Connection, Expired, Stage};
use crate::timeouts::Press;

impl Wire {
    /// The first look is over, and the client has not sent all of its request: counts the time that it had before.
    pub(in crate::drive) fn count_the_queue(&mut self, now: Instant) {
        if matches!(self.connection.stage(), Stage::Head | Stage::Body) {
            self.connection.has_waited(self.socket.unused_for(), now);
        }
    }

    /// Tells the connection what the client has taken of a waiting answer. What the system has taken does not count: a
    /// megabyte in its buffers would look like haste first, and like silence while a slow client empties them.
    pub(in crate::drive) fn look_at_reader(&mut self, now: Instant) {
        let left = self.socket.unsent();
        let taken = self.reader.unsent.saturating_sub(left);
        self.connection.delivered(taken, now);
        if taken > 0 {
            self.reader.taken_at = now;
        }
        self.reader.unsent = left;
    }

    /// Whether the client has not taken a waiting answer in time; then the answer is broken off.
    pub(in crate::drive) fn too_slow(&mut self, now: Instant) -> bool {
        self.look_at_reader(now);
        self.connection.expire(now) != Expired::NotYet
    }

    /// As `too_slow`, while others need what this connection holds.
    pub(in crate::drive) fn in_the_way(&mut self, press: Press, now: Instant) -> bool {
        self.look_at_reader(now);
        self.connection.make_way(press, now) != Expired::NotYet
    }

    /// Acts on a deadline that has come.
    pub(in crate::drive) fn expire(&mut self, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        self.look_and_act(now, Connection::expire, scratch, context)
    }

    /// As `expire`, while others need what this connection holds: that a refusal arrives is not waited for.
    pub(in crate::drive) fn make_way(
        &mut self,
        press: Press,
        now: Instant,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Verdict {
        match self.look_and_act(now, |connection, now| connection.make_way(press, now), scratch, context) {
            Verdict::Wait if self.connection.stage() == Stage::Linger => Verdict::Close,
            verdict @ (Verdict::Request | Verdict::Wait | Verdict::Again | Verdict::Close) => verdict,
        }
    }

    /// What has moved until this moment goes before any deadline: this thread may be late, and the client is not to suffer
    /// for that.
    fn look_and_act(
        &mut self,
        now: Instant,
        on: impl FnOnce(&mut Connection, Instant) -> Expired,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Verdict {
        match self.connection.stage() {
            Stage::Head | Stage::Body | Stage::KeepAlive | Stage::Linger => {
                let stage = self.connection.stage();
                let verdict = self.look_again(now, scratch, context);
                if verdict != Verdict::Wait || self.connection.stage() != stage {
                    return verdict;
                }
            }
            Stage::Write => self.look_at_reader(now),
            Stage::Handshake | Stage::Queued | Stage::Handler => {}
        }
        let expired = on(&mut self.connection, now);
        self.act_on(expired, Verdict::Wait, now, scratch, context)
    }

    /// Acts on what has become of a deadline; `otherwise`, if it has not come.
    pub(super) fn act_on(
        &mut self,
        expired: Expired,
        otherwise: Verdict,
        now: Instant,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Verdict {
        match expired {
            Expired::NotYet => otherwise,
            Expired::Reject(reject) => self.refuse(&reject, now, scratch, context),
            Expired::Close => Verdict::Close,
        }
    }

    /// Proceeds with what has come in this moment, of which nobody has told yet.
    fn look_again(&mut self, now: Instant, scratch: &mut Scratch, context: &Context) -> Verdict {
        self.readable = true;
        self.proceed(now, scratch, context)
    }
}
