//! JSON patch and merge patch.

use serde_json::Value;

/// What the copies of one JSON patch may come to: a copy can double the document, so some dozens
/// of them would fill any memory. The server's limit is that of a request's body.
const COPIED_BYTES_MAX: usize = 3 << 20;

/// A document after the operations of a JSON patch (RFC 6902); all apply, or none. Where the RFC
/// refuses, the server's library (`gopkg.in/evanphx/json-patch.v4`) sometimes does not:
///
/// | operation | there |
/// |---|---|
/// | `add`, `replace` without a value | of null |
/// | `replace`, `copy` of a field that is not there | adds it, copies null |
/// | `test` of a field that is not there, for null | holds |
/// | indexes below zero, at every step | count from the end |
/// | the whole document | is tested and replaced, and nothing else |
///
/// # Errors
///
/// Why the patch does not parse, does not fit or failed its test.
pub fn json_patch(document: &Value, operations: &Value) -> Result<Value, String> {
    let operations = operations.as_array().map_or(&[][..], Vec::as_slice);
    let mut result = document.clone();
    let mut copied_bytes = 0;
    for operation in operations {
        apply(&mut result, operation, &mut copied_bytes)?;
    }
    Ok(result)
}

/// A document after a merge patch (RFC 7386): null takes a field away.
pub fn merge_patch(document: &Value, patch: &Value) -> Value {
    let mut result = document.clone();
    json_patch::merge(&mut result, patch);
    result
}

fn apply(document: &mut Value, operation: &Value, copied_bytes: &mut usize) -> Result<(), String> {
    let text = |field: &str| {
        let given = operation[field].as_str();
        given.ok_or_else(|| format!("an operation without {field:?}"))
    };
    let (word, path, value) = (text("op")?, text("path")?, &operation["value"]);
    match word {
        "add" => add(document, path, value.clone()),
        "remove" => remove(document, path).map(drop),
        "replace" if path.is_empty() && (value.is_object() || value.is_array()) => {
            *document = value.clone();
            Ok(())
        }
        "replace" => replace(document, path, value),
        // What is behind a place that was moved away moves up before the other path is looked at.
        "move" => remove(document, text("from")?).and_then(|moved| add(document, path, moved)),
        "copy" => {
            let copied = found(document, text("from")?)?.clone();
            *copied_bytes += copied.to_string().len();
            if *copied_bytes > COPIED_BYTES_MAX {
                return Err(format!("copies of more than {COPIED_BYTES_MAX} bytes"));
            }
            add(document, path, copied)
        }
        "test" if path.is_empty() && document == value => Ok(()),
        "test" if found(document, path)? == value => Ok(()),
        "test" => Err(format!("{path:?} is something else")),
        other => Err(format!("an unknown operation {other:?}")),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (holder, last) = holder(document, path)?;
    match holder {
        Value::Object(fields) => drop(fields.insert(last, value)),
        Value::Array(elements) if last == "-" => elements.push(value),
        Value::Array(elements) => {
            // It may stand behind the last element.
            let place = index(&last, elements.len() + 1).ok_or_else(|| missing(path))?;
            elements.insert(place, value);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn replace(document: &mut Value, path: &str, value: &Value) -> Result<(), String> {
    let (holder, last) = holder(document, path)?;
    if let Value::Object(fields) = holder {
        fields.insert(last, value.clone());
        return Ok(());
    }
    *child(holder, &last).ok_or_else(|| missing(path))? = value.clone();
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (holder, last) = holder(document, path)?;
    let removed = match holder {
        Value::Object(fields) => fields.shift_remove(&last),
        Value::Array(elements) => index(&last, elements.len()).map(|place| elements.remove(place)),
        _ => None,
    };
    removed.ok_or_else(|| missing(path))
}

/// What is at a path; a field that is not there is null.
fn found<'a>(document: &'a mut Value, path: &str) -> Result<&'a Value, String> {
    let (holder, last) = holder(document, path)?;
    if let Value::Object(fields) = holder {
        return Ok(fields.get(&last).unwrap_or(&Value::Null));
    }
    child(holder, &last)
        .map(|found| &*found)
        .ok_or_else(|| missing(path))
}

/// What holds the last step of a path, and that step.
fn holder<'a>(document: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (parents, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    let mut holder = document;
    for step in parents.split('/').skip(1) {
        holder = child(holder, &unescaped(step)).ok_or_else(|| missing(path))?;
    }
    Ok((holder, unescaped(last)))
}

fn child<'a>(holder: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match holder {
        Value::Object(fields) => fields.get_mut(step),
        Value::Array(elements) => {
            let place = index(step, elements.len())?;
            elements.get_mut(place)
        }
        _ => None,
    }
}

/// An index below `count`; one below zero counts from the end.
fn index(step: &str, count: usize) -> Option<usize> {
    let given: i64 = step.parse().ok()?;
    let from_start = usize::try_from(given.unsigned_abs()).ok()?;
    let place = match given {
        0.. => from_start,
        _ => count.checked_sub(from_start)?,
    };
    (place < count).then_some(place)
}

/// A step of a JSON pointer (RFC 6901) as the field is called.
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

fn missing(path: &str) -> String {
    format!("nothing is at {path:?}")
}
