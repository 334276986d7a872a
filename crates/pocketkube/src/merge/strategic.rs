//! Strategic merge patches: merge patches that know which lists have keys.
//!
//! Directives: `$patch: replace | delete | merge`, `$deleteFromPrimitiveList/<list>`,
//! `$setElementOrder/<list>` and `$retainKeys`.

use crate::schema::{PatchStrategy, Schema};
use crate::status::Status;
use serde_json::{Map, Value};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

type Fields = Map<String, Value>;

/// A document after a strategic merge patch.
///
/// # Errors
///
/// 500 for a directive that makes no sense and for a list element without its key.
pub fn strategic_patch(schema: &Schema, document: &Value, patch: &Value) -> Result<Value, Status> {
    let (Value::Object(original), Value::Object(patch)) = (document, patch) else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    Ok(Value::Object(object(schema, original, patch)?))
}

fn object(schema: &Schema, original: &Fields, patch: &Fields) -> Result<Fields, Status> {
    match patch
        .get(PATCH)
        .map(|directive| directive.as_str().unwrap_or_default())
    {
        Some("replace") => {
            let kept = patch.iter().filter(|(name, _)| !name.starts_with('$'));
            return Ok(kept
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect());
        }
        Some("delete") => return Ok(Fields::new()),
        Some("merge") | None => {}
        Some(other) => {
            return Err(unknown_directive(other, patch));
        }
    }
    check_orders(schema, patch)?;
    let mut result = retained(original, patch);
    let is_new = |name: &str| !original.contains_key(name);
    for (name, change) in patch {
        if name == PATCH || name == RETAIN || name.starts_with(ORDER) {
            continue;
        }
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            remove_scalars(&mut result, list, change);
            continue;
        }
        if change.is_null() {
            result.shift_remove(name);
            continue;
        }
        if is_new(name) {
            // What was not there is taken as it is, less what belongs to directives.
            match taken(&without_nulls(change)) {
                Some(change) => result.insert(name.clone(), change),
                None => None,
            };
            continue;
        }
        let nothing = Schema::default();
        let field = schema.field(name).map_or(&nothing, |field| field.as_ref());
        let order = patch.get(&format!("{ORDER}{name}"));
        let merged = value(field, result.get(name), change, order)?;
        result.insert(name.clone(), merged);
    }
    reorder_untouched(schema, &mut result, patch);
    Ok(result)
}

/// A field after its patch.
fn value(
    schema: &Schema,
    original: Option<&Value>,
    patch: &Value,
    order: Option<&Value>,
) -> Result<Value, Status> {
    match (original, patch) {
        (_, Value::Object(patch)) => {
            let none = Fields::new();
            let before = match original {
                Some(Value::Object(before)) if schema.patch != PatchStrategy::Replace => before,
                _ => &none,
            };
            Ok(Value::Object(object(schema, before, patch)?))
        }
        (original, Value::Array(elements)) => {
            let before = original
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice);
            Ok(Value::Array(list(schema, before, elements, order)?))
        }
        (_, scalar) => Ok(scalar.clone()),
    }
}

fn list(
    schema: &Schema,
    original: &[Value],
    patch: &[Value],
    order: Option<&Value>,
) -> Result<Vec<Value>, Status> {
    let key = match &schema.patch {
        PatchStrategy::Merge(Some(key)) | PatchStrategy::MergeRetainKeys(key) => key,
        PatchStrategy::Merge(None) => return Ok(scalars(original, patch, order)),
        _ => {
            return Ok(patch
                .iter()
                .filter(|e| !is_directive(e))
                .map(cleaned)
                .collect());
        }
    };
    if patch.iter().any(|element| element[PATCH] == "replace") {
        let kept = patch.iter().filter(|element| element.get(PATCH).is_none());
        return Ok(kept.map(cleaned).collect());
    }
    let nothing = Schema::default();
    let items = schema
        .items
        .as_ref()
        .map_or(&nothing, |items| items.as_ref());
    let mut result = original.to_vec();
    for element in patch {
        let Some(change) = element.as_object() else {
            let message = "expected an object in a list that merges by key";
            return Err(Status::plain(500, "", message));
        };
        let Some(identity) = change.get(key) else {
            let shown = go_map(element);
            let message = format!("map: {shown} does not contain declared merge key: {key}");
            return Err(Status::plain(500, "", message));
        };
        let directive = change
            .get(PATCH)
            .map(|word| word.as_str().unwrap_or_default());
        if let Some(other) = directive.filter(|word| !matches!(*word, "delete" | "merge")) {
            return Err(unknown_directive(other, change));
        }
        if directive == Some("delete") {
            result.retain(|other| other.get(key) != Some(identity));
            continue;
        }
        match result
            .iter_mut()
            .find(|other| other.get(key) == Some(identity))
        {
            Some(Value::Object(before)) => {
                *before = object(items, before, change)?;
            }
            _ => result.push(undirected(element)),
        }
    }
    let identity = |value: &Value| value.get(key).cloned().unwrap_or(Value::Null);
    check_order(patch, order, &identity)?;
    // Without an order of its own, a patch asks for that of its elements.
    let order = order.and_then(Value::as_array).map_or(patch, Vec::as_slice);
    let order: Vec<Value> = order.iter().map(identity).collect();
    Ok(ordered(result, original, &order, identity))
}

/// What a patch has stands in the order that it asks for.
fn check_order(
    patch: &[Value],
    order: Option<&Value>,
    identity: &impl Fn(&Value) -> Value,
) -> Result<(), Status> {
    let Some(order) = order.and_then(Value::as_array) else {
        return Ok(());
    };
    let is_deleted = |element: &&Value| element[PATCH] == "delete";
    let mut places = order.iter();
    let is_in_order = (patch.iter().filter(|element| !is_deleted(element)))
        .all(|element| places.any(|place| identity(place) == identity(element)));
    if is_in_order {
        return Ok(());
    }
    let message = format!(
        "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
        go_map(&Value::Array(patch.to_vec())),
        go_map(&Value::Array(order.clone()))
    );
    Err(Status::plain(500, "", message))
}

fn unknown_directive(word: &str, patch: &Fields) -> Status {
    let shown = go_map(&Value::Object(patch.clone()));
    let message = format!("unknown patch type: {word} in map: {shown}");
    Status::plain(500, "", message)
}

fn scalars(original: &[Value], patch: &[Value], order: Option<&Value>) -> Vec<Value> {
    let mut result = original.to_vec();
    for element in patch {
        if !result.contains(element) {
            result.push(element.clone());
        }
    }
    let order = order.and_then(Value::as_array).map_or(patch, Vec::as_slice);
    ordered(result, original, order, Value::clone)
}

/// Puts elements into the order that the patch asks for. Elements that only the server has stay
/// after the ones that they followed.
fn ordered(
    merged: Vec<Value>,
    original: &[Value],
    order: &[Value],
    identity: impl Fn(&Value) -> Value,
) -> Vec<Value> {
    let position = |element: &Value| order.iter().position(|wanted| *wanted == identity(element));
    let (mut asked, others): (Vec<Value>, Vec<Value>) = merged
        .into_iter()
        .partition(|element| position(element).is_some());
    asked.sort_by_key(|element| position(element));
    let before = |id: &Value| original.iter().position(|element| identity(element) == *id);
    let mut result = Vec::with_capacity(asked.len() + others.len());
    let mut others = others.into_iter().peekable();
    for element in asked {
        let place = before(&identity(&element));
        while let Some(other) = others.peek()
            && place.is_some()
            && before(&identity(other)) < place
        {
            result.extend(others.next());
        }
        result.push(element);
    }
    result.extend(others);
    result
}

/// `$setElementOrder` without the list itself: only the order changes.
fn reorder_untouched(schema: &Schema, result: &mut Fields, patch: &Fields) {
    for (directive, order) in patch {
        let Some(name) = directive.strip_prefix(ORDER) else {
            continue;
        };
        let (Some(order), false) = (order.as_array(), patch.contains_key(name)) else {
            continue;
        };
        let Some(Value::Array(elements)) = result.get_mut(name) else {
            continue;
        };
        let field = schema.field(name);
        let key = match field.map(|field| &field.patch) {
            Some(PatchStrategy::Merge(Some(key)) | PatchStrategy::MergeRetainKeys(key)) => {
                Some(key.clone())
            }
            _ => None,
        };
        let identity = |value: &Value| match &key {
            Some(key) => value.get(key).cloned().unwrap_or(Value::Null),
            None => value.clone(),
        };
        let order: Vec<Value> = order.iter().map(identity).collect();
        let original = elements.clone();
        *elements = ordered(std::mem::take(elements), &original, &order, identity);
    }
}

/// The original, less what `$retainKeys` does not name.
fn retained(original: &Fields, patch: &Fields) -> Fields {
    let Some(keys) = patch.get(RETAIN).and_then(Value::as_array) else {
        return original.clone();
    };
    let is_kept = |name: &&String| keys.iter().any(|key| key.as_str() == Some(name.as_str()));
    original
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

fn remove_scalars(result: &mut Fields, name: &str, gone: &Value) {
    let gone = gone.as_array().map_or(&[][..], Vec::as_slice);
    if let Some(Value::Array(elements)) = result.get_mut(name) {
        elements.retain(|element| !gone.contains(element));
    }
}

/// A part of a patch as a value: without directives and nulls.
fn plain(patch: &Fields) -> Fields {
    let kept = patch
        .iter()
        .filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    kept.map(|(name, value)| (name.clone(), cleaned(value)))
        .collect()
}

fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(plain(fields)),
        other => other.clone(),
    }
}

/// A part of a patch where nothing was: without directives, and without what has one.
fn taken(patch: &Value) -> Option<Value> {
    match patch {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !name.starts_with('$'));
            let fields = kept.filter_map(|(name, value)| Some((name.clone(), taken(value)?)));
            Some(Value::Object(fields.collect()))
        }
        Value::Array(elements) => Some(elements.iter().filter_map(taken).collect()),
        other => Some(other.clone()),
    }
}

/// A new element of a list as it is; directives in it say nothing.
fn undirected(element: &Value) -> Value {
    match element {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !name.starts_with('$'));
            let fields = kept.map(|(name, value)| (name.clone(), undirected(value)));
            Value::Object(fields.collect())
        }
        Value::Array(elements) => elements.iter().map(undirected).collect(),
        other => other.clone(),
    }
}

/// A part of a patch without the fields that are null. Elements of lists keep theirs.
fn without_nulls(patch: &Value) -> Value {
    match patch {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            let fields = kept.map(|(name, value)| (name.clone(), without_nulls(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// What an order names has the key of its list, and texts stand in the order that is asked for,
/// also where there were none before; or nothing is merged.
fn check_orders(schema: &Schema, patch: &Fields) -> Result<(), Status> {
    for (directive, order) in patch {
        let Some(name) = directive.strip_prefix(ORDER) else {
            continue;
        };
        let key = match schema.field(name).map(|field| &field.patch) {
            Some(PatchStrategy::Merge(Some(key)) | PatchStrategy::MergeRetainKeys(key)) => key,
            Some(PatchStrategy::Merge(None)) => {
                let given = patch.get(name).and_then(Value::as_array);
                check_order(given.map_or(&[], Vec::as_slice), Some(order), &Value::clone)?;
                continue;
            }
            _ => continue,
        };
        let elements = order.as_array().map_or(&[][..], Vec::as_slice);
        if let Some(without) = elements.iter().find(|element| element.get(key).is_none()) {
            let shown = go_map(without);
            let message = format!("map: {shown} does not contain declared merge key: {key}");
            return Err(Status::plain(500, "", message));
        }
    }
    Ok(())
}

/// A value as Go prints maps: `map[a:1 b:x]`.
fn go_map(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            let pairs: Vec<String> = names
                .into_iter()
                .map(|n| format!("{n}:{}", go_map(&fields[n])))
                .collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Array(elements) => {
            let shown: Vec<String> = elements.iter().map(go_map).collect();
            format!("[{}]", shown.join(" "))
        }
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

fn is_directive(element: &Value) -> bool {
    element.get(PATCH).is_some() && element.as_object().is_some_and(|fields| fields.len() == 1)
}
