//! What must succeed before a branch takes over (`takeover.requires`): probed, counted and reported as
//! an endpoint is, of a cluster that cannot be.

use crate::{
    health::Track,
    policy::{Policy, Requirement},
    report::ReportedVerdict,
    spec::HealthCheck,
    world::World,
};
use model::{EndpointId, ObjectKey, Probe, ProbeResult, ProbeSchedule, Verdict};
use std::collections::BTreeMap;

/// How a requirement's cluster begins: no member's name has a slash.
const PREFIX: &str = "takeover/";

/// Milliseconds between two probes of a requirement, and until one has failed.
const SCHEDULE: ProbeSchedule = ProbeSchedule {
    interval_millis: 5_000,
    timeout_millis: 2_000,
};

/// A service's requirements by branch and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requirements {
    of: BTreeMap<(String, String), Required>,
    /// Per branch that may not take over now, why.
    unmet: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Required {
    requirement: Requirement,
    track: Track,
    /// The observers' verdict; what was known holds while they cannot say.
    said: Verdict,
}

impl Requirements {
    /// Those of a policy, none of them probed yet.
    pub(crate) fn of(policy: &Policy) -> Self {
        let mut this = Self::default();
        this.replace(policy);
        this
    }

    /// Takes another policy; what stays as it was keeps its counts.
    pub(crate) fn replace(&mut self, policy: &Policy) {
        let mut before = std::mem::take(&mut self.of);
        let mut open = vec![policy];
        while let Some(policy) = open.pop() {
            if let Policy::Failover(branches) = policy {
                for branch in branches {
                    for requirement in &branch.takeover.requires {
                        let key = (branch.name.clone(), requirement.name.clone());
                        let known = before.remove(&key);
                        let known = known.filter(|known| known.requirement == *requirement);
                        let new = || Required {
                            requirement: requirement.clone(),
                            track: Track::default(),
                            said: Verdict::Unknown,
                        };
                        self.of.insert(key, known.unwrap_or_else(new));
                    }
                }
            }
            open.extend(policy.below());
        }
    }

    /// Why branches may not take over now.
    pub(crate) fn unmet(&self) -> &BTreeMap<String, String> {
        &self.unmet
    }

    /// Combines what observers say. What nobody knows is not met.
    pub(crate) fn judge(&mut self, service: &ObjectKey, world: &World<'_>) {
        self.unmet.clear();
        for ((branch, name), required) in &mut self.of {
            let id = endpoint(service, branch, &required.requirement);
            let votes = world.votes(&id, required.track.vote());
            let said = world.verdict(&votes);
            if said != Verdict::Unknown {
                required.said = said;
            }
            let why = match required.said {
                Verdict::Up => continue,
                Verdict::Unknown => "not probed yet",
                Verdict::Down => required.track.reason.as_deref().unwrap_or("it fails"),
            };
            let text = self.unmet.entry(branch.clone()).or_default();
            let comma = if text.is_empty() { "" } else { ", " };
            text.push_str(&format!("{comma}{name}: {why}"));
        }
    }

    /// Counts a result, when it is a requirement's; whether there is something to tell.
    pub(crate) fn observe(&mut self, result: &ProbeResult, now: u64) -> Option<bool> {
        let (branch, name) = named(&result.endpoint)?;
        let found = self.of.get_mut(&(branch.to_owned(), name.to_owned()));
        let found = found.filter(|it| it.requirement.target == result.endpoint.target);
        Some(found.is_some_and(|required| {
            let before = required.track.clone();
            required.track.observe(result.failure.as_ref(), &CHECK, now);
            required.track.told() != before.told()
        }))
    }

    /// What is probed.
    pub(crate) fn probes<'a>(
        &'a self,
        service: &'a ObjectKey,
        check: &'a HealthCheck,
    ) -> impl Iterator<Item = Probe> + 'a {
        // As often as the endpoints, where those are probed more often.
        let schedule = ProbeSchedule {
            interval_millis: SCHEDULE.interval_millis.min(check.interval_millis),
            ..SCHEDULE
        };
        self.of.iter().map(move |((branch, _), required)| Probe {
            endpoint: endpoint(service, branch, &required.requirement),
            target: required.requirement.target.clone(),
            kind: required.requirement.probe.clone(),
            schedule,
        })
    }

    /// What is counted of each, and how it is probed.
    pub(crate) fn probed_tracks(&mut self) -> impl Iterator<Item = (&HealthCheck, &mut Track)> {
        self.of
            .values_mut()
            .map(|required| (&CHECK, &mut required.track))
    }

    /// What is thought of each.
    pub(crate) fn verdicts<'a>(
        &'a self,
        service: &'a ObjectKey,
    ) -> impl Iterator<Item = ReportedVerdict> + 'a {
        self.of.iter().map(|((branch, _), required)| {
            let id = endpoint(service, branch, &required.requirement);
            required.track.reported(id)
        })
    }
}

/// A requirement that is met is met by the next probe, and one that fails fails by the next.
const CHECK: HealthCheck = HealthCheck {
    probe: None,
    interval_millis: SCHEDULE.interval_millis,
    timeout_millis: SCHEDULE.timeout_millis,
    up: 1,
    down: 1,
};

fn endpoint(service: &ObjectKey, branch: &str, requirement: &Requirement) -> EndpointId {
    EndpointId {
        service: service.clone(),
        cluster: format!("{PREFIX}{branch}/{}", requirement.name).into(),
        target: requirement.target.clone(),
    }
}

/// Branch and name of a requirement's endpoint.
fn named(endpoint: &EndpointId) -> Option<(&str, &str)> {
    endpoint
        .cluster
        .as_str()
        .strip_prefix(PREFIX)?
        .split_once('/')
}
