//! The election itself, without requests: what was seen and when, and what follows.
//!
//! | the Lease | this candidate |
//! |---|---|
//! | is not there | creates it |
//! | is this candidate's | renews it |
//! | is nobody's (released) | takes it |
//! | is another's and changed within one duration of looking | waits |
//! | is another's and did not change for one duration of looking | takes it |

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;
use tokio::time::Instant;

/// What matters of a Lease.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// `holderIdentity`; empty when released.
    pub(super) holder: String,
    /// `resourceVersion`: it changes with every renewal, so nobody's clock is compared.
    pub(super) version: Option<String>,
    /// `leaseTransitions`.
    pub(super) transitions: i32,
    /// `acquireTime`, kept over renewals.
    pub(super) acquired: Option<MicroTime>,
}

impl Record {
    pub(super) fn read(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            version: lease.metadata.resource_version.clone(),
            transitions: spec.lease_transitions.unwrap_or_default(),
            acquired: spec.acquire_time,
        }
    }

    /// The same Lease, given up.
    pub(super) fn released(&self) -> Self {
        Self {
            holder: String::new(),
            ..self.clone()
        }
    }
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make the Lease.
    Create,
    /// Take it over.
    Take,
    /// Hold it on.
    Renew,
    /// Look again later.
    Wait,
}

/// One candidate's view.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    duration: Duration,
    seen: Option<Record>,
    /// When `seen` was first seen as it is.
    since: Option<Instant>,
}

impl Election {
    pub(super) fn new(identity: String, duration: Duration) -> Self {
        Self {
            identity,
            duration,
            seen: None,
            since: None,
        }
    }

    /// Who holds the Lease, as last seen.
    pub(super) fn holder(&self) -> &str {
        self.seen.as_ref().map_or("", |seen| seen.holder.as_str())
    }

    /// The Lease, when this candidate holds it.
    pub(super) fn held_record(&self) -> Option<Record> {
        self.seen
            .clone()
            .filter(|seen| seen.holder == self.identity)
    }

    /// Takes in what the host says now.
    pub(super) fn look(&mut self, record: Option<Record>, now: Instant) -> Action {
        let Some(record) = record else {
            self.seen = None;
            self.since = None;
            return Action::Create;
        };
        if self
            .seen
            .as_ref()
            .is_none_or(|seen| seen.version != record.version)
        {
            self.since = Some(now);
        }
        let since = *self.since.get_or_insert(now);
        let action = if record.holder == self.identity {
            Action::Renew
        } else if record.holder.is_empty() || now >= since + self.duration {
            Action::Take
        } else {
            Action::Wait
        };
        self.seen = Some(record);
        action
    }

    /// The record to write for an action.
    pub(super) fn wanted(&self, action: Action) -> Record {
        let seen = self.seen.as_ref();
        let transitions = seen.map_or(0, |seen| seen.transitions);
        match action {
            Action::Renew => Record {
                holder: self.identity.clone(),
                version: seen.and_then(|seen| seen.version.clone()),
                transitions,
                acquired: seen.and_then(|seen| seen.acquired.clone()),
            },
            Action::Create | Action::Take | Action::Wait => Record {
                holder: self.identity.clone(),
                // The version is the precondition: of two that take, one wins.
                version: seen.and_then(|seen| seen.version.clone()),
                transitions: transitions + i32::from(seen.is_some()),
                acquired: None,
            },
        }
    }

    /// The host took what was written.
    pub(super) fn wrote(&mut self, record: Record, before: Instant) {
        self.seen = Some(record);
        self.since = Some(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn record(holder: &str, version: u32) -> Option<Record> {
        Some(Record {
            holder: holder.into(),
            version: Some(version.to_string()),
            transitions: 4,
            acquired: None,
        })
    }

    fn candidate() -> (Election, Instant) {
        (Election::new("b".into(), DURATION), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_not_there_is_created() {
        let (mut election, now) = candidate();
        assert_eq!(election.look(None, now), Action::Create);
        assert_eq!(election.wanted(Action::Create).transitions, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_of_another_is_taken_only_after_a_whole_duration_of_silence() {
        let (mut election, now) = candidate();
        let at = |secs| now + Duration::from_secs(secs);
        assert_eq!(election.look(record("a", 1), at(0)), Action::Wait);
        assert_eq!(election.look(record("a", 1), at(14)), Action::Wait);
        assert_eq!(
            election.look(record("a", 2), at(15)),
            Action::Wait,
            "it was renewed"
        );
        assert_eq!(election.look(record("a", 2), at(29)), Action::Wait);
        assert_eq!(election.look(record("a", 2), at(30)), Action::Take);
        let wanted = election.wanted(Action::Take);
        assert_eq!(
            (wanted.version.as_deref(), wanted.transitions),
            (Some("2"), 5)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_lease_is_taken_at_once() {
        let (mut election, now) = candidate();
        assert_eq!(election.look(record("", 7), now), Action::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn the_holder_renews_and_keeps_its_term() {
        let (mut election, now) = candidate();
        assert_eq!(election.look(record("b", 7), now), Action::Renew);
        assert_eq!(election.wanted(Action::Renew).transitions, 4);
        assert!(election.held_record().is_some());
        assert_eq!(
            election.look(record("c", 8), now),
            Action::Wait,
            "another took it"
        );
        assert!(election.held_record().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_lease_is_created_again_by_whoever_looks_first() {
        let (mut election, now) = candidate();
        assert_eq!(election.look(record("a", 1), now), Action::Wait);
        assert_eq!(election.look(None, now), Action::Create);
        assert_eq!(election.wanted(Action::Create).version, None);
    }
}
