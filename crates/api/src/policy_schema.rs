//! The schema of the policy tree, unrolled to a fixed depth.
//!
//! Structural schemas cannot recurse, so the tree is written out [`DEPTH_MAX`] nodes deep; the
//! innermost nodes are leaves, and so are defaults. `geo` and `cidr` stand in the two outermost
//! levels: each kind of node that has branches multiplies the size of the CRD and the cost of its
//! rules.

use crate::policy::PolicyNode;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// How deep nodes nest. Four levels hold city → site → version → nearest, and keep the CRD small.
pub const DEPTH_MAX: usize = 4;

/// The innermost level, counted from the leaves, at which places and prefixes can decide.
const RULES_FROM: usize = 3;

/// How many branches a node has; the cost of CEL rules grows with its power of the depth.
const BRANCHES_MAX: usize = 32;

impl JsonSchema for PolicyNode {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyNode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut node = node_schema(DEPTH_MAX);
        node["description"] = json!("A node of the policy tree: exactly one of its parts.");
        Schema::try_from(node).expect("an object is a schema")
    }
}

/// A node that may hold `depth - 1` more below it.
fn node_schema(depth: usize) -> Value {
    let mut properties = json!({
        "pool": pool_schema(),
        "nearest": nearest_schema(),
        "hash": {"type": "object", "properties": {"pool": pool_schema()}},
        "all": {"type": "object", "properties": {
            "pool": pool_schema(),
            "max": {"type": "integer", "minimum": 1, "maximum": 64},
        }},
        "capacity": nearest_schema(),
    });
    properties["capacity"]["properties"]["needs"] = json!({
        "type": "object", "maxProperties": 1000,
        "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 1_000_000}
    });
    if depth > 1 {
        properties["weighted"] = branches_schema(weighted_schema(depth - 1));
        properties["failover"] = branches_schema(failover_schema(depth - 1));
    }
    if depth >= RULES_FROM {
        properties["geo"] = rules_schema(geo_rule_schema(depth - 1));
        properties["cidr"] = rules_schema(cidr_rule_schema(depth - 1));
    }
    let names = parts(depth);
    let given: Vec<String> = names
        .iter()
        .map(|part| format!("has(self.{part})"))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "x-kubernetes-validations": [{
            "rule": format!("[{}].exists_one(given, given)", given.join(", ")),
            "message": format!("give exactly one of {}", names.join(", ")),
        }]
    })
}

fn parts(depth: usize) -> Vec<&'static str> {
    let mut names = vec!["pool", "nearest", "all", "hash", "capacity"];
    if depth > 1 {
        names.extend(["weighted", "failover"]);
    }
    if depth >= RULES_FROM {
        names.extend(["geo", "cidr"]);
    }
    names
}

fn branches_schema(item: Value) -> Value {
    json!({"type": "array", "minItems": 1, "maxItems": BRANCHES_MAX, "items": item})
}

fn rules_schema(rule: Value) -> Value {
    json!({
        "type": "object",
        "required": ["rules"],
        "properties": {"rules": branches_schema(rule), "default": node_schema(1)},
    })
}

fn geo_rule_schema(depth: usize) -> Value {
    let texts = |pattern: &str| {
        json!({"type": "array", "maxItems": 300,
            "items": {"type": "string", "maxLength": 63, "pattern": pattern}})
    };
    let mut node = node_schema(depth);
    let properties = &mut node["properties"];
    properties["country"] = texts("^[A-Za-z]{2}$");
    properties["continent"] = texts("^(AF|AN|AS|EU|NA|OC|SA)$");
    properties["subdivision"] = texts("^[A-Za-z]{2}-[A-Za-z0-9]{1,3}$");
    properties["line"] = texts("^.+$");
    properties["asn"] = json!({"type": "array", "maxItems": 300,
        "items": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 4_294_967_295_i64}});
    let given = ["country", "continent", "subdivision", "line", "asn"]
        .map(|part| format!("has(self.{part})"));
    let rules = node["x-kubernetes-validations"]
        .as_array_mut()
        .expect("it has a rule");
    rules.push(json!({
        "rule": given.join(" || "),
        "message": "give country, continent, subdivision, asn or line",
    }));
    node
}

fn cidr_rule_schema(depth: usize) -> Value {
    let mut node = node_schema(depth);
    node["properties"]["networks"] = json!({"type": "array", "minItems": 1, "maxItems": 1000,
        "items": {"type": "string", "minLength": 4, "maxLength": 49, "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$"}});
    node["required"] = json!(["networks"]);
    node
}

fn weighted_schema(depth: usize) -> Value {
    let mut node = node_schema(depth);
    node["properties"]["weight"] = json!({"type": "integer", "minimum": 0, "maximum": 65535});
    node["required"] = json!(["weight"]);
    node
}

fn failover_schema(depth: usize) -> Value {
    let mode = json!({"type": "string", "enum": ["Auto", "Manual"]});
    let duration = json!({
        "type": "string", "maxLength": 32,
        "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"
    });
    let mut node = node_schema(depth);
    let properties = &mut node["properties"];
    // A branch's name is part of what probes of its requirements are called.
    properties["name"] =
        json!({"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[^/]+$"});
    properties["minHealthy"] = json!({"type": "integer", "minimum": 1, "maximum": 1000});
    properties["takeover"] = json!({"type": "object", "properties": {
        "mode": mode, "delay": duration,
        "requires": {"type": "array", "maxItems": 8, "items": requirement_schema()}}});
    properties["failback"] = json!({"type": "object",
        "properties": {"mode": mode, "holdDown": duration, "ramp": duration}});
    node["required"] = json!(["name"]);
    node
}

fn requirement_schema() -> Value {
    let text = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most});
    json!({
        "type": "object",
        "properties": {
            "name": text(63),
            "http": {"type": "object", "required": ["url"], "properties": {
                "url": {"type": "string", "maxLength": 1024, "pattern": "^https?://.+"},
                "expect": {"type": "object", "properties": {
                    "status": {"type": "array", "maxItems": 32, "items": {
                        "type": "string", "pattern": "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$"}},
                    "body": text(255)}}}},
            "tcp": {"type": "object", "required": ["host", "port"], "properties": {
                "host": text(253),
                "port": {"type": "integer", "minimum": 1, "maximum": 65535}}}},
        "oneOf": [{"required": ["http"]}, {"required": ["tcp"]}]
    })
}

fn nearest_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "pool": pool_schema(),
            "bias": {
                "type": "object",
                "maxProperties": 1000,
                "additionalProperties": {"type": "integer", "minimum": -99, "maximum": 99}
            }
        }
    })
}

fn pool_schema() -> Value {
    let names = json!({
        "type": "array", "maxItems": 1000,
        "items": {"type": "string", "minLength": 1, "maxLength": 253}
    });
    json!({
        "type": "object",
        "properties": {
            "clusters": names,
            "regions": names,
            "selector": {
                "type": "object", "maxProperties": 64,
                "additionalProperties": {"type": "string", "maxLength": 63}
            }
        }
    })
}
