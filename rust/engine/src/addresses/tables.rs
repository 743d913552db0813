//! How much each client address has, counted by every child for itself in memory that all of them can read.
//!
//! One mapping for each generation, made by the parent before any fork: a table for each row of the scoreboard, as large
//! as the connections that a child holds. A child writes its own table only, under a lock of its own (several of its
//! threads may), and adds up what all tables say of an address. So nothing has to be taken back by anybody for a child
//! that has died: the parent marks its table as nobody's, and the next child in that row empties it.
//!
//! A table has open addressing with linear probing, and holds numbers (`key`) instead of addresses. The hash is keyed,
//! newly for each server, so that nobody can choose addresses that meet. What others read may be a moment old, or miss an
//! entry that is being moved: a limit is then generous by one, for that moment. What is read is untrusted: every walk
//! is bounded.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use crate::shared_memory::SharedWords;

/// Words before the tables: how many rows have ever been used, and room, so that tables begin on a cache line.
const HEADER: usize = 8;
/// Words before the entries of a table: whether a child has it, and how many entries there are.
const TABLE_HEADER: usize = 2;
/// Words of an entry: the key (0 is nobody), and what it has.
const ENTRY: usize = 2;
/// Entries of the smallest table. A few more than a child with one thread needs.
const FEWEST: usize = 8;
const LINE: usize = 8;

/// What a client address has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) connections: u32,
    pub(super) requests: u32,
}

impl Counts {
    pub(super) const CONNECTION: Self = Self { connections: 1, requests: 0 };
    pub(super) const REQUEST: Self = Self { connections: 0, requests: 1 };

    fn word(self) -> u64 {
        u64::from(self.connections) | u64::from(self.requests) << 32
    }

    fn of_word(word: u64) -> Self {
        let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self { connections: half(word), requests: half(word >> 32) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            connections: self.connections.saturating_add(other.connections),
            requests: self.requests.saturating_add(other.requests),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            connections: self.connections.saturating_sub(other.connections),
            requests: self.requests.saturating_sub(other.requests),
        }
    }
}

/// The tables of one generation.
#[derive(Debug)]
pub struct Tables {
    memory: SharedWords,
    children: usize,
    /// A power of two.
    entries: usize,
    hash: RandomState,
}

impl Tables {
    /// Maps tables for `children` rows whose children hold `connections` at most. `elder` tables of the same server give
    /// the key of the hash, so that addresses are the same numbers in both.
    ///
    /// # Errors
    /// When the numbers are too large, or the system has no memory to map.
    pub fn new(children: usize, connections: usize, elder: Option<&Self>) -> io::Result<Self> {
        let entries = connections.checked_mul(2).and_then(usize::checked_next_power_of_two).map(|n| n.max(FEWEST));
        let words = entries
            .and_then(|entries| stride(entries)?.checked_mul(children)?.checked_add(HEADER))
            .filter(|_| children > 0);
        let Some((entries, words)) = entries.zip(words) else {
            let sentence = format!("{children} tables of {connections} connections cannot be");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
        };
        let hash = elder.map_or_else(RandomState::new, |elder| elder.hash.clone());
        Ok(Self { memory: SharedWords::new(words)?, children, entries, hash })
    }

    /// The number for a client; never zero.
    pub(super) fn key(&self, client: u128) -> u64 {
        self.hash.hash_one(client).max(1)
    }

    /// The child in this row is gone: what it had counts no more. Run by the parent.
    pub fn clear(&self, child: usize) {
        if let Some(table) = self.table(child) {
            table.taken().store(0, SeqCst);
        }
    }

    fn table(&self, child: usize) -> Option<Table<'_>> {
        let stride = stride(self.entries)?;
        let words = self.memory.words().get(HEADER..)?.chunks_exact(stride).nth(child)?;
        Some(Table { words: words.get(..TABLE_HEADER + self.entries * ENTRY)?, mask: self.entries - 1 })
    }

    /// Those tables that a child has.
    fn taken(&self) -> impl Iterator<Item = Table<'_>> {
        let used = usize::try_from(self.rows_used().load(SeqCst)).unwrap_or(usize::MAX).min(self.children);
        let stride = stride(self.entries).unwrap_or(usize::MAX);
        let all = self.memory.words().get(HEADER..).unwrap_or_default().chunks_exact(stride).take(used);
        let table = move |words| Table { words, mask: self.entries - 1 };
        all.map(table).filter(|table| table.taken().load(SeqCst) != 0)
    }

    fn rows_used(&self) -> &AtomicU64 {
        &self.memory.words()[0]
    }
}

/// Words from one table to the next.
fn stride(entries: usize) -> Option<usize> {
    entries.checked_mul(ENTRY)?.checked_add(TABLE_HEADER)?.checked_next_multiple_of(LINE)
}

/// One child's table; at least as many words as its header and entries take.
struct Table<'a> {
    words: &'a [AtomicU64],
    mask: usize,
}

impl Table<'_> {
    fn taken(&self) -> &AtomicU64 {
        &self.words[0]
    }

    fn count(&self) -> &AtomicU64 {
        &self.words[1]
    }

    fn key(&self, place: usize) -> &AtomicU64 {
        &self.words[TABLE_HEADER + place * ENTRY]
    }

    fn word(&self, place: usize) -> &AtomicU64 {
        &self.words[TABLE_HEADER + place * ENTRY + 1]
    }

    /// Where a key would be if nobody were in its way.
    fn home(&self, key: u64) -> usize {
        usize::try_from(key & self.mask as u64).unwrap_or(0)
    }

    /// The place of `key`, or else the first free one that it could have.
    fn find(&self, key: u64) -> Result<usize, Option<usize>> {
        let home = self.home(key);
        for step in 0..=self.mask {
            let place = (home + step) & self.mask;
            match self.key(place).load(SeqCst) {
                0 => return Err(Some(place)),
                found if found == key => return Ok(place),
                _ => {}
            }
        }
        Err(None)
    }

    fn counts(&self, key: u64) -> Counts {
        let place = self.find(key).ok();
        place.map_or_else(Counts::default, |place| Counts::of_word(self.word(place).load(SeqCst)))
    }

    /// Only the child that has the table calls this and what follows, one thread at a time. False when the table is full.
    fn add(&self, key: u64, more: Counts) -> bool {
        match self.find(key) {
            Ok(place) => {
                let counts = Counts::of_word(self.word(place).load(SeqCst)).plus(more);
                self.word(place).store(counts.word(), SeqCst);
            }
            // One place stays free, at which walks end.
            Err(Some(place)) if self.count().load(SeqCst) < self.mask as u64 => {
                self.count().fetch_add(1, SeqCst);
                self.word(place).store(more.word(), SeqCst);
                self.key(place).store(key, SeqCst);
            }
            Err(_) => return false,
        }
        true
    }

    fn subtract(&self, key: u64, less: Counts) {
        let Ok(place) = self.find(key) else {
            return;
        };
        let counts = Counts::of_word(self.word(place).load(SeqCst)).minus(less);
        self.word(place).store(counts.word(), SeqCst);
        if counts == Counts::default() {
            self.remove(place);
        }
    }

    /// Empties a place. Entries behind it, up to the next free place, that could not have their own because of it move up.
    fn remove(&self, place: usize) {
        let mut hole = place;
        for step in 1..=self.mask {
            let from = (place + step) & self.mask;
            let key = self.key(from).load(SeqCst);
            if key == 0 {
                break;
            }
            let distance = |to: usize| from.wrapping_sub(to) & self.mask;
            if distance(self.home(key)) >= distance(hole) {
                self.word(hole).store(0, SeqCst);
                self.key(hole).store(key, SeqCst);
                self.word(hole).store(self.word(from).load(SeqCst), SeqCst);
                hole = from;
            }
        }
        self.key(hole).store(0, SeqCst);
        self.word(hole).store(0, SeqCst);
        self.count().fetch_sub(1, SeqCst);
    }

    /// Begins the table anew. What a child has left that died is here until now.
    fn begin(&self) {
        if self.count().swap(0, SeqCst) != 0 {
            for word in &self.words[TABLE_HEADER..] {
                word.store(0, SeqCst);
            }
        }
        self.taken().store(1, SeqCst);
    }
}

/// The hand with which a child writes its own table, and its look at all of them. One per child, shared by its threads.
#[derive(Debug)]
pub struct Ledger {
    tables: Arc<Tables>,
    child: usize,
    /// Tables of generations whose last children still serve; read only.
    elders: Vec<Arc<Tables>>,
    writing: Mutex<()>,
}

impl Ledger {
    /// Begins the table of `child`; None when there is no such row.
    #[must_use]
    pub fn new(tables: Arc<Tables>, child: usize, elders: Vec<Arc<Tables>>) -> Option<Self> {
        tables.table(child)?.begin();
        tables.rows_used().fetch_max(child as u64 + 1, SeqCst);
        Some(Self { tables, child, elders, writing: Mutex::new(()) })
    }

    pub(super) fn key(&self, client: u128) -> u64 {
        self.tables.key(client)
    }

    /// False when there is no room, which cannot be as long as the child holds no more connections than it said.
    pub(super) fn add(&self, key: u64, more: Counts) -> bool {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.tables.table(self.child).is_some_and(|table| table.add(key, more))
    }

    pub(super) fn subtract(&self, key: u64, less: Counts) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = self.tables.table(self.child) {
            table.subtract(key, less);
        }
    }

    /// What `key` has in the whole server.
    pub(super) fn total(&self, key: u64) -> Counts {
        let all = std::iter::once(&self.tables).chain(&self.elders);
        all.flat_map(|tables| tables.taken()).fold(Counts::default(), |sum, table| sum.plus(table.counts(key)))
    }

    /// How many addresses this child's table has.
    #[cfg(test)]
    pub(super) fn addresses(&self) -> u64 {
        self.tables.table(self.child).map_or(0, |table| table.count().load(SeqCst))
    }
}
