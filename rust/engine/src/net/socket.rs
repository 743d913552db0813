//! One connected, non-blocking stream socket, TCP or Unix.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// An IPv4 or IPv6 address and port.
    Tcp(SocketAddr),
    /// A Unix socket, whose peers have no address.
    Unix,
}

/// Both ends of a connection, as the operating system tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the client connected to.
    pub local: Endpoint,
    /// The client.
    pub peer: Endpoint,
}

/// What became of an attempt to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The socket took so many bytes (at least one).
    Bytes(usize),
    /// The socket takes nothing now.
    Blocked,
    /// The client is gone, or the file to send ended early.
    Gone,
}

/// A connected socket. Dropping it closes it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Takes a connected descriptor that is already non-blocking.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Reads what is there, at most `buffer`. `Ok(0)` is the end of what the client sends.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; anything else means that the connection is lost.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((_, n)) => return Ok(n),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether there is something to receive, were it the end. A system call.
    #[must_use]
    pub fn has_something(&self) -> bool {
        recv(&self.fd, &mut [0; 1], RecvFlags::PEEK).is_ok()
    }

    /// Offers `bytes` (not empty) to the socket.
    #[must_use]
    pub fn send(&self, bytes: &[u8]) -> Sent {
        loop {
            match send(&self.fd, bytes, SendFlags::NOSIGNAL) {
                Ok(0) => return Sent::Gone,
                Ok(n) => return Sent::Bytes(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Sent::Blocked,
                Err(_) => return Sent::Gone,
            }
        }
    }

    /// Offers `length` bytes of `file` from `offset`.
    #[must_use]
    pub fn send_file(&self, file: BorrowedFd<'_>, offset: u64, length: u64) -> Sent {
        /// One call may keep the thread for as long as this takes to copy; more is another call.
        const MOST: u64 = 1 << 20;
        let count = usize::try_from(length.min(MOST)).unwrap_or(usize::MAX);
        loop {
            match send_file_once(self.fd.as_fd(), file, offset, count) {
                Ok(0) => return Sent::Gone,
                Ok(n) => return Sent::Bytes(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Sent::Blocked,
                Err(_) => return Sent::Gone,
            }
        }
    }

    /// Bytes that were sent and that the client's system has not acknowledged; 0 where the system cannot tell.
    #[must_use]
    pub fn unsent(&self) -> usize {
        super::unsent::unsent(self.as_fd())
    }

    /// Lets the system take no more than it needs to keep the line busy, in addition to what is on its way already: what waits
    /// behind that waits with us, where it is counted, and not in the buffers of the system (Linux: `TCP_NOTSENT_LOWAT`,
    /// tcp(7)). A client that reads fast gets its answer as fast as before.
    pub fn hold_little(&self) {
        /// Half of it is sent before the system asks for more: a few microseconds of a fast line.
        const MOST: u32 = 128 * 1024;
        super::unsent::take_at_most(self.as_fd(), MOST);
    }

    /// How long ago the connection was established, if nothing has been sent on it yet; zero where the system cannot tell.
    #[must_use]
    pub fn unused_for(&self) -> std::time::Duration {
        super::unused::unused_for(self.as_fd())
    }

    /// Makes closing reset the connection, which shows a client that reads until the end that this was not the end.
    pub fn reset_on_close(&self) {
        // Fails only where there is no connection left to reset.
        let _ = rustix::net::sockopt::set_socket_linger(&self.fd, Some(std::time::Duration::ZERO));
    }

    /// Ends both sides. The descriptor stays.
    pub fn shutdown(&self) {
        // As below.
        let _ = shutdown(&self.fd, Shutdown::Both);
    }

    /// Resets the connection now. The descriptor keeps its number, and stands for a socket without a peer from now on.
    pub fn sever(&mut self) {
        self.reset_on_close();
        let dead = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
            None,
        );
        // Without a descriptor to spare the client has to see the end of a shortened answer for a whole one.
        if !dead.is_ok_and(|(dead, _)| rustix::io::dup2(&dead, &mut self.fd).is_ok()) {
            self.shutdown();
        }
    }

    /// Receives and throws away what is there, `most` bytes at most (and a little more).
    pub fn throw_away(&self, most: usize) {
        let mut buffer = [0; 4096];
        let mut count = 0;
        while count < most {
            match self.receive(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(n) => count += n,
            }
        }
    }

    /// Ends the sending side; the client sees the end of the answer and may still be sending.
    pub fn shutdown_write(&self) {
        // A client that has reset the connection makes this fail; there is nothing left to end then.
        let _ = shutdown(&self.fd, Shutdown::Write);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(target_os = "linux")]
fn send_file_once(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize, Errno> {
    let mut position = offset;
    rustix::fs::sendfile(socket, file, Some(&mut position), count)
}

/// Where the kernel has no `sendfile` that we use (macOS, a development system): one read, one send.
#[cfg(not(target_os = "linux"))]
fn send_file_once(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize, Errno> {
    let mut piece = [0_u8; 16_384];
    let most = count.min(piece.len());
    let n = rustix::io::pread(file, &mut piece[..most], offset)?;
    if n == 0 {
        return Ok(0);
    }
    send(socket, &piece[..n], SendFlags::empty())
}
