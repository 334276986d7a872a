//! Validation rules of custom kinds (`x-kubernetes-validations`, KEP-2876).
//!
//! The expressions are evaluated by `kube-cel`; the walk is ours, because the server compares a
//! list element only with the old element of the same key, never with that of the same index.

use super::{Schema, child_path, index_path, validate::counterpart};
use crate::status::Cause;
use kube_cel::CompiledSchema;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The compiled rules of a schema; only the parts of the tree that have some.
#[derive(Debug, Default)]
pub struct Rules {
    own: Option<Arc<CompiledSchema>>,
    properties: BTreeMap<String, Rules>,
    additional: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
    schema: Arc<Schema>,
}

/// What is wrong with an object, by the rules of its kind. Parts that did not change are not
/// checked again.
pub fn validate_rules(rules: &Rules, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    rules.check(new, old, "", &mut causes);
    causes
}

impl Rules {
    /// Compiles the rules of a schema; `None` when it has none.
    pub fn compile(json: &Value, schema: &Arc<Schema>) -> Option<Self> {
        let mut rules = Self {
            schema: Arc::clone(schema),
            ..Self::default()
        };
        if json["x-kubernetes-validations"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
        {
            rules.own = Some(Arc::new(kube_cel::compile_schema(&without_nested_rules(
                json,
            ))));
        }
        for (name, child) in json["properties"].as_object().into_iter().flatten() {
            let Some(node) = schema.properties.get(name) else {
                continue;
            };
            if let Some(compiled) = Self::compile(child, node) {
                rules.properties.insert(name.clone(), compiled);
            }
        }
        if let super::Additional::Schema(node) = &schema.additional {
            rules.additional = Self::compile(&json["additionalProperties"], node).map(Box::new);
        }
        if let Some(node) = &schema.items {
            rules.items = Self::compile(&json["items"], node).map(Box::new);
        }
        let is_empty = rules.own.is_none()
            && rules.properties.is_empty()
            && rules.additional.is_none()
            && rules.items.is_none();
        (!is_empty).then_some(rules)
    }

    fn check(&self, new: &Value, old: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
        if old.is_some_and(|old| old == new) || new.is_null() {
            return;
        }
        if let Some(compiled) = &self.own
            && let Err(problems) = kube_cel::validate_compiled(compiled, new, old)
        {
            let problems = problems.into_vec().into_iter();
            causes.extend(problems.map(|problem| cause(problem, new, path)));
        }
        match new {
            Value::Object(fields) => {
                for (name, child) in fields {
                    let free = || self.additional.as_deref();
                    let Some(rules) = self.properties.get(name).or_else(free) else {
                        continue;
                    };
                    let before = old.and_then(|old| old.get(name));
                    rules.check(child, before, &child_path(path, name), causes);
                }
            }
            Value::Array(elements) => {
                let Some(rules) = &self.items else { return };
                for (index, child) in elements.iter().enumerate() {
                    let before = old.and_then(|old| counterpart(&self.schema, child, old));
                    rules.check(child, before, &index_path(path, index), causes);
                }
            }
            _ => {}
        }
    }
}

/// Expressions of a schema that do not compile: path below the schema, and why.
pub(super) fn broken_rules(json: &Value) -> Vec<(String, Value, String)> {
    let compiled = kube_cel::compile_schema(&without_nested_rules(json));
    let rules = json["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten();
    let mut broken = Vec::new();
    for (index, (rule, result)) in rules.zip(&compiled.validations).enumerate() {
        let Err(problem) = result else { continue };
        let field = match problem {
            kube_cel::CompilationError::MessageExpressionParse { .. } => "messageExpression",
            _ => "rule",
        };
        let path = format!("x-kubernetes-validations[{index}].{field}");
        broken.push((path, rule[field].clone(), problem.to_string()));
    }
    broken
}

/// The schema of one node, with the rules of that node alone.
fn without_nested_rules(json: &Value) -> Value {
    let mut copy = json.clone();
    for word in [
        "properties",
        "additionalProperties",
        "items",
        "allOf",
        "anyOf",
        "oneOf",
    ] {
        if let Some(child) = copy.get_mut(word) {
            strip(child);
        }
    }
    copy
}

fn strip(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            if fields
                .get("x-kubernetes-validations")
                .is_some_and(Value::is_array)
            {
                fields.shift_remove("x-kubernetes-validations");
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip),
        _ => {}
    }
}

fn cause(problem: kube_cel::ValidationError, value: &Value, path: &str) -> Cause {
    let field = match (path, problem.field_path.trim_start_matches('.')) {
        ("", "") => "<nil>".to_owned(),
        (path, "") => path.to_owned(),
        (path, below) => child_path(path, below),
    };
    let message = match problem.kind {
        kube_cel::ErrorKind::ValidationFailure => problem.message,
        _ => format!("rule: {}: {}", problem.rule, problem.message),
    };
    let message = message.trim();
    match problem.reason.as_deref() {
        Some("FieldValueForbidden") => Cause::forbidden(field, message),
        Some("FieldValueRequired") => Cause::required(field, message),
        Some("FieldValueDuplicate") => Cause::duplicate(field, value),
        // Objects and lists are left out of the message.
        _ if value.is_object() || value.is_array() => Cause::new(
            "FieldValueInvalid",
            field,
            format!("Invalid value: {message}"),
        ),
        _ => Cause::invalid(field, value, message),
    }
}
