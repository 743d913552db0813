//! `AddressTables`: what client addresses have, in shared memory, as Python sees it.

use std::sync::Arc;

use engine::addresses::{Ledger, Tables};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Shared memory in which the children of one generation count what client addresses have.
#[pyclass(frozen, module = "tricorn._engine")]
pub(crate) struct AddressTables {
    tables: Arc<Tables>,
    elders: Vec<Arc<Tables>>,
}

#[pymethods]
impl AddressTables {
    #[new]
    #[pyo3(signature = (children, connections, elders = Vec::new()))]
    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over is owned")]
    fn new(children: usize, connections: usize, elders: Vec<PyRef<'_, Self>>) -> PyResult<Self> {
        let elders: Vec<_> = elders.iter().map(|elder| Arc::clone(&elder.tables)).collect();
        let tables = Tables::new(children, connections, elders.first().map(|elder| &**elder))?;
        Ok(Self { tables: Arc::new(tables), elders })
    }

    fn clear(&self, child: usize) {
        self.tables.clear(child);
    }
}

impl AddressTables {
    /// The hand of `child`, whose table begins now.
    pub(crate) fn ledger(&self, child: usize) -> PyResult<Ledger> {
        Ledger::new(Arc::clone(&self.tables), child, self.elders.clone())
            .ok_or_else(|| PyValueError::new_err(format!("child: the tables of addresses have no row {child}")))
    }
}
