//! Disruption budgets: how many Pods may go now (the disruption controller), and whether one more
//! may (what the `eviction` subresource asks).

use super::pod;
use super::selector::selects;
use super::share::{Round, share};
use super::step::{Step, Write, after_secs, time};
use crate::clock::seconds;
use crate::object::{generation, is_deleting, labels, list, name};
use crate::status::{Cause, Details, Status};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Table of PodDisruptionBudgets.
pub(crate) const TABLE: &str = "poddisruptionbudgets.policy";
/// Evictions that a budget waits to be confirmed at most, as in the real server.
pub(crate) const DISRUPTED_PODS_MAX: usize = 2_000;
/// How long an evicted Pod may take to be marked as going.
const DELETION_SECS: i64 = 120;
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

/// What a look at one budget sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The budget.
    pub(crate) budget: &'a Value,
    /// Pods of its namespace.
    pub(crate) pods: &'a [&'a Value],
    /// For the uid of each Pod's controller: uid and size of the workload at the top.
    pub(crate) scales: &'a BTreeMap<String, (String, i64)>,
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look of the disruption controller.
pub(crate) fn step(view: View<'_>) -> Step {
    let mut step = Step::default();
    let budget = view.budget;
    let pods: Vec<&Value> = selected(budget, view.pods).collect();
    let (expected, desired) = expected(view, &pods);
    let disrupted = disrupted(view, &pods, &mut step);
    let healthy = pods
        .iter()
        .filter(|pod| !is_deleting(pod) && !disrupted.contains_key(name(pod)) && pod::is_ready(pod))
        .count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    let mut status = Map::new();
    if !disrupted.is_empty() {
        status.insert("disruptedPods".to_owned(), Value::Object(disrupted));
    }
    for (field, number) in [
        ("observedGeneration", generation(budget)),
        ("disruptionsAllowed", allowed),
        ("currentHealthy", healthy),
        ("desiredHealthy", desired),
        ("expectedPods", expected),
    ] {
        status.insert(field.to_owned(), json!(number));
    }
    if let Some(conditions) = budget["status"]
        .get("conditions")
        .filter(|list| list.is_array())
    {
        status.insert("conditions".to_owned(), conditions.clone());
    }
    let mut object = budget.clone();
    object["status"] = Value::Object(status);
    set_condition(&mut object, view.now);
    if object != *budget {
        step.push(Write::UpdateStatus(TABLE, object));
    }
    step
}

/// Whether a Pod may be evicted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It may, and no budget has to know.
    Free,
    /// It may, once this budget is written.
    Counted(Value),
    /// It may not.
    Refused(Status),
}

/// Asks the budgets of a namespace about one Pod.
pub(crate) fn judge(pod: &Value, budgets: &[&Value], now: Timestamp) -> Verdict {
    // Pods that do not run protect nobody.
    if is_deleting(pod) || pod::is_terminal(pod) || pod::phase(pod) == "Pending" {
        return Verdict::Free;
    }
    let covers = |budget: &&&Value| selects(&budget["spec"]["selector"], labels(pod));
    let covering: Vec<&Value> = budgets.iter().filter(covers).copied().collect();
    let budget = match covering[..] {
        [] => return Verdict::Free,
        [budget] => budget,
        _ => {
            // The real server gives no reason here.
            return Verdict::Refused(Status::plain(
                500,
                "",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource \
                 does not support.",
            ));
        }
    };
    if !pod::is_ready(pod) && lets_unhealthy_go(budget) {
        return Verdict::Free;
    }
    if count(budget, "observedGeneration") < generation(budget) {
        let why = format!(
            "The disruption budget {} is still being processed by the server.",
            name(budget)
        );
        return refused(why, PROCESSING_SECS);
    }
    if budget["status"]["disruptedPods"]
        .as_object()
        .map_or(0, Map::len)
        > DISRUPTED_PODS_MAX
    {
        return Verdict::Refused(Status::plain(
            403,
            "Forbidden",
            format!(
                "poddisruptionbudget.policy {:?} is forbidden: DisruptedPods map too big - too \
                 many evictions not confirmed by PDB controller",
                name(budget)
            ),
        ));
    }
    if count(budget, "disruptionsAllowed") <= 0 {
        return refused(why_not(budget), 0);
    }
    let mut counted = budget.clone();
    counted["status"]["disruptionsAllowed"] = json!(count(budget, "disruptionsAllowed") - 1);
    counted["status"]["disruptedPods"][name(pod)] = json!(seconds(now));
    set_condition(&mut counted, now);
    Verdict::Counted(counted)
}

/// What the server suggests while a budget was not looked at yet.
const PROCESSING_SECS: u32 = 10;

fn selected<'a>(budget: &Value, pods: &[&'a Value]) -> impl Iterator<Item = &'a Value> {
    let selector = budget["spec"]["selector"].clone();
    let pods: Vec<&Value> = pods.to_vec();
    pods.into_iter()
        .filter(move |pod| selects(&selector, labels(pod)) && !pod::is_terminal(pod))
}

/// How many Pods there should be, and how many of them healthy.
fn expected(view: View<'_>, pods: &[&Value]) -> (i64, i64) {
    let spec = &view.budget["spec"];
    let scale = || {
        let controllers = pods
            .iter()
            .filter_map(|pod| crate::object::controller_uid(pod));
        let tops: BTreeMap<&str, i64> = controllers
            .filter_map(|uid| view.scales.get(uid))
            .map(|(top, size)| (top.as_str(), *size))
            .collect();
        tops.values().sum::<i64>()
    };
    if let Some(unavailable) = spec.get("maxUnavailable").filter(|value| !value.is_null()) {
        let scale = scale();
        return (scale, (scale - share(unavailable, scale, Round::Up)).max(0));
    }
    match &spec["minAvailable"] {
        Value::String(_) => {
            let scale = scale();
            (scale, share(&spec["minAvailable"], scale, Round::Up))
        }
        number => {
            let found = i64::try_from(pods.len()).unwrap_or(i64::MAX);
            (found, number.as_i64().unwrap_or(0))
        }
    }
}

/// Evicted Pods that are not marked as going yet.
fn disrupted(view: View<'_>, pods: &[&Value], step: &mut Step) -> Map<String, Value> {
    let mut kept = Map::new();
    let evicted = view.budget["status"]["disruptedPods"].as_object();
    for (name_of_pod, at) in evicted.into_iter().flatten() {
        let waits = pods
            .iter()
            .any(|pod| name(pod) == name_of_pod && !is_deleting(pod));
        let until = time(at).map(|at| after_secs(at, DELETION_SECS));
        if let Some(until) = until.filter(|until| waits && *until >= view.now) {
            kept.insert(name_of_pod.clone(), at.clone());
            step.wake(after_secs(until, 1));
        }
    }
    kept
}

fn set_condition(budget: &mut Value, now: Timestamp) {
    let (status, reason) = match count(budget, "disruptionsAllowed") {
        0 => ("False", "InsufficientPods"),
        _ => ("True", "SufficientPods"),
    };
    let observed = count(budget, "observedGeneration");
    let mut conditions = list(&budget["status"]["conditions"]).to_vec();
    let known = conditions
        .iter_mut()
        .find(|condition| condition["type"] == DISRUPTION_ALLOWED);
    match known {
        Some(known) => {
            if known["status"] != *status {
                known["lastTransitionTime"] = json!(seconds(now));
            }
            known["status"] = json!(status);
            known["reason"] = json!(reason);
            known["message"] = json!("");
            known["observedGeneration"] = json!(observed);
        }
        None => conditions.push(json!({
            "type": DISRUPTION_ALLOWED,
            "status": status,
            "observedGeneration": observed,
            "lastTransitionTime": seconds(now),
            "reason": reason,
            "message": "",
        })),
    }
    budget["status"]["conditions"] = Value::Array(conditions);
}

/// KEP-3017: Pods that are not ready may go if the budget says so, or if enough others are.
fn lets_unhealthy_go(budget: &Value) -> bool {
    let desired = count(budget, "desiredHealthy");
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (count(budget, "currentHealthy") >= desired && desired > 0)
}

fn why_not(budget: &Value) -> String {
    let (name, desired) = (name(budget), count(budget, "desiredHealthy"));
    let healthy = count(budget, "currentHealthy");
    if healthy <= desired {
        return format!(
            "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        );
    }
    format!("The disruption budget {name} does not allow evicting pods currently")
}

fn refused(why: String, retry_after_secs: u32) -> Verdict {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = Status::plain(429, "TooManyRequests", message);
    status.details = Some(Box::new(Details {
        causes: vec![Cause::new("DisruptionBudget", "", why)],
        retry_after_secs,
        ..Details::default()
    }));
    Verdict::Refused(status)
}

fn count(budget: &Value, field: &str) -> i64 {
    budget["status"][field].as_i64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn budget(spec: Value) -> Value {
        let mut budget = json!({"metadata": {"name": "b", "generation": 1}, "spec": spec});
        budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
        budget
    }

    fn pod(name: &str, ready: bool) -> Value {
        let status = if ready { "True" } else { "False" };
        json!({"metadata": {"name": name, "labels": {"app": "web"},
                "ownerReferences": [{"uid": "rs", "controller": true}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]}})
    }

    fn looked(budget: &Value, pods: &[Value]) -> Value {
        let pods: Vec<&Value> = pods.iter().collect();
        let scales = BTreeMap::from([("rs".to_owned(), ("d".to_owned(), 4))]);
        let step = step(View {
            budget,
            pods: &pods,
            scales: &scales,
            now: now(),
        });
        match step.writes.into_iter().next() {
            Some(Write::UpdateStatus(_, budget)) => budget,
            other => panic!("{other:?}"),
        }
    }

    /// Spec; healthy Pods of 4; allowed, desired and expected.
    fn check(spec: Value, healthy: usize, (allowed, desired, expected): (i64, i64, i64)) {
        let pods: Vec<Value> = (0..4).map(|n| pod(&n.to_string(), n < healthy)).collect();
        let budget = looked(&budget(spec.clone()), &pods);
        let found = (
            count(&budget, "disruptionsAllowed"),
            count(&budget, "desiredHealthy"),
            count(&budget, "expectedPods"),
        );
        assert_eq!(found, (allowed, desired, expected), "{spec} with {healthy}");
    }

    #[test]
    fn a_budget_counts_what_may_go() {
        check(json!({"minAvailable": 3}), 4, (1, 3, 4));
        check(json!({"minAvailable": 3}), 2, (0, 3, 4));
        check(json!({"minAvailable": "51%"}), 4, (1, 3, 4));
        check(json!({"maxUnavailable": 1}), 4, (1, 3, 4));
        check(json!({"maxUnavailable": "26%"}), 4, (2, 2, 4));
        check(json!({"maxUnavailable": 9}), 0, (0, 0, 4));
    }

    #[test]
    fn an_eviction_is_counted_until_its_pod_goes() {
        let pods = [pod("a", true), pod("b", true)];
        let budget = looked(&budget(json!({"minAvailable": 1})), &pods);
        let Verdict::Counted(counted) = judge(&pods[0], &[&budget], now()) else {
            panic!()
        };
        assert_eq!(counted["status"]["disruptedPods"], json!({"a": NOW}));
        assert_eq!(
            list(&counted["status"]["conditions"])[0]["reason"],
            "InsufficientPods"
        );
        let Verdict::Refused(status) = judge(&pods[1], &[&counted], now()) else {
            panic!()
        };
        assert_eq!(status.code, 429);
        let again = looked(&counted, &pods);
        assert_eq!(count(&again, "currentHealthy"), 1);
        let done = looked(&counted, &pods[1..]);
        assert_eq!(done["status"].get("disruptedPods"), None);
    }

    #[test]
    fn a_refusal_says_what_the_budget_needs() {
        let pods = [pod("a", true)];
        let fresh = budget(json!({"minAvailable": 1}));
        let cause = |verdict| match verdict {
            Verdict::Refused(status) => status.details.unwrap().causes[0].message.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            cause(judge(&pods[0], &[&fresh], now())),
            "The disruption budget b is still being processed by the server."
        );
        let looked = looked(&fresh, &pods);
        assert_eq!(
            cause(judge(&pods[0], &[&looked], now())),
            "The disruption budget b needs 1 healthy pods and has 1 currently"
        );
    }

    #[test]
    fn pods_that_no_budget_protects_go_freely() {
        let mut pending = pod("p", false);
        pending["status"]["phase"] = json!("Pending");
        let strict = looked(&budget(json!({"minAvailable": 1})), &[pod("a", true)]);
        assert_eq!(judge(&pending, &[&strict], now()), Verdict::Free);
        assert_eq!(judge(&pod("a", true), &[], now()), Verdict::Free);
        // Enough others are healthy.
        assert_eq!(judge(&pod("sick", false), &[&strict], now()), Verdict::Free);
        let two = judge(&pod("a", true), &[&strict, &strict], now());
        assert!(matches!(two, Verdict::Refused(status) if status.code == 500));
    }
}
