//! Threads that wait for readers: the application goes on making an answer of which no more can be held until its client
//! has taken some. Nobody minds while other threads are free. As soon as a complete request needs a thread and none is free,
//! answers whose readers are behind are broken off, the one furthest behind first, one for each request that waits.
//!
//! Some facts. Whoever queues a request (`press`) wakes those that wait here; each looks at its own reader, of whom nobody
//! else knows what it has taken, and then at the others' last looks. How far a reader may be behind is computed in
//! `timeouts`: the more requests wait, the less. A reader that keeps pace has never much time unpaid, so it comes last.
//!
//! Only the reactor's threads are pressed. With the blocking driver a complete request has its thread already.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::net::{Interest, Ready, Waiter, Wake};
use crate::timeouts::patience_with_readers;

/// Nobody looks again sooner than this, however many requests wait.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// What a thread that waits for its reader is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Wait on, and look again then; None: when it is woken.
    Stay(Option<Instant>),
    /// Break the answer off and take another request.
    GiveWay,
}

/// The threads of one child that wait for readers.
#[derive(Debug, Default)]
pub struct Readers {
    /// As many as wait; readable without the lock.
    count: AtomicUsize,
    /// Those that have given way and have not taken another request yet.
    leaving: AtomicUsize,
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    attendants: Vec<Attendant>,
    /// Wake-ups that nobody uses now.
    spare: Vec<Arc<Wake>>,
    serial: u64,
}

#[derive(Debug)]
struct Attendant {
    serial: u64,
    wake: Arc<Wake>,
    /// Its reader has been behind since then, as far as is known.
    since: Instant,
    /// Woken, and has not looked since.
    pressed: bool,
}

/// One thread's place among those that wait.
#[derive(Debug)]
pub(super) struct Attendance<'a> {
    readers: &'a Readers,
    serial: u64,
    wake: Arc<Wake>,
}

impl Readers {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread waits for its reader.
    pub(super) fn any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// The calling thread begins to wait for its reader.
    pub(super) fn attend(&self, now: Instant) -> io::Result<Attendance<'_>> {
        let mut room = self.room();
        let wake = match room.spare.pop() {
            Some(wake) => wake,
            None => Arc::new(Wake::new()?),
        };
        room.serial += 1;
        let serial = room.serial;
        room.attendants.push(Attendant { serial, wake: Arc::clone(&wake), since: now, pressed: false });
        self.count.store(room.attendants.len(), SeqCst);
        // Either whoever queues a request sees this thread, or this thread's first look sees the request.
        fence(SeqCst);
        Ok(Attendance { readers: self, serial, wake })
    }

    /// A request waits, and no thread is free.
    pub(super) fn press(&self) {
        fence(SeqCst);
        if self.count.load(Relaxed) == 0 {
            return;
        }
        for attendant in self.room().attendants.iter_mut().filter(|attendant| !attendant.pressed) {
            attendant.pressed = true;
            attendant.wake.wake();
        }
    }

    /// A thread that had given way is free for another request.
    pub(super) fn came_back(&self) {
        self.leaving.fetch_sub(1, SeqCst);
    }
}

impl Attendance<'_> {
    /// What to do now, if this thread's reader has been behind since `since` and so many `requests` wait for threads.
    pub(super) fn look(&self, since: Instant, requests: usize, now: Instant) -> Look {
        let mut room = self.readers.room();
        for own in room.attendants.iter_mut().filter(|attendant| attendant.serial == self.serial) {
            own.since = since;
            own.pressed = false;
        }
        let wanted = requests.saturating_sub(self.readers.leaving.load(SeqCst));
        if wanted == 0 {
            return Look::Stay(None);
        }
        let own = (since, self.serial);
        let further_behind =
            room.attendants.iter().filter(|attendant| (attendant.since, attendant.serial) < own).count();
        let patience = patience_with_readers(room.attendants.len(), requests).max(SHORTEST_LOOK);
        let behind = now.saturating_duration_since(since);
        if further_behind < wanted && behind >= patience {
            self.readers.leaving.fetch_add(1, SeqCst);
            return Look::GiveWay;
        }
        Look::Stay(now.checked_add(patience.saturating_sub(behind).max(SHORTEST_LOOK)))
    }

    /// Waits until `socket` takes more, the thread is pressed, or the time has come.
    pub(super) fn wait(&self, socket: BorrowedFd<'_>, until: Option<Instant>) -> io::Result<Ready> {
        let waiter = Waiter { wake: Some(&self.wake), watch: None };
        waiter.wait(&[(socket, Interest::Send)], until)
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        let mut room = self.readers.room();
        if let Some(index) = room.attendants.iter().position(|attendant| attendant.serial == self.serial) {
            let attendant = room.attendants.swap_remove(index);
            // A wake-up that it has not heeded makes the next one look once more.
            room.spare.push(attendant.wake);
        }
        self.readers.count.store(room.attendants.len(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeouts::out_of_patience;

    #[test]
    fn without_patience_a_reader_makes_way_as_soon_as_a_request_waits() {
        let (readers, now) = (Readers::default(), Instant::now());
        let (patient, other) = (readers.attend(now).unwrap(), readers.attend(now).unwrap());
        assert_eq!(other.look(out_of_patience(now), 0, now), Look::Stay(None));
        assert!(matches!(patient.look(now, 1, now), Look::Stay(Some(_))));
        assert_eq!(other.look(out_of_patience(now), 1, now), Look::GiveWay);
        // One request needs one thread.
        assert_eq!(patient.look(out_of_patience(now), 1, now), Look::Stay(None));
    }
}
