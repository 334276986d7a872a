//! OpenAPI v2: the paths and definitions of all kinds, in JSON and in the protobuf encoding that
//! kubectl up to 1.29 asks for.

use super::super::Request;
use super::super::answer::Answer;
use super::super::discovery;
use super::{gnostic, parameters, paths};
use crate::kinds;
use crate::registry::Registry;
use http::header::ACCEPT;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Media type of the protobuf encoding.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// What clients ask for it with.
const PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Answers `/openapi/v2`.
pub(super) fn answer(registry: &Registry, request: &Request) -> Answer {
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": crate::KUBERNETES_VERSION},
        "paths": paths::paths(registry),
        "definitions": definitions(registry),
        "parameters": parameters::definitions(),
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey",
            "name": "authorization", "in": "header",
        }},
        "security": [{"BearerToken": []}],
    });
    let accept = request.header(ACCEPT);
    if accept.contains(PROTOBUF_ASKED) || accept.contains(PROTOBUF) {
        let mut answer = Answer::json(200, gnostic::encode(&document).into());
        answer.media_type = PROTOBUF;
        return answer;
    }
    Answer::value(200, &document)
}

/// The definitions of all kinds as the second version writes them.
fn definitions(registry: &Registry) -> Map<String, Value> {
    let mut kinds = Vec::new();
    for (group, versions) in discovery::group_versions(registry) {
        for version in versions {
            kinds.extend(registry.kinds(&group, &version).map(Arc::clone));
        }
    }
    let mut definitions = kinds::definitions(&kinds);
    definitions.values_mut().for_each(downgrade);
    definitions
}

/// Rewrites what the second version has no word for.
fn downgrade(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            unwrap_reference(fields);
            let is_either = fields.contains_key("oneOf") || fields.contains_key("anyOf");
            if is_either && !fields.contains_key("properties") {
                fields.shift_remove("oneOf");
                fields.shift_remove("anyOf");
                fields.entry("type").or_insert_with(|| "string".into());
            }
            fields.values_mut().for_each(downgrade);
        }
        Value::Array(items) => items.iter_mut().for_each(downgrade),
        _ => {}
    }
}

/// A reference stands alone, and points to `definitions`.
fn unwrap_reference(fields: &mut Map<String, Value>) {
    let wrapped = fields
        .get("allOf")
        .and_then(Value::as_array)
        .and_then(|all| match &all[..] {
            [only] => only.get("$ref").cloned(),
            _ => None,
        });
    if let Some(target) = wrapped {
        fields.shift_remove("allOf");
        fields.shift_remove("default");
        fields.insert("$ref".to_owned(), target);
    }
    if let Some(Value::String(target)) = fields.get_mut("$ref")
        && let Some(name) = target.strip_prefix("#/components/schemas/")
    {
        *target = format!("#/definitions/{name}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_alone_and_alternatives_become_strings() {
        let mut value = json!({
            "properties": {
                "spec": {"allOf": [{"$ref": "#/components/schemas/a"}], "default": {}},
                "port": {"oneOf": [{"type": "integer"}], "format": "int-or-string"},
            },
        });
        downgrade(&mut value);
        let expected = json!({
            "properties": {
                "spec": {"$ref": "#/definitions/a"},
                "port": {"format": "int-or-string", "type": "string"},
            },
        });
        assert_eq!(value, expected);
    }
}
