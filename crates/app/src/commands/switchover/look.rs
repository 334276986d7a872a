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

/// Replicas whose answers are as before.
pub(super) fn unchanged(before: &[Named], now: &[Named]) -> BTreeSet<String> {
    let same = before.iter().filter(|was| {
        let is = now.iter().find(|is| is.replica == was.replica);
        is.is_some_and(|is| is.clusters == was.clusters)
    });
    same.map(|was| was.replica.clone()).collect()
}

/// Clusters that a replica named before and names still.
pub(super) fn still_named(before: &[Named], now: &[Named]) -> BTreeSet<String> {
    let still = before.iter().flat_map(|was| {
        let is = now.iter().filter(|is| is.replica == was.replica);
        is.flat_map(|is| is.clusters.intersection(&was.clusters))
    });
    still.cloned().collect()
}

impl Look {
    /// Replicas that have not reported for long beside the one that did last are left out: they went
    /// with a city, perhaps.
    pub(super) fn new(service: GlobalService, mut reports: Vec<ProbeReport>) -> Self {
        let latest = reports.iter().map(|report| report.spec.at_millis).max();
        let life = i64::try_from(steering::REPORT_LIFE_MILLIS).unwrap_or(i64::MAX);
        let from = latest.map_or(i64::MIN, |latest| latest.saturating_sub(life));
        reports.retain(|report| report.spec.at_millis > from);
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
            let clusters = match clusters.is_empty() {
                true => "nothing".to_owned(),
                false => clusters.join(", "),
            };
            text.push_str(&format!("  replica {} answers {clusters}\n", named.replica));
        }
        text
    }

    pub(super) fn as_value(&self) -> Value {
        json!({"branches": self.branches(), "health": self.status.health, "replicas": self.named()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(replica: &str, clusters: &[&str]) -> Named {
        Named {
            replica: replica.to_owned(),
            clusters: clusters.iter().map(|&name| name.to_owned()).collect(),
            left: BTreeMap::new(),
        }
    }

    #[test]
    fn a_ramp_that_begins_changes_answers_and_leaves_none() {
        let before = [named("x", &["dc3"]), named("y", &["dc3"])];
        let begun = [named("x", &["dc1", "dc3"]), named("y", &["dc3"])];
        assert_eq!(unchanged(&before, &begun), ["y".to_owned()].into());
        assert_eq!(still_named(&before, &begun), ["dc3".to_owned()].into());
        let over = [named("x", &["dc1"])];
        assert!(unchanged(&before, &over).is_empty(), "y is heard no more");
        assert!(still_named(&before, &over).is_empty());
    }

    #[test]
    fn a_replica_that_went_with_its_city_is_not_waited_for() {
        let report = |name: &str, at_millis: i64| {
            let spec = api::ProbeReportSpec {
                at_millis,
                ..api::ProbeReportSpec::default()
            };
            ProbeReport::new(name, spec)
        };
        let life = i64::try_from(steering::REPORT_LIFE_MILLIS).expect("minutes");
        let service = serde_json::from_value(json!({
            "apiVersion": "gslb.meridian.dev/v1alpha1", "kind": "GlobalService",
            "metadata": {"namespace": "shop", "name": "shop"},
            "spec": {"hosts": ["shop.example.org"], "endpoints": {"service": {"name": "shop"}}},
        }));
        let reports = vec![report("lost", 1_000), report("heard", 1_000 + life)];
        let look = Look::new(service.expect("a service"), reports);
        let heard: Vec<_> = look.named().into_iter().map(|it| it.replica).collect();
        assert_eq!(heard, ["heard"]);
    }
}
