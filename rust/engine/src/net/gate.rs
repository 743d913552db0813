//! Waiting for clients such that a new one wakes one child and not all.
//!
//! Some facts: when many processes poll one listening socket, the kernel wakes all of them for each client, and all but
//! one find nothing. `EPOLLEXCLUSIVE` wakes one sleeper for each client, but only a sleeper in `epoll_wait` itself: an
//! epoll descriptor inside a `poll` wakes everybody again. What follows: whatever else may wake the thread is in the same
//! epoll set. Only for one listening socket: with two, who is woken for a client at the one may accept a client at the
//! other, and the first then waits although others sleep. And only for children with one thread, which are all alike when
//! they wait; where children are loaded differently, fair accepting needs all of them to be woken, and one to be first.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::wait::{Attention, Ready, Waiter};
use super::{Listener, Listeners};

const CLIENT: u64 = 0;
const WAKE: u64 = 1;
const WATCH: u64 = 2;

/// An epoll set of a child's listening sockets and what else may wake its only thread.
#[derive(Debug)]
pub struct Gate {
    epoll: OwnedFd,
}

impl Gate {
    /// Begins to watch `listeners` and all that `waiter` names.
    ///
    /// # Errors
    /// When descriptors are exhausted.
    pub fn new(listeners: &Listeners, waiter: &Waiter<'_>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for listener in listeners.iter().map(Listener::as_fd) {
            epoll::add(&epoll, listener, EventData::new_u64(CLIENT), EventFlags::IN | EventFlags::EXCLUSIVE)?;
        }
        if let Some(wake) = waiter.wake {
            epoll::add(&epoll, wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        }
        if let Some(watch) = waiter.watch {
            epoll::add(&epoll, watch, EventData::new_u64(WATCH), EventFlags::IN)?;
        }
        Ok(Self { epoll })
    }

    /// Waits for a client, or for what `waiter` names: that with which the set was made.
    ///
    /// # Errors
    /// When the system cannot poll; never because of a signal.
    pub fn wait(&self, waiter: &Waiter<'_>) -> io::Result<Ready> {
        let mut events = [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(WAKE) }; 8];
        let count = match epoll::wait(&self.epoll, &mut events, None) {
            Ok(count) => count,
            Err(Errno::INTR) => return Ok(Ready { waited: false, attention: Some(Attention::Signal) }),
            Err(error) => return Err(error.into()),
        };
        let has = |what: u64| events[..count].iter().any(|event| event.data.u64() == what);
        if let Some(wake) = waiter.wake.filter(|_| has(WAKE)) {
            wake.heed();
        }
        Ok(Ready { waited: has(CLIENT), attention: has(WATCH).then_some(Attention::Watched) })
    }
}
