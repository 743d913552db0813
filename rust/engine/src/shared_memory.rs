//! Memory that processes share by being forked from the one that made it: words, zero at first, each read and written
//! as an atomic. What the words mean is the business of whoever asks for them.
#![allow(unsafe_code)] // One mapping, made here and seen as a slice of atomics.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// One mapping. Pages that nobody touches cost nothing.
#[derive(Debug)]
pub(crate) struct SharedWords {
    base: NonNull<c_void>,
    count: usize,
}

// SAFETY: the mapping lives as long as the value, and all that is in it is atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above; shared access is by atomics only.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps `count` words of zero, shared with every process forked afterwards.
    ///
    /// # Errors
    /// When there are none or too many, or the system has no memory to map.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let Some(length) = count.checked_mul(size_of::<AtomicU64>()).filter(|length| *length > 0) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "shared memory of no size, or of too large a one"));
        };
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
        }?;
        let Some(base) = NonNull::new(base) else {
            return Err(io::Error::other("the system mapped shared memory at address zero"));
        };
        Ok(Self { base, count })
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `count` words long, and zero is a valid value of atomics.
        unsafe { std::slice::from_raw_parts(self.base.cast::<AtomicU64>().as_ptr(), self.count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly this mapping was made by `new`, and no reference into it outlives the value.
        // A failure would leave the mapping in place, which harms nobody.
        let _ = unsafe { munmap(self.base.as_ptr(), self.count * size_of::<AtomicU64>()) };
    }
}
