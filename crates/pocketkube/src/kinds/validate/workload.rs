//! Workloads and autoscalers.

use super::{
    config, list, names, not_more_than_all, not_negative, number_or_percentage, one_of, pod, text,
};
use crate::cron::Schedule;
use crate::schema::child_path;
use crate::status::Cause;
use serde_json::{Map, Value, json};

/// Pods that an Indexed Job may run at once.
const PARALLELISM_MAX: i64 = 100_000;

pub(in crate::kinds) fn deployment(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    not_negative(&spec["replicas"], "spec.replicas", causes);
    selector(spec, "deployment", causes);
    template(&spec["template"], "spec.template", &["Always"], causes);
    strategy(
        &spec["strategy"],
        "spec.strategy",
        &["Recreate", "RollingUpdate"],
        causes,
    );
    not_negative(&spec["minReadySeconds"], "spec.minReadySeconds", causes);
    not_negative(
        &spec["revisionHistoryLimit"],
        "spec.revisionHistoryLimit",
        causes,
    );
    let deadline = &spec["progressDeadlineSeconds"];
    not_negative(deadline, "spec.progressDeadlineSeconds", causes);
    if let (Some(deadline_secs), min) = (
        deadline.as_i64(),
        spec["minReadySeconds"].as_i64().unwrap_or(0),
    ) && deadline_secs <= min
    {
        let why = "must be greater than minReadySeconds";
        causes.push(Cause::invalid(
            "spec.progressDeadlineSeconds",
            deadline,
            why,
        ));
    }
}

pub(in crate::kinds) fn replica_set(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    not_negative(&spec["replicas"], "spec.replicas", causes);
    not_negative(&spec["minReadySeconds"], "spec.minReadySeconds", causes);
    selector(spec, "deployment", causes);
    template(&spec["template"], "spec.template", &["Always"], causes);
}

pub(in crate::kinds) fn stateful_set(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let policies = ["OrderedReady", "Parallel"];
    one_of(
        &spec["podManagementPolicy"],
        "spec.podManagementPolicy",
        &policies,
        causes,
    );
    let kinds = ["OnDelete", "RollingUpdate"];
    strategy(
        &spec["updateStrategy"],
        "spec.updateStrategy",
        &kinds,
        causes,
    );
    not_negative(&spec["replicas"], "spec.replicas", causes);
    for (index, claim) in list(&spec["volumeClaimTemplates"]).iter().enumerate() {
        let path = format!("spec.volumeClaimTemplates[{index}].spec");
        config::claim_spec(&claim["spec"], &path, causes);
    }
    selector(spec, "statefulset", causes);
    let path = "spec.template";
    template(&with_claims(spec), path, &["Always"], causes);
}

/// The template as its Pods will be: each claim is a volume of its name, before any that is declared.
fn with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let mut volumes: Vec<Value> = Vec::new();
    for claim in list(&spec["volumeClaimTemplates"]) {
        let name = &claim["metadata"]["name"];
        if volumes.iter().all(|volume| volume["name"] != *name) {
            volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
    let claims = volumes.len();
    for volume in list(&spec["template"]["spec"]["volumes"]) {
        if volumes[..claims]
            .iter()
            .all(|claim| claim["name"] != volume["name"])
        {
            volumes.push(volume.clone());
        }
    }
    if claims > 0 {
        template["spec"]["volumes"] = volumes.into();
    }
    template
}

pub(in crate::kinds) fn daemon_set(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let selector = &spec["selector"];
    labels_match(selector, spec, causes);
    if !selector.is_null() && is_empty(selector) {
        causes.push(Cause::invalid(
            "spec.selector",
            &json!({}),
            &empty_selector("daemonset"),
        ));
    }
    template(&spec["template"], "spec.template", &["Always"], causes);
    not_negative(&spec["minReadySeconds"], "spec.minReadySeconds", causes);
    let kinds = ["OnDelete", "RollingUpdate"];
    strategy(
        &spec["updateStrategy"],
        "spec.updateStrategy",
        &kinds,
        causes,
    );
}

pub(in crate::kinds) fn replication_controller(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    not_negative(&spec["replicas"], "spec.replicas", causes);
    if spec["selector"].as_object().is_none_or(Map::is_empty) {
        causes.push(Cause::required("spec.selector", ""));
    }
    template(&spec["template"], "spec.template", &["Always"], causes);
}

pub(in crate::kinds) fn job(object: &Value, causes: &mut Vec<Cause>) {
    job_spec(&object["spec"], "spec", causes);
}

pub(in crate::kinds) fn cron_job(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    schedule(spec, causes);
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(
        &spec["concurrencyPolicy"],
        "spec.concurrencyPolicy",
        &policies,
        causes,
    );
    job_spec(
        &spec["jobTemplate"]["spec"],
        "spec.jobTemplate.spec",
        causes,
    );
}

pub(in crate::kinds) fn autoscaler(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let (min, max) = (&spec["minReplicas"], &spec["maxReplicas"]);
    if min.as_i64().is_some_and(|min| min < 1) {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", min, why));
    }
    if max.as_i64().unwrap_or(0) < 1 {
        causes.push(Cause::required(
            "spec.maxReplicas",
            "must be set and greater than 0",
        ));
    }
    if let (Some(low), Some(high)) = (min.as_i64(), max.as_i64())
        && high < low
    {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", max, why));
    }
    for field in ["kind", "name"] {
        if text(&spec["scaleTargetRef"][field]).is_empty() {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
    let version = &spec["scaleTargetRef"]["apiVersion"];
    if !text(version).contains('/')
        && text(&spec["scaleTargetRef"]["kind"]) != "ReplicationController"
    {
        let found = text(version).into();
        let why = "apiVersion must specify API group";
        causes.push(Cause::invalid(
            "spec.scaleTargetRef.apiVersion",
            &found,
            why,
        ));
    }
}

fn schedule(spec: &Value, causes: &mut Vec<Cause>) {
    match text(&spec["schedule"]) {
        "" => causes.push(Cause::required("spec.schedule", "")),
        schedule => {
            if let Err(why) = Schedule::parse(schedule) {
                causes.push(Cause::invalid("spec.schedule", &spec["schedule"], &why));
            }
        }
    }
    let zone = &spec["timeZone"];
    let why = match zone.as_str() {
        None => return,
        Some("") => "timeZone must be nil or non-empty string".to_owned(),
        Some(text) if text.eq_ignore_ascii_case("local") => {
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
                .to_owned()
        }
        Some(text) if jiff::tz::TimeZone::get(text).is_err() => format!("unknown time zone {text}"),
        Some(_) => return,
    };
    causes.push(Cause::invalid("spec.timeZone", zone, &why));
}

fn job_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(&spec[name], &child_path(path, name), causes);
    }
    limits_per_index(spec, path, causes);
    let mode = &spec["completionMode"];
    if mode.is_string() {
        let modes = ["NonIndexed", "Indexed"];
        one_of(mode, &child_path(path, "completionMode"), &modes, causes);
    }
    if *mode == "Indexed" {
        if spec["completions"].is_null() {
            let why = "when completion mode is Indexed";
            causes.push(Cause::required(child_path(path, "completions"), why));
        }
        if spec["parallelism"].as_i64() > Some(PARALLELISM_MAX) {
            let why = format!(
                "must be less than or equal to {PARALLELISM_MAX} when completion mode is Indexed"
            );
            let field = child_path(path, "parallelism");
            causes.push(Cause::invalid(field, &spec["parallelism"], &why));
        }
    }
    let at = child_path(path, "template");
    template(&spec["template"], &at, &["OnFailure", "Never"], causes);
}

/// Limits of failures per index (KEP-3850).
fn limits_per_index(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (limit, most) = (&spec["backoffLimitPerIndex"], &spec["maxFailedIndexes"]);
    let at = |field: &str| child_path(path, field);
    if limit.is_null() && !most.is_null() {
        let why = "when maxFailedIndexes is specified";
        causes.push(Cause::required(at("backoffLimitPerIndex"), why));
    }
    if spec["completionMode"] == "Indexed" {
        if most.as_i64() > spec["completions"].as_i64().or(Some(i64::MAX)) {
            let why = "must be less than or equal to completions";
            causes.push(Cause::invalid(at("maxFailedIndexes"), most, why));
        }
    } else {
        let why = "requires indexed completion mode";
        for (field, value) in [("backoffLimitPerIndex", limit), ("maxFailedIndexes", most)] {
            if !value.is_null() {
                causes.push(Cause::invalid(at(field), value, why));
            }
        }
    }
    for (index, rule) in list(&spec["podFailurePolicy"]["rules"]).iter().enumerate() {
        if rule["action"] == "FailIndex" && limit.is_null() {
            let field = format!("podFailurePolicy.rules[{index}].action");
            let why = "requires the backoffLimitPerIndex to be set";
            causes.push(Cause::invalid(at(&field), &rule["action"], why));
        }
    }
}

/// A selector that matches the labels of the template beside it.
fn selector(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else {
        names::labels(
            &selector["matchLabels"],
            "spec.selector.matchLabels",
            causes,
        );
        if is_empty(selector) {
            causes.push(Cause::invalid(
                "spec.selector",
                &json!({}),
                &empty_selector(kind),
            ));
        }
    }
    labels_match(selector, spec, causes);
}

/// No selector matches nothing, an empty one everything.
fn labels_match(selector: &Value, spec: &Value, causes: &mut Vec<Cause>) {
    let labels = &spec["template"]["metadata"]["labels"];
    if selector.is_null() || !crate::kinds::selectors::matches(selector, labels) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
}

fn is_empty(selector: &Value) -> bool {
    selector["matchLabels"]
        .as_object()
        .is_none_or(Map::is_empty)
        && list(&selector["matchExpressions"]).is_empty()
}

fn empty_selector(kind: &str) -> String {
    format!("empty selector is invalid for {kind}")
}

fn template(template: &Value, path: &str, restart: &[&str], causes: &mut Vec<Cause>) {
    names::labels(
        &template["metadata"]["labels"],
        &child_path(path, "labels"),
        causes,
    );
    pod::spec(&template["spec"], &child_path(path, "spec"), causes);
    let policy = &template["spec"]["restartPolicy"];
    let field = child_path(path, "spec.restartPolicy");
    match (text(policy), restart) {
        (found, allowed) if allowed.contains(&found) => {}
        ("", [_]) => {}
        (_, [_]) => causes.push(Cause::unsupported(field, policy, restart)),
        _ => {
            let shown: Vec<String> = restart.iter().map(|word| format!("{word:?}")).collect();
            let why = format!("valid values: {}", shown.join(", "));
            causes.push(Cause::required(field, &why));
        }
    }
}

fn strategy(value: &Value, path: &str, kinds: &[&str], causes: &mut Vec<Cause>) {
    let kind = text(&value["type"]);
    if !kinds.contains(&kind) {
        let shown = json!({ "Type": kind, "RollingUpdate": null });
        causes.push(Cause::unsupported(path, &shown, kinds));
    }
    let rolling = &value["rollingUpdate"];
    for field in ["maxUnavailable", "maxSurge"] {
        let at = child_path(path, &format!("rollingUpdate.{field}"));
        number_or_percentage(&rolling[field], &at, causes);
        // Only a Deployment may have more than twice as many Pods.
        if field == "maxUnavailable" || !kinds.contains(&"Recreate") {
            not_more_than_all(&rolling[field], &at, causes);
        }
    }
    if kind == "Recreate" && rolling.is_object() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        causes.push(Cause::forbidden(child_path(path, "rollingUpdate"), why));
    }
    let is_zero = |value: &Value| *value == json!(0) || *value == json!("0%");
    if is_zero(&rolling["maxUnavailable"]) && is_zero(&rolling["maxSurge"]) {
        let field = child_path(path, "rollingUpdate.maxUnavailable");
        let why = "may not be 0 when `maxSurge` is 0";
        causes.push(Cause::invalid(field, &rolling["maxUnavailable"], why));
    }
}
