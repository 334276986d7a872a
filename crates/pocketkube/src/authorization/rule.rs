//! One rule of a role.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Attributes, Objective, ResourceAttributes};

/// One rule of a role: verbs on resources, or on paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<String>,
}

impl Rule {
    /// The rules of somebody who may do everything.
    pub(crate) fn everything() -> [Self; 2] {
        let all = || vec!["*".to_owned()];
        let resources = Self {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..Self::default()
        };
        let paths = Self {
            verbs: all(),
            paths: all(),
            ..Self::default()
        };
        [resources, paths]
    }

    /// Whether this rule allows something.
    pub(crate) fn allows(&self, wanted: &Attributes<'_>) -> bool {
        has_or_all(&self.verbs, wanted.verb)
            && match &wanted.object {
                Objective::Path(path) => self.paths.iter().any(|own| path_covers(own, path)),
                Objective::Resource(wanted) => self.allows_resource(wanted),
            }
    }

    fn allows_resource(&self, wanted: &ResourceAttributes<'_>) -> bool {
        let part = wanted.subresource;
        let is_named = |own: &String| match part {
            "" => own == wanted.resource,
            part => {
                own.strip_prefix("*/") == Some(part)
                    || own.split_once('/') == Some((wanted.resource, part))
            }
        };
        has_or_all(&self.api_groups, wanted.group)
            && self.resources.iter().any(|own| own == "*" || is_named(own))
            && (self.resource_names.is_empty()
                || self.resource_names.iter().any(|name| name == wanted.name))
    }

    /// The same rule as rules of one verb on one thing each.
    fn atoms(&self) -> Vec<Self> {
        let mut atoms = Vec::new();
        let one = |text: &String| vec![text.clone()];
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let atom = Self {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        ..Self::default()
                    };
                    if self.resource_names.is_empty() {
                        atoms.push(atom);
                        continue;
                    }
                    atoms.extend(self.resource_names.iter().map(|name| Self {
                        resource_names: one(name),
                        ..atom.clone()
                    }));
                }
            }
        }
        for path in &self.paths {
            atoms.extend(self.verbs.iter().map(|verb| Self {
                verbs: one(verb),
                paths: one(path),
                ..Self::default()
            }));
        }
        atoms
    }

    /// Whether this rule grants at least what an atom does.
    fn covers(&self, atom: &Self) -> bool {
        let resource_is_covered = |resource: &String| {
            has_or_all(&self.resources, resource)
                || resource
                    .split_once('/')
                    .is_some_and(|(_, part)| self.resources.contains(&format!("*/{part}")))
        };
        let names_are_covered = self.resource_names.is_empty()
            || (!atom.resource_names.is_empty()
                && atom
                    .resource_names
                    .iter()
                    .all(|name| self.resource_names.contains(name)));
        let has_all =
            |own: &[String], wanted: &[String]| wanted.iter().all(|wanted| has_or_all(own, wanted));
        has_all(&self.verbs, &atom.verbs)
            && has_all(&self.api_groups, &atom.api_groups)
            && atom.resources.iter().all(resource_is_covered)
            && names_are_covered
            && atom
                .paths
                .iter()
                .all(|path| self.paths.iter().any(|own| path_covers(own, path)))
    }

    /// `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`.
    fn told(&self) -> String {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.paths),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let mut text = String::from("{");
        for (name, values) in parts {
            if values.is_empty() {
                continue;
            }
            if text.len() > 1 {
                text.push_str(", ");
            }
            let _ = write!(text, "{name}:{}", quoted(values));
        }
        text.push('}');
        text
    }
}

/// What `wanted` grants and `held` does not, one line for each thing; empty when all is held.
pub(super) fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<String> {
    let atoms = wanted.iter().flat_map(Rule::atoms);
    let uncovered = atoms.filter(|atom| !held.iter().any(|rule| rule.covers(atom)));
    let mut merged: Vec<Rule> = Vec::new();
    for atom in uncovered {
        let same = |other: &&mut Rule| {
            !atom.resources.is_empty()
                && other.api_groups == atom.api_groups
                && other.resources == atom.resources
                && other.resource_names == atom.resource_names
        };
        match merged.iter_mut().find(same) {
            Some(rule) => rule.verbs.extend(atom.verbs),
            None => merged.push(atom),
        }
    }
    let lines: BTreeSet<String> = merged.iter().map(Rule::told).collect();
    lines.into_iter().collect()
}

/// As Go prints a list of strings with `%q`: `["a" "b"]`.
pub(super) fn quoted(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

fn has_or_all(own: &[String], wanted: &str) -> bool {
    own.iter().any(|own| own == "*" || own == wanted)
}

/// Whether a path of a rule, which may end with `*`, covers another.
fn path_covers(own: &str, path: &str) -> bool {
    own == path
        || own
            .ends_with('*')
            .then(|| own.trim_end_matches('*'))
            .is_some_and(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::User;
    use serde_json::json;

    fn rule(value: serde_json::Value) -> Rule {
        serde_json::from_value(value).unwrap()
    }

    fn check(own: serde_json::Value, verb: &str, path: [&str; 4], expected: bool) {
        let [group, resource, subresource, name] = path;
        let user = User::default();
        let object = Objective::Resource(ResourceAttributes {
            group,
            resource,
            subresource,
            name,
            namespace: "",
        });
        let wanted = Attributes {
            user: &user,
            verb,
            object,
        };
        assert_eq!(rule(own).allows(&wanted), expected);
    }

    #[test]
    fn a_rule_names_subresources_apart() {
        let pods = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        check(pods.clone(), "get", ["", "pods", "", "a"], true);
        check(pods.clone(), "get", ["", "pods", "log", "a"], false);
        check(pods, "get", ["apps", "pods", "", "a"], false);
        let status = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/status"]});
        check(
            status.clone(),
            "patch",
            ["apps", "deployments", "status", "a"],
            true,
        );
        check(status, "patch", ["apps", "deployments", "", "a"], false);
    }

    #[test]
    fn a_rule_with_names_is_for_those_names() {
        let own = json!({
            "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"],
        });
        check(own.clone(), "get", ["", "pods", "", "a"], true);
        check(own.clone(), "get", ["", "pods", "", "b"], false);
        check(own, "get", ["", "pods", "", ""], false);
    }

    #[test]
    fn what_is_missing_is_told_per_resource() {
        let held = [rule(
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}),
        )];
        let wanted = [
            rule(
                json!({"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"]}),
            ),
            rule(json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]})),
        ];
        let lines = missing(&held, &wanted);
        assert_eq!(
            lines,
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#,
                r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#,
            ]
        );
        assert!(missing(&Rule::everything(), &wanted).is_empty());
    }
}
