//! What is seen of a service: its branches, its endpoints, and what replicas answer.

use api::{BranchStatusEntry, GlobalService, GlobalServiceStatus, ProbeReport};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A service as it stands.
pub(super) struct Look {
    key: String,
    status: GlobalServiceStatus,
    reports: Vec<ProbeReport>,
}

/// What a replica answers for the service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Named {
    pub(super) replica: String,
    /// The clusters that its answers name now.
    pub(super) clusters: BTreeSet<String>,
    /// Those that they named, and until when such an answer may be in a cache, in milliseconds since
    /// 1970.
    pub(super) left: BTreeMap<String, i64>,
}

impl Named {
    /// When the last answer that named another cluster has outlived its TTL.
    pub(super) fn outlived_millis(&self) -> Option<i64> {
        self.left.values().copied().max()
    }
}

impl Look {
    pub(super) fn new(service: GlobalService, reports: Vec<ProbeReport>) -> Self {
        let metadata = &service.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let name = metadata.name.as_deref().unwrap_or_default();
        Self {
            key: format!("{namespace}/{name}"),
            status: service.status.unwrap_or_default(),
            reports,
        }
    }

    pub(super) fn branches(&self) -> &[BranchStatusEntry] {
        &self.status.branches
    }

    fn branch(&self, name: &str) -> Option<&BranchStatusEntry> {
        self.branches().iter().find(|branch| branch.name == name)
    }

    pub(super) fn is_active(&self, name: &str) -> bool {
        self.branch(name)
            .is_some_and(|branch| branch.state == "Active")
    }

    /// Why the branch that answers still does.
    pub(super) fn why_not(&self) -> String {
        let active = self
            .branches()
            .iter()
            .find(|branch| branch.state == "Active");
        active.map_or_else(|| "no branch is active".to_owned(), |it| it.reason.clone())
    }

    /// What forbids a switchover to a branch.
    pub(super) fn problems(&self, to: &str) -> Vec<String> {
        let Some(branch) = self.branch(to) else {
            let names: Vec<_> = self.branches().iter().map(|it| it.name.as_str()).collect();
            let there = match names.is_empty() {
                true => "the policy has no failover, or no controller has looked at it".to_owned(),
                false => format!("the branches are {}", names.join(", ")),
            };
            return vec![format!("there is no branch {to}: {there}")];
        };
        let mut problems = Vec::new();
        if branch.state == "Active" {
            problems.push(format!("{to} answers already"));
        }
        if branch.state == "Unable" {
            problems.push(format!("{to} is unable: {}", branch.reason));
        }
        if let Some(unmet) = &branch.unmet {
            problems.push(format!("{to} may not take over: {unmet}"));
        }
        problems
    }

    /// Per replica, what it answers.
    pub(super) fn named(&self) -> Vec<Named> {
        let of = |report: &ProbeReport| {
            let mut named = Named {
                replica: report.metadata.name.clone().unwrap_or_default(),
                clusters: BTreeSet::new(),
                left: BTreeMap::new(),
            };
            for entry in &report.spec.named {
                match entry.until_millis {
                    None if entry.services.contains(&self.key) => {
                        named.clusters.insert(entry.cluster.clone());
                    }
                    Some(until) => {
                        let outlived = until.saturating_add(entry.ttl_secs_max * 1_000);
                        named.left.insert(entry.cluster.clone(), outlived);
                    }
                    None => {}
                }
            }
            named
        };
        self.reports.iter().map(of).collect()
    }

    /// The preview: how it stands, and what is to become of it.
    pub(super) fn preview(&self, what: &str, to: &str) -> String {
        let mut text = format!("{what}: {to} is to answer\n");
        for branch in self.branches() {
            let unmet = branch
                .unmet
                .as_ref()
                .map(|why| format!("; requires: {why}"));
            text.push_str(&format!(
                "  branch {}: {} since {}, {}{}\n",
                branch.name,
                branch.state,
                branch.since.0,
                branch.reason,
                unmet.unwrap_or_default()
            ));
        }
        for endpoint in &self.status.health {
            let (cluster, target) = (&endpoint.cluster, &endpoint.target);
            let (standing, reason) = (&endpoint.standing, &endpoint.reason);
            text.push_str(&format!("  {cluster} {target}: {standing}, {reason}\n"));
        }
        for named in self.named() {
            let clusters: Vec<_> = named.clusters.iter().map(String::as_str).collect();
            let clusters = clusters.join(", ");
            text.push_str(&format!("  replica {} answers {clusters}\n", named.replica));
        }
        text
    }

    pub(super) fn as_value(&self) -> Value {
        json!({"branches": self.branches(), "health": self.status.health, "replicas": self.named()})
    }
}
