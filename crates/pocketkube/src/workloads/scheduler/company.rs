//! What the Pods that are there mean for the next one: affinity, spreading and ports
//! (`interpodaffinity`, `podtopologyspread` and `nodeports` of the real scheduler).

use super::{Board, Refusal, matches_affinity};
use crate::object::{label, labels, list, namespace};
use crate::workloads::selector::selects;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// What is remembered of a Pod that has a node.
#[derive(Debug)]
pub(super) struct Other {
    namespace: String,
    labels: Option<Map<String, Value>>,
    /// Its required anti-affinity: it keeps others away.
    repels: Vec<Value>,
    ports: BTreeSet<(String, i64)>,
}

impl Other {
    pub(super) fn of(pod: &Value) -> Self {
        Self {
            namespace: namespace(pod).to_owned(),
            labels: labels(pod).cloned(),
            repels: list(&pod["spec"]["affinity"]["podAntiAffinity"][REQUIRED]).to_vec(),
            ports: ports(pod),
        }
    }
}

/// The other Pods, as one Pod sees them.
#[derive(Debug)]
pub(super) struct Company<'a> {
    pod: &'a Value,
    /// For each required affinity: its key, and where its Pods are.
    wanted: Vec<(&'a str, BTreeSet<String>)>,
    /// Whether nobody it wants is anywhere, and it would want itself: then it may come first.
    is_first: bool,
    /// Where those are that it keeps away from: key and domain.
    unwanted: BTreeSet<(String, String)>,
    /// Where those are that keep away from it.
    repelled: BTreeSet<(String, String)>,
    /// Preferred domains by weight: key, domain, weight of all Pods there.
    preferred: BTreeMap<(String, String), i64>,
    spreads: Vec<Spread<'a>>,
    taken_ports: BTreeSet<String>,
}

/// One constraint on spreading (KEP-895).
#[derive(Debug)]
struct Spread<'a> {
    key: &'a str,
    skew_max: i64,
    is_hard: bool,
    /// Pods of each domain that may be chosen.
    counts: BTreeMap<String, i64>,
    counts_itself: bool,
}

impl<'a> Company<'a> {
    pub(super) fn of(pod: &'a Value, board: &Board) -> Self {
        let affinity = &pod["spec"]["affinity"];
        let wants = list(&affinity["podAffinity"][REQUIRED]);
        let wanted: Vec<(&str, BTreeSet<String>)> = wants
            .iter()
            .map(|term| {
                (
                    key_of(term),
                    domains(pod, term, board).into_keys().collect(),
                )
            })
            .collect();
        let wants_itself =
            |term: &Value| is_meant(term, namespace(pod), namespace(pod), labels(pod));
        let is_first = !wants.is_empty()
            && wanted.iter().all(|(_, domains)| domains.is_empty())
            && wants.iter().all(wants_itself);
        let unwanted = list(&affinity["podAntiAffinity"][REQUIRED]).iter();
        let unwanted = unwanted.flat_map(|term| {
            let key = key_of(term).to_owned();
            domains(pod, term, board)
                .into_keys()
                .map(move |domain| (key.clone(), domain))
        });
        Self {
            unwanted: unwanted.collect(),
            repelled: repelled(pod, board),
            preferred: preferred(pod, board),
            spreads: spreads(pod, board),
            taken_ports: taken_ports(pod, board),
            wanted,
            is_first,
            pod,
        }
    }

    /// Why other Pods keep it from a node.
    pub(super) fn refusal(&self, node: &Value) -> Option<Refusal> {
        for spread in self.spreads.iter().filter(|spread| spread.is_hard) {
            let Some(domain) = label(node, spread.key) else {
                return Some(Refusal::hopeless(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            if spread.skew_at(domain) > spread.skew_max {
                return Some(Refusal::hopeful(
                    "node(s) didn't match pod topology spread constraints",
                ));
            }
        }
        let is_in = |domains: &BTreeSet<(String, String)>| {
            domains
                .iter()
                .any(|(key, domain)| label(node, key) == Some(domain.as_str()))
        };
        let has_wanted = self.wanted.iter().all(|(key, domains)| {
            label(node, key).is_some_and(|domain| self.is_first || domains.contains(domain))
        });
        if !has_wanted {
            return Some(Refusal::hopeless("node(s) didn't match pod affinity rules"));
        }
        if is_in(&self.unwanted) {
            return Some(Refusal::hopeful(
                "node(s) didn't match pod anti-affinity rules",
            ));
        }
        is_in(&self.repelled)
            .then(|| Refusal::hopeful("node(s) didn't satisfy existing pods anti-affinity rules"))
    }

    /// How much other Pods speak for a node.
    pub(super) fn preference(&self, node: &Value) -> i64 {
        let weights = self
            .preferred
            .iter()
            .filter(|((key, domain), _)| label(node, key) == Some(domain.as_str()));
        let crowd = self
            .spreads
            .iter()
            .filter(|spread| !spread.is_hard)
            .map(|spread| {
                let domain = label(node, spread.key).unwrap_or_default();
                spread.counts.get(domain).copied().unwrap_or(0)
            });
        weights.map(|(_, weight)| weight).sum::<i64>() - crowd.sum::<i64>()
    }

    /// Whether a port of the host that it asks for is taken on a node.
    pub(super) fn has_taken_port(&self, node: &str) -> bool {
        !self.taken_ports.is_empty()
            && !ports(self.pod).is_empty()
            && self.taken_ports.contains(node)
    }
}

impl Spread<'_> {
    fn skew_at(&self, domain: &str) -> i64 {
        let lowest = self.counts.values().min().copied().unwrap_or(0);
        let here = self.counts.get(domain).copied().unwrap_or(0);
        here + i64::from(self.counts_itself) - lowest
    }
}

fn key_of(term: &Value) -> &str {
    term["topologyKey"].as_str().unwrap_or_default()
}

/// Whether a term of a Pod in `own` means a Pod in `place` with these labels.
fn is_meant(term: &Value, own: &str, place: &str, labels: Option<&Map<String, Value>>) -> bool {
    let named = list(&term["namespaces"]);
    let all = term["namespaceSelector"]
        .as_object()
        .is_some_and(Map::is_empty);
    let is_here = match (named, &term["namespaceSelector"]) {
        ([], Value::Null) => own == place,
        _ => all || named.iter().any(|name| *name == *place),
    };
    is_here && selects(&term["labelSelector"], labels)
}

/// Pods that a term means, by the domain of its key that they are in.
fn domains(pod: &Value, term: &Value, board: &Board) -> BTreeMap<String, i64> {
    let mut domains = BTreeMap::new();
    for taken in board.bound.values() {
        let other = &taken.other;
        if is_meant(
            term,
            namespace(pod),
            &other.namespace,
            other.labels.as_ref(),
        ) && let Some(domain) = domain_of(board, &taken.node, key_of(term))
        {
            *domains.entry(domain.to_owned()).or_default() += 1;
        }
    }
    domains
}

fn domain_of<'b>(board: &'b Board, node: &str, key: &str) -> Option<&'b str> {
    label(board.nodes.get(node)?.node.as_ref()?, key)
}

fn repelled(pod: &Value, board: &Board) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for taken in board.bound.values() {
        for term in &taken.other.repels {
            let own = &taken.other.namespace;
            if is_meant(term, own, namespace(pod), labels(pod))
                && let Some(domain) = domain_of(board, &taken.node, key_of(term))
            {
                found.insert((key_of(term).to_owned(), domain.to_owned()));
            }
        }
    }
    found
}

fn preferred(pod: &Value, board: &Board) -> BTreeMap<(String, String), i64> {
    let mut weights = BTreeMap::new();
    let affinity = &pod["spec"]["affinity"];
    for (part, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        for preference in list(&affinity[part][PREFERRED]) {
            let (term, weight) = (&preference["podAffinityTerm"], &preference["weight"]);
            let weight = sign * weight.as_i64().unwrap_or(0);
            for (domain, pods) in domains(pod, term, board) {
                *weights
                    .entry((key_of(term).to_owned(), domain))
                    .or_default() += weight * pods;
            }
        }
    }
    weights
}

fn spreads<'a>(pod: &'a Value, board: &Board) -> Vec<Spread<'a>> {
    let constraints = list(&pod["spec"]["topologySpreadConstraints"]).iter();
    constraints
        .map(|constraint| {
            let key = key_of(constraint);
            let mut counts = BTreeMap::new();
            let nodes = board.nodes.values().filter_map(|place| place.node.as_ref());
            for node in nodes.filter(|node| matches_affinity(pod, node)) {
                if let Some(domain) = label(node, key) {
                    counts.entry(domain.to_owned()).or_insert(0);
                }
            }
            for (domain, pods) in domains(pod, constraint, board) {
                if let Some(count) = counts.get_mut(&domain) {
                    *count += pods;
                }
            }
            Spread {
                key,
                skew_max: constraint["maxSkew"].as_i64().unwrap_or(1),
                is_hard: constraint["whenUnsatisfiable"] != "ScheduleAnyway",
                counts,
                counts_itself: selects(&constraint["labelSelector"], labels(pod)),
            }
        })
        .collect()
}

/// Nodes where a port of the host that a Pod asks for is taken.
fn taken_ports(pod: &Value, board: &Board) -> BTreeSet<String> {
    let asked = ports(pod);
    if asked.is_empty() {
        return BTreeSet::new();
    }
    let holders = board.bound.values();
    let holders = holders.filter(|taken| !taken.other.ports.is_disjoint(&asked));
    holders.map(|taken| taken.node.clone()).collect()
}

/// Ports of the host that a Pod asks for, whatever the address.
fn ports(pod: &Value) -> BTreeSet<(String, i64)> {
    let containers = list(&pod["spec"]["containers"]).iter();
    let all = containers.flat_map(|container| list(&container["ports"]));
    all.filter_map(|port| {
        let number = port["hostPort"].as_i64().filter(|number| *number > 0)?;
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        Some((protocol.to_owned(), number))
    })
    .collect()
}
