//! Label selectors as objects carry them: `matchLabels` and `matchExpressions`.

use serde_json::{Map, Value};

/// Whether labels satisfy a LabelSelector. One that is absent selects nothing, an empty one all.
pub(crate) fn selects(selector: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let Some(selector) = selector.as_object() else {
        return false;
    };
    let exact = selector
        .get("matchLabels")
        .is_none_or(|wanted| contains(wanted, labels));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    exact && expressions.is_none_or(|list| list.iter().all(|one| holds(one, labels)))
}

/// Whether every wanted label is there with its value.
pub(crate) fn contains(wanted: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let Some(wanted) = wanted.as_object() else {
        return true;
    };
    wanted
        .iter()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Whether one requirement `{key, operator, values}` holds; those of node selectors included.
pub(crate) fn holds(requirement: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let key = requirement["key"].as_str().unwrap_or_default();
    let values = crate::object::list(&requirement["values"]);
    let present = labels.and_then(|labels| labels.get(key));
    let listed = present.is_some_and(|value| values.contains(value));
    match requirement["operator"].as_str().unwrap_or_default() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => present.is_some(),
        "DoesNotExist" => present.is_none(),
        "Gt" => compare(present, values).is_some_and(std::cmp::Ordering::is_gt),
        "Lt" => compare(present, values).is_some_and(std::cmp::Ordering::is_lt),
        _ => false,
    }
}

fn compare(present: Option<&Value>, values: &[Value]) -> Option<std::cmp::Ordering> {
    let number = |value: &Value| value.as_str()?.parse::<i64>().ok();
    Some(number(present?)?.cmp(&number(values.first()?)?))
}

#[cfg(test)]
mod tests {
    use super::selects;
    use serde_json::{Value, json};

    fn check(selector: &Value, labels: &Value, expected: bool) {
        assert_eq!(
            selects(selector, labels.as_object()),
            expected,
            "{selector} on {labels}"
        );
    }

    #[test]
    fn a_selector_needs_all_its_labels_and_expressions() {
        let labels = json!({"app": "web", "tier": "front"});
        check(&json!({}), &labels, true);
        check(&json!({}), &json!(null), true);
        check(&json!(null), &labels, false);
        check(&json!({"matchLabels": {"app": "web"}}), &labels, true);
        check(&json!({"matchLabels": {"app": "db"}}), &labels, false);
        check(
            &json!({"matchLabels": {"app": "web", "zone": "a"}}),
            &labels,
            false,
        );
        let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        check(
            &expression("app", "In", json!(["web", "db"])),
            &labels,
            true,
        );
        check(&expression("app", "NotIn", json!(["web"])), &labels, false);
        check(&expression("zone", "NotIn", json!(["a"])), &labels, true);
        check(&expression("zone", "Exists", json!([])), &labels, false);
        check(
            &expression("zone", "DoesNotExist", json!([])),
            &labels,
            true,
        );
        check(&expression("app", "Wrong", json!([])), &labels, false);
    }

    #[test]
    fn node_selectors_compare_numbers() {
        let labels = json!({"cores": "8"});
        let than = |operator: &str, value: &str| json!({"matchExpressions": [{"key": "cores", "operator": operator, "values": [value]}]});
        check(&than("Gt", "7"), &labels, true);
        check(&than("Gt", "8"), &labels, false);
        check(&than("Lt", "9"), &labels, true);
        check(&than("Lt", "x"), &labels, false);
    }
}
