//! OpenAPI definitions of built-in kinds, and the schemas made from them.
//!
//! Definitions come from the Kubernetes API itself, through `k8s-openapi`, completed by the facts
//! of [`super::facts`]. They are made once for the process.

use super::facts::{lists, short_name, zeros};
use super::table_of_kinds;
use crate::resource::Resource;
use crate::schema::{Additional, Embedded, Merge, PatchStrategy, Schema, Shape, Unknown, Zero};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How deep the schema of a CustomResourceDefinition's schema is known; deeper parts are kept as
/// they are.
const NESTED_SCHEMAS_MAX: usize = 24;

const PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// All definitions of built-in types by name, as `components.schemas` of OpenAPI v3 has them.
pub(super) fn all_definitions() -> &'static BTreeMap<String, Value> {
    static DEFINITIONS: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    DEFINITIONS.get_or_init(|| {
        let mut generator = SchemaGenerator::new(SchemaSettings::openapi3());
        table_of_kinds::register_types(&mut generator);
        let made = generator.take_definitions(true);
        made.into_iter()
            .map(|(name, schema)| complete(name, schema))
            .collect()
    })
}

/// The name of a kind's definition.
pub(super) fn definition_name(resource: &Resource) -> String {
    let (group, version, kind) = (&resource.group, &resource.version, &resource.kind);
    match group.as_str() {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "apiregistration.k8s.io" => {
            format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{kind}")
        }
        group if resource.is_custom() => {
            let reversed: Vec<&str> = group.split('.').rev().collect();
            format!("{}.{version}.{kind}", reversed.join("."))
        }
        group => {
            let first = group.split('.').next().unwrap_or(group);
            format!("io.k8s.api.{first}.{version}.{kind}")
        }
    }
}

/// The schema of a built-in kind.
pub(super) fn schema_of(resource: &Resource) -> Arc<Schema> {
    static MADE: Mutex<Option<HashMap<String, Arc<Schema>>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut builder = Builder {
        made: made.take().unwrap_or_default(),
        nested: 0,
    };
    let schema = builder.definition(&definition_name(resource));
    *made = Some(builder.made);
    schema
}

struct Builder {
    made: HashMap<String, Arc<Schema>>,
    nested: usize,
}

impl Builder {
    fn definition(&mut self, name: &str) -> Arc<Schema> {
        if name == PROPS {
            return self.nested_schema();
        }
        if let Some(schema) = self.made.get(name) {
            return Arc::clone(schema);
        }
        let schema = Arc::new(self.build_definition(name));
        self.made.insert(name.to_owned(), Arc::clone(&schema));
        schema
    }

    fn build_definition(&mut self, name: &str) -> Schema {
        let Some(definition) = all_definitions().get(name) else {
            return (*Schema::any()).clone();
        };
        let mut schema = match name.rsplit('.').next().unwrap_or(name) {
            "Quantity" if name.ends_with("resource.Quantity") => Schema::scalar(Shape::Quantity),
            "Time" | "MicroTime" => Schema::scalar(Shape::Time),
            "IntOrString" => Schema::scalar(Shape::IntOrString),
            "RawExtension"
            | "JSON"
            | "FieldsV1"
            | "JSONSchemaPropsOrArray"
            | "JSONSchemaPropsOrBool"
            | "JSONSchemaPropsOrStringArray" => (*Schema::any()).clone(),
            _ => self.node(definition, Some(name)),
        };
        let fact = lists().get(short_name(name));
        if let Some(fact) = fact {
            schema.merge = fact.merge.clone();
        }
        schema
    }

    /// Each level of a schema within a schema is one node, shared by all fields of the level
    /// above; so the tree is deep but small.
    fn nested_schema(&mut self) -> Arc<Schema> {
        if self.nested >= NESTED_SCHEMAS_MAX {
            return Schema::any();
        }
        let key = format!("{PROPS} {}", self.nested);
        if let Some(schema) = self.made.get(&key) {
            return Arc::clone(schema);
        }
        self.nested += 1;
        let schema = Arc::new(self.build_definition(PROPS));
        self.nested -= 1;
        self.made.insert(key, Arc::clone(&schema));
        schema
    }

    fn node(&mut self, definition: &Value, name: Option<&str>) -> Schema {
        if let Some(target) = reference(definition) {
            return (*self.definition(target)).clone();
        }
        if definition["x-kubernetes-int-or-string"] == json!(true) {
            return Schema::scalar(Shape::IntOrString);
        }
        let format = definition["format"].as_str().unwrap_or_default();
        match definition["type"].as_str() {
            Some("object") => self.object(definition, name),
            Some("array") => {
                let items = Arc::new(self.node(&definition["items"], None));
                Schema {
                    shape: Shape::List,
                    items: Some(items),
                    ..Schema::default()
                }
            }
            Some("string") if format == "byte" => Schema::scalar(Shape::Bytes),
            Some("string") if format == "date-time" => Schema::scalar(Shape::Time),
            Some("string") => Schema::scalar(Shape::String),
            Some("integer") => {
                let checks = crate::schema::Checks {
                    format: format.to_owned(),
                    ..Default::default()
                };
                Schema {
                    checks: Some(Box::new(checks)),
                    ..Schema::scalar(Shape::Integer)
                }
            }
            Some("number") => Schema::scalar(Shape::Number),
            Some("boolean") => Schema::scalar(Shape::Boolean),
            _ => (*Schema::any()).clone(),
        }
    }

    fn object(&mut self, definition: &Value, name: Option<&str>) -> Schema {
        let mut schema = Schema::scalar(Shape::Object);
        match &definition["additionalProperties"] {
            Value::Null => {}
            values => {
                schema.additional = Additional::Schema(Arc::new(self.node(values, None)));
                return schema;
            }
        }
        let Some(properties) = definition["properties"].as_object() else {
            schema.unknown = Unknown::Keep;
            return schema;
        };
        let required = definition["required"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        schema.required = required
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        schema.go_type = name.map(go_type);
        let owner = name.map(short_name).unwrap_or_default();
        for (field, value) in properties {
            let mut child = self.node(value, None);
            if let Some(fact) = lists().get(format!("{owner}.{field}").as_str()) {
                if fact.merge != Merge::Natural {
                    child.merge = with_zero_keys(&fact.merge, child.items.as_deref());
                }
                child.patch = fact.patch.clone();
            }
            let is_required = schema.required.contains(field);
            let told = zeros()
                .get(owner)
                .and_then(|fields| fields.get(field.as_str()));
            child.zero = told
                .copied()
                .unwrap_or_else(|| usual_zero(&child, is_required));
            schema.properties.insert(field.clone(), Arc::new(child));
        }
        schema
    }
}

/// How a list merges, with the keys that upstream's types always write: those have zero values.
fn with_zero_keys(merge: &Merge, items: Option<&Schema>) -> Merge {
    let (Merge::Map(keys), Some(items)) = (merge, items) else {
        return merge.clone();
    };
    let zero = |name: &String| match items.field(name)?.shape {
        Shape::String => Some(json!("")),
        Shape::Integer => Some(json!(0)),
        _ => None,
    };
    let mut keys = keys.clone();
    for key in keys.iter_mut().filter(|key| key.default.is_none()) {
        if items.required.contains(&key.name) {
            key.default = zero(&key.name);
        }
    }
    Merge::Map(keys)
}

/// What becomes of a zero value unless the facts say otherwise.
fn usual_zero(schema: &Schema, is_required: bool) -> Zero {
    if is_required {
        return Zero::Write;
    }
    match (schema.shape, &schema.additional) {
        (Shape::List | Shape::String | Shape::Bytes, _)
        | (Shape::Object, Additional::Schema(_)) => Zero::Omit,
        _ => Zero::Keep,
    }
}

/// `v1.PodTemplateSpec` for a definition, as decoding errors write it.
fn go_type(definition: &str) -> Arc<str> {
    let mut parts = definition.rsplit('.');
    let kind = parts.next().unwrap_or_default();
    let version = parts.next().unwrap_or_default();
    Arc::from(format!("{version}.{kind}"))
}

fn reference(definition: &Value) -> Option<&str> {
    let direct = definition["$ref"].as_str();
    let wrapped = || definition["allOf"][0]["$ref"].as_str();
    direct
        .or_else(wrapped)
        .and_then(|path| path.rsplit('/').next())
}

/// A definition with its references as OpenAPI wants them and with the facts in.
fn complete(name: String, mut definition: Value) -> (String, Value) {
    let owner = short_name(&name).to_owned();
    if let Some(alternatives) = alternatives(&name) {
        let description = definition["description"].take();
        definition = alternatives;
        if description.is_string() {
            definition["description"] = description;
        }
    }
    if let Some(fact) = lists().get(owner.as_str()) {
        extend(&mut definition, &fact.merge, &PatchStrategy::Natural);
    }
    if let Some(properties) = definition["properties"].as_object_mut() {
        for (field, value) in properties {
            wrap_references(value);
            if let Some(fact) = lists().get(format!("{owner}.{field}").as_str()) {
                extend(value, &fact.merge, &fact.patch);
            }
        }
    }
    if let Some((group, version, kind)) = table_of_kinds::kind_of(&name) {
        definition["x-kubernetes-group-version-kind"] =
            json!([{ "group": group, "version": version, "kind": kind }]);
    }
    (name, definition)
}

/// What the API server publishes of the two types that are written in two ways.
fn alternatives(name: &str) -> Option<Value> {
    match name {
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => {
            Some(json!({"oneOf": [{"type": "string"}, {"type": "number"}]}))
        }
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => Some(json!({
            "format": "int-or-string",
            "oneOf": [{"type": "integer"}, {"type": "string"}],
        })),
        _ => None,
    }
}

/// `$ref` beside other words is wrapped in `allOf`, because OpenAPI 3.0 ignores those words.
fn wrap_references(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    if let Some(target) = fields.get("$ref").cloned() {
        if fields.len() > 1 {
            fields.remove("$ref");
            fields.insert("allOf".to_owned(), json!([{ "$ref": target }]));
            fields
                .entry("default")
                .or_insert_with(|| Value::Object(Map::new()));
        }
        return;
    }
    for word in ["items", "additionalProperties"] {
        if let Some(child) = fields.get_mut(word) {
            wrap_references(child);
        }
    }
}

fn extend(value: &mut Value, merge: &Merge, patch: &PatchStrategy) {
    let is_list = value["type"] == "array";
    match merge {
        Merge::Natural => {}
        Merge::Atomic if is_list => value["x-kubernetes-list-type"] = json!("atomic"),
        Merge::Atomic => value["x-kubernetes-map-type"] = json!("atomic"),
        Merge::Set => value["x-kubernetes-list-type"] = json!("set"),
        Merge::Map(keys) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            value["x-kubernetes-list-map-keys"] = json!(names);
            value["x-kubernetes-list-type"] = json!("map");
        }
    }
    let (strategy, key) = match patch {
        PatchStrategy::Natural => return,
        PatchStrategy::Replace => ("replace", None),
        PatchStrategy::Merge(key) => ("merge", key.as_deref()),
        PatchStrategy::RetainKeys => ("retainKeys", None),
        PatchStrategy::MergeRetainKeys(key) => ("merge,retainKeys", Some(key.as_str())),
    };
    value["x-kubernetes-patch-strategy"] = json!(strategy);
    if let Some(key) = key {
        value["x-kubernetes-patch-merge-key"] = json!(key);
    }
}

/// The `metadata` of an API object, for custom kinds and embedded objects.
pub(super) fn object_meta() -> Arc<Schema> {
    static META: OnceLock<Arc<Schema>> = OnceLock::new();
    let build = || {
        let mut builder = Builder {
            made: HashMap::new(),
            nested: 0,
        };
        let meta = builder.definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
        Arc::new(Schema {
            embedded: Embedded::No,
            ..(*meta).clone()
        })
    };
    Arc::clone(META.get_or_init(build))
}
