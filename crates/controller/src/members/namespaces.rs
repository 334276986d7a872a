//! Namespaces before what is in them, on the way into a member.
//!
//! # Guarantees
//! What is to be made in a Namespace that is not there waits until the Namespace has been made, or
//! was refused: it may be there all the same, made by somebody else, and is then none of ours.
//! # Assumptions
//! Who writes a Namespace says what came of it.
//! # Caveats
//! What was refused is remembered for as long as the clients are the same.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Refusals that are remembered; what is in further Namespaces does not wait.
const REFUSED_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    refused: BTreeSet<String>,
    /// Whoever looks once, and makes nothing, waits for nothing.
    unordered: bool,
}

impl Namespaces {
    /// Whether what is in this one waits for it while it is not there.
    pub(crate) fn are_first(&self, name: &str) -> bool {
        let state = self.lock();
        !state.unordered && state.refused.len() < REFUSED_MAX && !state.refused.contains(name)
    }

    /// The member did not let it be made.
    pub(crate) fn refused(&self, name: &str) {
        let mut state = self.lock();
        if state.refused.len() < REFUSED_MAX {
            state.refused.insert(name.to_owned());
        }
    }

    /// Nothing waits from now on.
    pub(crate) fn let_all_go(&self) {
        self.lock().unordered = true;
    }

    /// It may be another member from now on.
    pub(crate) fn forget(&self) {
        self.lock().refused.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
