//! Operators, and the functions of the language that are asked most.

use super::costs;
use super::evaluate::{Failure, Found, failure, no_overload};
use super::macros::MAP_INSERT;
use super::types;
use kube_cel::cel::common::ast::operators as op;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{ExecutionError, Value};
use std::cmp::Ordering;
use std::sync::Arc;

/// What came of a call.
pub(super) enum Applied {
    /// Its cost, and its result.
    Known(u64, Found),
    /// It is none of those here.
    Unknown(Vec<Value>),
}

/// Applies what is known here to its arguments.
pub(super) fn apply(name: &str, mut args: Vec<Value>) -> Applied {
    let (cost, found) = match (name, args.as_mut_slice()) {
        (op::EQUALS, [one, other]) => (
            costs::of_equality(one, other),
            Ok(Value::Bool(one == other)),
        ),
        (op::NOT_EQUALS, [one, other]) => (
            costs::of_comparison(one, other),
            Ok(Value::Bool(one != other)),
        ),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [one, other]) => {
            (costs::of_order(one, other), ordered(name, one, other))
        }
        (op::IN, [part, whole]) => (costs::of_in(whole), is_in(part, whole)),
        (op::LOGICAL_NOT, [Value::Bool(truth)]) => (1, Ok(Value::Bool(!*truth))),
        (op::NEGATE, [number]) => (1, negated(number)),
        (op::ADD, [one, other]) => {
            let cost = costs::of_sum(one, other);
            (
                cost,
                sum(std::mem::replace(one, Value::Null), other.clone()),
            )
        }
        (op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [one, other]) => {
            (1, computed(name, one.clone(), other.clone()))
        }
        (MAP_INSERT, [map, rest @ ..]) => (1, inserted(std::mem::replace(map, Value::Null), rest)),
        ("type", [value]) => (1, Ok(types::of(value))),
        ("dyn", [value]) => (1, Ok(value.clone())),
        ("size", [value]) => (1, measured(value)),
        ("hasValue", [value]) => (1, held(value).map(|held| Value::Bool(held.is_some()))),
        ("value", [value]) => {
            let none = || failure("optional.none() dereference");
            (1, held(value).and_then(|held| held.ok_or_else(none)))
        }
        ("optional.none", []) => (1, Ok(types::optional(None))),
        ("optional.of", [value]) => (1, Ok(types::optional(Some(value.clone())))),
        ("optional.ofNonZeroValue", [value]) => {
            let held = (!value.is_zero()).then(|| value.clone());
            (1, Ok(types::optional(held)))
        }
        _ => return Applied::Unknown(args),
    };
    Applied::Known(cost, found)
}

pub(super) fn is_in(part: &Value, whole: &Value) -> Found {
    match whole {
        Value::List(elements) => Ok(Value::Bool(elements.contains(part))),
        Value::Map(map) => {
            let key: Result<Key, _> = part.clone().try_into();
            Ok(Value::Bool(key.is_ok_and(|key| map.get(&key).is_some())))
        }
        _ => Err(no_overload()),
    }
}

fn held(value: &Value) -> Result<Option<Value>, Failure> {
    let held = types::as_optional(value).ok_or_else(no_overload)?;
    Ok(held.cloned())
}

fn measured(value: &Value) -> Found {
    match value {
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => Ok(Value::Int(
            i64::try_from(costs::size(value)).unwrap_or(i64::MAX),
        )),
        _ => Err(no_overload()),
    }
}

fn ordered(name: &str, one: &Value, other: &Value) -> Found {
    let order = match (one, other) {
        (Value::Bytes(one), Value::Bytes(other)) => Some(one.cmp(other)),
        (Value::Float(number), _) if number.is_nan() => return Ok(Value::Bool(false)),
        (_, Value::Float(number)) if number.is_nan() => return Ok(Value::Bool(false)),
        (Value::Null, _) => None,
        _ => one.partial_cmp(other),
    };
    let order = order.ok_or_else(no_overload)?;
    Ok(Value::Bool(match name {
        op::LESS => order == Ordering::Less,
        op::LESS_EQUALS => order != Ordering::Greater,
        op::GREATER => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

fn negated(number: &Value) -> Found {
    match number {
        Value::Int(number) => {
            let negative = number.checked_neg().map(Value::Int);
            negative.ok_or_else(|| failure("integer overflow"))
        }
        Value::Float(number) => Ok(Value::Float(-number)),
        _ => Err(no_overload()),
    }
}

fn sum(one: Value, other: Value) -> Found {
    match (one, other) {
        (Value::List(mut one), Value::List(other)) => {
            Arc::make_mut(&mut one).extend(other.iter().cloned());
            Ok(Value::List(one))
        }
        (Value::Bytes(mut one), Value::Bytes(other)) => {
            Arc::make_mut(&mut one).extend_from_slice(&other);
            Ok(Value::Bytes(one))
        }
        (one, other) => (one + other).map_err(|problem| explained(&problem)),
    }
}

fn computed(name: &str, one: Value, other: Value) -> Found {
    let found = match name {
        op::SUBSTRACT => one - other,
        op::MULTIPLY => one * other,
        op::DIVIDE => one / other,
        _ => one % other,
    };
    found.map_err(|problem| explained(&problem))
}

/// A map with another entry, or with those of another map.
fn inserted(map: Value, rest: &[Value]) -> Found {
    let Value::Map(Map { mut map }) = map else {
        return Err(no_overload());
    };
    let entries = Arc::make_mut(&mut map);
    let mut add = |key: Key, value: Value| match entries.insert(key.clone(), value) {
        Some(_) => Err(failure(format!("insert failed: key {key} already exists"))),
        None => Ok(()),
    };
    match rest {
        [key, value] => {
            let key: Key = key.clone().try_into().map_err(|_| no_overload())?;
            add(key, value.clone())?;
        }
        [Value::Map(more)] => {
            for (key, value) in more.map.iter() {
                add(key.clone(), value.clone())?;
            }
        }
        _ => return Err(no_overload()),
    }
    Ok(Value::Map(Map { map }))
}

/// A failure in the words of the server.
pub(super) fn explained(problem: &ExecutionError) -> Failure {
    failure(match problem {
        ExecutionError::NoSuchOverload
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedUnaryOperator(..)
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::NotSupportedAsMethod { .. }
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. } => "no such overload".to_owned(),
        ExecutionError::Overflow(_, Value::UInt(_), _) => "unsigned integer overflow".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        other => other.to_string(),
    })
}
