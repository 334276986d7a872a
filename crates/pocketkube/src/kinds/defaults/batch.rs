//! Defaults of Jobs and CronJobs.

use super::pod::template;
use super::{Fields, fill, made, part, spec};
use serde_json::Value;

pub(in crate::kinds) fn job(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let has_labels = object["metadata"]["labels"]
        .as_object()
        .is_some_and(|l| !l.is_empty());
    let Some(fields) = spec(object) else { return };
    job_spec(fields);
    template(fields);
    if !has_labels && labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        object["metadata"]["labels"] = labels;
    }
}

pub(in crate::kinds) fn cron_job(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = made(spec, "jobTemplate") {
        made(job, "metadata");
        if let Some(spec) = part(job, "spec") {
            template(spec);
        }
    }
}

fn job_spec(spec: &mut Fields) {
    let is_lone = spec.get("completions").is_none() && spec.get("parallelism").is_none();
    if is_lone {
        fill(spec, "completions", 1);
        fill(spec, "parallelism", 1);
    }
    fill(spec, "parallelism", 1);
    if spec.get("backoffLimitPerIndex").is_some() {
        fill(spec, "backoffLimit", i64::from(i32::MAX));
    }
    fill(spec, "backoffLimit", 6);
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    let replaces = match spec.get("podFailurePolicy") {
        Some(policy) if !policy.is_null() => "Failed",
        _ => "TerminatingOrFailed",
    };
    fill(spec, "podReplacementPolicy", replaces);
    fill(spec, "manualSelector", false);
}
