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
    own: Option<Own>,
    properties: BTreeMap<String, Rules>,
    additional: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
    schema: Arc<Schema>,
}

/// The rules of one node. Those that want the old value as an optional are compiled once for
/// values that have one, and once for values that have none.
#[derive(Debug)]
struct Own {
    changed: CompiledSchema,
    fresh: CompiledSchema,
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
            let node = without_nested_rules(json);
            rules.own = Some(Own {
                changed: kube_cel::compile_schema(&with_old(&node, "optional.of(oldSelf)")),
                fresh: kube_cel::compile_schema(&with_old(&node, "optional.none()")),
            });
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
        if let Some(own) = &self.own {
            let compiled = if old.is_some() {
                &own.changed
            } else {
                &own.fresh
            };
            if let Err(problems) = kube_cel::validate_compiled(compiled, new, old) {
                let problems = problems.into_vec().into_iter();
                causes.extend(problems.map(|problem| cause(problem, new, path)));
            }
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

/// A node whose rules with `optionalOldSelf` see `optional` where they say `oldSelf`.
fn with_old(node: &Value, optional: &str) -> Value {
    let mut node = node.clone();
    let rules = node
        .get_mut("x-kubernetes-validations")
        .and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
        if rule.get("optionalOldSelf") != Some(&Value::Bool(true)) {
            continue;
        }
        rule.shift_remove("optionalOldSelf");
        for word in ["rule", "messageExpression"] {
            if let Some(Value::String(expression)) = rule.get_mut(word) {
                *expression = replaced(expression, optional);
            }
        }
    }
    node
}

/// An expression with the identifier `oldSelf` replaced, outside of texts.
fn replaced(expression: &str, by: &str) -> String {
    const NAME: &str = "oldSelf";
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut result = String::with_capacity(expression.len());
    let (mut quote, mut last) = (None, ' ');
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        let follows = rest.strip_prefix(NAME).filter(|after| {
            quote.is_none()
                && !is_word(last)
                && !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        });
        if let Some(after) = follows {
            result.push_str(by);
            (rest, last) = (after, ')');
            continue;
        }
        match quote {
            Some(open) if c == open && last != '\\' => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            _ => {}
        }
        result.push(c);
        last = c;
        rest = &rest[c.len_utf8()..];
    }
    result
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
    if problem.kind != kube_cel::ErrorKind::ValidationFailure {
        let why = problem
            .message
            .trim_start_matches("rule evaluation error: ");
        let why = why.replacen("No such key", "no such key", 1);
        let (found, rule) = (super::checks::shown_type(value), &problem.rule);
        let message = format!("Invalid value: {found:?}: {why} evaluating rule: {rule}");
        return Cause::new("FieldValueInvalid", field, message);
    }
    let message = problem.message.trim();
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
