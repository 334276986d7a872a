//! Tables of policies, access rules, classes, leases and webhooks.

use super::{age_cell, at, count, flag, list, number, text, wide};
use crate::resource::Column;
use serde_json::{Value, json};

pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    let columns = match kind {
        "PodDisruptionBudget" => vec![
            text("Min Available", |o, _| {
                number_or_not(&o["spec"]["minAvailable"])
            }),
            text("Max Unavailable", |o, _| {
                number_or_not(&o["spec"]["maxUnavailable"])
            }),
            number("Allowed Disruptions", |o, _| {
                json!(count(o, &["status", "disruptionsAllowed"]))
            }),
            text("Age", age_cell),
        ],
        "RoleBinding" | "ClusterRoleBinding" => vec![
            text("Role", |o, _| {
                let role = &o["roleRef"];
                json!(format!("{}/{}", at(role, &["kind"]), at(role, &["name"])))
            }),
            text("Age", age_cell),
            wide("Users", |o, _| json!(subjects(o, "User"))),
            wide("Groups", |o, _| json!(subjects(o, "Group"))),
            wide("ServiceAccounts", |o, _| {
                json!(subjects(o, "ServiceAccount"))
            }),
        ],
        "PriorityClass" => vec![
            number("Value", |o, _| json!(count(o, &["value"]))),
            flag("Global-Default", |o, _| json!(o["globalDefault"] == true)),
            text("Age", age_cell),
            text("PreemptionPolicy", |o, _| {
                json!(at(o, &["preemptionPolicy"]))
            }),
        ],
        "Lease" => vec![
            text("Holder", |o, _| json!(at(o, &["spec", "holderIdentity"]))),
            text("Age", age_cell),
        ],
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            vec![
                number("Webhooks", |o, _| json!(list(&o["webhooks"]).len())),
                text("Age", age_cell),
            ]
        }
        "ValidatingAdmissionPolicy" => policy(),
        "ValidatingAdmissionPolicyBinding" => policy_binding(),
        "APIService" => api_service(),
        _ => return None,
    };
    Some(columns)
}

fn policy() -> Vec<Column> {
    vec![
        number("Validations", |o, _| {
            json!(list(&o["spec"]["validations"]).len())
        }),
        text("ParamKind", |o, _| {
            let kind = &o["spec"]["paramKind"];
            match (kind["apiVersion"].as_str(), kind["kind"].as_str()) {
                (Some(version), Some(kind)) => json!(format!("{version}/{kind}")),
                _ => json!("<unset>"),
            }
        }),
        text("Age", age_cell),
    ]
}

fn policy_binding() -> Vec<Column> {
    vec![
        text("PolicyName", |o, _| json!(at(o, &["spec", "policyName"]))),
        text("ParamRef", |o, _| {
            let name = o["spec"]["paramRef"]["name"].as_str();
            json!(name.unwrap_or("<unset>"))
        }),
        text("Age", age_cell),
    ]
}

fn api_service() -> Vec<Column> {
    vec![
        text("Service", |o, _| {
            let service = &o["spec"]["service"];
            let name = at(service, &["name"]);
            json!(match name {
                "" => "Local".to_owned(),
                name => format!("{}/{name}", at(service, &["namespace"])),
            })
        }),
        text("Available", |o, _| {
            let conditions = list(&o["status"]["conditions"]);
            let available = conditions.iter().find(|c| c["type"] == "Available");
            json!(match available {
                Some(condition) if condition["status"] == "True" => "True".to_owned(),
                Some(condition) => {
                    format!(
                        "{} ({})",
                        at(condition, &["status"]),
                        at(condition, &["reason"])
                    )
                }
                None => "Unknown".to_owned(),
            })
        }),
        text("Age", age_cell),
    ]
}

fn number_or_not(value: &Value) -> Value {
    match value {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}

fn subjects(binding: &Value, kind: &str) -> String {
    let of_kind = list(&binding["subjects"])
        .iter()
        .filter(|subject| subject["kind"] == kind);
    let shown = |subject: &Value| match kind {
        "ServiceAccount" => {
            format!("{}/{}", at(subject, &["namespace"]), at(subject, &["name"]))
        }
        _ => at(subject, &["name"]).to_owned(),
    };
    of_kind.map(shown).collect::<Vec<_>>().join(", ")
}
