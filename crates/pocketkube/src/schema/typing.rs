//! Rules of a definition: that they are whole, and that their types fit
//! (`apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`).

use super::cost::{Declared, Shape, Whole};
use super::{child_path, index_path};
use crate::cel::check::{Fields, Kind, kind_of};
use crate::status::Cause;
use serde_json::{Value, json};
use std::sync::Arc;

/// The reasons that a rule may give, sorted.
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// What is wrong with the rules of one schema; `path` is where it is.
pub(super) fn broken_rules(schema: &Value, path: &str, whole: Whole) -> Vec<Cause> {
    let mut causes = Vec::new();
    let rules = super::rules::declared(schema);
    let places = || {
        let rules = super::rules::declared(schema).enumerate();
        rules.map(|(index, rule)| {
            let list = child_path(path, "x-kubernetes-validations");
            (index_path(&list, index), rule)
        })
    };
    for (at, rule) in places() {
        words(rule, &at, &mut causes);
        field_path(schema, rule, &at, &mut causes);
    }
    if rules.count() == 0 {
        return causes;
    }
    let own =
        Declared::from_open_api(schema, whole).map_or(Kind::Dyn, |own| kind(&own, "selfType"));
    for (at, rule) in places() {
        let old = match rule["optionalOldSelf"] == true {
            true => Kind::of("optional_type", own.clone()),
            false => own.clone(),
        };
        let variables = [("self", own.clone()), ("oldSelf", old)];
        let told = [
            ("rule", "bool", "cel expression must evaluate to a bool"),
            (
                "messageExpression",
                "string",
                "messageExpression must evaluate to a string",
            ),
        ];
        for (word, wanted, otherwise) in told {
            let text = text(rule, word);
            if text.trim().is_empty() {
                continue;
            }
            let why = match kind_of(text, &variables) {
                Ok(kind) if kind == Kind::plain(wanted) => continue,
                Ok(_) => otherwise.to_owned(),
                Err(faults) => format!("compilation failed: {faults}"),
            };
            let message = format!("Invalid value: {}: {why}", shown(rule));
            causes.push(Cause::new(
                "FieldValueInvalid",
                child_path(&at, word),
                message,
            ));
        }
    }
    causes
}

fn text<'a>(rule: &'a Value, word: &str) -> &'a str {
    rule[word].as_str().unwrap_or_default()
}

/// The texts of a rule: none is blank, and a message has one line.
fn words(rule: &Value, at: &str, causes: &mut Vec<Cause>) {
    let field = |word: &str| child_path(at, word);
    let is_blank = |word: &str| !text(rule, word).is_empty() && text(rule, word).trim().is_empty();
    let has_lines = |word: &str| text(rule, word).trim().contains(['\n', '\r']);
    if text(rule, "rule").trim().is_empty() {
        causes.push(Cause::required(field("rule"), "rule is not specified"));
    } else if is_blank("message") {
        let why = "must be non-empty if specified";
        causes.push(Cause::invalid(field("message"), &rule["message"], why));
    } else if has_lines("message") {
        let why = "must not contain line breaks";
        causes.push(Cause::invalid(field("message"), &rule["message"], why));
    } else if has_lines("rule")
        && text(rule, "message").trim().is_empty()
        && text(rule, "messageExpression").trim().is_empty()
    {
        let why = "message must be specified if rule contains line breaks";
        causes.push(Cause::required(field("message"), why));
    }
    if is_blank("messageExpression") {
        let why = "messageExpression must be non-empty if specified";
        causes.push(Cause::required(field("messageExpression"), why));
    }
    let reason = &rule["reason"];
    if reason.is_string() && !REASONS.contains(&text(rule, "reason")) {
        causes.push(Cause::unsupported(field("reason"), reason, &REASONS));
    }
}

/// The field that a rule blames is one of its schema.
fn field_path(schema: &Value, rule: &Value, at: &str, causes: &mut Vec<Cause>) {
    let given = text(rule, "fieldPath");
    let field = child_path(at, "fieldPath");
    if given.is_empty() {
        return;
    }
    if given.trim().is_empty() {
        let why = "must be non-empty if specified";
        causes.push(Cause::invalid(&field, &rule["fieldPath"], why));
    }
    if given.contains(['\n', '\r']) {
        let why = "must not contain line breaks";
        causes.push(Cause::invalid(&field, &rule["fieldPath"], why));
    }
    if given.contains(['\n', '\r']) || !leads_somewhere(schema, given) {
        let why = "must be a valid path";
        causes.push(Cause::invalid(&field, &rule["fieldPath"], why));
    }
}

/// Whether `.a.b['c']` names fields of a schema, one below the other.
fn leads_somewhere(mut schema: &Value, path: &str) -> bool {
    let mut rest = path;
    while !rest.is_empty() {
        let name = if let Some(after) = rest.strip_prefix("['") {
            let Some((name, after)) = after.split_once("']") else {
                return false;
            };
            rest = after;
            name
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            rest = &after[end..];
            &after[..end]
        } else {
            return false;
        };
        let property = &schema["properties"][name];
        schema = match property.is_object() {
            true => property,
            false => &schema["additionalProperties"],
        };
        if !schema.is_object() {
            return false;
        }
    }
    true
}

/// The type of the values of a schema, named after where they are.
fn kind(declared: &Declared, name: &str) -> Kind {
    match &declared.shape {
        Shape::Dyn => Kind::Dyn,
        Shape::Bool => Kind::plain("bool"),
        Shape::Int => Kind::plain("int"),
        Shape::Double => Kind::plain("double"),
        Shape::Text => Kind::plain("string"),
        Shape::Bytes => Kind::plain("bytes"),
        Shape::Duration => Kind::plain("duration"),
        Shape::Timestamp => Kind::plain("timestamp"),
        Shape::List(element) => Kind::of("list", kind(element, &format!("{name}.@idx"))),
        Shape::Map(value) => {
            Kind::map(Kind::plain("string"), kind(value, &format!("{name}.@elem")))
        }
        Shape::Object(fields) => {
            let below = fields.iter();
            let fields = below.map(|(field, declared)| {
                (field.clone(), kind(declared, &format!("{name}.{field}")))
            });
            Kind::Object(Arc::new(Fields {
                name: name.to_owned(),
                fields: fields.collect(),
            }))
        }
    }
}

/// A rule as the server shows it: its structure, as Go writes JSON.
fn shown(rule: &Value) -> String {
    let shown = json!({
        "Rule": text(rule, "rule"),
        "Message": text(rule, "message"),
        "MessageExpression": text(rule, "messageExpression"),
        "Reason": rule["reason"],
        "FieldPath": text(rule, "fieldPath"),
        "OptionalOldSelf": rule["optionalOldSelf"],
    });
    let escaped = shown
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e");
    escaped.replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real control plane said of definitions with these rules.
    const RECORDED: &str = include_str!("../../testdata/cel_types.jsonl");

    #[test]
    fn rules_are_refused_as_the_server_refused_them() {
        let mut lines = RECORDED
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let schema = lines.next().unwrap()["schema"].take();
        let mut differing = Vec::new();
        for case in lines {
            let mut ruled = schema.clone();
            ruled["x-kubernetes-validations"] = json!([{"rule": case["rule"]}]);
            let causes = broken_rules(&ruled, "spec", Whole::No);
            let told = causes.first().map(|cause| {
                let told = cause.message.split_once("\"OptionalOldSelf\":null}: ");
                told.map_or(cause.message.clone(), |(_, told)| told.to_owned())
            });
            if told.as_deref() != case["refused"].as_str() {
                differing.push(format!(
                    "{}\n  real   {:?}\n  pocket {told:?}",
                    case["rule"],
                    case["refused"].as_str()
                ));
            }
        }
        assert!(
            differing.is_empty(),
            "{}:\n{}",
            differing.len(),
            differing.join("\n")
        );
    }
}
