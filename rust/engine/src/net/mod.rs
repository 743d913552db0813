//! Sockets and waiting for them: every system call on a socket is here, non-blocking, on borrowed or owned descriptors.
//! What the bytes mean is not known here; when to call is the drivers' business.

mod listener;
mod socket;
mod wait;

pub use listener::{Accepted, Listener, Listeners};
pub use socket::{Endpoint, Endpoints, Sent, Socket};
pub use wait::{Attention, Interest, Ready, Waiter, Wake, wait_one};
