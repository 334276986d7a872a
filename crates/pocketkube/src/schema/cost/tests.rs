//! Estimates beside those that upstream gives.

use super::declared::{Declared, Whole};
use super::{Old, cost_max};
use serde_json::Value;

/// What upstream says of rules: `testdata/cel_costs.go` made it.
const RECORDED: &str = include_str!("../../../testdata/cel_costs.jsonl");

#[test]
fn rules_are_estimated_as_upstream_estimates_them() {
    let mut wrong = Vec::new();
    for line in RECORDED.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let declared = Declared::from_open_api(&case["schema"], Whole::No).unwrap();
        let rule = case["rule"].as_str().unwrap();
        let estimate = cost_max(rule, &declared, Old::Value);
        if estimate != case["estimate"].as_u64() {
            let (told, schema) = (&case["estimate"], &case["schema"]);
            wrong.push(format!("{rule}: {estimate:?} and not {told} for {schema}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
