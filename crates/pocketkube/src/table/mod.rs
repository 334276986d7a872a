//! Tables: what kubectl prints, computed on the server.

mod age;
mod apps;
mod config;
mod core;
mod json_path;
mod network;
mod pods;
mod storage;

#[cfg(test)]
mod tests;

pub use age::age;

use crate::resource::{Cell, Column, Resource};
use serde_json::{Value, json};

/// What a row carries besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// The metadata of its object.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

/// What the server says of every column that shows when an object was made.
pub(crate) const CREATION_TIMESTAMP: &str = "CreationTimestamp is a timestamp representing the \
     server time when this object was created. It is not guaranteed to be set in happens-before \
     order across separate operations. Clients may not set this value. It is represented in \
     RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, \
     although some resources may allow a client to request the generation of an appropriate name \
     automatically. Name is primarily intended for creation idempotence and configuration \
     definition. Cannot be updated. More info: \
     https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// A Table of objects; `now_secs` is the present in seconds since 1970, `metadata` the list's.
pub fn table<'a>(
    resource: &Resource,
    objects: impl IntoIterator<Item = &'a Value>,
    include: Include,
    now_secs: i64,
    metadata: Value,
) -> Value {
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| row(resource, object, include, now_secs))
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions(resource),
        "rows": rows,
    })
}

/// Columns after `Name` of a built-in kind; those of Events replace `Name`.
pub(crate) fn built_in_columns(group: &str, kind: &str) -> Vec<Column> {
    let columns = core::columns(kind)
        .or_else(|| pods::columns(kind))
        .or_else(|| apps::columns(group, kind))
        .or_else(|| network::columns(kind))
        .or_else(|| storage::columns(kind))
        .or_else(|| config::columns(kind));
    columns.unwrap_or_else(|| {
        vec![Column {
            kind: "date".to_owned(),
            ..text("Created At", created_at)
        }]
    })
}

/// Columns after `Name` of a Scale.
pub(crate) fn scale_columns() -> Vec<Column> {
    vec![
        number("Desired", |scale, _| whole(&scale["spec"]["replicas"])),
        number("Available", |scale, _| whole(&scale["status"]["replicas"])),
        text("Age", age_cell),
    ]
}

/// A count that may be left out.
fn whole(count: &Value) -> Value {
    json!(count.as_i64().unwrap_or(0))
}

/// A shown column of text.
fn text(name: &str, cell: fn(&Value, i64) -> Value) -> Column {
    let description = if name == "Age" || name == "Created At" {
        CREATION_TIMESTAMP
    } else {
        name
    };
    Column {
        name: name.to_owned(),
        kind: "string".to_owned(),
        format: String::new(),
        description: description.to_owned(),
        priority: 0,
        cell: Cell::Function(cell),
    }
}

/// A shown column of whole numbers.
fn number(name: &str, cell: fn(&Value, i64) -> Value) -> Column {
    Column {
        kind: "integer".to_owned(),
        ..text(name, cell)
    }
}

/// A shown column of yes and no.
fn flag(name: &str, cell: fn(&Value, i64) -> Value) -> Column {
    Column {
        kind: "boolean".to_owned(),
        ..text(name, cell)
    }
}

/// A column that only `-o wide` shows.
fn wide(name: &str, cell: fn(&Value, i64) -> Value) -> Column {
    Column {
        priority: 1,
        ..text(name, cell)
    }
}

/// The age of an object.
fn age_cell(object: &Value, now_secs: i64) -> Value {
    since(&object["metadata"]["creationTimestamp"], now_secs)
}

/// How long ago a time was.
fn since(time: &Value, now_secs: i64) -> Value {
    match time.as_str().and_then(age::seconds) {
        Some(then) => json!(age(now_secs - then)),
        None => json!("<unknown>"),
    }
}

fn created_at(object: &Value, _: i64) -> Value {
    object["metadata"]["creationTimestamp"].clone()
}

fn definitions(resource: &Resource) -> Vec<Value> {
    let name = Column {
        name: "Name".to_owned(),
        kind: "string".to_owned(),
        format: "name".to_owned(),
        description: NAME.to_owned(),
        priority: 0,
        cell: Cell::Path(".metadata.name".to_owned()),
    };
    let name = (!is_nameless(resource)).then_some(&name);
    let shown = |column: &Column| {
        json!({
            "name": column.name,
            "type": column.kind,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    };
    name.into_iter()
        .chain(&resource.columns)
        .map(shown)
        .collect()
}

fn row(resource: &Resource, object: &Value, include: Include, now_secs: i64) -> Value {
    let mut cells = Vec::with_capacity(resource.columns.len() + 1);
    if !is_nameless(resource) {
        cells.push(object["metadata"]["name"].clone());
    }
    for column in &resource.columns {
        cells.push(match &column.cell {
            Cell::Function(cell) => cell(object, now_secs),
            Cell::Path(path) => path_cell(column, path, object, now_secs),
        });
    }
    let shown = match include {
        Include::None => Value::Null,
        Include::Object => object.clone(),
        Include::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        }),
    };
    json!({ "cells": cells, "object": shown })
}

/// A cell of a custom kind, as the type of its column wants it.
fn path_cell(column: &Column, path: &str, object: &Value, now_secs: i64) -> Value {
    let found = json_path::find(object, path);
    let Some(first) = found.first() else {
        return Value::Null;
    };
    match column.kind.as_str() {
        "integer" => match first {
            Value::Number(number) => number
                .as_i64()
                .or(number.as_f64().map(|n| n as i64))
                .map_or(Value::Null, Into::into),
            _ => Value::Null,
        },
        "number" if first.is_number() => (*first).clone(),
        "boolean" if first.is_boolean() => (*first).clone(),
        "number" | "boolean" => Value::Null,
        "date" => match first {
            Value::String(_) => match since(first, now_secs) {
                unknown if unknown == "<unknown>" => json!("<invalid>"),
                known => known,
            },
            _ => Value::Null,
        },
        _ => {
            // Only the first of several values is shown.
            json!(json_path::shown(first))
        }
    }
}

/// Events show when they were last seen first, and their name last.
fn is_nameless(resource: &Resource) -> bool {
    resource.kind == "Event" && !resource.is_custom()
}

/// The text at a path of fields, or nothing.
fn at<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    path.iter()
        .fold(object, |value, step| &value[step])
        .as_str()
        .unwrap_or_default()
}

/// The number at a path of fields, or zero.
fn count(object: &Value, path: &[&str]) -> i64 {
    path.iter()
        .fold(object, |value, step| &value[step])
        .as_i64()
        .unwrap_or(0)
}

/// The elements of a list, or none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or `<none>`.
fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { "<none>" } else { text })
}

/// Labels as `a=b,c=d` in the order of their keys; `<none>` when there are none.
fn labels(value: &Value) -> String {
    let mut pairs: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}

/// A label selector as text.
fn selector(value: &Value) -> String {
    let equal = labels(&value["matchLabels"]);
    let mut parts: Vec<String> = Vec::new();
    if equal != "<none>" {
        parts.push(equal);
    }
    for term in list(&value["matchExpressions"]) {
        let key = at(term, &["key"]);
        let values: Vec<&str> = list(&term["values"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        parts.push(match at(term, &["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    if parts.is_empty() {
        "<none>".to_owned()
    } else {
        parts.join(",")
    }
}

/// One field of all containers of a Pod template, joined by commas.
fn containers(template: &Value, field: &str) -> String {
    let names: Vec<&str> = list(&template["spec"]["containers"])
        .iter()
        .map(|c| at(c, &[field]))
        .collect();
    names.join(",")
}
