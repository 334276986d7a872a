//! Overrides: JSON Patch operations (RFC 6902) that make a cluster's object differ.
//!
//! Those by selector come first, in their order, then the one by name.

use crate::{
    error::RenderError,
    expand::expand,
    input::ClusterFacts,
    intent::{ClusterOverride, Operation, OverrideItem},
};
use json_patch::{
    AddOperation, CopyOperation, MoveOperation, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation, jsonptr::PointerBuf,
};
use model::ClusterName;
use serde_json::Value;
use std::collections::BTreeSet;

/// Paths by which an object is found; a member's object would be lost to us without them.
const FORBIDDEN: [&str; 4] = [
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/generateName",
    "/kind",
];

/// Everything wrong with a list of overrides, whatever the template; empty when it is fine.
///
/// Each text begins with the field it speaks of, relative to `spec`.
pub fn check_overrides(overrides: &[OverrideItem]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (index, item) in overrides.iter().enumerate() {
        let at = format!("overrides[{index}]");
        match (&item.cluster_name, &item.cluster_selector) {
            (Some(name), None) => {
                if !names.insert(name) {
                    faults.push(format!("{at}.clusterName: {name} appears more than once"));
                }
            }
            (None, Some(_)) => {}
            (Some(_), Some(_)) => {
                faults.push(format!(
                    "{at}: give clusterName or clusterSelector, not both"
                ));
            }
            (None, None) => faults.push(format!("{at}: clusterName or clusterSelector is missing")),
        }
        check_item(&at, &item.cluster_overrides, &mut faults);
    }
    faults
}

fn check_item(at: &str, overrides: &[ClusterOverride], faults: &mut Vec<String>) {
    let mut paths = BTreeSet::new();
    for (index, change) in overrides.iter().enumerate() {
        let at = format!("{at}.clusterOverrides[{index}]");
        check_path(&format!("{at}.path"), &change.path, faults);
        let moves = matches!(change.op, Operation::Move | Operation::Copy);
        match (&change.from, moves) {
            (Some(from), true) => check_path(&format!("{at}.from"), from, faults),
            (None, true) => faults.push(format!("{at}.from: is missing; move and copy need it")),
            (Some(_), false) => faults.push(format!("{at}.from: only move and copy have it")),
            (None, false) => {}
        }
        // A test looks at a path that another operation then changes.
        if change.op != Operation::Test && !paths.insert(&change.path) {
            faults.push(format!("{at}.path: {} appears more than once", change.path));
        }
    }
}

fn check_path(at: &str, path: &str, faults: &mut Vec<String>) {
    if PointerBuf::parse(path).is_err() || path.is_empty() {
        faults.push(format!(
            "{at}: {path:?} is not a JSON Pointer into the object, such as /spec/replicas"
        ));
    }
    let forbidden = FORBIDDEN.iter().any(|forbidden| {
        path.strip_prefix(forbidden)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if forbidden {
        faults.push(format!(
            "{at}: {path} may not be overridden, the object is found by it"
        ));
    }
}

/// The overrides that concern a cluster, by their places in the list, as they are applied.
pub(crate) fn that_concern(
    overrides: &[OverrideItem],
    cluster: &ClusterName,
    facts: &ClusterFacts,
) -> Vec<usize> {
    let by_selector = |item: &OverrideItem| {
        let selector = item.cluster_selector.as_ref();
        selector.is_some_and(|selector| selector.matches(&facts.labels))
    };
    let by_name = |item: &OverrideItem| item.cluster_name.as_ref() == Some(cluster);
    let numbers = |concerns: &dyn Fn(&OverrideItem) -> bool| -> Vec<usize> {
        let items = overrides.iter().enumerate();
        let items = items.filter(|(_, item)| concerns(item));
        items.map(|(index, _)| index).collect()
    };
    let mut concern = numbers(&by_selector);
    concern.extend(numbers(&by_name));
    concern
}

/// Applies the overrides that concern a cluster.
pub(crate) fn apply(
    object: &mut Value,
    overrides: &[OverrideItem],
    cluster: &ClusterName,
    facts: &ClusterFacts,
) -> Result<(), RenderError> {
    for index in that_concern(overrides, cluster, facts) {
        let changes = overrides[index].cluster_overrides.iter();
        for (position, change) in changes.enumerate() {
            let failed = |why: String| RenderError::Override {
                field: format!("overrides[{index}].clusterOverrides[{position}]"),
                path: change.path.clone(),
                why,
            };
            let operation = operation(change, cluster, facts).map_err(failed)?;
            json_patch::patch(object, &[operation]).map_err(|error| failed(words(&error)))?;
        }
    }
    Ok(())
}

/// json-patch's own words repeat the operation, and with it the value.
fn words(error: &json_patch::PatchError) -> String {
    match error.kind {
        json_patch::PatchErrorKind::TestFailed => "the value there is another one".to_owned(),
        json_patch::PatchErrorKind::InvalidFromPointer => {
            "there is nothing at the path that \"from\" names".to_owned()
        }
        _ => "there is no such path in the template; use op: add to create it".to_owned(),
    }
}

fn operation(
    change: &ClusterOverride,
    cluster: &ClusterName,
    facts: &ClusterFacts,
) -> Result<PatchOperation, String> {
    let pointer = |text: &str| PointerBuf::parse(text).map_err(|error| error.to_string());
    let path = pointer(&change.path)?;
    let value = || {
        let value = change.value.clone().unwrap_or(Value::Null);
        if change.expand {
            expand(value, cluster, facts)
        } else {
            Ok(value)
        }
    };
    let from = || pointer(change.from.as_deref().unwrap_or_default());
    Ok(match change.op {
        Operation::Add => PatchOperation::Add(AddOperation {
            path,
            value: value()?,
        }),
        Operation::Remove => PatchOperation::Remove(RemoveOperation { path }),
        Operation::Replace => PatchOperation::Replace(ReplaceOperation {
            path,
            value: value()?,
        }),
        Operation::Move => PatchOperation::Move(MoveOperation {
            from: from()?,
            path,
        }),
        Operation::Copy => PatchOperation::Copy(CopyOperation {
            from: from()?,
            path,
        }),
        Operation::Test => PatchOperation::Test(TestOperation {
            path,
            value: value()?,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn items(overrides: Value) -> Vec<OverrideItem> {
        serde_json::from_value(overrides).unwrap()
    }

    /// Applies overrides for cluster `c1` (label `tier=edge`, region `eu`, zone `eu-1`).
    fn check(overrides: Value, expected: Result<Value, &str>) {
        let mut object =
            json!({"metadata": {"name": "x"}, "spec": {"replicas": 1, "list": [1, 2]}});
        let facts = ClusterFacts {
            labels: [("tier".to_owned(), "edge".to_owned())].into(),
            region: Some("eu".into()),
            zones: vec!["eu-1".to_owned()],
            ..ClusterFacts::default()
        };
        let outcome = apply(&mut object, &items(overrides), &"c1".into(), &facts);
        match (outcome, expected) {
            (Ok(()), Ok(spec)) => assert_eq!(object["spec"], spec),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error} lacks {part}");
            }
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn an_absent_or_empty_operation_replaces() {
        for op in [json!({}), json!({"op": ""}), json!({"op": "replace"})] {
            let mut change = json!({"path": "/spec/replicas", "value": 5});
            change
                .as_object_mut()
                .unwrap()
                .extend(op.as_object().unwrap().clone());
            check(
                json!([{"clusterName": "c1", "clusterOverrides": [change]}]),
                Ok(json!({"replicas": 5, "list": [1, 2]})),
            );
        }
    }

    #[test]
    fn every_operation_of_json_patch_works() {
        check(
            json!([{"clusterName": "c1", "clusterOverrides": [
                {"op": "test", "path": "/spec/replicas", "value": 1},
                {"op": "add", "path": "/spec/list/-", "value": 3},
                {"op": "copy", "from": "/spec/replicas", "path": "/spec/copied"},
                {"op": "move", "from": "/spec/replicas", "path": "/spec/moved"},
                {"op": "remove", "path": "/spec/list/0"},
            ]}]),
            Ok(json!({"list": [2, 3], "copied": 1, "moved": 1})),
        );
    }

    #[test]
    fn overrides_of_other_clusters_do_nothing() {
        check(
            json!([{"clusterName": "c2", "clusterOverrides": [{"path": "/spec/x", "value": 5}]}]),
            Ok(json!({"replicas": 1, "list": [1, 2]})),
        );
    }

    #[test]
    fn those_by_selector_come_before_the_one_by_name() {
        check(
            json!([
                {"clusterName": "c1", "clusterOverrides": [{"path": "/spec/replicas", "value": 9}]},
                {"clusterSelector": {"matchLabels": {"tier": "edge"}},
                 "clusterOverrides": [{"path": "/spec/replicas", "value": 5},
                                      {"path": "/spec/list", "value": []}]},
            ]),
            Ok(json!({"replicas": 9, "list": []})),
        );
    }

    #[test]
    fn a_path_that_is_not_there_says_where_and_what_to_do() {
        check(
            json!([{"clusterName": "c1", "clusterOverrides": [{"path": "/spec/no", "value": 5}]}]),
            Err("overrides[0].clusterOverrides[0] at /spec/no: there is no such path"),
        );
    }

    #[test]
    fn a_failed_test_never_prints_the_value() {
        check(
            json!([{"clusterName": "c1", "clusterOverrides": [
                {"op": "test", "path": "/spec/replicas", "value": "hunter2"}]}]),
            Err("the value there is another one"),
        );
    }

    #[test]
    fn values_from_the_cluster_are_put_in_only_where_asked_for() {
        check(
            json!([{"clusterName": "c1", "clusterOverrides": [
                {"path": "/spec/replicas", "value": "${cluster.name}"},
                {"path": "/spec/list", "expand": true, "value": ["${cluster.name}.${cluster.region}",
                    {"z": "${cluster.zone} ${cluster.labels['tier']} $${kept}"}]},
            ]}]),
            Ok(
                json!({"replicas": "${cluster.name}", "list": ["c1.eu", {"z": "eu-1 edge ${kept}"}]}),
            ),
        );
        check(
            json!([{"clusterName": "c1", "clusterOverrides": [
                {"path": "/spec/list", "expand": true, "value": "${cluster.labels['no']}"}]}]),
            Err("the cluster has no label \"no\""),
        );
    }

    #[test]
    fn contradictions_are_found_before_anything_is_rendered() {
        let faults = check_overrides(&items(json!([
            {"clusterName": "a", "clusterOverrides": [
                {"path": "/spec/x", "value": 1}, {"path": "/spec/x", "value": 2}]},
            {"clusterName": "a", "clusterOverrides": []},
            {"clusterOverrides": []},
            {"clusterName": "b", "clusterSelector": {}, "clusterOverrides": [
                {"path": "/metadata/name", "value": 1}, {"path": "/kind", "value": 1},
                {"path": "/metadata/namespace/x", "value": 1}, {"path": "spec"},
                {"op": "move", "path": "/spec/y"},
                {"op": "copy", "from": "/metadata/generateName", "path": "/spec/z"}]},
        ])));
        let expected = [
            "overrides[0].clusterOverrides[1].path: /spec/x appears more than once",
            "overrides[1].clusterName: a appears more than once",
            "overrides[2]: clusterName or clusterSelector is missing",
            "overrides[3]: give clusterName or clusterSelector, not both",
            "overrides[3].clusterOverrides[0].path: /metadata/name may not be overridden",
            "overrides[3].clusterOverrides[1].path: /kind may not be overridden",
            "overrides[3].clusterOverrides[2].path: /metadata/namespace/x may not be overridden",
            "overrides[3].clusterOverrides[3].path: \"spec\" is not a JSON Pointer",
            "overrides[3].clusterOverrides[4].from: is missing",
            "overrides[3].clusterOverrides[5].from: /metadata/generateName may not be overridden",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.starts_with(expected), "{fault} / {expected}");
        }
    }

    #[test]
    fn a_test_and_a_change_of_one_path_are_no_duplicate() {
        let faults = check_overrides(&items(json!([{"clusterName": "a", "clusterOverrides": [
            {"op": "test", "path": "/spec/x", "value": 1}, {"path": "/spec/x", "value": 2}]}])));
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_path_that_only_begins_like_a_forbidden_one_is_fine() {
        let faults = check_overrides(&items(json!([{"clusterName": "a", "clusterOverrides": [
            {"op": "add", "path": "/kindOf", "value": 1}]}])));
        assert!(faults.is_empty(), "{faults:?}");
    }
}
