//! Looks of the horizontal autoscaler.

use super::{Look, split};
use crate::cluster::{Part, Target};
use crate::object::{Object, annotation, is_deleting, labels, list, name, uid};
use crate::selector::LabelSelector;
use crate::workloads::agenda::{Agenda, Task};
use crate::workloads::autoscaler::{self, LOADS, Sample};
use crate::workloads::pod;
use crate::workloads::quantity::thousandths;
use crate::workloads::step::time;
use crate::workloads::world::World;
use crate::workloads::writes::Component;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the metrics API is called where it is not there.
const NO_METRICS: &str = "unable to fetch metrics from resource metrics API: the server could not \
                          find the requested resource (get pods.metrics.k8s.io)";

impl Look {
    pub(super) fn autoscaler(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, named) = split(key);
        let Some(object) = self.get("autoscaling/v2", "HorizontalPodAutoscaler", place, named)
        else {
            return;
        };
        let now = self.cluster.clock().now();
        let scale = self.scale_of(&object, place);
        let selector = scale
            .as_ref()
            .ok()
            .and_then(|scale| scale["status"]["selector"].as_str())
            .and_then(|text| LabelSelector::parse(text).ok());
        let selected = |pod: &&Arc<Object>| {
            selector
                .as_ref()
                .is_some_and(|selector| selector.matches(labels(pod)))
        };
        let pods: Vec<&Value> = world
            .pods_in(place)
            .filter(selected)
            .map(|pod| pod.value())
            .collect();
        let samples = self.samples(&object, place, &pods, selector.as_ref());
        let memory = self.autoscaling.entry(uid(&object).to_owned()).or_default();
        let (step, remembered) = autoscaler::step(autoscaler::View {
            autoscaler: &object,
            scale: scale.as_ref().map_err(String::as_str),
            pods: &pods,
            samples: samples.as_ref().map_err(String::as_str),
            memory,
            period_secs: self.autoscale_secs,
            now,
        });
        *memory = remembered;
        let task = Task::Autoscaler(key.to_owned());
        self.carry_out(Component::ControllerManager, step, task, agenda);
    }

    /// Whether an autoscaler was never looked at, or has another spec than at its last look.
    pub(crate) fn is_new_autoscaler(&self, object: &Value) -> bool {
        let known = self.autoscaling.get(uid(object));
        known.is_none_or(|known| !known.is_about(&object["spec"]))
    }

    fn scale_of(&self, autoscaler: &Value, place: &str) -> Result<Value, String> {
        let target = &autoscaler["spec"]["scaleTargetRef"];
        let text = |field: &str| target[field].as_str().unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let resource = self
            .cluster
            .resource(api_version, kind)
            .map_err(|_| format!("no matches for kind {kind:?} in group {group:?}"))?;
        let target = Target {
            resource: &resource,
            namespace: place,
            name: text("name"),
            part: Part::Scale,
        };
        match self.cluster.scale(&target) {
            Ok(Value::Null) => Err("the server could not find the requested resource".to_owned()),
            Ok(scale) => Ok(scale),
            Err(status) => Err(status.message),
        }
    }

    /// What Pods use: what annotations say, else what objects of the metrics API say.
    fn samples(
        &self,
        autoscaler: &Value,
        place: &str,
        pods: &[&Value],
        selector: Option<&LabelSelector>,
    ) -> Result<BTreeMap<String, Sample>, String> {
        let target = &autoscaler["spec"]["scaleTargetRef"];
        let text = |field: &str| target[field].as_str().unwrap_or_default();
        let target = self.get(text("apiVersion"), text("kind"), place, text("name"));
        let now = self.cluster.clock().now();
        let loads = annotated(target.as_deref(), pods, now);
        if !loads.is_empty() {
            return Ok(loads);
        }
        let resource = self
            .cluster
            .resource("metrics.k8s.io/v1beta1", "PodMetrics");
        let resource = resource.map_err(|_| NO_METRICS.to_owned())?;
        let found = self.cluster.list(&resource, Some(place));
        let measured = found
            .iter()
            .filter(|one| selector.is_some_and(|selector| selector.matches(labels(one))));
        let samples: BTreeMap<String, Sample> = measured
            .filter_map(|one| Some((name(one).to_owned(), measurement(one)?)))
            .collect();
        if samples.is_empty() {
            return Err("no metrics returned from resource metrics API".to_owned());
        }
        Ok(samples)
    }
}

/// Loads that annotations set: a Pod's own, or its share of its workload's.
fn annotated(target: Option<&Object>, pods: &[&Value], now: Timestamp) -> BTreeMap<String, Sample> {
    let runs = |pod: &&&Value| pod::is_ready(pod) && !is_deleting(pod);
    let running = i128::try_from(pods.iter().filter(runs).count())
        .unwrap_or(1)
        .max(1);
    let amount = |object: &Value, key: &str| annotation(object, key).and_then(thousandths);
    let mut samples = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod::phase(pod) == "Running") {
        let used: BTreeMap<String, i128> = LOADS
            .iter()
            .filter_map(|(resource, key)| {
                let share = || Some(amount(target?.value(), key)? / running);
                let used = amount(pod, key).or_else(share)?;
                Some(((*resource).to_owned(), used))
            })
            .collect();
        if !used.is_empty() {
            let window = SignedDuration::ZERO;
            samples.insert(
                name(pod).to_owned(),
                Sample {
                    used,
                    at: now,
                    window,
                },
            );
        }
    }
    samples
}

/// A PodMetrics object of `metrics.k8s.io`.
fn measurement(object: &Value) -> Option<Sample> {
    let mut used = BTreeMap::new();
    for container in list(&object["containers"]) {
        for (resource, quantity) in container["usage"].as_object().into_iter().flatten() {
            let amount = quantity.as_str().and_then(thousandths)?;
            *used.entry(resource.clone()).or_default() += amount;
        }
    }
    let window = object["window"].as_str().unwrap_or_default();
    Some(Sample {
        used,
        at: time(&object["timestamp"])?,
        window: window.parse().unwrap_or(SignedDuration::ZERO),
    })
}
