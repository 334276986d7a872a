//! Statuses as controllers write them: counts, conditions, and whether anything moved.

use super::template_hash::without_nulls;
use crate::clock::seconds;
use crate::object::list;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Those numbers that are not zero.
pub(crate) fn counts(numbers: &[(&str, i64)]) -> Value {
    let told = numbers.iter().filter(|(_, number)| *number != 0);
    told.map(|(field, number)| ((*field).to_owned(), json!(number)))
        .collect()
}

/// Whether two statuses say different things; an absent number is zero.
pub(crate) fn differs(one: &Value, other: &Value) -> bool {
    told(one) != told(other)
}

/// A condition of a list.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(&object["status"]["conditions"])
        .iter()
        .find(|condition| condition["type"] == *kind)
}

/// Whether a condition of an object is true.
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// A condition that begins now, with the fields that most kinds have.
pub(crate) fn begun(
    kind: &str,
    status: &str,
    (reason, message): (&str, &str),
    now: Timestamp,
) -> Value {
    json!({
        "type": kind,
        "status": status,
        "lastTransitionTime": seconds(now),
        "reason": reason,
        "message": message,
    })
}

fn told(status: &Value) -> Value {
    let mut status = without_nulls(status);
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|_, value| *value != json!(0));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::differs;
    use serde_json::json;

    #[test]
    fn an_absent_number_is_zero() {
        assert!(!differs(&json!({"replicas": 0, "ready": null}), &json!({})));
        assert!(differs(&json!({"replicas": 1}), &json!({})));
    }
}
