//! Kubernetes label selectors.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|r| r.holds(labels))
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
}
