//! The only file that writes statuses on the host.
//!
//! # Guarantees
//! Nothing is written that says the same as what is there, times apart. One object's status is
//! written at most once in [`BETWEEN_WRITES`]. A write starts only while this process leads.
//! # Assumptions
//! One reconciler per object and kind of status.
//! # Caveats
//! What another process wrote in between is overwritten: there is one leader.

use crate::Error;
use crate::clock::WallClock;
use crate::lease::Leadership;
use crate::said::Said;
use crate::wake::Wake;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, object::HasStatus};
use kube::{Client, Resource};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Between two writes of one object's status.
pub(crate) const BETWEEN_WRITES: Duration = Duration::from_secs(1);
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Objects whose last write is remembered; those written longest ago are forgotten first.
const REMEMBERED_MAX: usize = 200_000;
/// The field manager of statuses.
const STATUS_MANAGER: &str = "meridian-status";

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It says what it should.
    Current,
    /// It was written too lately; again at that time.
    Later(Instant),
}

/// See the module.
pub(crate) struct Statuses {
    client: Client,
    leadership: Leadership,
    clock: WallClock,
    wake: Arc<Wake>,
    last: Mutex<HashMap<String, Last>>,
}

struct Last {
    at: Instant,
    /// What was written, times apart.
    says: Said,
    /// What the host kept of it: an older CRD lets go of fields that it does not know.
    held: Said,
    /// The version that the write gave the object: a cache that is older does not know of it.
    version: u64,
}

/// An object whose status is written.
pub(crate) struct Subject<'a> {
    pub(crate) resource: &'a ApiResource,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    /// The version that the cache holds.
    pub(crate) version: &'a str,
    /// The status that the cache holds.
    pub(crate) current: &'a Value,
}

/// Whether what is said already is written again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    No,
    Yes,
}

impl Statuses {
    pub(crate) fn new(
        client: Client,
        leadership: Leadership,
        clock: WallClock,
        wake: Arc<Wake>,
    ) -> Self {
        Self {
            client,
            leadership,
            clock,
            wake,
            last: Mutex::default(),
        }
    }

    /// Makes the status of a typed object say this.
    pub(crate) async fn write_typed<K>(
        &self,
        object: &K,
        status: &impl Serialize,
    ) -> Result<Written, Error>
    where
        K: Resource<DynamicType = ()> + HasStatus<Status: Serialize>,
    {
        self.typed(object, status, Repeat::No).await
    }

    /// Writes the status of a typed object although it says so already: times move by writing only.
    pub(crate) async fn repeat_typed<K>(
        &self,
        object: &K,
        status: &impl Serialize,
    ) -> Result<Written, Error>
    where
        K: Resource<DynamicType = ()> + HasStatus<Status: Serialize>,
    {
        self.typed(object, status, Repeat::Yes).await
    }

    async fn typed<K>(
        &self,
        object: &K,
        status: &impl Serialize,
        repeat: Repeat,
    ) -> Result<Written, Error>
    where
        K: Resource<DynamicType = ()> + HasStatus<Status: Serialize>,
    {
        let resource = ApiResource::erase::<K>(&());
        let current = object.status().map(serde_json::to_value);
        let current = current.and_then(Result::ok).unwrap_or_default();
        let wanted = serde_json::to_value(status).unwrap_or_default();
        let metadata = object.meta();
        let subject = Subject {
            resource: &resource,
            namespace: metadata.namespace.as_deref(),
            name: metadata.name.as_deref().unwrap_or_default(),
            uid: metadata.uid.as_deref().unwrap_or_default(),
            version: metadata.resource_version.as_deref().unwrap_or_default(),
            current: &current,
        };
        match (repeat, self.next_write(subject.uid)) {
            (Repeat::No, _) => self.write(subject, wanted).await,
            (Repeat::Yes, Some(next)) => Ok(Written::Later(next)),
            (Repeat::Yes, None) => self.send(subject, wanted).await,
        }
    }

    /// Makes a status say this. Conditions get their times here: a transition when the status
    /// changed, and an update where KubeFed has one.
    pub(crate) async fn write(
        &self,
        subject: Subject<'_>,
        wanted: Value,
    ) -> Result<Written, Error> {
        match self.known(&subject, Said::by(&wanted)) {
            Some(written) => Ok(written),
            None => self.send(subject, wanted).await,
        }
    }

    async fn send(&self, subject: Subject<'_>, mut wanted: Value) -> Result<Written, Error> {
        let says = Said::by(&wanted);
        if !self.leadership.may_write(DEADLINE) {
            return Err(Error::NotLeading);
        }
        let now = self.clock.time();
        date_conditions(&mut wanted, subject.current, &now);
        date_rollout(&mut wanted, subject.current, &now);
        forget_absent(&mut wanted, subject.current);
        let patch = json!({"metadata": {"uid": subject.uid}, "status": wanted});
        let api: Api<DynamicObject> = match subject.namespace {
            Some(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace, subject.resource)
            }
            None => Api::all_with(self.client.clone(), subject.resource),
        };
        let parameters = PatchParams {
            field_manager: Some(STATUS_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        self.wake.echoes.expect(subject.uid, says);
        let write = api.patch_status(subject.name, &parameters, &patch);
        let object = timeout(DEADLINE, write)
            .await
            .map_err(|_| Error::HostTimedOut)??;
        let version = number(
            object
                .metadata
                .resource_version
                .as_deref()
                .unwrap_or_default(),
        );
        self.remember(
            subject.uid,
            Last {
                at: Instant::now(),
                says,
                held: Said::by(&object.data["status"]),
                version,
            },
        );
        Ok(Written::Current)
    }

    /// Whether the status says so already, or will once a cache that is behind has caught up.
    pub(crate) fn is_told(&self, subject: &Subject<'_>, wanted: &Value) -> bool {
        self.known(subject, Said::by(wanted)) == Some(Written::Current)
    }

    /// What can be told without a write.
    fn known(&self, subject: &Subject<'_>, says: Said) -> Option<Written> {
        let last = self.lock();
        let last = last.get(subject.uid);
        let behind = last.is_some_and(|last| number(subject.version) < last.version);
        let same = match last {
            Some(last) if behind => last.says == says,
            last => {
                let current = Said::by(subject.current);
                match last {
                    Some(last) if last.held == current => last.says == says,
                    _ => current == says,
                }
            }
        };
        if same {
            return Some(Written::Current);
        }
        let next = last.map(|last| last.at + BETWEEN_WRITES)?;
        (Instant::now() < next).then_some(Written::Later(next))
    }

    /// When an object that was just written may be written again.
    fn next_write(&self, uid: &str) -> Option<Instant> {
        let next = self.lock().get(uid)?.at + BETWEEN_WRITES;
        (Instant::now() < next).then_some(next)
    }

    fn remember(&self, uid: &str, written: Last) {
        let mut last = self.lock();
        if last.len() >= REMEMBERED_MAX {
            let old = written.at - BETWEEN_WRITES;
            last.retain(|_, last| last.at >= old);
        }
        last.insert(uid.to_owned(), written);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

/// A merge patch keeps what it does not name: what is no longer said is named as null.
fn forget_absent(wanted: &mut Value, current: &Value) {
    let (Some(wanted), Some(current)) = (wanted.as_object_mut(), current.as_object()) else {
        return;
    };
    for name in current.keys() {
        if !wanted.contains_key(name) {
            wanted.insert(name.clone(), Value::Null);
        }
    }
}

/// Dates conditions that have no times of their own.
fn date_conditions(wanted: &mut Value, current: &Value, now: &Time) {
    let now = serde_json::to_value(now).unwrap_or_default();
    let changed = Said::by(&wanted["clusters"]) != Said::by(&current["clusters"]);
    let before = current["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for condition in wanted["conditions"].as_array_mut().into_iter().flatten() {
        let before = before
            .iter()
            .find(|before| before["type"] == condition["type"]);
        let same = before.filter(|before| {
            before["status"] == condition["status"]
                && text(&before["reason"]) == text(&condition["reason"])
        });
        if condition["lastTransitionTime"].is_null() {
            let since = same.map(|same| same["lastTransitionTime"].clone());
            condition["lastTransitionTime"] = since
                .filter(|since| !since.is_null())
                .unwrap_or_else(|| now.clone());
        }
        // KubeFed: when something was last propagated, or failed to be.
        if condition["type"] == "Propagation" {
            let since = same
                .filter(|_| !changed)
                .map(|same| same["lastUpdateTime"].clone());
            condition["lastUpdateTime"] = since
                .filter(|since| !since.is_null())
                .unwrap_or_else(|| now.clone());
        }
    }
}

/// Dates a rollout when another step or phase of it begins.
fn date_rollout(wanted: &mut Value, current: &Value, now: &Time) {
    let Some(rollout) = wanted.get_mut("rollout").filter(|it| it.is_object()) else {
        return;
    };
    let before = &current["rollout"];
    let same = ["revision", "step", "phase"]
        .iter()
        .all(|name| before[*name] == rollout[*name]);
    let since = Some(before["lastTransitionTime"].clone()).filter(|since| same && !since.is_null());
    rollout["lastTransitionTime"] =
        since.unwrap_or_else(|| serde_json::to_value(now).unwrap_or_default());
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_transition_is_dated_when_the_status_changes_and_an_update_when_clusters_do() {
        let condition = json!({"type": "Propagation", "status": "True"});
        let mut first = json!({"conditions": [condition], "clusters": [{"name": "a"}]});
        date_conditions(&mut first, &Value::Null, &time(1));
        let mut second = json!({"conditions": [condition], "clusters": [{"name": "b"}]});
        date_conditions(&mut second, &first, &time(2));
        let dated = &second["conditions"][0];
        assert_eq!(dated["lastTransitionTime"], "1970-01-01T00:00:01Z");
        assert_eq!(dated["lastUpdateTime"], "1970-01-01T00:00:02Z");
        let mut failed = json!({"conditions": [{"type": "Propagation", "status": "False",
            "reason": "CheckClusters"}]});
        date_conditions(&mut failed, &second, &time(3));
        assert_eq!(
            failed["conditions"][0]["lastTransitionTime"],
            "1970-01-01T00:00:03Z"
        );
    }

    #[test]
    fn a_rollout_is_dated_when_its_step_or_phase_changes_and_not_when_its_words_do() {
        let said = |step: i64, message: &str| {
            json!({"rollout": {"revision": "r", "step": step, "phase": "Progressing",
                "message": message}})
        };
        let mut first = said(1, "0 of 2");
        date_rollout(&mut first, &Value::Null, &time(1));
        let mut second = said(1, "1 of 2");
        date_rollout(&mut second, &first, &time(2));
        assert_eq!(
            second["rollout"]["lastTransitionTime"],
            "1970-01-01T00:00:01Z"
        );
        let mut third = said(2, "0 of 2");
        date_rollout(&mut third, &second, &time(3));
        assert_eq!(
            third["rollout"]["lastTransitionTime"],
            "1970-01-01T00:00:03Z"
        );
    }

    #[test]
    fn what_is_no_longer_said_is_taken_back() {
        let mut wanted = json!({"conditions": []});
        forget_absent(&mut wanted, &json!({"clusters": [1], "conditions": [1]}));
        assert_eq!(wanted, json!({"conditions": [], "clusters": null}));
    }
}
