//! The schema of a template, from what an API server publishes of the target (OpenAPI v3).
//!
//! Types and enums only. A default or a required field would be written into, or asked of, a
//! template that overrides complete; rules speak of whole objects. Every object keeps fields that
//! the schema does not know, since a member may be newer than the host.

use serde_json::{Map, Value, json};

use crate::Error;

/// The deepest schema that is read; deeper objects are taken as they are.
const DEPTH_MAX: usize = 24;
/// The longest schema with descriptions. etcd takes 1.5 MiB for a whole CRD.
const BYTES_MAX: usize = 700 << 10;

/// The schema of the template of `kind`, from an OpenAPI v3 document of its group and version.
///
/// # Errors
/// The document has no such kind.
pub fn template_schema(
    document: &Value,
    group: &str,
    version: &str,
    kind: &str,
) -> Result<Value, Error> {
    let schemas = &document["components"]["schemas"];
    let wanted = json!({"group": group, "version": version, "kind": kind});
    let found = schemas.as_object().and_then(|schemas| {
        schemas.values().find(|schema| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.is_some_and(|kinds| kinds.contains(&wanted))
        })
    });
    let Some(found) = found else {
        return Err(Error::invalid(
            "components.schemas",
            format!("the API server publishes no schema of {kind} in {group}/{version}"),
        ));
    };
    let reader = |texts| Reader { schemas, texts };
    let whole = template(&reader(Texts::Kept).read(found, 0, &mut Vec::new()));
    if whole.to_string().len() <= BYTES_MAX {
        return Ok(whole);
    }
    let short = reader(Texts::LeftOut).read(found, 0, &mut Vec::new());
    Ok(template(&short))
}

/// A template is an object without identity and status: those are not propagated.
fn template(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove("status");
        if let Some(metadata) = properties.get_mut("metadata") {
            // Labels and annotations are all that counts, and the server has rules of its own
            // for a property of this name.
            *metadata = free("object");
        }
    }
    schema["nullable"] = Value::Null;
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("nullable");
    }
    schema
}

/// Whether descriptions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    Kept,
    LeftOut,
}

struct Reader<'d> {
    schemas: &'d Value,
    texts: Texts,
}

impl<'d> Reader<'d> {
    /// One schema, with what it refers to in its place. `open` are the references that lead here:
    /// one that comes again is a type that holds itself, and is taken as it is.
    fn read(&self, schema: &'d Value, depth: usize, open: &mut Vec<&'d str>) -> Value {
        if let Some(reference) = reference(schema) {
            if open.contains(&reference) {
                return anything();
            }
            open.push(reference);
            let name = reference.rsplit('/').next().unwrap_or_default();
            let mut read = self.read(&self.schemas[name], depth, open);
            open.pop();
            self.describe(schema, &mut read);
            return read;
        }
        let mut read = match schema["type"].as_str() {
            _ if depth >= DEPTH_MAX || schema["x-kubernetes-preserve-unknown-fields"] == true => {
                anything()
            }
            _ if is_int_or_string(schema) => {
                json!({"x-kubernetes-int-or-string": true, "nullable": true})
            }
            Some("object") => self.object(schema, depth, open),
            Some("array") => {
                let items = self.read(&schema["items"], depth + 1, open);
                json!({"type": "array", "items": items, "nullable": true})
            }
            Some(scalar @ ("string" | "integer" | "number" | "boolean")) => {
                let mut read = json!({"type": scalar, "nullable": true});
                for key in ["enum", "format"] {
                    if let Some(value) = schema.get(key) {
                        read[key] = value.clone();
                    }
                }
                // With nullable, null is to be among what is allowed.
                if let Some(allowed) = read["enum"].as_array_mut() {
                    allowed.push(Value::Null);
                }
                read
            }
            // Quantities, raw JSON: several types, or any.
            _ => anything(),
        };
        self.describe(schema, &mut read);
        read
    }

    fn object(&self, schema: &'d Value, depth: usize, open: &mut Vec<&'d str>) -> Value {
        let Some(properties) = schema["properties"].as_object() else {
            let values = &schema["additionalProperties"];
            if !values.is_object() {
                return free("object");
            }
            let values = self.read(values, depth + 1, open);
            return json!({"type": "object", "additionalProperties": values, "nullable": true});
        };
        let mut read = free("object");
        let properties: Map<String, Value> = properties
            .iter()
            .map(|(name, schema)| (name.clone(), self.read(schema, depth + 1, open)))
            .collect();
        read["properties"] = properties.into();
        read
    }

    fn describe(&self, schema: &Value, read: &mut Value) {
        if self.texts == Texts::Kept
            && let Some(text) = schema["description"].as_str()
        {
            read["description"] = text.into();
        }
    }
}

/// What a schema refers to. The server wraps a reference that has a description in `allOf`.
fn reference(schema: &Value) -> Option<&str> {
    let wrapped = || match schema["allOf"].as_array()?.as_slice() {
        [only] => only["$ref"].as_str(),
        _ => None,
    };
    schema["$ref"].as_str().or_else(wrapped)
}

/// Built-in types say it by format, custom ones by an extension.
fn is_int_or_string(schema: &Value) -> bool {
    schema["format"] == "int-or-string" || schema["x-kubernetes-int-or-string"] == true
}

/// An object whose fields are not known, or not all.
fn free(kind: &str) -> Value {
    json!({"type": kind, "nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

/// Any value.
fn anything() -> Value {
    json!({"nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({"components": {"schemas": {
            "apps.Deployment": {
                "type": "object",
                "description": "A Deployment.",
                "required": ["spec"],
                "properties": {
                    "kind": {"type": "string"},
                    "metadata": {"allOf": [{"$ref": "#/components/schemas/meta.ObjectMeta"}]},
                    "spec": {
                        "description": "What is wanted.",
                        "allOf": [{"$ref": "#/components/schemas/apps.Spec"}],
                        "default": {}
                    },
                    "status": {"type": "object"}
                },
                "x-kubernetes-group-version-kind": [
                    {"group": "apps", "version": "v1", "kind": "Deployment"}
                ]
            },
            "meta.ObjectMeta": {"type": "object", "properties": {"name": {"type": "string"}}},
            "apps.Spec": {
                "type": "object",
                "required": ["selector"],
                "x-kubernetes-validations": [{"rule": "self.replicas > 0"}],
                "properties": {
                    "replicas": {"type": "integer", "format": "int32", "default": 1},
                    "policy": {"type": "string", "enum": ["Always", "Never"], "default": "Always"},
                    "port": {"$ref": "#/components/schemas/util.IntOrString"},
                    "cpu": {"oneOf": [{"type": "string"}, {"type": "number"}]},
                    "selector": {
                        "type": "object",
                        "additionalProperties": {"type": "string", "default": ""}
                    },
                    "containers": {"type": "array", "items": {
                        "type": "object", "properties": {"name": {"type": "string"}}
                    }},
                    "children": {"type": "array", "items": {
                        "$ref": "#/components/schemas/apps.Spec"
                    }},
                    "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
                }
            },
            "util.IntOrString": {
                "oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"
            }
        }}})
    }

    fn schema() -> Value {
        template_schema(&document(), "apps", "v1", "Deployment").expect("it is published")
    }

    /// Every schema in it, with where it stands.
    fn all<'s>(schema: &'s Value, path: &str, found: &mut Vec<(String, &'s Value)>) {
        found.push((path.to_owned(), schema));
        for child in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(child) {
                all(inner, &format!("{path}.{child}"), found);
            }
        }
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            all(inner, &format!("{path}.{name}"), found);
        }
    }

    #[test]
    fn types_and_enums_are_kept() {
        let schema = schema();
        let spec = &schema["properties"]["spec"]["properties"];
        assert_eq!(spec["replicas"]["type"], "integer");
        assert_eq!(spec["replicas"]["format"], "int32");
        assert_eq!(spec["policy"]["enum"], json!(["Always", "Never", null]));
        assert_eq!(spec["port"]["x-kubernetes-int-or-string"], true);
        assert_eq!(spec["selector"]["additionalProperties"]["type"], "string");
        let name = &spec["containers"]["items"]["properties"]["name"];
        assert_eq!(name["type"], "string");
        assert_eq!(
            schema["properties"]["spec"]["description"],
            "What is wanted."
        );
    }

    #[test]
    fn nothing_is_defaulted_required_or_ruled_and_every_object_is_open() {
        let schema = schema();
        let mut found = Vec::new();
        all(&schema, "", &mut found);
        assert!(found.len() > 10);
        for (path, schema) in found {
            for key in [
                "default",
                "required",
                "x-kubernetes-validations",
                "$ref",
                "allOf",
                "oneOf",
            ] {
                assert_eq!(schema.get(key), None, "{path} has {key}");
            }
            let is_map = schema.get("additionalProperties").is_some();
            if schema["type"] == "object" && !is_map {
                let open = &schema["x-kubernetes-preserve-unknown-fields"];
                assert_eq!(*open, true, "{path} is closed");
            }
        }
    }

    #[test]
    fn a_template_has_no_status_and_any_metadata() {
        let schema = schema();
        assert_eq!(schema["properties"].get("status"), None);
        assert_eq!(schema["properties"]["metadata"].get("properties"), None);
        assert_eq!(schema.get("nullable"), None, "a template is not null");
    }

    #[test]
    fn a_type_that_holds_itself_ends_and_a_quantity_is_open() {
        let schema = schema();
        let spec = &schema["properties"]["spec"]["properties"];
        assert_eq!(spec["children"]["items"], anything());
        assert_eq!(spec["cpu"], anything());
        assert_eq!(spec["raw"], anything());
    }

    #[test]
    fn a_kind_that_is_not_published_is_named() {
        let error = template_schema(&document(), "apps", "v2", "Deployment").unwrap_err();
        assert!(
            error.to_string().contains("Deployment in apps/v2"),
            "{error}"
        );
    }
}
