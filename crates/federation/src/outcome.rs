//! What came of applying a plan.

use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What came of a plan, per cluster; a step without an entry was not tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Per cluster.
    pub clusters: BTreeMap<ClusterName, ClusterOutcome>,
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterOutcome {
    /// It was done, or there was nothing to do.
    Done,
    /// It failed.
    Failed(MemberError),
    /// It was not tried, and why: no lease, an open breaker, a shut brake.
    Skipped(String),
}

/// A member's refusal, or its silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberError {
    /// What kind of failure.
    pub failure: Failure,
    /// The member's own message.
    pub message: String,
}

/// Kinds of failures of a write to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The object was refused: 400, 422, or an admission webhook's word.
    Rejected,
    /// A missing right: 401 or 403.
    Forbidden,
    /// Somebody else's object has the name.
    AlreadyExists,
    /// A precondition failed: 409; what was planned is stale.
    Conflict,
    /// Gone: its namespace or its type, 404.
    NotFound,
    /// The member said to come back later: 429 or 503.
    Throttled,
    /// No answer before the deadline.
    TimedOut,
    /// No connection, or an answer that is none.
    Unreachable,
}

/// When to try again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retry {
    /// At once, from a fresh read.
    Fresh,
    /// With growing waits.
    Backoff,
    /// When something changed: the object, the member's object or the member.
    OnChange,
}

impl Failure {
    /// When to try again.
    pub fn retry(self) -> Retry {
        match self {
            Self::Conflict => Retry::Fresh,
            Self::AlreadyExists => Retry::OnChange,
            Self::Rejected
            | Self::Forbidden
            | Self::NotFound
            | Self::Throttled
            | Self::TimedOut
            | Self::Unreachable => Retry::Backoff,
        }
    }
}
