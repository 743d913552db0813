//! When the present stage of a connection must be over, and what is done then. What a rate allows is computed by
//! `crate::timeouts`; when a stage begins is said in `Connection`.

use super::ending::Ending;
use super::{Connection, Phase, Stage};
use crate::http::Reject;
use crate::timeouts::{Press, Rate};
use std::time::{Duration, Instant};

/// What [`Connection::expire`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// The deadline has not been reached.
    NotYet,
    /// Refuse the request that did not arrive in time: call `reject`, send, go on with `next_exchange`.
    Reject(Reject),
    /// Close, without an answer.
    Close,
}

impl Connection {
    /// When the present stage must be over; None: whenever it is.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let timeouts = &self.protocol.timeouts;
        match self.stage() {
            Stage::Head | Stage::KeepAlive if self.ending == Ending::Soon && self.idle() => {
                self.allowance.after(timeouts.retired)
            }
            Stage::Handshake => self.allowance.deadline(&timeouts.handshake),
            Stage::Head if self.requests == 0 && !self.inbound.begun() => [&timeouts.handshake, &timeouts.header]
                .into_iter()
                .filter_map(|rate| self.allowance.deadline(rate))
                .min(),
            Stage::Head => self.allowance.deadline(&timeouts.header),
            Stage::Body => self.allowance.deadline(&timeouts.body),
            Stage::Queued | Stage::Handler => None,
            Stage::Write => self.allowance.deadline(&timeouts.response),
            Stage::KeepAlive => self.allowance.after(timeouts.keep_alive),
            Stage::Linger => self.linger_deadline(),
        }
    }

    /// When the client has used the patience that is left for it while others need what its connection holds, under `press`; None: it
    /// has its usual time. Never after `deadline`, if there is one.
    #[must_use]
    pub fn contended_deadline(&self, press: Press) -> Option<Instant> {
        let timeouts = &self.protocol.timeouts;
        let contended = &timeouts.contended;
        let within = |rate: Rate, behind| self.allowance.deadline(&rate.within(behind)?);
        let soonest = match self.stage() {
            Stage::Handshake | Stage::Head => within(timeouts.header, contended.header),
            Stage::Body => within(timeouts.body, contended.body),
            Stage::Queued | Stage::Handler => None,
            Stage::Write => self.allowance.deadline(&timeouts.response.pressed(contended.response, press)?),
            Stage::KeepAlive => self.allowance.after(contended.keep_alive),
            // The answer is sent: that it arrives is worth no other client's time.
            Stage::Linger => self.allowance.after(Duration::ZERO),
        };
        soonest.map(|soonest| self.deadline().map_or(soonest, |usual| usual.min(soonest)))
    }

    /// The end of a silence, or of all patience. A client that was too slow before has had its time.
    fn linger_deadline(&self) -> Option<Instant> {
        let timeouts = &self.protocol.timeouts;
        let Phase::Linger { heard, .. } = self.phase else {
            return None;
        };
        if self.timed_out {
            return self.allowance.after(timeouts.linger_silence);
        }
        let silence = heard.checked_add(timeouts.linger_silence);
        self.allowance.after(timeouts.linger).into_iter().chain(silence).min()
    }

    /// The time up to which the client has taken a waiting answer fast enough; None where there is no rate to say so.
    #[must_use]
    pub fn paid_until(&self) -> Option<Instant> {
        let rated = self.protocol.timeouts.response.min_rate.is_some_and(|rate| rate > 0);
        rated.then(|| self.allowance.paid_until())
    }

    /// Act on the deadline, if it has been reached.
    pub fn expire(&mut self, now: Instant) -> Expired {
        self.act_on(self.deadline(), now)
    }

    /// As `expire`, while others need what the connection holds.
    pub fn make_way(&mut self, press: Press, now: Instant) -> Expired {
        self.act_on(self.contended_deadline(press), now)
    }

    fn act_on(&mut self, deadline: Option<Instant>, now: Instant) -> Expired {
        if deadline.is_none_or(|deadline| now < deadline) {
            return Expired::NotYet;
        }
        match self.stage() {
            Stage::Head if self.inbound.begun() => {
                Expired::Reject(Reject::timeout("the head of the request did not arrive in time"))
            }
            Stage::Body => Expired::Reject(Reject::timeout("the body of the request did not arrive in time")),
            Stage::Write => {
                self.outbound.give_up();
                Expired::Close
            }
            Stage::Handshake | Stage::Head | Stage::Queued | Stage::Handler | Stage::KeepAlive | Stage::Linger => {
                Expired::Close
            }
        }
    }
}
