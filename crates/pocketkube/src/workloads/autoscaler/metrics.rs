//! What Pods use, and how many of them that asks for (`replica_calculator.go` of the real one).

use super::View;
use crate::object::{is_deleting, list, name};
use crate::workloads::pod;
use crate::workloads::quantity::thousandths;
use crate::workloads::step::time;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Annotations that set a load: on the target of a scale, what all its ready Pods use together; on
/// a Pod, what it uses itself. By resource.
pub(crate) const LOADS: [(&str, &str); 2] = [
    ("cpu", "pocketkube.dev/cpu-load"),
    ("memory", "pocketkube.dev/memory-load"),
];
/// How far a ratio may be from one without consequence.
const TOLERANCE: f64 = 0.1;
/// How long the first readings of a Pod's cpu are not trusted while it is not ready.
const INITIALIZATION_SECS: i64 = 300;
/// How long a Pod may take to be ready for the first time.
const INITIAL_READINESS_SECS: i64 = 30;

/// What one Pod uses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Thousandths of each resource.
    pub(crate) used: BTreeMap<String, i128>,
    /// When it was measured, and over which time before.
    pub(crate) at: Timestamp,
    pub(crate) window: SignedDuration,
}

/// What one metric asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    pub(super) replicas: i64,
    /// What messages call it.
    pub(super) name: String,
    /// As the status shows it.
    pub(super) status: Value,
}

/// What a metric asks for, or the reason and the words why that cannot be said.
pub(super) fn wish(
    metric: &Value,
    current: i64,
    view: View<'_>,
) -> Result<Wish, (&'static str, String)> {
    let missing = |reason, what: &str, api: &str| {
        let why = format!(
            "unable to get {what}: unable to fetch metrics from {api} metrics API: no {api} metrics API ({api}.metrics.k8s.io) registered"
        );
        Err((reason, why))
    };
    let text = |path: &str| {
        metric
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match text("/type") {
        "Resource" => {
            let found = of_resource(&metric["resource"], current, view);
            found.map_err(|why| ("FailedGetResourceMetric", why))
        }
        "Pods" => missing(
            "FailedGetPodsMetric",
            &format!("metric {}", text("/pods/metric/name")),
            "custom",
        ),
        "Object" => missing(
            "FailedGetObjectMetric",
            &format!("metric {}", text("/object/metric/name")),
            "custom",
        ),
        "External" => missing(
            "FailedGetExternalMetric",
            &format!("external metric {}", text("/external/metric/name")),
            "external",
        ),
        other => Err((
            "InvalidMetricSourceType",
            format!("unknown metric source type {other:?}"),
        )),
    }
}

/// The first failure as the summary of all metrics quotes it.
pub(super) fn wrapped(metrics: &Value, wishes: &[Option<Wish>], why: &str) -> String {
    let failed = wishes.iter().position(Option::is_none).unwrap_or(0);
    let metric = list(metrics).get(failed).unwrap_or(&Value::Null);
    match metric["type"].as_str() {
        Some("Resource") => {
            let resource = metric["resource"]["name"].as_str().unwrap_or_default();
            format!("failed to get {resource} resource metric value: {why}")
        }
        Some("Pods") => format!("failed to get pods metric value: {why}"),
        Some("Object") => format!("failed to get object metric value: {why}"),
        Some("External") => format!(
            "failed to get {} external metric value: {why}",
            metric["external"]["metric"]["name"]
                .as_str()
                .unwrap_or_default()
        ),
        _ => why.to_owned(),
    }
}

fn of_resource(metric: &Value, current: i64, view: View<'_>) -> Result<Wish, String> {
    let resource = metric["name"].as_str().unwrap_or_default();
    let target = &metric["target"];
    let utilization = target["averageUtilization"].as_i64();
    let value = target["averageValue"].as_str().and_then(thousandths);
    let kind = if value.is_some() {
        "usage"
    } else {
        "utilization"
    };
    let failed = |why: String| format!("failed to get {resource} {kind}: {why}");
    let samples = view.samples.map_err(|why| {
        failed(format!(
            "unable to get metrics for resource {resource}: {why}"
        ))
    })?;
    if view.pods.is_empty() {
        return Err(failed(
            "no pods returned by selector while calculating replica count".to_owned(),
        ));
    }
    let groups = Groups::of(view, samples, resource);
    if groups.used.is_empty() {
        let why = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(failed(why.to_owned()));
    }
    let requests = match value {
        Some(_) => BTreeMap::new(),
        None => requests(view.pods, resource).map_err(failed)?,
    };
    let goal = match (value, utilization) {
        (Some(value), _) => Goal::Value(value),
        (None, Some(percent)) => Goal::Percent(percent, &requests),
        (None, None) => {
            return Err(
                "invalid resource metric source: neither an average utilization target \
                        nor an average value (usage) target was set"
                    .to_owned(),
            );
        }
    };
    let average =
        groups.used.values().sum::<i128>() / i128::try_from(groups.used.len()).unwrap_or(1);
    let mut now = json!({"averageValue": quantity(resource, average)});
    let (ratio, percent) = goal.ratio(&groups.used);
    let mut named = format!("{resource} resource");
    if let Some(percent) = percent {
        now["averageUtilization"] = json!(percent);
        named.push_str(" utilization (percentage of request)");
    }
    Ok(Wish {
        replicas: groups.replicas(&goal, ratio, current, tolerances(view.autoscaler)),
        name: named,
        status: json!({"type": "Resource", "resource": {"name": resource, "current": now}}),
    })
}

/// What the Pods should use.
enum Goal<'a> {
    /// So many thousandths each.
    Value(i128),
    /// So many percent of what they request.
    Percent(i64, &'a BTreeMap<&'a str, i128>),
}

impl Goal<'_> {
    /// How much more than wanted is used, and the percentage of the requests.
    fn ratio(&self, used: &BTreeMap<&str, i128>) -> (f64, Option<i128>) {
        let total: i128 = used.values().sum();
        match self {
            Self::Value(value) => {
                let wanted = value * i128::try_from(used.len()).unwrap_or(1);
                (quotient(total, wanted), None)
            }
            Self::Percent(percent, requests) => {
                let asked = used.keys().filter_map(|pod| requests.get(pod));
                let asked = asked.sum::<i128>().max(1);
                let found = total * 100 / asked;
                (quotient(found, i128::from(*percent)), Some(found))
            }
        }
    }

    /// What a Pod without a reading counts as while there is too little load.
    fn fallback(&self, pod: &str) -> i128 {
        match self {
            Self::Value(value) => *value,
            Self::Percent(percent, requests) => {
                let request = requests.get(pod).copied().unwrap_or(0);
                request * i128::from((*percent).max(100)) / 100
            }
        }
    }
}

/// Pods by what is known of them.
struct Groups<'a> {
    used: BTreeMap<&'a str, i128>,
    ready: i64,
    unready: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
}

impl<'a> Groups<'a> {
    fn of(view: View<'a>, samples: &BTreeMap<String, Sample>, resource: &str) -> Self {
        let mut groups = Self {
            used: BTreeMap::new(),
            ready: 0,
            unready: BTreeSet::new(),
            missing: BTreeSet::new(),
        };
        for pod in view.pods {
            if is_deleting(pod) || pod::phase(pod) == "Failed" {
                continue;
            }
            let own = name(pod);
            let sample = samples.get(own);
            let used = sample.and_then(|sample| sample.used.get(resource));
            match (sample, used) {
                _ if pod::phase(pod) == "Pending" => drop(groups.unready.insert(own)),
                (Some(sample), Some(used)) => {
                    if resource == "cpu" && is_premature(pod, sample, view.now) {
                        groups.unready.insert(own);
                    } else {
                        groups.used.insert(own, *used);
                        groups.ready += 1;
                    }
                }
                _ => drop(groups.missing.insert(own)),
            }
        }
        groups
    }

    fn replicas(&self, goal: &Goal<'_>, ratio: f64, current: i64, tolerances: (f64, f64)) -> i64 {
        let is_near = |ratio: f64| 1.0 - tolerances.0 <= ratio && ratio <= 1.0 + tolerances.1;
        let grows_unready = !self.unready.is_empty() && ratio > 1.0;
        if !grows_unready && self.missing.is_empty() {
            return if is_near(ratio) {
                current
            } else {
                scaled(ratio, self.ready)
            };
        }
        let mut used = self.used.clone();
        for pod in &self.missing {
            if ratio < 1.0 {
                used.insert(pod, goal.fallback(pod));
            } else if ratio > 1.0 {
                used.insert(pod, 0);
            }
        }
        if grows_unready {
            used.extend(self.unready.iter().map(|pod| (*pod, 0)));
        }
        let (again, _) = goal.ratio(&used);
        if is_near(again) || (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0) {
            return current;
        }
        let replicas = scaled(again, i64::try_from(used.len()).unwrap_or(i64::MAX));
        if (again < 1.0 && replicas > current) || (again > 1.0 && replicas < current) {
            return current;
        }
        replicas
    }
}

/// Whether a reading of a Pod's cpu is too early to be trusted.
fn is_premature(pod: &Value, sample: &Sample, now: Timestamp) -> bool {
    let started = time(&pod["status"]["startTime"]);
    let (Some(ready), Some(started)) = (pod::condition(pod, "Ready"), started) else {
        return true;
    };
    let is_unready = ready["status"] == "False";
    let since = time(&ready["lastTransitionTime"]).unwrap_or(started);
    let passed = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs();
    if passed(started, now) < INITIALIZATION_SECS {
        let begun = since
            .saturating_add(sample.window)
            .unwrap_or(Timestamp::MAX);
        return is_unready || sample.at < begun;
    }
    is_unready && passed(started, since) < INITIAL_READINESS_SECS
}

/// What each Pod requests of a resource; all containers have to say.
fn requests<'a>(pods: &[&'a Value], resource: &str) -> Result<BTreeMap<&'a str, i128>, String> {
    let mut requests = BTreeMap::new();
    for pod in pods {
        let sidecars = list(&pod["spec"]["initContainers"]).iter();
        let sidecars = sidecars.filter(|container| container["restartPolicy"] == "Always");
        let mut total = 0;
        for container in list(&pod["spec"]["containers"]).iter().chain(sidecars) {
            let request = container["resources"]["requests"][resource].as_str();
            let Some(request) = request.and_then(thousandths) else {
                let container = container["name"].as_str().unwrap_or_default();
                let pod = name(pod);
                return Err(format!(
                    "missing request for {resource} in container {container} of Pod {pod}"
                ));
            };
            total += request;
        }
        requests.insert(name(pod), total);
    }
    Ok(requests)
}

/// How far below and above one a ratio may be (KEP-4951).
fn tolerances(autoscaler: &Value) -> (f64, f64) {
    let of = |direction: &str| {
        let tolerance = &autoscaler["spec"]["behavior"][direction]["tolerance"];
        let text = tolerance.as_str().and_then(thousandths);
        text.map_or(TOLERANCE, |thousandths| quotient(thousandths, 1_000))
    };
    (of("scaleDown"), of("scaleUp"))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ratios are floating point in the real controller, too"
)]
fn quotient(number: i128, by: i128) -> f64 {
    number as f64 / by.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "replicas are far below 2^52"
)]
fn scaled(ratio: f64, replicas: i64) -> i64 {
    (ratio * replicas as f64).ceil() as i64
}

/// Thousandths as a quantity in the form that autoscalers show.
fn quantity(resource: &str, thousandths: i128) -> String {
    if thousandths % 1_000 != 0 {
        return format!("{thousandths}m");
    }
    let mut number = thousandths / 1_000;
    if resource != "memory" {
        return number.to_string();
    }
    let mut unit = 0;
    let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
    while number != 0 && number % 1_024 == 0 && unit + 1 < units.len() {
        number /= 1_024;
        unit += 1;
    }
    format!("{number}{}", units[unit])
}
