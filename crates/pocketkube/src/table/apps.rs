//! Tables of workloads and autoscalers.

use super::{age_cell, at, containers, count, flag, labels, list, number, selector, text, wide};
use crate::resource::Column;
use serde_json::{Value, json};

pub(super) fn columns(group: &str, kind: &str) -> Option<Vec<Column>> {
    let columns = match kind {
        "Deployment" => with_template(vec![
            text("Ready", |o, _| ready_of(o, "replicas")),
            text("Up-to-date", |o, _| {
                json!(count(o, &["status", "updatedReplicas"]))
            }),
            text("Available", |o, _| {
                json!(count(o, &["status", "availableReplicas"]))
            }),
            text("Age", age_cell),
        ]),
        "ReplicaSet" => with_template(vec![
            number("Desired", |o, _| json!(count(o, &["spec", "replicas"]))),
            number("Current", |o, _| json!(count(o, &["status", "replicas"]))),
            number("Ready", |o, _| {
                json!(count(o, &["status", "readyReplicas"]))
            }),
            text("Age", age_cell),
        ]),
        "StatefulSet" => {
            let mut columns = with_template(vec![
                text("Ready", |o, _| ready_of(o, "replicas")),
                text("Age", age_cell),
            ]);
            columns.pop();
            columns
        }
        "DaemonSet" => with_template(vec![
            number("Desired", |o, _| {
                json!(count(o, &["status", "desiredNumberScheduled"]))
            }),
            number("Current", |o, _| {
                json!(count(o, &["status", "currentNumberScheduled"]))
            }),
            number("Ready", |o, _| json!(count(o, &["status", "numberReady"]))),
            number("Up-to-date", |o, _| {
                json!(count(o, &["status", "updatedNumberScheduled"]))
            }),
            number("Available", |o, _| {
                json!(count(o, &["status", "numberAvailable"]))
            }),
            text("Node Selector", |o, _| {
                json!(labels(&o["spec"]["template"]["spec"]["nodeSelector"]))
            }),
            text("Age", age_cell),
        ]),
        "ControllerRevision" => vec![
            text("Controller", controller),
            text("Revision", |o, _| json!(count(o, &["revision"]))),
            text("Age", age_cell),
        ],
        "Job" => with_template(vec![
            text("Status", |o, _| json!(job_status(o))),
            text("Completions", completions),
            text("Duration", duration),
            text("Age", age_cell),
        ]),
        "CronJob" => cron_job(),
        "HorizontalPodAutoscaler" if group == "autoscaling" => autoscaler(),
        _ => return None,
    };
    Some(columns)
}

fn with_template(mut columns: Vec<Column>) -> Vec<Column> {
    columns.extend([
        wide("Containers", |o, _| {
            json!(containers(&o["spec"]["template"], "name"))
        }),
        wide("Images", |o, _| {
            json!(containers(&o["spec"]["template"], "image"))
        }),
        wide("Selector", |o, _| json!(selector(&o["spec"]["selector"]))),
    ]);
    columns
}

fn cron_job() -> Vec<Column> {
    vec![
        text("Schedule", |o, _| json!(at(o, &["spec", "schedule"]))),
        text("Timezone", |o, _| {
            super::or_none(at(o, &["spec", "timeZone"]))
        }),
        flag("Suspend", |o, _| {
            json!(if o["spec"]["suspend"] == true {
                "True"
            } else {
                "False"
            })
        }),
        number("Active", |o, _| json!(list(&o["status"]["active"]).len())),
        text(
            "Last Schedule",
            |o, now| match &o["status"]["lastScheduleTime"] {
                Value::Null => json!("<none>"),
                time => super::since(time, now),
            },
        ),
        text("Age", age_cell),
        wide("Containers", |o, _| {
            json!(containers(
                &o["spec"]["jobTemplate"]["spec"]["template"],
                "name"
            ))
        }),
        wide("Images", |o, _| {
            json!(containers(
                &o["spec"]["jobTemplate"]["spec"]["template"],
                "image"
            ))
        }),
        wide("Selector", |o, _| {
            json!(selector(&o["spec"]["jobTemplate"]["spec"]["selector"]))
        }),
    ]
}

fn autoscaler() -> Vec<Column> {
    vec![
        text("Reference", |o, _| {
            let target = &o["spec"]["scaleTargetRef"];
            json!(format!(
                "{}/{}",
                at(target, &["kind"]),
                at(target, &["name"])
            ))
        }),
        text("Targets", |o, _| json!(targets(o))),
        text("MinPods", |o, _| match o["spec"]["minReplicas"].as_i64() {
            Some(min) => json!(min.to_string()),
            None => json!("<unset>"),
        }),
        text("MaxPods", |o, _| json!(count(o, &["spec", "maxReplicas"]))),
        text("Replicas", |o, _| {
            json!(count(o, &["status", "currentReplicas"]))
        }),
        text("Age", age_cell),
    ]
}

fn ready_of(object: &Value, field: &str) -> Value {
    let ready = count(object, &["status", "readyReplicas"]);
    json!(format!("{ready}/{}", count(object, &["spec", field])))
}

fn controller(object: &Value, _: i64) -> Value {
    let owners = list(&object["metadata"]["ownerReferences"]);
    let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) else {
        return json!("<none>");
    };
    let group = at(owner, &["apiVersion"])
        .split_once('/')
        .map_or("", |(group, _)| group);
    let kind = at(owner, &["kind"]).to_lowercase();
    let kind = if group.is_empty() {
        kind
    } else {
        format!("{kind}.{group}")
    };
    json!(format!("{kind}/{}", at(owner, &["name"])))
}

fn job_status(job: &Value) -> &'static str {
    let holds = |kind: &str| {
        let conditions = list(&job["status"]["conditions"]);
        conditions
            .iter()
            .any(|c| c["type"] == kind && c["status"] == "True")
    };
    if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if job["metadata"]["deletionTimestamp"].is_string() {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(job: &Value, _: i64) -> Value {
    let done = count(job, &["status", "succeeded"]);
    let parallel = count(job, &["spec", "parallelism"]);
    json!(match job["spec"]["completions"].as_i64() {
        Some(wanted) => format!("{done}/{wanted}"),
        None if parallel > 1 => format!("{done}/1 of {parallel}"),
        None => format!("{done}/1"),
    })
}

fn duration(job: &Value, now_secs: i64) -> Value {
    let time = |name: &str| super::age::seconds(at(job, &["status", name]));
    let Some(start) = time("startTime") else {
        return json!("");
    };
    json!(super::age(
        time("completionTime").unwrap_or(now_secs) - start
    ))
}

/// What an autoscaler measures and wants: `cpu: 12%/80%`.
fn targets(object: &Value) -> String {
    let spec = &object["spec"];
    if let Some(wanted) = spec["targetCPUUtilizationPercentage"].as_i64() {
        let now = object["status"]["currentCPUUtilizationPercentage"].as_i64();
        return format!(
            "cpu: {}/{wanted}%",
            now.map_or("<unknown>".to_owned(), |n| format!("{n}%"))
        );
    }
    let current = list(&object["status"]["currentMetrics"]);
    let shown = |(index, metric): (usize, &Value)| {
        let kind = at(metric, &["type"]);
        let part = format!(
            "{}{}",
            kind[..kind.len().min(1)].to_lowercase(),
            kind.get(1..).unwrap_or("")
        );
        let wanted = &metric[&part]["target"];
        let now = current
            .get(index)
            .map_or(&Value::Null, |metric| &metric[&part]["current"]);
        let name = at(metric, &[&part, "name"]);
        let prefix = if name.is_empty() {
            String::new()
        } else {
            format!("{name}: ")
        };
        if let Some(percent) = wanted["averageUtilization"].as_i64() {
            let now = now["averageUtilization"].as_i64();
            let now = now.map_or("<unknown>".to_owned(), |now| format!("{now}%"));
            return format!("{prefix}{now}/{percent}%");
        }
        let wanted = ["averageValue", "value"]
            .iter()
            .map(|f| at(wanted, &[f]))
            .find(|v| !v.is_empty());
        let now = ["averageValue", "value"]
            .iter()
            .map(|f| at(now, &[f]))
            .find(|v| !v.is_empty());
        format!(
            "{prefix}{}/{}",
            now.unwrap_or("<unknown>"),
            wanted.unwrap_or("<auto>")
        )
    };
    let list = list(&spec["metrics"]);
    if list.is_empty() {
        return "<none>".to_owned();
    }
    list.iter()
        .enumerate()
        .take(2)
        .map(shown)
        .collect::<Vec<_>>()
        .join(", ")
}
