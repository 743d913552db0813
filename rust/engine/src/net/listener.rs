//! Listening sockets that the parent owns and this child borrows.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, getsockname};

use super::{Endpoint, Endpoints, Interest, Socket, Waiter};

/// What became of an attempt to accept.
#[derive(Debug)]
pub enum Accepted {
    /// A client.
    Client(Socket, Endpoints),
    /// Nobody waits (any more).
    Nobody,
    /// This one connection was lost before it was accepted; others may wait.
    Lost,
    /// The process or the system is out of descriptors or memory, or the descriptor is not what it should be: try later.
    Exhausted(io::Error),
    /// The socket does not listen any more, because the server stops; nobody waits there.
    Closed,
}

/// A non-blocking listening socket. It is never closed here for good: the parent keeps the socket open for the life of
/// the server, this is a duplicate of its descriptor.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    local: Endpoint,
    wildcard: bool,
}

impl Listener {
    /// Duplicates descriptor `fd`, which stays open for the caller, and makes the socket non-blocking.
    ///
    /// # Errors
    /// When `fd` is not an open socket.
    pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3)?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        let local = endpoint(getsockname(&fd)?);
        let wildcard = matches!(local, Endpoint::Tcp(address) if address.ip().is_unspecified());
        Ok(Self { fd, local, wildcard })
    }

    /// Takes the client that has waited longest.
    #[must_use]
    pub fn accept(&self) -> Accepted {
        match accept_nonblocking(&self.fd) {
            Ok((fd, peer)) => {
                let peer = peer.map_or(Endpoint::Unix, endpoint);
                let local = if self.wildcard { getsockname(&fd).map_or(self.local, endpoint) } else { self.local };
                Accepted::Client(Socket::new(fd), Endpoints { local, peer })
            }
            Err(Errno::AGAIN) => Accepted::Nobody,
            Err(
                error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::BADF | Errno::NOTSOCK),
            ) => Accepted::Exhausted(error.into()),
            Err(Errno::INVAL) => Accepted::Closed,
            // ECONNABORTED, EPROTO, ENETDOWN and their like concern that client alone (accept(2), "Error handling").
            Err(_) => Accepted::Lost,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// All listening sockets of a child.
#[derive(Debug)]
pub struct Listeners {
    listeners: Vec<Listener>,
    next: AtomicUsize,
}

impl Listeners {
    /// Gathers `listeners`, of which there should be at least one.
    #[must_use]
    pub fn new(listeners: Vec<Listener>) -> Self {
        Self { listeners, next: AtomicUsize::new(0) }
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Listener> {
        self.listeners.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.listeners.len()
    }

    /// Whether a client waits at any of them.
    #[must_use]
    pub fn somebody_waits(&self) -> bool {
        let listeners: Vec<_> = self.iter().map(|listener| (listener.as_fd(), Interest::Receive)).collect();
        let alone = Waiter { wake: None, watch: None };
        alone.wait(&listeners, Some(Instant::now())).is_ok_and(|ready| ready.waited)
    }

    /// How many clients wait at all of them, as far as the system tells: at least one.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.iter().map(|listener| super::unused::waiting(listener.as_fd())).fold(0, usize::saturating_add).max(1)
    }

    /// The first client of any listener, beginning with another one each time so that none starves. `Nobody` and `Closed`
    /// say that no listener had one.
    #[must_use]
    pub fn accept(&self) -> Accepted {
        let first = self.next.fetch_add(1, Relaxed);
        let mut outcome = Accepted::Nobody;
        for offset in 0..self.count() {
            match self.listeners[first.wrapping_add(offset) % self.count()].accept() {
                Accepted::Nobody => {}
                Accepted::Closed => outcome = Accepted::Closed,
                other @ (Accepted::Client(..) | Accepted::Lost | Accepted::Exhausted(_)) => {
                    return other;
                }
            }
        }
        outcome
    }
}

impl<'a> IntoIterator for &'a Listeners {
    type Item = &'a Listener;
    type IntoIter = std::slice::Iter<'a, Listener>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(target_os = "linux")]
fn accept_nonblocking(fd: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}

#[cfg(not(target_os = "linux"))]
fn accept_nonblocking(fd: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    let (accepted, peer) = acceptfrom_with(fd, SocketFlags::empty())?;
    rustix::io::ioctl_fionbio(&accepted, true)?;
    rustix::io::fcntl_setfd(&accepted, rustix::io::FdFlags::CLOEXEC)?;
    Ok((accepted, peer))
}

fn endpoint(address: SocketAddrAny) -> Endpoint {
    std::net::SocketAddr::try_from(address).map_or(Endpoint::Unix, Endpoint::Tcp)
}
