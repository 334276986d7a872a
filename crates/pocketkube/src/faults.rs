//! Faults that a test or a demonstration puts into a cluster at run time.
//!
//! | `api` | what clients see |
//! |---|---|
//! | `up` | a working server |
//! | `down` | connections reset, open watches cut |
//! | `refused` | nobody listens: connections refused, open ones cut |
//! | `hung` | requests that are never answered, open watches that stall |
//! | `slow` | every answer after `delayMillis` |
//! | `tooManyRequests` | 429 with `Retry-After: 1` |
//!
//! `dataPlane: down` stops the load balancers' listeners, apart from the API; `hung` lets them take
//! connections that are never answered. `clockSkewSecs` sets the cluster's clock forward, or back
//! when below 0: its times, its tokens' ends and its leases follow.
//!
//! `nodes: {"node-1": "down"}` stops single machines: their kubelets say nothing, so that the control
//! plane finds them lost after `WorkloadOptions::node_grace` and their Pods are evicted.
//!
//! Faults of single requests and watch events are [`FaultRule`]s, drawn from a seed.

mod rules;

pub use rules::{Effect, FaultRule};

use crate::chance::Chance;
use rules::Rules;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The faults of one cluster. All parts of the cluster obey the latest value.
#[derive(Debug)]
pub struct FaultSwitch {
    faults: watch::Sender<Faults>,
    falls: AtomicU64,
    rules: RwLock<Rules>,
}

/// What is wrong with a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Faults {
    /// The API.
    #[serde(default)]
    pub api: ApiState,
    /// Delay of every answer while the API is `slow`.
    #[serde(default)]
    pub delay_millis: u64,
    /// The data plane.
    #[serde(default)]
    pub data_plane: DataPlaneState,
    /// By how much the cluster's clock is wrong.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_skew_secs: i64,
    /// Single nodes; those that are not named are up. Names of no node change nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, NodeState>,
}

/// State of a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeState {
    /// It works.
    #[default]
    Up,
    /// It stands still: its kubelet says nothing and neither starts nor ends Pods.
    Down,
}

/// State of the API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiState {
    /// It works.
    #[default]
    Up,
    /// Connections are reset.
    Down,
    /// Connections are refused: the port is closed for as long, and opened again afterwards.
    Refused,
    /// Requests are taken and never answered.
    Hung,
    /// Answers come late.
    Slow,
    /// Requests are refused with 429.
    TooManyRequests,
}

/// State of the data plane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DataPlaneState {
    /// Load balancers listen.
    #[default]
    Up,
    /// They do not; kubelets are silent.
    Down,
    /// They take connections and never answer; kubelets are silent.
    Hung,
}

impl ApiState {
    /// Whether no request gets through.
    pub(crate) fn is_down(self) -> bool {
        matches!(self, Self::Down | Self::Refused)
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl FaultSwitch {
    pub(crate) fn new() -> Self {
        Self {
            faults: watch::Sender::new(Faults::default()),
            falls: AtomicU64::new(0),
            rules: RwLock::new(Rules::new(Vec::new(), 0)),
        }
    }

    /// What is wrong now.
    pub fn get(&self) -> Faults {
        self.faults.borrow().clone()
    }

    /// By how much the cluster's clock is wrong now.
    pub(crate) fn clock_skew_secs(&self) -> i64 {
        self.faults.borrow().clock_skew_secs
    }

    /// Replaces all faults.
    pub fn set(&self, faults: Faults) {
        self.faults.send_modify(|current| {
            if faults.api.is_down() && !current.api.is_down() {
                self.falls.fetch_add(1, Ordering::SeqCst);
            }
            *current = faults;
        });
    }

    /// Changes the API's state and nothing else.
    pub fn set_api(&self, api: ApiState) {
        self.set(Faults { api, ..self.get() });
    }

    /// Changes the data plane's state and nothing else.
    pub fn set_data_plane(&self, data_plane: DataPlaneState) {
        self.set(Faults {
            data_plane,
            ..self.get()
        });
    }

    /// Stops a node, or lets it go on, and changes nothing else.
    pub fn set_node(&self, name: impl Into<String>, state: NodeState) {
        let mut faults = self.get();
        match state {
            NodeState::Up => drop(faults.nodes.remove(&name.into())),
            NodeState::Down => drop(faults.nodes.insert(name.into(), state)),
        }
        self.set(faults);
    }

    /// Replaces the rules of single requests and watch events, which draw anew from a seed.
    pub fn set_rules(&self, rules: Vec<FaultRule>, seed: u64) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Rules::new(rules, seed);
        // Whoever hangs by a rule looks again.
        self.faults.send_modify(|_| {});
    }

    /// The rules of single requests and watch events, and their seed.
    pub fn rules(&self) -> (Vec<FaultRule>, u64) {
        let rules = self.read_rules();
        (rules.list.clone(), rules.seed)
    }

    /// What strikes a request.
    pub(crate) fn strike(&self, verb: &str, resource: &str) -> Option<Effect> {
        let rules = self.read_rules();
        match rules.list.is_empty() {
            true => None,
            false => rules.strike(verb, resource),
        }
    }

    /// What strikes an event of a watch, drawn from the watch's own chance.
    pub(crate) fn strike_event(
        &self,
        chance: &mut Option<Chance>,
        resource: &str,
    ) -> Option<Effect> {
        let rules = self.read_rules();
        if rules.list.is_empty() {
            return None;
        }
        let chance = chance.get_or_insert_with(|| Chance::new(Some(rules.seed)));
        rules.strike_event(chance, resource)
    }

    fn read_rules(&self) -> RwLockReadGuard<'_, Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the API went down: connections of before a fall are cut even if they look only
    /// after it came back.
    pub(crate) fn falls(&self) -> u64 {
        self.falls.load(Ordering::SeqCst)
    }

    /// Tells of every change.
    pub fn subscribe(&self) -> watch::Receiver<Faults> {
        self.faults.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_as_documented() {
        let text = r#"{"api":"tooManyRequests","delayMillis":5,"dataPlane":"down"}"#;
        let faults: Faults = serde_json::from_str(text).unwrap();
        assert_eq!(faults.api, ApiState::TooManyRequests);
        assert_eq!(serde_json::to_string(&faults).unwrap(), text);
        assert!(serde_json::from_str::<Faults>(r#"{"apis":"up"}"#).is_err());
        let text = r#"{"api":"up","delayMillis":0,"dataPlane":"up","nodes":{"node-1":"down"}}"#;
        let faults: Faults = serde_json::from_str(text).unwrap();
        assert_eq!(faults.nodes["node-1"], NodeState::Down);
        assert_eq!(serde_json::to_string(&faults).unwrap(), text);
    }

    #[test]
    fn falls_are_counted() {
        let switch = FaultSwitch::new();
        switch.set_api(ApiState::Down);
        switch.set_api(ApiState::Up);
        switch.set_data_plane(DataPlaneState::Down);
        assert_eq!(switch.falls(), 1);
        assert_eq!(switch.get().data_plane, DataPlaneState::Down);
    }
}
