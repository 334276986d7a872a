//! Failure policies of a Job's Pods (KEP-3329): what the exit code of a container, or a condition
//! of a Pod, means for the Job. The first rule that matches decides.

use crate::object::{list, name, namespace};
use serde_json::Value;

/// What the failure of a Pod means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It counts against the limit.
    Counts,
    /// It does not.
    Ignored,
    /// It counts, and its index is not tried again.
    FailsIndex,
    /// The Job fails at once, and says this.
    FailsJob(String),
}

/// What a policy makes of a Pod that failed.
pub(super) fn meaning(policy: &Value, pod: &Value) -> Meaning {
    for (index, rule) in list(&policy["rules"]).iter().enumerate() {
        let Some(why) = matched(rule, pod) else {
            continue;
        };
        return match rule["action"].as_str() {
            Some("Ignore") => Meaning::Ignored,
            Some("FailIndex") => Meaning::FailsIndex,
            Some("FailJob") => {
                Meaning::FailsJob(format!("{why} matching FailJob rule at index {index}"))
            }
            _ => Meaning::Counts,
        };
    }
    Meaning::Counts
}

/// What a rule found, in the words of the real controller.
fn matched(rule: &Value, pod: &Value) -> Option<String> {
    let place = format!("{}/{}", namespace(pod), name(pod));
    let codes = &rule["onExitCodes"];
    if codes.is_object() {
        let status = &pod["status"];
        let mut statuses = list(&status["containerStatuses"])
            .iter()
            .chain(list(&status["initContainerStatuses"]));
        return statuses.find_map(|status| {
            let code = status["state"]["terminated"]["exitCode"].as_i64()?;
            let container = status["name"].as_str().unwrap_or_default();
            let is_meant = codes["containerName"].is_null() || codes["containerName"] == container;
            let is_listed = list(&codes["values"]).iter().any(|value| *value == code);
            let matches = is_listed == (codes["operator"] == "In");
            (code != 0 && is_meant && matches).then(|| {
                format!("Container {container} for pod {place} failed with exit code {code}")
            })
        });
    }
    list(&rule["onPodConditions"]).iter().find_map(|pattern| {
        let kind = pattern["type"].as_str()?;
        let wanted = pattern["status"].as_str().unwrap_or("True");
        let found = crate::workloads::pod::condition(pod, kind)?;
        (found["status"] == *wanted).then(|| format!("Pod {place} has condition {kind}"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};
    use serde_json::{Value, json};

    fn check(rule: Value, expected: Meaning) {
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}, "status": {
            "conditions": [{"type": "DisruptionTarget", "status": "True"}],
            "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 42}}}]}});
        let policy = json!({"rules": [rule]});
        assert_eq!(meaning(&policy, &pod), expected, "{policy}");
    }

    #[test]
    fn the_rule_that_matches_says_what_a_failure_means() {
        let codes = |action: &str, operator: &str, values: Value| json!({"action": action, "onExitCodes": {"operator": operator, "values": values}});
        let fails =
            "Container c for pod n/p failed with exit code 42 matching FailJob rule at index 0";
        check(
            codes("FailJob", "In", json!([1, 42])),
            Meaning::FailsJob(fails.to_owned()),
        );
        check(codes("FailJob", "NotIn", json!([42])), Meaning::Counts);
        check(codes("Ignore", "In", json!([42])), Meaning::Ignored);
        check(codes("Count", "In", json!([42])), Meaning::Counts);
        let condition =
            json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]});
        check(condition, Meaning::Ignored);
    }
}
