//! Types as values: `type(self) == int`.

use kube_cel::cel::Value;
use kube_cel::cel::objects::{Opaque, OptionalValue};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq)]
struct TypeName(String);

impl Opaque for TypeName {
    fn runtime_type_name(&self) -> &'static str {
        "type"
    }
}

/// The type that a name stands for in expressions.
pub(super) fn named(name: &str) -> Option<Value> {
    const NAMES: [&str; 11] = [
        "bool",
        "bytes",
        "double",
        "int",
        "list",
        "map",
        "null_type",
        "optional_type",
        "string",
        "type",
        "uint",
    ];
    NAMES.contains(&name).then(|| value(name))
}

/// The type of a value.
pub(super) fn of(found: &Value) -> Value {
    value(match found {
        Value::Bool(_) => "bool",
        Value::Bytes(_) => "bytes",
        Value::Float(_) => "double",
        Value::Int(_) => "int",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Null => "null_type",
        Value::String(_) => "string",
        Value::UInt(_) => "uint",
        Value::Duration(_) => "google.protobuf.Duration",
        Value::Timestamp(_) => "google.protobuf.Timestamp",
        Value::Opaque(opaque) => opaque.runtime_type_name(),
        Value::Function(..) => "function",
    })
}

fn value(name: &str) -> Value {
    Value::Opaque(Arc::new(TypeName(name.to_owned())))
}

/// An optional value.
pub(crate) fn optional(value: Option<Value>) -> Value {
    Value::Opaque(Arc::new(match value {
        Some(value) => OptionalValue::of(value),
        None => OptionalValue::none(),
    }))
}

/// What an optional holds; none for what is no optional.
pub(super) fn as_optional(value: &Value) -> Option<Option<&Value>> {
    let Value::Opaque(opaque) = value else {
        return None;
    };
    opaque
        .downcast_ref::<OptionalValue>()
        .map(OptionalValue::value)
}
