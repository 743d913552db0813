//! Waiting for a few descriptors at once, for threads that drive one connection at a time. The reactor has its own
//! poller (mio), which holds many.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to receive, or the end of them.
    Receive,
    /// Room to send.
    Send,
}

/// How a wait ended. Nothing is set when the deadline has come or the wake-up was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// A descriptor waited for is ready, or broken (which the next call on it tells).
    pub waited: bool,
    /// Something else wants the thread.
    pub attention: Option<Attention>,
}

/// What else may want a waiting thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// The watched descriptor can be read.
    Watched,
    /// A signal arrived.
    Signal,
}

/// A wake-up for one thread: a descriptor that is readable from `wake` until that thread has waited for it.
#[derive(Debug)]
pub struct Wake {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Wake {
    /// Makes a wake-up that has not been given.
    ///
    /// # Errors
    /// When descriptors are exhausted.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe()?;
        for fd in [&reader, &writer] {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Self { reader, writer })
    }

    /// Gives the wake-up, which is kept if the thread is not waiting now. Safe in any thread; given twice it is one.
    pub fn wake(&self) {
        // Only a full pipe can make this fail, and then the wake-up has been given already.
        let _ = rustix::io::write(&self.writer, &[1]);
    }

    /// The thread is awake. What it was woken for is to be looked at afterwards, never before.
    pub(super) fn heed(&self) {
        let mut given = [0; 64];
        // Anything but a full buffer is the end of what was given: a short read, nothing there.
        while rustix::io::read(&self.reader, &mut given).is_ok_and(|count| count == given.len()) {}
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// What one thread may be woken by while it waits: the driver's wake-up for it, and a watched descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Waiter<'a> {
    /// The driver's wake-up.
    pub wake: Option<&'a Wake>,
    /// The descriptor on which the parent speaks, for a child with one thread.
    pub watch: Option<BorrowedFd<'a>>,
}

impl Waiter<'_> {
    /// Waits for any of `fds`, each with what it is waited for, until `deadline`. Nothing in the result is true when the deadline has come.
    ///
    /// # Errors
    /// When the system cannot poll; never because of a signal, which is `Ready::interrupted`.
    pub fn wait(&self, fds: &[(BorrowedFd<'_>, Interest)], deadline: Option<Instant>) -> io::Result<Ready> {
        let flags = |interest| match interest {
            Interest::Receive => PollFlags::IN,
            Interest::Send => PollFlags::OUT,
        };
        let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(fds.len() + 2);
        polled.extend(fds.iter().map(|(fd, interest)| PollFd::from_borrowed_fd(*fd, flags(*interest))));
        if let Some(wake) = self.wake {
            polled.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        }
        if let Some(watch) = self.watch {
            polled.push(PollFd::from_borrowed_fd(watch, PollFlags::IN));
        }
        let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => {
                return Ok(Ready { waited: false, attention: Some(Attention::Signal) });
            }
            Err(error) => return Err(error.into()),
        }
        let is_ready = |polled: &PollFd<'_>| !polled.revents().is_empty();
        let waited = polled[..fds.len()].iter().any(is_ready);
        let watched = self.watch.is_some() && polled.last().is_some_and(is_ready);
        if let Some(wake) = self.wake.filter(|_| polled.get(fds.len()).is_some_and(is_ready)) {
            wake.heed();
        }
        Ok(Ready { waited, attention: watched.then_some(Attention::Watched) })
    }
}

/// Waits for one descriptor alone, with nothing else to wake the thread; false when the deadline has come.
///
/// # Errors
/// When the system cannot poll.
pub fn wait_one(fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> io::Result<bool> {
    let waiter = Waiter { wake: None, watch: None };
    loop {
        let ready = waiter.wait(&[(fd, interest)], deadline)?;
        if ready.attention.is_none() {
            return Ok(ready.waited);
        }
    }
}

/// Whether the other end of a connection has reset it, or closed it in both directions. One that only sends nothing more
/// may still wait for an answer, and has not gone. Never waits.
#[must_use]
pub fn has_gone(socket: BorrowedFd<'_>) -> bool {
    // Errors and hang-ups are told without being asked for.
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let no_time = timespec(Duration::ZERO);
    poll(&mut polled, Some(&no_time)).is_ok()
        && polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
