//! Rules that a real control plane evaluated, evaluated again.

use crate::cluster::Part;
use crate::kinds::custom_kinds;
use serde_json::{Value, json};

#[test]
fn rules_hold_and_fail_as_on_a_real_server() {
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("recorded JSON");
    let kinds = custom_kinds(&parse(include_str!("../../testdata/rule.json")));
    let kind = &kinds[0];
    let records = parse(include_str!("../../testdata/rules.json"));
    let mut wrong = Vec::new();
    for record in records.as_array().expect("a list") {
        let object = |spec: &Value| {
            let meta = json!({ "name": record["name"], "namespace": "default" });
            json!({ "apiVersion": "t.io/v1", "kind": "Rule", "metadata": meta, "spec": spec })
        };
        let new = object(&record["spec"]);
        let causes = match record.get("old") {
            Some(old) => kind.validate_update(Part::Main, &new, &object(old)),
            None => kind.validate_create(&new),
        };
        let ours: Vec<(String, String)> = causes
            .into_iter()
            .map(|cause| (cause.field, cause.message))
            .collect();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let real: Vec<(String, String)> = record["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|cause| (text(&cause["field"]), text(&cause["message"])))
            .collect();
        if ours != real {
            wrong.push(format!(
                "{} {}\n  ours {ours:?}\n  real {real:?}",
                record["spec"], record["old"]
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
