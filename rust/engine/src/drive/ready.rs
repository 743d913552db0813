//! Complete requests that wait for a thread, and wires on their way back to whoever holds the listener's role.
//!
//! Both are bounded by the number of open connections, since a wire is in at most one of them; `overload` bounds the
//! requests more closely.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::wire::Wire;

/// A wire that is away from the reactor, with the place it comes back to.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) place: usize,
    pub(super) wire: Box<Wire>,
}

/// A queue that any thread may use. The length can be read without the lock; `tell` is given it under the lock, so that
/// what is told last is true.
#[derive(Debug)]
pub(super) struct Queue<T> {
    length: AtomicUsize,
    queue: Mutex<VecDeque<T>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { length: AtomicUsize::new(0), queue: Mutex::default() }
    }
}

impl<T> Queue<T> {
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::SeqCst)
    }

    pub(super) fn push(&self, item: T, tell: impl FnOnce(usize)) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(item);
        self.length.store(queue.len(), Ordering::SeqCst);
        tell(queue.len());
    }

    pub(super) fn pop(&self, tell: impl FnOnce(usize)) -> Option<T> {
        self.pop_if(|_| true, tell)
    }

    /// Takes the first item if it `suits`.
    pub(super) fn pop_if(&self, suits: impl FnOnce(&T) -> bool, tell: impl FnOnce(usize)) -> Option<T> {
        if self.len() == 0 {
            return None;
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.front().is_some_and(suits) {
            return None;
        }
        let item = queue.pop_front();
        self.length.store(queue.len(), Ordering::SeqCst);
        tell(queue.len());
        item
    }

    /// Looks at the first item, without taking it.
    pub(super) fn first<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        if self.len() == 0 {
            return None;
        }
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).front().map(look)
    }
}
