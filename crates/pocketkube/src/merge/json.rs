//! JSON patch and merge patch.

use json_patch::PatchOperation;
use serde_json::{Value, json};

/// A document after the operations of a JSON patch (RFC 6902); all apply, or none. Where the RFC
/// refuses, the server's library (`gopkg.in/evanphx/json-patch.v4`) sometimes does not:
///
/// | operation | there |
/// |---|---|
/// | `add`, `replace` without a value | of null |
/// | `replace`, `copy` of a field that is not there | adds it, copies null |
/// | `test` of a field that is not there, for null | holds |
/// | indexes below zero | count from the end |
///
/// # Errors
///
/// Why the patch does not parse, does not fit or failed its test.
pub fn json_patch(document: &Value, operations: &Value) -> Result<Value, String> {
    let operations = operations.as_array().map_or(&[][..], Vec::as_slice);
    let mut result = document.clone();
    for operation in operations {
        let operation = lenient(&result, operation.clone());
        let operation: PatchOperation =
            serde_json::from_value(operation).map_err(|cause| cause.to_string())?;
        json_patch::patch(&mut result, &[operation]).map_err(|cause| cause.to_string())?;
    }
    Ok(result)
}

/// An operation as the server's library takes it.
fn lenient(document: &Value, mut operation: Value) -> Value {
    let word = operation["op"].as_str().unwrap_or_default().to_owned();
    for pointer in ["path", "from"] {
        // Only what is added may stand behind the last element.
        let more = usize::from(pointer == "path" && matches!(word.as_str(), "add" | "copy"));
        if let Some(path) = operation[pointer].as_str() {
            operation[pointer] = counted_from_start(document, path, more).into();
        }
    }
    let path = |pointer: &str| operation[pointer].as_str().unwrap_or_default();
    let is_missing_field = |path: &str| {
        document.pointer(path).is_none()
            && (path.rsplit_once('/'))
                .is_some_and(|(parent, _)| document.pointer(parent).is_some_and(Value::is_object))
    };
    let has_value = operation.get("value").is_some();
    match word.as_str() {
        "add" if !has_value => operation["value"] = Value::Null,
        "replace" if is_missing_field(path("path")) => {
            operation["op"] = "add".into();
            operation["value"] = operation["value"].take();
        }
        "replace" if !has_value => operation["value"] = Value::Null,
        "copy" if is_missing_field(path("from")) => {
            operation = json!({"op": "add", "path": operation["path"], "value": null});
        }
        "test" if operation["value"].is_null() && is_missing_field(path("path")) => {
            operation = json!({"op": "test", "path": "", "value": document});
        }
        _ => {}
    }
    operation
}

/// A path whose last step, where it is an index below zero, counts from the start.
fn counted_from_start(document: &Value, path: &str, more: usize) -> String {
    let Some((parent, last)) = path.rsplit_once('/') else {
        return path.to_owned();
    };
    let below_zero = last
        .strip_prefix('-')
        .and_then(|from_end| from_end.parse().ok());
    let elements = document.pointer(parent).and_then(Value::as_array);
    let place = elements
        .zip(below_zero)
        .and_then(|(elements, from_end)| (elements.len() + more).checked_sub(from_end));
    match place {
        Some(place) => format!("{parent}/{place}"),
        None => path.to_owned(),
    }
}

/// A document after a merge patch (RFC 7386): null takes a field away.
pub fn merge_patch(document: &Value, patch: &Value) -> Value {
    let mut result = document.clone();
    json_patch::merge(&mut result, patch);
    result
}
