//! An object as the store keeps it: with its value, or as its encoding alone.

use crate::object::{Object, Told};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;

/// Objects nested deeper than this are never kept as an encoding alone: JSON's decoder refuses
/// from 128 on.
const DEPTH_MAX: usize = 100;

/// An object as the store keeps it.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    /// With its value.
    Warm(Arc<Object>),
    /// As the line by which watches tell of it.
    Cold(Bytes),
}

impl Kept {
    /// The object; one that is kept cold is decoded only if its value is looked at.
    pub(super) fn object(&self) -> Arc<Object> {
        match self {
            Self::Warm(object) => Arc::clone(object),
            Self::Cold(line) => Object::of_line(line.clone()),
        }
    }

    /// The same object without its value.
    pub(super) fn cooled(&self) -> Self {
        match self {
            Self::Warm(object) => {
                match !object.is_decoded() || is_within(object.value(), DEPTH_MAX) {
                    true => Self::Cold(object.line().clone()),
                    false => self.clone(),
                }
            }
            Self::Cold(line) => Self::Cold(line.clone()),
        }
    }

    /// The line of a watch.
    pub(super) fn line_as(&self, told: Told) -> Bytes {
        self.object().line_as(told)
    }
}

fn is_within(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(fields) => depth > 0 && fields.values().all(|v| is_within(v, depth - 1)),
        Value::Array(items) => depth > 0 && items.iter().all(|v| is_within(v, depth - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cold_object_is_the_same_object() {
        let object = Object::new(json!({"kind": "Pod", "metadata": {"name": "a"}}));
        let cold = Kept::Warm(Arc::clone(&object)).cooled();
        assert!(matches!(cold, Kept::Cold(_)));
        assert!(cold.object().is(&object));
        assert_eq!(cold.object().value(), object.value());
    }

    #[test]
    fn what_json_could_not_be_read_back_from_stays_warm() {
        let deep = (0..200).fold(json!({}), |inner, _| json!({"a": inner}));
        let kept = Kept::Warm(Object::new(deep)).cooled();
        assert!(matches!(kept, Kept::Warm(_)));
    }
}
