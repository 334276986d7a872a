//! The scheduler: which node a Pod goes to, or why none can take it
//! (filters and messages of kube-scheduler's default plugins).
//!
//! | room | what it decides |
//! |---|---|
//! | here | what nodes have, and which of those that fit is best |
//! | [`company`] | what other Pods mean: affinity, spreading, ports |
//!
//! Nobody is preempted. Namespaces are not selected by label: an empty selector means all.

mod company;
#[cfg(test)]
mod tests;

use super::pod;
use super::quantity::thousandths;
use super::selector;
use super::step::{Binding, Note, Severity, Step, Write};
use crate::clock::seconds;
use crate::object::{controller_uid, generation, labels, list, name, namespace, uid};
use company::Company;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Table of Nodes.
pub(crate) const NODES: &str = "nodes";
/// The scheduler that Pods name when they name none.
const SCHEDULER: &str = "default-scheduler";
/// Label of a node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";
/// Number of Pods, as a resource: each asks for one.
const PODS: &str = "pods";

/// Nodes and what is taken on them; follows the changes of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Board {
    nodes: BTreeMap<String, Place>,
    /// Pods that take room, by uid.
    bound: HashMap<String, Taken>,
}

/// A node, which may not be there (yet) although Pods name it.
#[derive(Debug, Default)]
struct Place {
    node: Option<Value>,
    allocatable: Resources,
    used: Resources,
    /// Pods of each controller.
    siblings: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Taken {
    node: String,
    requests: Resources,
    controller: String,
    other: company::Other,
}

/// Thousandths of each resource.
type Resources = BTreeMap<String, i128>;

/// Why a node cannot take a Pod.
#[derive(Debug, Default)]
struct Refusal {
    reasons: Vec<String>,
    /// Whether it stays so even if all other Pods leave.
    hopeless: bool,
}

impl Board {
    /// Takes a node as it is now.
    pub(crate) fn put_node(&mut self, node: &Value) {
        let place = self.nodes.entry(name(node).to_owned()).or_default();
        place.allocatable = resources(&node["status"]["allocatable"]);
        place.node = Some(node.clone());
    }

    /// Forgets a node.
    pub(crate) fn remove_node(&mut self, name: &str) {
        if let Some(place) = self.nodes.get_mut(name) {
            place.node = None;
        }
    }

    /// Takes a Pod as it is now. Says whether room became free.
    pub(crate) fn put_pod(&mut self, pod: &Value) -> bool {
        let takes_room = !pod::node(pod).is_empty() && !pod::is_terminal(pod);
        match (takes_room, self.bound.get(uid(pod))) {
            (false, None) => false,
            (false, Some(_)) => self.remove_pod(uid(pod)),
            (true, Some(taken)) if taken.node == pod::node(pod) => false,
            (true, _) => {
                let freed = self.remove_pod(uid(pod));
                self.take(pod, pod::node(pod));
                freed
            }
        }
    }

    /// Forgets a Pod. Says whether room became free.
    pub(crate) fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(taken) = self.bound.remove(uid) else {
            return false;
        };
        let Some(place) = self.nodes.get_mut(&taken.node) else {
            return false;
        };
        for (resource, amount) in taken.requests {
            *place.used.entry(resource).or_default() -= amount;
        }
        if let Some(count) = place.siblings.get_mut(&taken.controller) {
            *count -= 1;
            if *count == 0 {
                place.siblings.remove(&taken.controller);
            }
        }
        true
    }

    /// Decides about one Pod and keeps its room if it gets a node.
    pub(crate) fn step(&mut self, pod: &Value, now: Timestamp) -> Step {
        let mut step = Step::default();
        if !is_waiting(pod) {
            return step;
        }
        match self.choose(pod) {
            Ok(node) => {
                let message = format!(
                    "Successfully assigned {}/{} to {node}",
                    namespace(pod),
                    name(pod)
                );
                self.take(pod, &node);
                step.push(Write::Bind(Binding {
                    namespace: namespace(pod).to_owned(),
                    name: name(pod).to_owned(),
                    uid: uid(pod).to_owned(),
                    node,
                }));
                let note = Note::new(SCHEDULER, pod, Severity::Normal, "Scheduled", message);
                step.push(Write::Event(note));
            }
            Err(message) => refuse(pod, &message, now, &mut step),
        }
        step
    }

    fn take(&mut self, pod: &Value, node: &str) {
        let requests = requests(pod);
        let controller = controller_uid(pod).unwrap_or_default().to_owned();
        let place = self.nodes.entry(node.to_owned()).or_default();
        for (resource, amount) in &requests {
            *place.used.entry(resource.clone()).or_default() += amount;
        }
        *place.siblings.entry(controller.clone()).or_default() += 1;
        let taken = Taken {
            node: node.to_owned(),
            requests,
            controller,
            other: company::Other::of(pod),
        };
        self.bound.insert(uid(pod).to_owned(), taken);
    }

    /// Says that no node can take a Pod, whatever they have.
    pub(crate) fn refuse(&self, pod: &Value, why: &str, now: Timestamp) -> Step {
        let total = self
            .nodes
            .values()
            .filter(|place| place.node.is_some())
            .count();
        let message = format!(
            "0/{total} nodes are available: {why}. preemption: 0/{total} nodes are available: \
             {total} Preemption is not helpful for scheduling."
        );
        let mut step = Step::default();
        refuse(pod, &message, now, &mut step);
        step
    }

    /// The node that a Pod would get, or why none.
    pub(crate) fn choose(&self, pod: &Value) -> Result<String, String> {
        let requests = requests(pod);
        let company = Company::of(pod, self);
        let (mut fitting, mut refusals) = (Vec::new(), Vec::new());
        for (name, place) in &self.nodes {
            let Some(node) = &place.node else { continue };
            let refused = refusal(pod, &requests, node, place, &company);
            match refused.or_else(|| company.refusal(node)) {
                None => fitting.push((name, place, node)),
                Some(refusal) => refusals.push(refusal),
            }
        }
        let zones = self.zone_siblings(pod);
        let siblings = controller_uid(pod).unwrap_or_default();
        let best = fitting.iter().min_by_key(|(name, place, node)| {
            let zone = crate::object::label(node, ZONE).unwrap_or_default();
            (
                avoided(pod, node),
                Reverse(preferred(pod, node) + company.preference(node)),
                place.siblings.get(siblings).copied().unwrap_or(0),
                zones.get(zone).copied().unwrap_or(0),
                Reverse(place.free_thousandths(&requests)),
                *name,
            )
        });
        best.map(|(name, ..)| (*name).clone())
            .ok_or_else(|| explained(&refusals))
    }

    /// Pods of the same controller in each zone.
    fn zone_siblings(&self, pod: &Value) -> BTreeMap<&str, usize> {
        let siblings = controller_uid(pod).unwrap_or_default();
        let mut zones = BTreeMap::new();
        for place in self.nodes.values() {
            let Some(node) = &place.node else { continue };
            let zone = crate::object::label(node, ZONE).unwrap_or_default();
            *zones.entry(zone).or_default() += place.siblings.get(siblings).copied().unwrap_or(0);
        }
        zones
    }
}

impl Refusal {
    fn hopeless(reason: &str) -> Self {
        Self {
            reasons: vec![reason.to_owned()],
            hopeless: true,
        }
    }

    fn hopeful(reason: &str) -> Self {
        Self {
            hopeless: false,
            ..Self::hopeless(reason)
        }
    }
}

impl Place {
    /// Share of cpu and memory that would stay free, in thousandths of both together.
    fn free_thousandths(&self, requests: &Resources) -> i128 {
        let free = |resource: &str| {
            let of = |resources: &Resources| resources.get(resource).copied().unwrap_or(0);
            let allocatable = of(&self.allocatable);
            match allocatable {
                0 => 0,
                _ => (allocatable - of(&self.used) - of(requests)) * 500 / allocatable,
            }
        };
        free("cpu") + free("memory")
    }
}

/// Whether a Pod waits for this scheduler.
pub(crate) fn is_waiting(pod: &Value) -> bool {
    let scheduler = pod["spec"]["schedulerName"].as_str().unwrap_or(SCHEDULER);
    pod::node(pod).is_empty()
        && pod::is_active(pod)
        && scheduler == SCHEDULER
        && list(&pod["spec"]["schedulingGates"]).is_empty()
}

fn refuse(pod: &Value, message: &str, now: Timestamp, step: &mut Step) {
    let before = pod::condition(pod, "PodScheduled");
    if before.is_some_and(|condition| condition["message"] == *message) {
        return;
    }
    let since = before.filter(|condition| condition["status"] == "False");
    let since = since.map(|condition| condition["lastTransitionTime"].clone());
    let mut condition = json!({
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": null,
        "lastTransitionTime": since.unwrap_or_else(|| json!(seconds(now))),
        "reason": "Unschedulable",
        "message": message,
    });
    if generation(pod) > 0 {
        condition["observedGeneration"] = json!(generation(pod));
    }
    let mut object = pod.clone();
    let others = list(&pod["status"]["conditions"]).iter();
    let mut conditions: Vec<Value> = others
        .filter(|other| other["type"] != "PodScheduled")
        .cloned()
        .collect();
    conditions.push(condition);
    object["status"]["conditions"] = Value::Array(conditions);
    step.push(Write::UpdateStatus(pod::TABLE, object));
    let reason = "FailedScheduling";
    step.push(Write::Event(Note::new(
        SCHEDULER,
        pod,
        Severity::Warning,
        reason,
        message.to_owned(),
    )));
}

/// What a Pod asks for: its containers together, or the largest init container, and overhead.
fn requests(pod: &Value) -> Resources {
    let spec = &pod["spec"];
    let mut total = Resources::new();
    let mut initial = Resources::new();
    let mut sidecars = Resources::new();
    for container in list(&spec["initContainers"]) {
        let own = resources(&container["resources"]["requests"]);
        if container["restartPolicy"] == "Always" {
            add(&mut sidecars, &own);
            largest(&mut initial, &sidecars);
        } else {
            let mut with_sidecars = sidecars.clone();
            add(&mut with_sidecars, &own);
            largest(&mut initial, &with_sidecars);
        }
    }
    for container in list(&spec["containers"]) {
        add(&mut total, &resources(&container["resources"]["requests"]));
    }
    add(&mut total, &sidecars);
    largest(&mut total, &initial);
    // Pod-level requests stand for those of its containers (KEP-2837).
    total.extend(resources(&spec["resources"]["requests"]));
    add(&mut total, &resources(&spec["overhead"]));
    total.insert(PODS.to_owned(), 1_000);
    total
}

fn resources(quantities: &Value) -> Resources {
    let entries = quantities.as_object().into_iter().flatten();
    let parsed = entries.filter_map(|(resource, quantity)| {
        let text = quantity
            .as_str()
            .map_or_else(|| quantity.to_string(), str::to_owned);
        Some((resource.clone(), thousandths(&text)?))
    });
    parsed.collect()
}

fn add(total: &mut Resources, more: &Resources) {
    for (resource, amount) in more {
        *total.entry(resource.clone()).or_default() += amount;
    }
}

fn largest(total: &mut Resources, other: &Resources) {
    for (resource, amount) in other {
        let entry = total.entry(resource.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}

/// The first filter that says no, in the order of the real scheduler's plugins.
fn refusal(
    pod: &Value,
    requests: &Resources,
    node: &Value,
    place: &Place,
    company: &Company<'_>,
) -> Option<Refusal> {
    let hopeless = |reason: &str| Some(Refusal::hopeless(reason));
    let cordon = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    if node["spec"]["unschedulable"] == true && !is_tolerated(pod, &cordon) {
        return hopeless("node(s) were unschedulable");
    }
    let repels = |taint: &&Value| {
        matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute"))
            && !is_tolerated(pod, taint)
    };
    if list(&node["spec"]["taints"])
        .iter()
        .any(|taint| repels(&taint))
    {
        return hopeless("node(s) had untolerated taint(s)");
    }
    if !matches_affinity(pod, node) {
        return hopeless("node(s) didn't match Pod's node affinity/selector");
    }
    if company.has_taken_port(name(node)) {
        return Some(Refusal::hopeful(
            "node(s) didn't have free ports for the requested pod ports",
        ));
    }
    let mut refusal = Refusal::default();
    for (resource, amount) in requests.iter().filter(|(_, amount)| **amount > 0) {
        let of = |resources: &Resources| resources.get(resource).copied().unwrap_or(0);
        if of(&place.used) + amount <= of(&place.allocatable) {
            continue;
        }
        refusal.reasons.push(match resource.as_str() {
            PODS => "Too many pods".to_owned(),
            other => format!("Insufficient {other}"),
        });
        refusal.hopeless |= *amount > of(&place.allocatable);
    }
    (!refusal.reasons.is_empty()).then_some(refusal)
}

/// Whether one of a Pod's tolerations covers a taint.
pub(crate) fn is_tolerated(pod: &Value, taint: &Value) -> bool {
    list(&pod["spec"]["tolerations"])
        .iter()
        .any(|toleration| tolerates(toleration, taint))
}

/// Whether a toleration covers a taint (`k8s.io/api/core/v1/toleration.go`).
pub(crate) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (effect, key) = (text(&toleration["effect"]), text(&toleration["key"]));
    if !effect.is_empty() && effect != text(&taint["effect"]) {
        return false;
    }
    if !key.is_empty() && key != text(&taint["key"]) {
        return false;
    }
    match toleration["operator"].as_str().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(&toleration["value"]) == text(&taint["value"]),
        _ => false,
    }
}

/// Taints that a node would rather not be chosen with.
fn avoided(pod: &Value, node: &Value) -> usize {
    let soft = list(&node["spec"]["taints"])
        .iter()
        .filter(|t| t["effect"] == "PreferNoSchedule");
    soft.filter(|taint| !is_tolerated(pod, taint)).count()
}

/// Whether a node has what a Pod's selector and required node affinity ask for.
pub(crate) fn matches_affinity(pod: &Value, node: &Value) -> bool {
    if !selector::contains(&pod["spec"]["nodeSelector"], labels(node)) {
        return false;
    }
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        ["nodeSelectorTerms"];
    let Some(terms) = required.as_array() else {
        return true;
    };
    terms.iter().any(|term| is_term_met(term, node))
}

fn is_term_met(term: &Value, node: &Value) -> bool {
    let fields = json!({"metadata.name": name(node)});
    let expressions = list(&term["matchExpressions"]);
    let of_fields = list(&term["matchFields"]);
    (!expressions.is_empty() || !of_fields.is_empty())
        && expressions
            .iter()
            .all(|one| selector::holds(one, labels(node)))
        && of_fields
            .iter()
            .all(|one| selector::holds(one, fields.as_object()))
}

/// Weights of the preferred node affinities that a node satisfies.
fn preferred(pod: &Value, node: &Value) -> i64 {
    let terms =
        &pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    let holds = |term: &&Value| is_term_met(&term["preference"], node);
    let met = list(terms).iter().filter(holds);
    met.filter_map(|term| term["weight"].as_i64()).sum()
}

/// The words of the real scheduler.
fn explained(refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return "no nodes available to schedule pods".to_owned();
    }
    let total = refusals.len();
    let reasons = refusals
        .iter()
        .flat_map(|refusal| refusal.reasons.iter().map(String::as_str));
    let preemption = refusals.iter().map(|refusal| match refusal.hopeless {
        true => "Preemption is not helpful for scheduling",
        false => "No preemption victims found for incoming pod",
    });
    format!(
        "0/{total} nodes are available: {}. no new claims to deallocate, \
         preemption: 0/{total} nodes are available: {}.",
        counted(reasons),
        counted(preemption)
    )
}

fn counted<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut parts: Vec<String> = counts
        .into_iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    parts.sort();
    parts.join(", ")
}
