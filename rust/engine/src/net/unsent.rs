//! How much of what a socket was given the client's system has not acknowledged yet (`SIOCOUTQ`, tcp(7) and unix(7)), and
//! how much the system takes before it can send it (`TCP_NOTSENT_LOWAT`, tcp(7)). Linux only; elsewhere what the system has
//! taken counts as delivered, and it takes what it likes.

#![allow(unsafe_code)] // An ioctl that reads one integer, an option that is one: rustix has no safe names for them.

use std::os::fd::BorrowedFd;

/// Lets the system take no more than `bytes` (and one segment) that it cannot send at once. Fails for sockets that are not
/// TCP, and does nothing then.
#[cfg(target_os = "linux")]
pub(super) fn take_at_most(socket: BorrowedFd<'_>, bytes: u32) {
    use std::ffi::{c_int, c_void};
    use std::os::fd::AsRawFd;
    const TCP: c_int = 6;
    const NOTSENT_LOWAT: c_int = 25;
    // SAFETY: the declaration of POSIX, with the length as Linux has it on every architecture.
    unsafe extern "C" {
        fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
    }
    let value: *const u32 = &raw const bytes;
    // SAFETY: the descriptor is open while it is borrowed, and the four bytes that are read are those of `bytes`.
    let _ = unsafe { setsockopt(socket.as_raw_fd(), TCP, NOTSENT_LOWAT, value.cast(), 4) };
}

#[cfg(not(target_os = "linux"))]
pub(super) fn take_at_most(_socket: BorrowedFd<'_>, _bytes: u32) {}

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
