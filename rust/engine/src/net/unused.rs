//! The kernel's queue: how long a client has waited there, told by its connection that the server has not used yet, and how many
//! wait.
//! Only Linux is asked (`TCP_INFO`, tcp(7)); elsewhere, and for Unix sockets, a connection begins when it is accepted.

#![allow(unsafe_code)] // A socket option that rustix has no name for.

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// 32-bit words into what the kernel tells (linux/tcp.h, struct `tcp_info`, eight bytes before the first number). It fills as
/// much as it is given room for, and never moves a field.
#[cfg(target_os = "linux")]
const UNACKED: usize = 2 + 4;
#[cfg(target_os = "linux")]
const LAST_DATA_SENT: usize = 2 + 9;

/// The time since the server's side last sent data, which is the time since the connection was established if it never has;
/// zero where nobody can tell.
#[cfg(target_os = "linux")]
pub(super) fn unused_for(socket: BorrowedFd<'_>) -> Duration {
    Duration::from_millis(u64::from(told(socket, LAST_DATA_SENT)))
}

/// How many clients wait at a listening socket, for which this is what "unacknowledged" means; zero where nobody can tell.
#[cfg(target_os = "linux")]
pub(super) fn waiting(socket: BorrowedFd<'_>) -> usize {
    usize::try_from(told(socket, UNACKED)).unwrap_or(usize::MAX)
}

/// One number of what the kernel tells of a TCP socket; zero if it tells nothing.
#[cfg(target_os = "linux")]
fn told(socket: BorrowedFd<'_>, word: usize) -> u32 {
    use std::os::fd::AsRawFd;
    let mut info = [0_u32; LAST_DATA_SENT + 1];
    let Ok(mut length) = libc::socklen_t::try_from(size_of_val(&info)) else {
        return 0;
    };
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `info`, and any bits are a valid u32.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if outcome == 0 { info[word] } else { 0 }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn unused_for(_socket: BorrowedFd<'_>) -> Duration {
    Duration::ZERO
}

#[cfg(not(target_os = "linux"))]
pub(super) fn waiting(_socket: BorrowedFd<'_>) -> usize {
    0
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    #[test]
    fn a_client_that_waited_in_the_queue_is_as_old_as_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        thread::sleep(Duration::from_millis(200)); // the passing of time is what is measured
        let (old, _) = listener.accept().unwrap();
        assert!(unused_for(old.as_fd()) >= Duration::from_millis(190));
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (new, _) = listener.accept().unwrap();
        assert!(unused_for(new.as_fd()) < unused_for(old.as_fd()));
    }

    #[test]
    fn clients_that_wait_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(waiting(listener.as_fd()), 0);
        let _clients = [(); 3].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        assert_eq!(waiting(listener.as_fd()), 3);
        let _one = listener.accept().unwrap();
        assert_eq!(waiting(listener.as_fd()), 2);
    }

    #[test]
    fn nothing_is_known_of_a_unix_socket() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(unused_for(one.as_fd()), Duration::ZERO);
    }
}
