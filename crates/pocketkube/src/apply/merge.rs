//! Merging what a manager wants into what there is.

use super::path::Element;
use super::walk::{Form, field, form, identity, is_hollow, items};
use crate::schema::{Merge, Schema};
use serde_json::{Map, Value};

/// The object with everything that is wanted in it. Nothing is removed; list maps and sets keep
/// the order of what is wanted, with the other elements where they were between them.
///
/// # Errors
///
/// What is wrong with a list that is wanted: an element without its key, or one given twice.
pub(super) fn merge(schema: &Schema, live: &Value, wanted: &Value) -> Result<Value, String> {
    let merged = both(Some(schema), Some(live), Some(wanted), "")?;
    Ok(merged.unwrap_or_else(|| Value::Object(Map::new())))
}

fn both(
    schema: Option<&Schema>,
    live: Option<&Value>,
    wanted: Option<&Value>,
    at: &str,
) -> Result<Option<Value>, String> {
    let Some(after) = wanted else {
        return Ok(live.cloned());
    };
    if is_hollow(live) && is_hollow(wanted) {
        return Ok(Some(after.clone()));
    }
    let shaped = if after.is_null() {
        live.unwrap_or(after)
    } else {
        after
    };
    match form(schema, shaped) {
        Form::Leaf => Ok(Some(after.clone())),
        Form::Map => {
            let before = live.and_then(Value::as_object);
            let mut result = before.cloned().unwrap_or_default();
            for (name, child) in after.as_object().into_iter().flatten() {
                let was = before.and_then(|fields| fields.get(name));
                let path = format!("{at}.{name}");
                if let Some(merged) = both(field(schema, name), was, Some(child), &path)? {
                    result.insert(name.clone(), merged);
                }
            }
            Ok((!result.is_empty()).then_some(Value::Object(result)))
        }
        Form::List(merge) => {
            let before = live
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice);
            let after = after.as_array().map_or(&[][..], Vec::as_slice);
            let merged = lists(schema, merge, before, after, at)?;
            Ok((!merged.is_empty()).then_some(Value::Array(merged)))
        }
    }
}

fn lists(
    schema: Option<&Schema>,
    merge: &Merge,
    live: &[Value],
    wanted: &[Value],
    at: &str,
) -> Result<Vec<Value>, String> {
    let left: Vec<Option<Element>> = live.iter().map(|value| identity(merge, value)).collect();
    let right = identities(merge, wanted, at)?;
    let position = |element: &Element| left.iter().position(|e| e.as_ref() == Some(element));
    let mut shared = right.iter().filter(|element| position(element).is_some());
    let mut next_shared = shared.next();
    let mut result = Vec::with_capacity(left.len().max(right.len()));
    let mut merged: Vec<&Element> = Vec::new();
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        let take = |element: &Element, index: usize| {
            let was = position(element).map(|place| &live[place]);
            both(
                items(schema),
                was,
                Some(&wanted[index]),
                &format!("{at}{element}"),
            )
        };
        if let (Some(here), true) = (left.get(l).and_then(Option::as_ref), r < right.len()) {
            if *here == right[r] {
                merged.push(&right[r]);
                result.extend(take(here, r)?);
                l += 1;
                r += 1;
                next_shared = shared.next();
                continue;
            }
            if right.contains(here) && next_shared.is_some_and(|next| next != here) {
                // It is wanted, but not in this place.
                l += 1;
                continue;
            }
        }
        if l < left.len() {
            let is_wanted = left[l].as_ref().is_some_and(|here| right.contains(here));
            if !is_wanted {
                result.push(live[l].clone());
                l += 1;
                continue;
            }
            if left[l].as_ref().is_some_and(|here| merged.contains(&here)) {
                l += 1;
            }
        }
        if r < right.len() {
            merged.push(&right[r]);
            result.extend(take(&right[r], r)?);
            if next_shared == Some(&right[r]) {
                next_shared = shared.next();
            }
            r += 1;
        }
    }
    Ok(result)
}

fn identities(merge: &Merge, wanted: &[Value], at: &str) -> Result<Vec<Element>, String> {
    let mut found: Vec<Element> = Vec::with_capacity(wanted.len());
    for (index, value) in wanted.iter().enumerate() {
        let Some(element) = identity(merge, value) else {
            let why = match (merge, value.is_object()) {
                (Merge::Map(_), true) => {
                    "associative list with keys has an element that omits all keys"
                }
                _ => "associative list with keys may not have non-map elements",
            };
            return Err(format!("{at}: element {index}: {why}"));
        };
        if found.contains(&element) {
            return Err(format!("{at}: duplicate entries for key {element}"));
        }
        found.push(element);
    }
    Ok(found)
}
