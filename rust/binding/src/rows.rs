//! `Scoreboard` and `ChildRow`: shared memory as Python sees it.

use std::sync::Arc;

use pyo3::prelude::*;

/// Shared memory that tells what every child does.
#[pyclass(frozen, module = "tricorn._engine")]
pub(crate) struct Scoreboard {
    pub(crate) board: Arc<engine::scoreboard::Scoreboard>,
}

#[pymethods]
impl Scoreboard {
    #[new]
    fn new(children: usize, threads: usize) -> PyResult<Self> {
        Ok(Self { board: Arc::new(engine::scoreboard::Scoreboard::new(children, threads)?) })
    }

    fn claim(&self, child: usize, pid: u32, generation: u64) {
        self.board.claim(child, pid, generation);
    }

    fn clear(&self, child: usize) {
        self.board.clear(child);
    }

    fn watch_spare(&self, least: u32) {
        self.board.watch_spare(least);
    }

    fn rows(&self) -> Vec<ChildRow> {
        self.board.facts().into_iter().map(ChildRow::from).collect()
    }
}

/// What one child's row said at one moment.
#[pyclass(frozen, get_all, module = "tricorn._engine")]
pub(crate) struct ChildRow {
    child: usize,
    pid: u32,
    generation: u64,
    state: &'static str,
    connections: u32,
    accepted: u64,
    requests: u64,
    busy: u32,
    queued: u32,
    queue_time: f64,
    turned_away: u64,
    dropped: u64,
    broken_off: u64,
    held_memory: u64,
    spooled: u64,
    timed_out: u64,
    refused_by_address: u64,
    taken: u32,
    stages: Vec<&'static str>,
}

impl From<engine::scoreboard::ChildFacts> for ChildRow {
    fn from(facts: engine::scoreboard::ChildFacts) -> Self {
        Self {
            child: facts.child,
            pid: facts.pid,
            generation: facts.generation,
            state: facts.state.word(),
            connections: facts.connections,
            accepted: facts.accepted,
            requests: facts.requests,
            busy: facts.busy,
            queued: facts.queued,
            queue_time: facts.queue_time.as_secs_f64(),
            turned_away: facts.turned_away,
            dropped: facts.dropped,
            broken_off: facts.broken_off,
            held_memory: facts.held_memory,
            spooled: facts.spooled,
            timed_out: facts.timed_out,
            refused_by_address: facts.refused_by_address,
            taken: facts.taken,
            stages: facts.stages,
        }
    }
}
