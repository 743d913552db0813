//! Lends the exchange of the running request to `write()`, which the application holds as a plain callable and may call
//! from any thread. Only the loan lives here; what `write()` does with it is told in `response`.
//!
//! This file is allowed `unsafe` because a Python object cannot hold a Rust borrow: the borrow is kept as a pointer, and
//! what the compiler would have checked is kept true by the shape of this module: the pointer is set and cleared by
//! [`Loan::lend`] alone, where it stays borrowed (`Exchange::away`), and used by [`Loan::with`] alone, under the same lock.
#![allow(unsafe_code)]

use engine::drive::{Exchange, TooLate};
use pyo3::prelude::*;
use pyo3::sync::MutexExt as _;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An exchange that is lent at the moment, or none.
#[derive(Default)]
pub(super) struct Loan(Mutex<Lent>);

#[derive(Default)]
struct Lent(Option<NonNull<Exchange<'static>>>);

// SAFETY: the pointer stands for a `&mut Exchange`; those may change threads because `Exchange` is `Send`, which
// `assert_send` below has the compiler check.
unsafe impl Send for Lent {}

const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Exchange<'static>>();
};

impl Loan {
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Lent> {
        self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    /// Use the exchange, if one is lent. Others who want it wait meanwhile, detached from the interpreter. None: there is
    /// none; an error: it is too late to use it.
    pub(super) fn with<R>(
        &self,
        py: Python<'_>,
        use_it: impl for<'e> FnOnce(&mut Exchange<'e>) -> R,
    ) -> Option<Result<R, TooLate>> {
        let mut lent = self.lock(py);
        let pointer = lent.0.as_mut()?;
        // SAFETY: `lend` set the pointer from a `&mut Exchange` that stays borrowed until it has cleared it again, which
        // it does under the lock that is held here: the exchange is alive, and nobody else has it. `use_it` must accept
        // any lifetime, so it can neither keep the exchange nor put another one in its place.
        let exchange = unsafe { pointer.as_mut() };
        Some(exchange.at_home(use_it))
    }

    /// Run `application` while `with` may use `exchange`; it may be too late for what comes out of that.
    #[inline]
    pub(super) fn lend<R>(
        &self,
        py: Python<'_>,
        exchange: &mut Exchange<'_>,
        application: impl FnOnce() -> R,
    ) -> (R, Result<(), TooLate>) {
        exchange.away(|exchange| {
            self.lock(py).0 = Some(exchange.cast());
            let _ending = Ending { loan: self, py };
            application()
        })
    }
}

/// Ends the loan when dropped, also if `application` panics.
struct Ending<'a, 'py> {
    loan: &'a Loan,
    py: Python<'py>,
}

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        self.loan.lock(self.py).0 = None;
    }
}
