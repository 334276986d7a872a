//! What is wrong with a service's spec: where, and what would be right.

use crate::{
    policy::{POLICY_BRANCHES_MAX, POLICY_DEPTH_MAX, Policy},
    spec::{ServiceSpec, SpecProblem, WhenAllDown},
};
use std::collections::BTreeSet;

/// The greatest TTL that is taken, in seconds: a day. Longer ones defeat steering.
pub const TTL_SECS_MAX: u32 = 86_400;

/// The shortest interval between probes, in milliseconds.
pub const INTERVAL_MILLIS_MIN: u64 = 100;

impl ServiceSpec {
    /// Everything that is wrong; nothing, when it can be served.
    pub fn problems(&self) -> Vec<SpecProblem> {
        let mut problems = Problems(Vec::new());
        problems.unless(
            !self.hosts.is_empty(),
            "hosts",
            "is empty: name at least one host",
        );
        let ttl = self.ttl;
        problems.unless(
            ttl.min_secs <= ttl.max_secs && ttl.max_secs <= TTL_SECS_MAX,
            "ttl",
            &format!("min is not greater than max, and max at most {TTL_SECS_MAX} s"),
        );
        let check = &self.health_check;
        if check.probe.is_some() {
            problems.unless(
                check.interval_millis >= INTERVAL_MILLIS_MIN,
                "healthCheck.interval",
                &format!("is at least {INTERVAL_MILLIS_MIN} ms"),
            );
            problems.unless(
                check.timeout_millis > 0,
                "healthCheck.timeout",
                "is more than 0",
            );
            problems.unless(check.up > 0, "healthCheck.up", "is at least 1");
            problems.unless(check.down > 0, "healthCheck.down", "is at least 1");
        }
        if let WhenAllDown::Address(addresses) = &self.when_all_down {
            problems.unless(
                !addresses.is_empty(),
                "whenAllDown.address",
                "names an address",
            );
        }
        problems.policy(&self.policy, "policy", 1, &mut BTreeSet::new());
        problems.0
    }
}

struct Problems(Vec<SpecProblem>);

impl Problems {
    fn unless(&mut self, right: bool, field: &str, message: &str) {
        if !right {
            self.0.push(SpecProblem {
                field: field.to_owned(),
                message: message.to_owned(),
            });
        }
    }

    fn policy(&mut self, policy: &Policy, path: &str, depth: usize, names: &mut BTreeSet<String>) {
        if depth > POLICY_DEPTH_MAX {
            self.unless(
                false,
                path,
                &format!("nests deeper than {POLICY_DEPTH_MAX} nodes"),
            );
            return;
        }
        match policy {
            Policy::Pool(_) => {}
            Policy::Nearest(nearest) => {
                let right = nearest.bias.values().all(|bias| (-99..=99).contains(bias));
                self.unless(
                    right,
                    &format!("{path}.nearest.bias"),
                    "is between -99 and 99",
                );
            }
            Policy::Weighted(branches) => {
                let path = format!("{path}.weighted");
                self.count(branches.len(), &path);
                let some = branches.iter().any(|branch| branch.weight > 0);
                self.unless(some, &path, "needs a weight greater than 0");
                for (at, branch) in branches.iter().enumerate() {
                    self.policy(&branch.policy, &format!("{path}[{at}]"), depth + 1, names);
                }
            }
            Policy::Failover(branches) => {
                let path = format!("{path}.failover");
                self.count(branches.len(), &path);
                for (at, branch) in branches.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    let name = format!("{path}.name");
                    self.unless(!branch.name.is_empty(), &name, "is empty: give it a name");
                    let new = names.insert(branch.name.clone());
                    self.unless(
                        new,
                        &name,
                        "is not unique in the tree: give it another name",
                    );
                    self.policy(&branch.policy, &path, depth + 1, names);
                }
            }
        }
    }

    fn count(&mut self, branches: usize, path: &str) {
        let right = (1..=POLICY_BRANCHES_MAX).contains(&branches);
        self.unless(
            right,
            path,
            &format!("has 1 to {POLICY_BRANCHES_MAX} branches"),
        );
    }
}
