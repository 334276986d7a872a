//! Kubernetes label selectors.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// `metav1.LabelSelector`: every requirement must hold; an empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements by operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: LabelOperator,
    /// What with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Operators of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelOperator {
    /// The label is there and its value is among these.
    In,
    /// The label is absent, or its value is not among these.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// What a workload's `spec.selector` selects. ReplicationControllers have a plain map there.
    /// None where it is not a selector, or selects nothing in particular.
    pub fn of_pods(template: &Value) -> Option<Self> {
        let selector = template.pointer("/spec/selector")?;
        let is_plain = ["matchLabels", "matchExpressions"]
            .iter()
            .all(|part| selector.get(part).is_none());
        let selector = if is_plain {
            Self {
                match_labels: serde_json::from_value(selector.clone()).ok()?,
                ..Self::default()
            }
        } else {
            serde_json::from_value(selector.clone()).ok()?
        };
        (selector != Self::default()).then_some(selector)
    }

    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|r| r.holds(labels))
    }
}

/// As requests carry it: `app=web,tier in (a,b),!old`.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.match_labels.iter();
        let labels = labels.map(|(label, value)| format!("{label}={value}"));
        let expressions = self.match_expressions.iter().map(ToString::to_string);
        let requirements: Vec<String> = labels.chain(expressions).collect();
        f.write_str(&requirements.join(","))
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

impl LabelRequirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        match self.operator {
            LabelOperator::In => found.is_some_and(|value| self.values.contains(value)),
            LabelOperator::NotIn => found.is_none_or(|value| !self.values.contains(value)),
            LabelOperator::Exists => found.is_some(),
            LabelOperator::DoesNotExist => found.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let selector: LabelSelector = serde_json::from_str(selector).unwrap();
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(
            selector.matches(&labels),
            expected,
            "{selector:?} {labels:?}"
        );
    }

    #[test]
    fn an_empty_selector_matches_everything() {
        check("{}", &[], true);
        check("{}", &[("a", "b")], true);
    }

    #[test]
    fn every_requirement_must_hold() {
        let both = r#"{"matchLabels":{"a":"1"},
            "matchExpressions":[{"key":"b","operator":"In","values":["2","3"]}]}"#;
        check(both, &[("a", "1"), ("b", "3")], true);
        check(both, &[("a", "1")], false);
        check(both, &[("b", "3")], false);
    }

    #[test]
    fn not_in_holds_where_the_label_is_absent() {
        let not_in = r#"{"matchExpressions":[{"key":"b","operator":"NotIn","values":["2"]}]}"#;
        check(not_in, &[], true);
        check(not_in, &[("b", "1")], true);
        check(not_in, &[("b", "2")], false);
    }

    #[test]
    fn existence_looks_at_the_key_only() {
        check(
            r#"{"matchExpressions":[{"key":"b","operator":"Exists"}]}"#,
            &[("b", "")],
            true,
        );
        check(
            r#"{"matchExpressions":[{"key":"b","operator":"DoesNotExist"}]}"#,
            &[],
            true,
        );
        check(
            r#"{"matchExpressions":[{"key":"b","operator":"DoesNotExist"}]}"#,
            &[("b", "")],
            false,
        );
    }

    fn of_pods(selector: Value) -> Option<String> {
        let template = serde_json::json!({"spec": {"selector": selector}});
        LabelSelector::of_pods(&template).map(|selector| selector.to_string())
    }

    #[test]
    fn a_selector_is_written_as_requests_carry_it() {
        let selector = serde_json::json!({"matchLabels": {"app": "web", "tier": "front"},
            "matchExpressions": [
                {"key": "env", "operator": "In", "values": ["a", "b"]},
                {"key": "zone", "operator": "NotIn", "values": ["z"]},
                {"key": "new", "operator": "Exists"},
                {"key": "old", "operator": "DoesNotExist"}]});
        assert_eq!(
            of_pods(selector).as_deref(),
            Some("app=web,tier=front,env in (a,b),zone notin (z),new,!old")
        );
    }

    #[test]
    fn a_plain_map_of_labels_selects_too_and_what_selects_nothing_is_none() {
        assert_eq!(
            of_pods(serde_json::json!({"app": "web"})).as_deref(),
            Some("app=web")
        );
        for nothing in [
            serde_json::json!({}),
            serde_json::json!({"matchLabels": {}}),
            serde_json::json!({"app": 1}),
            serde_json::json!("app=web"),
            serde_json::json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}),
        ] {
            assert_eq!(of_pods(nothing.clone()), None, "{nothing}");
        }
    }
}
