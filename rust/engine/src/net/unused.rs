//! For how long a connection that the server has not used yet has existed: how long its client waited in the kernel's queue.
//! Only Linux is asked (`TCP_INFO`, tcp(7)); elsewhere, and for Unix sockets, a connection begins when it is accepted.

#![allow(unsafe_code)] // A socket option that rustix has no name for.

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// The time since the server's side last sent data, which is the time since the connection was established if it never has;
/// zero where nobody can tell.
#[cfg(target_os = "linux")]
pub(super) fn unused_for(socket: BorrowedFd<'_>) -> Duration {
    use std::os::fd::AsRawFd;
    /// Eight bytes, then 32-bit numbers, of which this is the tenth (linux/tcp.h, struct `tcp_info`). The kernel fills as much as
    /// it is given room for, and never moves a field.
    const LAST_DATA_SENT: usize = 2 + 9;
    const WORDS: usize = LAST_DATA_SENT + 1;
    let mut info = [0_u32; WORDS];
    let Ok(mut length) = libc::socklen_t::try_from(size_of_val(&info)) else {
        return Duration::ZERO;
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
    if outcome == 0 { Duration::from_millis(u64::from(info[LAST_DATA_SENT])) } else { Duration::ZERO }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn unused_for(_socket: BorrowedFd<'_>) -> Duration {
    Duration::ZERO
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
    fn nothing_is_known_of_a_unix_socket() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(unused_for(one.as_fd()), Duration::ZERO);
    }
}
