//! Rules of a definition that cost too much.

use super::declared::{Declared, Whole};
use super::{Old, cost_max};
use crate::schema::{child_path, index_path, key_path};
use crate::status::Cause;
use serde_json::Value;

/// The most that one rule may cost, wherever its values are.
const RULE_COST_MAX: u64 = 10_000_000;
/// The most that all rules of a schema may cost together.
const SCHEMA_COST_MAX: u64 = 100_000_000;
/// So many rules are named when all together cost too much.
const NAMED_MAX: usize = 4;

/// What is wrong with the costs of a schema's rules; `path` is where the schema is.
pub(in crate::schema) fn excesses(schema: &Value, path: &str) -> Vec<Cause> {
    let mut bill = Bill::default();
    node(schema, path, Some(1), Whole::Yes, &mut bill);
    bill.causes()
}

/// The costs so far.
#[derive(Debug, Default)]
struct Bill {
    total: u64,
    expensive: Vec<(u64, String)>,
    causes: Vec<Cause>,
    path: String,
}

impl Bill {
    fn charge(&mut self, what: &str, at: String, cost: u64) {
        if cost > RULE_COST_MAX {
            let why = excess(what, cost, RULE_COST_MAX);
            self.causes.push(Cause::forbidden(&at, &why));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= SCHEMA_COST_MAX / 100 {
            self.expensive.push((cost, at));
        }
    }

    fn causes(mut self) -> Vec<Cause> {
        if self.total > SCHEMA_COST_MAX {
            self.expensive
                .sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
            for (_, at) in self.expensive.iter().take(NAMED_MAX) {
                let why = "contributed to estimated rule cost total exceeding cost limit for \
                           entire OpenAPIv3 schema";
                self.causes.push(Cause::forbidden(at, why));
            }
            let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 \
                        schema";
            let why = excess(what, self.total, SCHEMA_COST_MAX);
            self.causes.push(Cause::forbidden(&self.path, &why));
        }
        self.causes
    }
}

/// Charges the rules below a schema, then its own. `times` is how often its values can be in an
/// object, where the schemas above limit that.
fn node(schema: &Value, path: &str, times: Option<u64>, whole: Whole, bill: &mut Bill) {
    let below = times.and_then(|times| Some(times.saturating_mul(parts_max(schema)?)));
    let whole_of =
        |schema: &Value| match schema["x-kubernetes-embedded-resource"].as_bool() == Some(true) {
            true => Whole::Yes,
            false => Whole::No,
        };
    let values = &schema["additionalProperties"];
    if values.is_object() {
        let at = child_path(path, "additionalProperties");
        node(values, &at, below, whole_of(values), bill);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = key_path(&child_path(path, "properties"), name);
        node(property, &at, below, whole_of(property), bill);
    }
    let items = &schema["items"];
    if items.is_object() {
        node(
            items,
            &child_path(path, "items"),
            below,
            whole_of(items),
            bill,
        );
    }
    own_rules(schema, path, times, whole, bill);
    path.clone_into(&mut bill.path);
}

fn own_rules(schema: &Value, path: &str, times: Option<u64>, whole: Whole, bill: &mut Bill) {
    let rules = &schema["x-kubernetes-validations"];
    let Some(rules) = rules.as_array().filter(|rules| !rules.is_empty()) else {
        return;
    };
    let Some(declared) = Declared::from_open_api(schema, whole) else {
        return;
    };
    let times = times.unwrap_or_else(|| declared.occurrences_max());
    for (index, rule) in rules.iter().enumerate() {
        let at = index_path(&child_path(path, "x-kubernetes-validations"), index);
        let old = match rule["optionalOldSelf"].as_bool() {
            Some(true) => Old::Optional,
            _ => Old::Value,
        };
        let cost = |word: &str| {
            let expression = rule[word].as_str().filter(|text| !text.trim().is_empty())?;
            cost_max(expression, &declared, old)
        };
        let Some(rule_cost) = cost("rule") else {
            continue;
        };
        let rule_cost = rule_cost.saturating_mul(times);
        bill.charge("estimated rule cost", child_path(&at, "rule"), rule_cost);
        if let Some(message) = cost("messageExpression") {
            let at = child_path(&at, "messageExpression");
            bill.charge("estimated messageExpression cost", at, message);
        }
    }
}

/// How many values a value can hold directly below each schema that it has; `None` without limit.
fn parts_max(schema: &Value) -> Option<u64> {
    match schema["type"].as_str() {
        Some("object") if !schema["additionalProperties"].is_null() => {
            schema["maxProperties"].as_u64()
        }
        Some("array") => schema["maxItems"].as_u64(),
        _ => Some(1),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is told to a digit or two")]
fn excess(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, \
         maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}
