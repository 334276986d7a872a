//! Events as controllers record them (`core/v1`), alike ones counted together.

use super::step::Note;
use crate::clock::{Clock, seconds};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// Events of one cluster kept at most; the oldest go first.
pub(crate) const EVENTS_MAX: usize = 2_000;
/// How long an Event is kept, as by default in the real server.
pub(crate) const EVENT_SECS: i64 = 3_600;

/// What was recorded, so that alike Events are counted and old ones go.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    known: HashMap<Alike, Known>,
    /// In order of their last count; entries whose time is not the known one are stale.
    order: VecDeque<(Timestamp, Alike)>,
    serial: u64,
}

/// What makes two Events alike: the object's uid, the part of it, reason and message.
type Alike = (String, String, &'static str, String);

#[derive(Debug)]
struct Known {
    namespace: String,
    name: String,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// An Event to write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recorded {
    /// The Event.
    pub(crate) event: Value,
    /// Whether it was there and is counted anew.
    pub(crate) again: Again,
}

/// Whether an Event was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It was.
    Counted,
    /// It is new.
    First,
}

impl Recorder {
    /// The Event of a note.
    pub(crate) fn record(&mut self, note: Note, clock: Clock) -> Recorded {
        let now = clock.now();
        let regarding = &note.regarding;
        let alike: Alike = (
            regarding.uid.clone(),
            regarding.field_path.clone(),
            note.reason,
            note.message.clone(),
        );
        let again = if self.known.contains_key(&alike) {
            Again::Counted
        } else {
            Again::First
        };
        self.serial += 1;
        // Real names end in the nanoseconds of the first time; the serial keeps ours apart.
        let stamp = now.as_nanosecond() + i128::from(self.serial);
        let known = self.known.entry(alike.clone()).or_insert_with(|| Known {
            namespace: match regarding.namespace.as_str() {
                "" => "default".to_owned(),
                namespace => namespace.to_owned(),
            },
            name: format!("{}.{stamp:x}", regarding.name),
            count: 0,
            first: now,
            last: now,
        });
        known.count += 1;
        known.last = now;
        let event = event(&note, known);
        self.order.push_back((now, alike));
        Recorded { event, again }
    }

    /// Forgets an alike Event that could not be counted because it is gone.
    pub(crate) fn forget(&mut self, note: &Note) {
        let regarding = &note.regarding;
        self.known.remove(&(
            regarding.uid.clone(),
            regarding.field_path.clone(),
            note.reason,
            note.message.clone(),
        ));
    }

    /// Namespaces and names of Events that are too old or too many.
    pub(crate) fn expired(&mut self, now: Timestamp) -> Vec<(String, String)> {
        let limit = now
            .saturating_sub(SignedDuration::from_secs(EVENT_SECS))
            .unwrap_or(Timestamp::MIN);
        let mut gone = Vec::new();
        while let Some((last, alike)) = self.order.front() {
            let stale = self
                .known
                .get(alike)
                .is_none_or(|known| known.last != *last);
            if !stale && *last > limit && self.known.len() <= EVENTS_MAX {
                break;
            }
            let (_, alike) = self.order.pop_front().expect("looked at above");
            if !stale && let Some(known) = self.known.remove(&alike) {
                gone.push((known.namespace, known.name));
            }
        }
        gone
    }

    /// When the oldest Event has to go.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.order
            .front()
            .map(|(last, _)| super::step::after_secs(*last, EVENT_SECS))
    }
}

fn event(note: &Note, known: &Known) -> Value {
    let regarding = &note.regarding;
    let mut involved = json!({
        "kind": regarding.kind,
        "name": regarding.name,
        "uid": regarding.uid,
        "apiVersion": regarding.api_version,
        "resourceVersion": regarding.resource_version,
    });
    if !regarding.namespace.is_empty() {
        involved["namespace"] = json!(regarding.namespace);
    }
    if !regarding.field_path.is_empty() {
        involved["fieldPath"] = json!(regarding.field_path);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": known.name, "namespace": known.namespace},
        "involvedObject": involved,
        "reason": note.reason,
        "message": note.message,
        "source": {"component": note.component},
        "firstTimestamp": seconds(known.first),
        "lastTimestamp": seconds(known.last),
        "count": known.count,
        "type": note.severity.as_str(),
        "eventTime": null,
        "reportingComponent": note.component,
        "reportingInstance": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::step::Severity;

    fn note(message: &str) -> Note {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "n", "uid": "u"}});
        Note::new(
            "kubelet",
            &pod,
            Severity::Normal,
            "Started",
            message.to_owned(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn alike_events_are_counted_and_old_ones_go() {
        let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
        let mut recorder = Recorder::default();
        let first = recorder.record(note("one"), clock);
        assert_eq!(
            (first.again, &first.event["count"]),
            (Again::First, &json!(1))
        );
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        let second = recorder.record(note("one"), clock);
        assert_eq!(
            (second.again, &second.event["count"]),
            (Again::Counted, &json!(2))
        );
        assert_eq!(
            second.event["metadata"]["name"],
            first.event["metadata"]["name"]
        );
        let other = recorder.record(note("two"), clock);
        assert_ne!(
            other.event["metadata"]["name"],
            first.event["metadata"]["name"]
        );
        tokio::time::advance(std::time::Duration::from_secs(3_595)).await;
        assert_eq!(recorder.expired(clock.now()), vec![]);
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        assert_eq!(recorder.expired(clock.now()).len(), 2);
        assert_eq!(recorder.next_expiry(), None);
    }

    #[test]
    fn no_more_than_so_many_events_are_kept() {
        let mut recorder = Recorder::default();
        for number in 0..EVENTS_MAX + 3 {
            recorder.record(note(&number.to_string()), Clock::system());
        }
        assert_eq!(recorder.expired(Timestamp::now()).len(), 3);
    }
}
