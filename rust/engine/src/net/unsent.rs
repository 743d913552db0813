//! How much of what a socket was given the client's system has not acknowledged yet. Only Linux is asked (`SIOCOUTQ`,
//! tcp(7) and unix(7)); elsewhere what the system has taken counts as delivered.

#![allow(unsafe_code)] // An ioctl that reads one integer, which rustix has no safe name for.

use std::os::fd::BorrowedFd;

/// Bytes that wait in the system for the client; 0 where nobody can tell.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64", target_arch = "arm")
))]
pub(super) fn unsent(socket: BorrowedFd<'_>) -> usize {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    /// `SIOCOUTQ`, which is `TIOCOUTQ` by another name.
    const OUTQ: Opcode = 0x5411;
    // SAFETY: the request reads one int from a socket (tcp(7), unix(7)), which is what the type says.
    let request = unsafe { Getter::<OUTQ, std::ffi::c_int>::new() };
    // SAFETY: the request only writes the int that `request` owns.
    let left = unsafe { ioctl(socket, request) };
    left.ok().and_then(|left| usize::try_from(left).ok()).unwrap_or(0)
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64", target_arch = "arm")
)))]
pub(super) fn unsent(_socket: BorrowedFd<'_>) -> usize {
    0
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use super::unsent;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn what_a_client_has_not_taken_is_seen_until_it_takes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut served = listener.accept().unwrap().0;
        served.set_nonblocking(true).unwrap();
        let mut given = 0;
        while let Ok(count) = served.write(&[b'x'; 4096]) {
            given += count;
        }
        let before = unsent(served.as_fd());
        assert!(before > 0 && before <= given, "{before} of {given}");
        client.read_exact(&mut vec![0; given]).unwrap();
        for _ in 0..1000 {
            if unsent(served.as_fd()) == 0 {
                return;
            }
            std::thread::yield_now();
        }
        assert_eq!(unsent(served.as_fd()), 0);
    }
}
