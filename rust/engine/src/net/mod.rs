//! Sockets and waiting for them: every system call on a socket is here, non-blocking, on borrowed or owned descriptors.
//! What the bytes mean is not known here; when to call is the drivers' business.

#[cfg(target_os = "linux")]
mod gate;
mod listener;
mod socket;
mod unsent;
mod unused;
mod wait;

#[cfg(target_os = "linux")]
pub use gate::Gate;
pub use listener::{Accepted, Listener, Listeners};
pub use socket::{Endpoint, Endpoints, Sent, Socket};
pub use wait::{Attention, Interest, Ready, Waiter, Wake, has_gone, wait_one};
