//! Counts of the requests that a cluster served, by who asked for what.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Kinds of requests told apart; the rest are counted together as `other`.
pub const REQUEST_KINDS_MAX: usize = 4_096;

/// Counts the requests of one cluster.
#[derive(Debug, Default)]
pub struct RequestLog {
    counts: Mutex<BTreeMap<RequestKind, u64>>,
}

/// What is told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestKind {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the
    /// method in small letters for other paths.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural, or the path for other paths.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// The first word of `User-Agent`, for instance `kubectl/v1.32.0`.
    pub user_agent: String,
    /// Field manager, where one was named.
    pub field_manager: String,
    /// HTTP status.
    pub code: u16,
}

/// How often something was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCount {
    /// What was asked.
    #[serde(flatten)]
    pub kind: RequestKind,
    /// How often.
    pub count: u64,
}

impl RequestLog {
    /// All counts since the start or the last reset, in order of their kind.
    pub fn counts(&self) -> Vec<RequestCount> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(kind, count)| RequestCount {
                kind: kind.clone(),
                count: *count,
            })
            .collect()
    }

    /// How many requests satisfy a condition.
    pub fn count(&self, condition: impl Fn(&RequestKind) -> bool) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .filter(|(kind, _)| condition(kind))
            .map(|(_, count)| count)
            .sum()
    }

    /// Starts anew from nothing.
    pub fn reset(&self) {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub(crate) fn record(&self, kind: RequestKind) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&kind) {
            *count += 1;
            return;
        }
        let is_full = counts.len() >= REQUEST_KINDS_MAX;
        let other = || RequestKind {
            verb: "other".to_owned(),
            ..RequestKind::default()
        };
        *counts
            .entry(if is_full { other() } else { kind })
            .or_default() += 1;
    }
}

impl RequestKind {
    /// Whether it writes to the cluster.
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }
}
