//! JSON patch and merge patch.

use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

/// Operations that one JSON patch may hold.
const OPERATIONS_MAX: usize = 10_000;

/// A document after the operations of a JSON patch (RFC 6902); all apply, or none.
///
/// # Errors
///
/// Why the patch does not parse, does not fit or failed its test.
pub fn json_patch(document: &Value, operations: &Value) -> Result<Value, String> {
    let patch: json_patch::Patch =
        serde_json::from_value(operations.clone()).map_err(|cause| cause.to_string())?;
    if patch.0.len() > OPERATIONS_MAX {
        return Err(format!(
            "the patch has more than {OPERATIONS_MAX} operations"
        ));
    }
    let mut result = document.clone();
    for operation in patch.0 {
        let operation = lenient(&result, operation);
        json_patch::patch(&mut result, &[operation]).map_err(|cause| cause.to_string())?;
    }
    Ok(result)
}

/// The server's library replaces what is not there, where there is an object to hold it.
fn lenient(document: &Value, operation: PatchOperation) -> PatchOperation {
    match operation {
        PatchOperation::Replace(replace)
            if replace.path.resolve(document).is_err()
                && (replace.path.parent())
                    .is_some_and(|parent| parent.resolve(document).is_ok_and(Value::is_object)) =>
        {
            PatchOperation::Add(AddOperation {
                path: replace.path,
                value: replace.value,
            })
        }
        other => other,
    }
}

/// A document after a merge patch (RFC 7386): null takes a field away.
pub fn merge_patch(document: &Value, patch: &Value) -> Value {
    let mut result = document.clone();
    json_patch::merge(&mut result, patch);
    result
}
