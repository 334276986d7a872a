//! The horizontal autoscaler: how many replicas a load asks for (`horizontal.go` of the real one).
//!
//! | room | what it decides |
//! |---|---|
//! | here | one look, and the conditions it leaves |
//! | [`metrics`] | what Pods use, and how many of them that asks for |
//! | [`behavior`] | how fast, and against which earlier wish |
//!
//! Metrics are those of resources. Others are asked of APIs that are not there, and say so.

mod behavior;
mod metrics;
#[cfg(test)]
mod tests;

pub(crate) use behavior::Memory;
pub(crate) use metrics::{LOADS, Sample};

use super::status::{begun, differs};
use super::step::{Note, ScaleTo, Severity, Step, Write, after_secs};
use crate::clock::seconds;
use crate::object::{is_deleting, list};
use behavior::Limits;
use jiff::Timestamp;
use metrics::Wish;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Table of HorizontalPodAutoscalers.
pub(crate) const TABLE: &str = "horizontalpodautoscalers.autoscaling";
const COMPONENT: &str = "horizontal-pod-autoscaler";
const ABLE: &str = "AbleToScale";
const ACTIVE: &str = "ScalingActive";
const LIMITED: &str = "ScalingLimited";

/// What a look at one autoscaler sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The autoscaler, as `autoscaling/v2`.
    pub(crate) autoscaler: &'a Value,
    /// The Scale of its target, or why there is none.
    pub(crate) scale: Result<&'a Value, &'a str>,
    /// Pods that the Scale selects.
    pub(crate) pods: &'a [&'a Value],
    /// What each Pod uses, or why that is not known.
    pub(crate) samples: Result<&'a BTreeMap<String, Sample>, &'a str>,
    /// What earlier looks left.
    pub(crate) memory: &'a Memory,
    /// Seconds between two looks.
    pub(crate) period_secs: i64,
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look, and what the next one has to remember.
pub(crate) fn step(view: View<'_>) -> (Step, Memory) {
    let mut turn = Turn {
        view,
        conditions: list(&view.autoscaler["status"]["conditions"]).to_vec(),
        memory: view.memory.clone(),
        step: Step::default(),
        notes: Vec::new(),
    };
    if is_deleting(view.autoscaler) {
        return (turn.step, turn.memory);
    }
    turn.memory.see(&view.autoscaler["spec"]);
    turn.step.wake(after_secs(view.now, view.period_secs));
    turn.look();
    turn.step
        .writes
        .extend(turn.notes.into_iter().map(Write::Event));
    (turn.step, turn.memory)
}

struct Turn<'a> {
    view: View<'a>,
    conditions: Vec<Value>,
    memory: Memory,
    step: Step,
    notes: Vec<Note>,
}

/// What a look comes to.
struct Outcome {
    current: i64,
    desired: i64,
    metrics: Vec<Value>,
    rescaled: bool,
}

impl Turn<'_> {
    fn look(&mut self) {
        let scale = match self.view.scale {
            Ok(scale) => scale,
            Err(why) => {
                self.note(Severity::Warning, "FailedGetScale", why.to_owned());
                let message = format!(
                    "the HPA controller was unable to get the target's current scale: {why}"
                );
                self.set(ABLE, "False", ("FailedGetScale", &message));
                return self.report_unchanged();
            }
        };
        let message = "the HPA controller was able to get the target's current scale";
        self.set(ABLE, "True", ("SucceededGetScale", message));
        let current = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        self.memory.begin(current, self.view.now);
        let spec = &self.view.autoscaler["spec"];
        let min = spec["minReplicas"].as_i64().unwrap_or(1);
        let max = spec["maxReplicas"].as_i64().unwrap_or(1);
        if current == 0 && min != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            self.set(ACTIVE, "False", ("ScalingDisabled", message));
            let desired = 0;
            return self.report(Outcome {
                current,
                desired,
                metrics: Vec::new(),
                rescaled: false,
            });
        }
        if current > max {
            let reason = "Current number of replicas above Spec.MaxReplicas";
            return self.rescale(current, max, reason, Vec::new());
        }
        if current < min {
            let reason = "Current number of replicas below Spec.MinReplicas";
            return self.rescale(current, min, reason, Vec::new());
        }
        self.follow_metrics(scale, current, (min, max));
    }

    fn follow_metrics(&mut self, scale: &Value, current: i64, (min, max): (i64, i64)) {
        let (wishes, first_failure) = self.wishes(scale, current);
        let statuses: Vec<Value> = wishes
            .iter()
            .map(|wish| {
                wish.as_ref()
                    .map_or(json!({"type": ""}), |wish| wish.status.clone())
            })
            .collect();
        let failed = wishes.iter().filter(|wish| wish.is_none()).count();
        let best = wishes.iter().flatten().max_by_key(|wish| wish.replicas);
        let wish = best
            .filter(|wish| failed == 0 || wish.replicas >= current)
            .cloned();
        let Some(wish) = wish else {
            if let Some((reason, why)) = first_failure {
                let message = format!("the HPA was unable to compute the replica count: {why}");
                self.set(ACTIVE, "False", (reason, &message));
                let told = format!(
                    "invalid metrics ({failed} invalid out of {}), first error is: {}",
                    wishes.len(),
                    metrics::wrapped(&self.view.autoscaler["spec"]["metrics"], &wishes, &why)
                );
                let desired = self.view.autoscaler["status"]["desiredReplicas"].as_i64();
                let desired = desired.unwrap_or(0);
                self.note(Severity::Warning, "FailedComputeMetricsReplicas", told);
                self.report(Outcome {
                    current,
                    desired,
                    metrics: statuses,
                    rescaled: false,
                });
            }
            return;
        };
        let message = format!(
            "the HPA was able to successfully calculate a replica count from {}",
            wish.name
        );
        self.set(ACTIVE, "True", ("ValidMetricFound", &message));
        let reason = if wish.replicas > current {
            format!("{} above target", wish.name)
        } else {
            "All metrics below target".to_owned()
        };
        let limits = Limits {
            behavior: &self.view.autoscaler["spec"]["behavior"],
            current,
            min,
            max,
            now: self.view.now,
        };
        let normalized = behavior::normalize(&mut self.memory, limits, wish.replicas);
        let (able, able_message) = normalized.able;
        self.set(ABLE, "True", (able, able_message));
        let (limited, limited_reason, limited_message) = normalized.limited;
        let status = if limited { "True" } else { "False" };
        self.set(LIMITED, status, (limited_reason, limited_message));
        if normalized.replicas == current {
            self.report(Outcome {
                current,
                desired: current,
                metrics: statuses,
                rescaled: false,
            });
        } else {
            self.rescale(current, normalized.replicas, &reason, statuses);
        }
    }

    /// What each metric asks for; where one cannot be had, none, and the first reason why.
    fn wishes(
        &mut self,
        scale: &Value,
        current: i64,
    ) -> (Vec<Option<Wish>>, Option<(&'static str, String)>) {
        let mut first = None;
        let mut wishes = Vec::new();
        let has_selector = scale["status"]["selector"]
            .as_str()
            .is_some_and(|s| !s.is_empty());
        if !has_selector {
            let why = "selector is required".to_owned();
            return (wishes, Some(("InvalidSelector", why)));
        }
        for metric in list(&self.view.autoscaler["spec"]["metrics"]) {
            match metrics::wish(metric, current, self.view) {
                Ok(wish) => wishes.push(Some(wish)),
                Err((reason, why)) => {
                    self.note(Severity::Warning, reason, why.clone());
                    first.get_or_insert((reason, why));
                    wishes.push(None);
                }
            }
        }
        (wishes, first)
    }

    fn rescale(&mut self, current: i64, desired: i64, reason: &str, metrics: Vec<Value>) {
        let target = &self.view.autoscaler["spec"]["scaleTargetRef"];
        let text = |field: &str| target[field].as_str().unwrap_or_default().to_owned();
        self.step.push(Write::Scale(ScaleTo {
            api_version: text("apiVersion"),
            kind: text("kind"),
            namespace: crate::object::namespace(self.view.autoscaler).to_owned(),
            name: text("name"),
            replicas: desired,
        }));
        let message =
            format!("the HPA controller was able to update the target scale to {desired}");
        self.set(ABLE, "True", ("SucceededRescale", &message));
        let told = format!("New size: {desired}; reason: {reason}");
        self.note(Severity::Normal, "SuccessfulRescale", told);
        self.memory.scaled(current, desired, self.view.now);
        self.report(Outcome {
            current,
            desired,
            metrics,
            rescaled: true,
        });
    }

    fn report_unchanged(&mut self) {
        let mut status = self.view.autoscaler["status"].clone();
        status["conditions"] = Value::Array(self.conditions.clone());
        self.write(status);
    }

    fn report(&mut self, outcome: Outcome) {
        let before = &self.view.autoscaler["status"];
        let mut status = json!({
            "currentReplicas": outcome.current,
            "desiredReplicas": outcome.desired,
            "conditions": self.conditions,
        });
        if !outcome.metrics.is_empty() {
            status["currentMetrics"] = Value::Array(outcome.metrics);
        }
        if outcome.rescaled {
            status["lastScaleTime"] = json!(seconds(self.view.now));
        } else if !before["lastScaleTime"].is_null() {
            status["lastScaleTime"] = before["lastScaleTime"].clone();
        }
        self.write(status);
    }

    fn write(&mut self, mut status: Value) {
        if !differs(&status, &self.view.autoscaler["status"]) {
            return;
        }
        if status["desiredReplicas"].is_null() {
            status["desiredReplicas"] = json!(0);
        }
        let mut object = self.view.autoscaler.clone();
        object["status"] = status;
        self.step.push(Write::UpdateStatus(TABLE, object));
    }

    fn set(&mut self, kind: &str, status: &str, why: (&str, &str)) {
        let mut condition = begun(kind, status, why, self.view.now);
        let known = self
            .conditions
            .iter_mut()
            .find(|known| known["type"] == *kind);
        match known {
            Some(known) => {
                if known["status"] == *status {
                    condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
                }
                *known = condition;
            }
            None => self.conditions.push(condition),
        }
    }

    fn note(&mut self, severity: Severity, reason: &'static str, message: String) {
        let note = Note::new(COMPONENT, self.view.autoscaler, severity, reason, message);
        self.notes.push(note);
    }
}
