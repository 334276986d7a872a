//! What a policy names and the world does not have. None of it stops a service: it may come yet.

use crate::{
    choose::Entry,
    geography::Geography,
    policy::{Policy, Pool},
    service::Service,
    spec::SpecProblem,
    world::World,
};
use std::collections::BTreeSet;

/// How many are told; a policy that is all wrong needs no list of a thousand.
const TOLD_MAX: usize = 10;

impl Service {
    /// Clusters, lines and pools of the policy that are not there, each with its path.
    pub(crate) fn misfits(&self, world: &World<'_>, geography: &Geography) -> Vec<SpecProblem> {
        let regions = self.regions(world);
        let entries = self.entries(world, &regions, |_| true);
        let of_endpoints = entries.iter().map(|entry| entry.cluster.as_str());
        let of_world = world.clusters.keys().map(|name| name.as_str());
        let look = Look {
            clusters: of_endpoints.chain(of_world).collect(),
            entries: &entries,
            geography,
        };
        let mut found = Vec::new();
        look.at(&self.spec.policy, "policy", &mut found);
        found.truncate(TOLD_MAX);
        found
    }
}

struct Look<'a> {
    clusters: BTreeSet<&'a str>,
    entries: &'a [Entry<'a>],
    geography: &'a Geography,
}

impl Look<'_> {
    fn at(&self, policy: &Policy, path: &str, found: &mut Vec<SpecProblem>) {
        match policy {
            Policy::Pool(pool) => self.pool(pool, &format!("{path}.pool"), found),
            Policy::Hash(pool) => self.pool(pool, &format!("{path}.hash.pool"), found),
            Policy::All(all) => self.pool(&all.pool, &format!("{path}.all.pool"), found),
            Policy::Nearest(by) => self.pool(&by.pool, &format!("{path}.nearest.pool"), found),
            Policy::Capacity(by) => {
                self.pool(&by.nearest.pool, &format!("{path}.capacity.pool"), found);
            }
            Policy::Weighted(branches) => {
                for (at, branch) in branches.iter().enumerate() {
                    self.at(&branch.policy, &format!("{path}.weighted[{at}]"), found);
                }
            }
            Policy::Failover(branches) => {
                for (at, branch) in branches.iter().enumerate() {
                    self.at(&branch.policy, &format!("{path}.failover[{at}]"), found);
                }
            }
            Policy::Geo(geo) => {
                for (at, rule) in geo.rules.iter().enumerate() {
                    let path = format!("{path}.geo.rules[{at}]");
                    let unknown = rule
                        .lines
                        .iter()
                        .filter(|name| !self.geography.has_line(name));
                    found.extend(unknown.map(|name| SpecProblem {
                        field: format!("{path}.line"),
                        message: format!("no line is called {name}; give it with --geo-lines"),
                    }));
                    self.at(&rule.policy, &path, found);
                }
                if let Some(default) = &geo.default {
                    self.at(default, &format!("{path}.geo.default"), found);
                }
            }
            Policy::Cidr(cidr) => {
                for (at, rule) in cidr.rules.iter().enumerate() {
                    self.at(&rule.policy, &format!("{path}.cidr.rules[{at}]"), found);
                }
                if let Some(default) = &cidr.default {
                    self.at(default, &format!("{path}.cidr.default"), found);
                }
            }
        }
    }

    fn pool(&self, pool: &Pool, path: &str, found: &mut Vec<SpecProblem>) {
        let numbered = pool.clusters.iter().enumerate();
        let unknown = numbered.filter(|(_, name)| !self.clusters.contains(name.as_str()));
        let before = found.len();
        found.extend(unknown.map(|(at, name)| SpecProblem {
            field: format!("{path}.clusters[{at}]"),
            message: format!("no cluster is called {name}; there are {}", self.known()),
        }));
        let empty = !self.entries.iter().any(|entry| pool.holds(entry));
        // Who names clusters that are not there has been told why it is empty.
        if empty && found.len() == before {
            found.push(SpecProblem {
                field: path.to_owned(),
                message: "no endpoint is in it".to_owned(),
            });
        }
    }

    fn known(&self) -> String {
        match self.clusters.len() {
            0 => "none".to_owned(),
            _ => self.clusters.iter().copied().collect::<Vec<_>>().join(", "),
        }
    }
}
