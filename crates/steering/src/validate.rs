//! What is wrong with a service's spec: where, and what would be right.

use crate::{
    policy::{Cidr, Geo, POLICY_BRANCHES_MAX, POLICY_DEPTH_MAX, Policy},
    spec::{ServiceSpec, SpecProblem, SvcbSpec, WhenAllDown},
};
use std::collections::{BTreeMap, BTreeSet};

/// The greatest TTL that is taken, in seconds: a day. Longer ones defeat steering.
pub const TTL_SECS_MAX: u32 = 86_400;

/// The shortest interval between probes, in milliseconds.
pub const INTERVAL_MILLIS_MIN: u64 = 100;

/// How many addresses an answer of `all` may have; `dns` takes as many.
pub const ALL_MAX: u32 = 64;

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
        problems.svcb(&self.svcb, &self.hosts);
        problems.policy(&self.policy, "policy", 1, &mut BTreeSet::new());
        problems.0
    }
}

/// Whether a URI template has the variable `dns` (RFC 6570 § 2.2).
fn names_dns(template: &str) -> bool {
    let mut expressions = template.split('{').skip(1);
    expressions.any(|it| {
        let variables = it.split('}').next().unwrap_or_default();
        let variables = variables.trim_start_matches(['?', '&', '+', '/', '#', '.', ';']);
        variables.split(',').any(|variable| variable == "dns")
    })
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

    /// Prefixes are underscored labels (RFC 9460 § 2.3); what DNS over HTTPS needs is there (RFC 9461 § 5).
    fn svcb(&mut self, svcb: &[SvcbSpec], hosts: &[String]) {
        let wildcard = hosts.iter().any(|host| host.starts_with("*."));
        let right = svcb.is_empty() || !wildcard;
        self.unless(right, "svcb", "has no names before a wildcard host");
        let mut prefixes = BTreeSet::new();
        for (at, binding) in svcb.iter().enumerate() {
            let path = format!("svcb[{at}]");
            let prefix = format!("{path}.prefix");
            let labels: Vec<&str> = binding.prefix.split('.').collect();
            let scheme = labels.iter().all(|it| it.len() > 1 && it.starts_with('_'));
            self.unless(
                scheme,
                &prefix,
                "has labels that begin with _, as _dns and _8443._https",
            );
            let new = prefixes.insert(binding.prefix.as_str());
            self.unless(new, &prefix, "is given twice");
            let port = |label: &str| label[1..].parse::<u16>().is_ok_and(|port| port != 443);
            let right = !scheme || !binding.is_https() || labels.len() == 2 && port(labels[0]);
            self.unless(
                right,
                &prefix,
                "has a port other than 443 before _https: for 443 give `https`",
            );
            let dns_over_https = labels.last() == Some(&"_dns")
                && binding.alpn.iter().any(|it| it == "h2" || it == "h3");
            self.unless(
                !dns_over_https || binding.doh_path.is_some(),
                &format!("{path}.dohPath"),
                "is not given, and clients of h2 and h3 need it",
            );
            let path_is_right = binding
                .doh_path
                .as_ref()
                .is_none_or(|it| it.starts_with('/') && names_dns(it));
            self.unless(
                path_is_right,
                &format!("{path}.dohPath"),
                "begins with / and has the variable dns, as /dns-query{?dns}",
            );
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
            Policy::Pool(_) | Policy::Hash(_) => {}
            Policy::Nearest(nearest) => self.bias(&nearest.bias, &format!("{path}.nearest")),
            Policy::Capacity(capacity) => {
                let path = format!("{path}.capacity");
                self.bias(&capacity.nearest.bias, &path);
                let right = capacity.needs.values().all(|needed| *needed > 0);
                self.unless(right, &format!("{path}.needs"), "is more than 0 each");
            }
            Policy::All(all) => {
                let right = (1..=ALL_MAX).contains(&all.max);
                let message = format!("is between 1 and {ALL_MAX}");
                self.unless(right, &format!("{path}.all.max"), &message);
            }
            Policy::Geo(geo) => self.geo(geo, &format!("{path}.geo"), depth, names),
            Policy::Cidr(cidr) => self.cidr(cidr, &format!("{path}.cidr"), depth, names),
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

    fn bias(&mut self, bias: &BTreeMap<String, i8>, path: &str) {
        let right = bias.values().all(|bias| (-99..=99).contains(bias));
        self.unless(right, &format!("{path}.bias"), "is between -99 and 99");
    }

    fn geo(&mut self, geo: &Geo, path: &str, depth: usize, names: &mut BTreeSet<String>) {
        self.count(geo.rules.len(), &format!("{path}.rules"));
        for (at, rule) in geo.rules.iter().enumerate() {
            let path = format!("{path}.rules[{at}]");
            let listed = rule.countries.len()
                + rule.continents.len()
                + rule.subdivisions.len()
                + rule.systems.len()
                + rule.lines.len();
            self.unless(
                listed > 0,
                &path,
                "names no place: give country, continent, subdivision, asn or line",
            );
            for code in &rule.countries {
                let right = geo::CountryCode::parse(code).is_some();
                let message = format!("{code:?} is not a country's code of two letters");
                self.unless(right, &format!("{path}.country"), &message);
            }
            for code in &rule.continents {
                let right = geo::Continent::parse(code).is_some();
                let message = format!("{code:?} is none of AF AN AS EU NA OC SA");
                self.unless(right, &format!("{path}.continent"), &message);
            }
            for code in &rule.subdivisions {
                let right = code.split_once('-').is_some_and(|(country, part)| {
                    geo::CountryCode::parse(country).is_some() && !part.is_empty()
                });
                let message = format!("{code:?} is not COUNTRY-SUBDIVISION, such as US-CA");
                self.unless(right, &format!("{path}.subdivision"), &message);
            }
            self.policy(&rule.policy, &path, depth + 1, names);
        }
        if let Some(default) = &geo.default {
            self.policy(default, &format!("{path}.default"), depth + 1, names);
        }
    }

    fn cidr(&mut self, cidr: &Cidr, path: &str, depth: usize, names: &mut BTreeSet<String>) {
        self.count(cidr.rules.len(), &format!("{path}.rules"));
        let mut known = BTreeMap::new();
        for (at, rule) in cidr.rules.iter().enumerate() {
            let path = format!("{path}.rules[{at}]");
            self.unless(
                !rule.networks.is_empty(),
                &format!("{path}.networks"),
                "is empty: name a prefix",
            );
            for network in &rule.networks {
                let before = known
                    .insert(network.trunc(), at)
                    .filter(|before| *before != at);
                if let Some(before) = before {
                    let message =
                        format!("{network} is in rules[{before}] as well: it can lead to one only");
                    self.unless(false, &format!("{path}.networks"), &message);
                }
            }
            self.policy(&rule.policy, &path, depth + 1, names);
        }
        if let Some(default) = &cidr.default {
            self.policy(default, &format!("{path}.default"), depth + 1, names);
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
