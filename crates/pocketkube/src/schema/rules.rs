//! Validation rules of custom kinds (`x-kubernetes-validations`, KEP-2876).
//!
//! The walk is that of `apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go`: all rules
//! of an object share a budget, and a list element is compared with the old element of the same
//! key, never with that of the same index.

use super::{Additional, Schema, child_path, index_path, validate::counterpart};
use crate::cel::{Failure, Program, Scope, Shape, optional};
use crate::status::Cause;
use kube_cel::cel::Value as Cel;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most that all rules of an object may cost together: about a second of the real server.
const COST_MAX: u64 = 10_000_000;
/// The longest message that an expression may make.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// The compiled rules of a schema; only the parts of the tree that have some.
#[derive(Debug, Default)]
pub struct Rules {
    own: Vec<Rule>,
    properties: BTreeMap<String, Rules>,
    additional: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
    schema: Arc<Schema>,
    shape: Arc<Shape>,
}

#[derive(Debug)]
struct Rule {
    text: String,
    program: Result<Program, String>,
    message: String,
    message_text: String,
    message_program: Option<Program>,
    reason: String,
    /// Below the value, the field that is to blame.
    field: String,
    /// Whether it compares with what was there before.
    is_transition: bool,
    /// Whether it does so also where nothing was.
    has_optional_old: bool,
}

/// What is wrong with an object, by the rules of its kind. Of parts that did not change, only
/// what compares old and new is told.
pub fn validate_rules(rules: &Rules, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut judge = Judge {
        budget: Some(COST_MAX),
        causes: Vec::new(),
    };
    let seen = Seen {
        new,
        old,
        is_same: false,
    };
    judge.node(rules, &seen, "");
    judge.causes
}

impl Rules {
    /// Compiles the rules of a schema; `None` when it has none.
    pub fn compile(json: &Value, schema: &Arc<Schema>) -> Option<Self> {
        Self::below(json, schema, &Shape::of(json))
    }

    fn below(json: &Value, schema: &Arc<Schema>, shape: &Arc<Shape>) -> Option<Self> {
        let mut rules = Self {
            schema: Arc::clone(schema),
            shape: Arc::clone(shape),
            own: declared(json).map(Rule::compile).collect(),
            ..Self::default()
        };
        for (name, child) in json["properties"].as_object().into_iter().flatten() {
            let (Some(node), Some(shape)) = (schema.properties.get(name), shape.property(name))
            else {
                continue;
            };
            if let Some(compiled) = Self::below(child, node, shape) {
                rules.properties.insert(name.clone(), compiled);
            }
        }
        if let (Additional::Schema(node), Some(shape)) = (&schema.additional, shape.additional()) {
            let compiled = Self::below(&json["additionalProperties"], node, shape);
            rules.additional = compiled.map(Box::new);
        }
        if let (Some(node), Some(shape)) = (&schema.items, shape.items()) {
            rules.items = Self::below(&json["items"], node, shape).map(Box::new);
        }
        let is_empty = rules.own.is_empty()
            && rules.properties.is_empty()
            && rules.additional.is_none()
            && rules.items.is_none();
        (!is_empty).then_some(rules)
    }
}

impl Rule {
    fn compile(json: &Value) -> Self {
        let text = |word: &str| json[word].as_str().unwrap_or_default().trim().to_owned();
        let program = Program::compile(&text("rule"));
        let message_text = text("messageExpression");
        Self {
            is_transition: program
                .as_ref()
                .is_ok_and(|program| program.names("oldSelf")),
            program,
            message: text("message"),
            message_program: match message_text.as_str() {
                "" => None,
                text => Program::compile(text).ok(),
            },
            message_text,
            reason: text("reason"),
            field: text("fieldPath"),
            has_optional_old: json["optionalOldSelf"] == true,
            text: text("rule"),
        }
    }

    /// What a failure calls it.
    fn name(&self) -> &str {
        match self.message.as_str() {
            "" => &self.text,
            message => message,
        }
    }
}

/// A value with what was there before.
struct Seen<'a> {
    new: &'a Value,
    old: Option<&'a Value>,
    /// Whether it, or what it is a part of, is as it was.
    is_same: bool,
}

/// Goes through an object until its budget is spent.
struct Judge {
    /// What may still be spent; none once it was too much.
    budget: Option<u64>,
    causes: Vec<Cause>,
}

impl Judge {
    fn node(&mut self, rules: &Rules, seen: &Seen<'_>, path: &str) {
        let (new, old) = (seen.new, seen.old);
        if new.is_null() || self.budget.is_none() {
            return;
        }
        let is_same = seen.is_same || old.is_some_and(|old| old == new);
        if !rules.own.is_empty() {
            self.own(rules, seen, is_same, path);
        }
        match new {
            Value::Object(fields) => {
                for (name, child) in fields {
                    let free = || rules.additional.as_deref();
                    let Some(below) = rules.properties.get(name).or_else(free) else {
                        continue;
                    };
                    let seen = Seen {
                        new: child,
                        old: old.and_then(|old| old.get(name)),
                        is_same,
                    };
                    self.node(below, &seen, &child_path(path, name));
                }
            }
            Value::Array(elements) => {
                let Some(below) = &rules.items else { return };
                for (index, child) in elements.iter().enumerate() {
                    let seen = Seen {
                        new: child,
                        old: old.and_then(|old| counterpart(&rules.schema, child, old)),
                        is_same,
                    };
                    self.node(below, &seen, &index_path(path, index));
                }
            }
            _ => {}
        }
    }

    fn own(&mut self, rules: &Rules, seen: &Seen<'_>, is_same: bool, path: &str) {
        let mut scope = Scope::default();
        scope.bind("self", rules.shape.value(seen.new));
        let old = seen.old.filter(|old| !old.is_null());
        let old = old.map(|old| rules.shape.value(old));
        for rule in &rules.own {
            if rule.is_transition && old.is_none() && !rule.has_optional_old {
                continue;
            }
            match (rule.has_optional_old, &old) {
                (true, old) => scope.bind("oldSelf", optional(old.clone())),
                (false, Some(old)) => scope.bind("oldSelf", old.clone()),
                (false, None) => {}
            }
            let is_kept = is_same && !rule.is_transition;
            if let Some(cause) = self.rule(rule, &scope, seen.new, path)
                && !(is_kept && self.budget.is_some())
            {
                self.causes.push(cause);
            }
            if self.budget.is_none() {
                return;
            }
        }
    }

    /// What is wrong by one rule.
    fn rule(&mut self, rule: &Rule, scope: &Scope<'_>, value: &Value, path: &str) -> Option<Cause> {
        let at = match path {
            "" => "<nil>",
            path => path,
        };
        let invalid = |why: String| {
            let found = super::checks::shown_type(value);
            Cause::new(
                "FieldValueInvalid",
                at,
                format!("Invalid value: {found:?}: {why}"),
            )
        };
        let program = match &rule.program {
            Ok(program) => program,
            Err(why) => return Some(invalid(format!("rule compile error: {why}"))),
        };
        let outcome = program.run(scope);
        if !self.spend(outcome.cost) {
            let why = "validation failed due to running out of cost budget, no further validation \
                       rules will be run";
            return Some(invalid(why.to_owned()));
        }
        let name = rule.name();
        match outcome.found {
            Ok(Cel::Bool(true)) => return None,
            Ok(_) => {}
            Err(problem @ Failure::Cost) => {
                self.budget = None;
                return Some(invalid(format!(
                    "'{problem}': no further validation rules will be run due to call cost exceeds \
                     limit for rule: {name}"
                )));
            }
            Err(Failure::Error(why)) if why.starts_with("no such overload") => {
                return Some(invalid(format!(
                    "'{why}': call arguments did not match a supported operator, function or macro \
                     signature for rule: {name}"
                )));
            }
            Err(why) => return Some(invalid(format!("{why} evaluating rule: {name}"))),
        }
        let field = match (path, rule.field.trim_start_matches('.')) {
            ("", "") => "<nil>".to_owned(),
            (path, "") => path.to_owned(),
            (path, below) => child_path(path, below),
        };
        Some(match self.message(rule, scope) {
            Ok(message) => broken(rule, value, &field, &message),
            Err(why) => invalid(why),
        })
    }

    /// What a broken rule says; an error when making it cost too much.
    fn message(&mut self, rule: &Rule, scope: &Scope<'_>) -> Result<String, String> {
        let fixed = || match rule.message.as_str() {
            "" => format!("failed rule: {}", rule.text),
            message => message.to_owned(),
        };
        let Some(program) = &rule.message_program else {
            return Ok(fixed());
        };
        let outcome = program.run(scope);
        if !self.spend(outcome.cost) {
            return Err(
                "messageExpression evaluation failed due to running out of cost budget, no \
                        further validation rules will be run"
                    .to_owned(),
            );
        }
        match outcome.found {
            Ok(Cel::String(text)) => {
                let text = text.trim();
                let is_good =
                    !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
                Ok(if is_good { text.to_owned() } else { fixed() })
            }
            Err(Failure::Cost) => {
                self.budget = None;
                Err(format!(
                    "no further validation rules will be run due to call cost exceeds limit for \
                     messageExpression: {:?}",
                    rule.message_text
                ))
            }
            _ => Ok(fixed()),
        }
    }

    /// Takes a cost from the budget; false when there was not enough of it.
    fn spend(&mut self, cost: u64) -> bool {
        self.budget = self.budget.and_then(|budget| budget.checked_sub(cost));
        self.budget.is_some()
    }
}

fn broken(rule: &Rule, value: &Value, field: &str, message: &str) -> Cause {
    match rule.reason.as_str() {
        "FieldValueForbidden" => Cause::forbidden(field, message),
        "FieldValueRequired" => Cause::required(field, message),
        "FieldValueDuplicate" => Cause::duplicate(field, value),
        // Objects and lists are left out of the message.
        _ if value.is_object() || value.is_array() => Cause::new(
            "FieldValueInvalid",
            field,
            format!("Invalid value: {message}"),
        ),
        _ => Cause::invalid(field, value, message),
    }
}

/// The rules of a schema.
pub(super) fn declared(json: &Value) -> impl Iterator<Item = &Value> {
    let rules = json["x-kubernetes-validations"].as_array();
    rules.into_iter().flatten()
}
