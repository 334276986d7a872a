//! Which schemas a CustomResourceDefinition may have: structural ones (KEP-1111).

use super::cost::{self, Whole};
use super::{child_path, index_path, key_path, typing};
use crate::status::Cause;
use serde_json::Value;

/// What is wrong with the schema of a CustomResourceDefinition; `path` is where it is.
pub fn admit(json: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    node(json, path, Place::Root, &mut causes);
    if causes.is_empty() {
        causes = cost::excesses(json, path);
    }
    causes
}

/// Where a schema is; it decides what must be said of its type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Property,
    Item,
    Value,
}

fn node(json: &Value, path: &str, place: Place, causes: &mut Vec<Cause>) {
    typed(json, path, place, causes);
    if place == Place::Root {
        metadata(&json["properties"]["metadata"], path, causes);
    }
    unsupported(json, path, causes);
    list_type(json, path, causes);
    let is_whole = place == Place::Root || json["x-kubernetes-embedded-resource"] == true;
    let whole = if is_whole { Whole::Yes } else { Whole::No };
    causes.extend(typing::broken_rules(json, path, whole));
    for (name, child) in json["properties"].as_object().into_iter().flatten() {
        let below = key_path(&child_path(path, "properties"), name);
        node(child, &below, Place::Property, causes);
    }
    if json["items"].is_object() {
        node(
            &json["items"],
            &child_path(path, "items"),
            Place::Item,
            causes,
        );
    }
    if json["additionalProperties"].is_object() {
        let below = child_path(path, "additionalProperties");
        node(&json["additionalProperties"], &below, Place::Value, causes);
    }
    let is_int_or_string = json["x-kubernetes-int-or-string"].as_bool() == Some(true);
    for word in ["allOf", "anyOf", "oneOf"] {
        for (index, child) in json[word].as_array().into_iter().flatten().enumerate() {
            let at = index_path(&child_path(path, word), index);
            let allowed = if is_int_or_string && word == "anyOf" {
                Typed::Free
            } else {
                Typed::Not
            };
            value_only(child, &at, allowed, causes);
        }
    }
    if json["not"].is_object() {
        value_only(&json["not"], &child_path(path, "not"), Typed::Not, causes);
    }
}

/// Whether a schema that only limits values may name a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Typed {
    Not,
    /// As the two sides of an int-or-string do.
    Free,
}

/// Metadata has the server's schema; a definition may limit names alone.
fn metadata(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let properties = schema["properties"].as_object();
    let is_name = |name: &String| matches!(name.as_str(), "name" | "generateName");
    if properties.is_some_and(|properties| !properties.keys().all(is_name)) {
        let why = "must not specify anything other than name and generateName, but metadata is \
                   implicitly specified";
        let at = key_path(&child_path(path, "properties"), "metadata");
        causes.push(Cause::forbidden(at, why));
    }
}

fn typed(json: &Value, path: &str, place: Place, causes: &mut Vec<Cause>) {
    let flag = |word: &str| json[word].as_bool() == Some(true);
    let at = || child_path(path, "type");
    match json["type"].as_str().unwrap_or_default() {
        "" if flag("x-kubernetes-int-or-string")
            || flag("x-kubernetes-preserve-unknown-fields") =>
        {
            if place == Place::Root {
                causes.push(Cause::required(at(), "must not be empty at the root"));
            }
        }
        "" => {
            let why = match place {
                Place::Root => "must not be empty at the root",
                Place::Property | Place::Value => "must not be empty for specified object fields",
                Place::Item => "must not be empty for specified array items",
            };
            causes.push(Cause::required(at(), why));
        }
        "object" => {}
        other if place == Place::Root => {
            causes.push(Cause::invalid(
                at(),
                &other.into(),
                "must be object at the root",
            ));
        }
        "array" => {
            if json["items"].is_null() {
                causes.push(Cause::required(
                    child_path(path, "items"),
                    "must be specified",
                ));
            }
        }
        "string" | "integer" | "number" | "boolean" => {}
        other => {
            let allowed = ["array", "boolean", "integer", "number", "object", "string"];
            causes.push(Cause::unsupported(at(), &other.into(), &allowed));
        }
    }
}

fn unsupported(json: &Value, path: &str, causes: &mut Vec<Cause>) {
    for word in [
        "$ref",
        "definitions",
        "dependencies",
        "patternProperties",
        "additionalItems",
        "id",
    ] {
        if !json[word].is_null() {
            causes.push(Cause::forbidden(
                child_path(path, word),
                &format!("{word} is not supported"),
            ));
        }
    }
    if json["uniqueItems"].as_bool() == Some(true) {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(child_path(path, "uniqueItems"), why));
    }
    let values = &json["additionalProperties"];
    let has_properties = json["properties"]
        .as_object()
        .is_some_and(|p| !p.is_empty());
    if values.as_bool() != Some(false) && !values.is_null() && has_properties {
        let why = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(
            child_path(path, "additionalProperties"),
            why,
        ));
    }
    if let Some(pattern) = json["pattern"].as_str()
        && let Err(problem) = super::patterns::compile(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {problem}");
        causes.push(Cause::invalid(
            child_path(path, "pattern"),
            &pattern.into(),
            &why,
        ));
    }
    defaults(json, path, causes);
}

/// A default has to satisfy the schema that it is the default of.
fn defaults(json: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(default) = json.get("default").filter(|default| !default.is_null()) else {
        return;
    };
    let schema = super::from_open_api(json);
    let at = child_path(path, "default");
    let mut pruned = default.clone();
    super::prune(&schema, &mut pruned);
    if pruned != *default {
        let why = "must not have unknown fields";
        causes.push(Cause::invalid(&at, default, why));
    }
    for mut cause in super::validate(&schema, default, None) {
        cause.field = match cause.field.as_str() {
            "<nil>" | "" => at.clone(),
            below => child_path(&at, below),
        };
        causes.push(cause);
    }
}

fn list_type(json: &Value, path: &str, causes: &mut Vec<Cause>) {
    let kind = json["x-kubernetes-list-type"].as_str();
    let keys = json["x-kubernetes-list-map-keys"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let at = |word: &str| child_path(path, word);
    if let Some(kind) = kind {
        if json["type"] != "array" {
            let why = "must be array if x-kubernetes-list-type is specified";
            let found = json["type"].as_str().unwrap_or_default();
            causes.push(Cause::invalid(at("type"), &found.into(), why));
        }
        if !matches!(kind, "atomic" | "set" | "map") {
            let word = at("x-kubernetes-list-type");
            causes.push(Cause::unsupported(
                word,
                &kind.into(),
                &["atomic", "map", "set"],
            ));
        }
    }
    let items = &json["items"];
    if kind == Some("set")
        && items["type"] == "object"
        && items["x-kubernetes-map-type"] != "atomic"
    {
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let word = at("items.x-kubernetes-map-type");
        causes.push(Cause::invalid(word, &items["x-kubernetes-map-type"], why));
    }
    if kind != Some("map") {
        if !keys.is_empty() {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            causes.push(match kind {
                None => Cause::required(at("x-kubernetes-list-type"), why),
                Some(kind) => Cause::invalid(at("x-kubernetes-list-type"), &kind.into(), why),
            });
        }
        return;
    }
    if keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        causes.push(Cause::required(at("x-kubernetes-list-map-keys"), why));
    }
    let required = items["required"].as_array().map_or(&[][..], Vec::as_slice);
    if items["type"] != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        causes.push(Cause::invalid(at("items.type"), &items["type"], why));
        return;
    }
    for key in keys {
        let name = key.as_str().unwrap_or_default();
        let property = &items["properties"][name];
        if property.is_null() {
            let why = "entries must all be names of item properties";
            let word = at("x-kubernetes-list-map-keys");
            causes.push(Cause::invalid(word, &keys.into(), why));
        } else if property["default"].is_null() && !required.contains(key) {
            let word = child_path(&key_path(&at("items.properties"), name), "default");
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default \
                       or be a required property";
            causes.push(Cause::required(word, why));
        }
    }
}

/// Below `allOf`, `anyOf`, `oneOf` and `not` a schema may only limit values.
fn value_only(json: &Value, path: &str, typed: Typed, causes: &mut Vec<Cause>) {
    const STRUCTURE: [&str; 10] = [
        "additionalProperties",
        "default",
        "description",
        "nullable",
        "title",
        "type",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
    ];
    for word in STRUCTURE {
        let given = &json[word];
        let is_allowed = word == "type" && typed == Typed::Free;
        if !given.is_null() && !is_allowed {
            let why = "must be empty to be structural";
            causes.push(Cause::forbidden(child_path(path, word), why));
        }
    }
    for (name, child) in json["properties"].as_object().into_iter().flatten() {
        value_only(
            child,
            &key_path(&child_path(path, "properties"), name),
            Typed::Not,
            causes,
        );
    }
    if json["items"].is_object() {
        value_only(
            &json["items"],
            &child_path(path, "items"),
            Typed::Not,
            causes,
        );
    }
    for word in ["allOf", "anyOf", "oneOf"] {
        for (index, child) in json[word].as_array().into_iter().flatten().enumerate() {
            value_only(
                child,
                &index_path(&child_path(path, word), index),
                typed,
                causes,
            );
        }
    }
}
