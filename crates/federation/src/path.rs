//! Paths to fields, in the terms of `managedFields`.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;

/// A path to a field: `f:` a field, `k:` a list's item by key, `v:` by value, `i:` by index.
///
/// It prints as `.spec.containers[name=web].image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// The path to an element below this one, as `managedFields` names it.
    pub(crate) fn below(&self, element: &str) -> Self {
        let mut path = self.0.clone();
        path.push(element.to_owned());
        Self(path)
    }

    /// Takes away what an object has there.
    pub fn remove_from(&self, object: &mut Value) {
        let Some((last, above)) = self.0.split_last() else {
            return;
        };
        let at = above.iter().try_fold(object, |at, element| match at {
            Value::Object(fields) => fields.get_mut(element.strip_prefix("f:")?),
            Value::Array(items) => {
                let index = find_item(element, items, &vec![false; items.len()])?;
                items.get_mut(index)
            }
            _ => None,
        });
        match at {
            Some(Value::Object(fields)) => {
                drop(last.strip_prefix("f:").and_then(|name| fields.remove(name)));
            }
            Some(Value::Array(items)) => {
                if let Some(index) = find_item(last, items, &vec![false; items.len()]) {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }

    /// Whether it begins with this field of the object.
    pub fn is_in(&self, field: &str) -> bool {
        self.0.first().and_then(|first| first.strip_prefix("f:")) == Some(field)
    }

    /// The last element.
    pub(crate) fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// What an object has there.
    pub(crate) fn resolve<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |at, element| match at {
            Value::Object(fields) => fields.get(element.strip_prefix("f:")?),
            Value::Array(items) => {
                let index = find_item(element, items, &vec![false; items.len()])?;
                items.get(index)
            }
            _ => None,
        })
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for element in &self.0 {
            match element.split_once(':') {
                Some(("f", name)) if name.contains(['.', '/']) => write!(f, "[{name}]")?,
                Some(("f", name)) => write!(f, ".{name}")?,
                Some(("k", keys)) => write!(f, "[{}]", key_words(keys))?,
                Some((_, rest)) => write!(f, "[{rest}]")?,
                None => write!(f, "[{element}]")?,
            }
        }
        Ok(())
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `{"name":"web"}` as `name=web`.
fn key_words(keys: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(keys) {
        Ok(keys) => {
            let words: Vec<String> = keys
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => format!("{key}={text}"),
                    other => format!("{key}={other}"),
                })
                .collect();
            words.join(",")
        }
        Err(_) => keys.to_owned(),
    }
}

/// The item that an element of the entry means, among those not met yet.
pub(crate) fn find_item(key: &str, items: &[Value], met: &[bool]) -> Option<usize> {
    let open = || items.iter().enumerate().filter(|(index, _)| !met[*index]);
    if let Some(keys) = key.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
        // The item that spells out the most keys; a key it leaves out has its default.
        return open()
            .filter_map(|(index, item)| Some((exact_keys(&keys, item)?, index)))
            .max_by_key(|(exact, index)| (*exact, std::cmp::Reverse(*index)))
            .map(|(_, index)| index);
    }
    if let Some(value) = key.strip_prefix("v:") {
        let value: Value = serde_json::from_str(value).ok()?;
        return open()
            .find(|(_, item)| same(item, &value))
            .map(|(index, _)| index);
    }
    let index: usize = key.strip_prefix("i:")?.parse().ok()?;
    (met.get(index) == Some(&false)).then_some(index)
}

/// How many of the keys an item spells out; `None` when one has another value.
fn exact_keys(keys: &Map<String, Value>, item: &Value) -> Option<usize> {
    let fields = item.as_object()?;
    keys.iter()
        .try_fold(0, |exact, (key, value)| match fields.get(key) {
            Some(there) if same(there, value) => Some(exact + 1),
            Some(_) => None,
            None => Some(exact),
        })
}

/// Equality in which `80` and `80.0` are the same.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || matches!((one.as_f64(), other.as_f64()), (Some(one), Some(other)) if one == other)
}
