//! Field sets as `managedFields` has them.

use super::path::Element;
use super::set::FieldSet;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

impl FieldSet {
    /// `FieldsV1`, in the server's order.
    pub fn to_fields_v1(&self) -> Value {
        let mut fields = Map::new();
        let elements: BTreeSet<&Element> =
            self.members.iter().chain(self.children.keys()).collect();
        for element in elements {
            let below = match self.child(element) {
                Some(set) if self.members.contains(element) => {
                    let mut both = Map::new();
                    both.insert(".".to_owned(), Value::Object(Map::new()));
                    if let Value::Object(inner) = set.to_fields_v1() {
                        both.extend(inner);
                    }
                    Value::Object(both)
                }
                Some(set) => set.to_fields_v1(),
                None => Value::Object(Map::new()),
            };
            if self.members.contains(element) || self.child(element).is_some() {
                fields.insert(element.encode(), below);
            }
        }
        Value::Object(fields)
    }

    /// From `FieldsV1`; `None` when it is none.
    pub fn from_fields_v1(fields: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, below) in fields.as_object()? {
            if name == "." {
                continue;
            }
            let element = Element::decode(name)?;
            let inner = below.as_object()?;
            if inner.is_empty() || inner.contains_key(".") {
                set.members.insert(element.clone());
            }
            let child = Self::from_fields_v1(below)?;
            if !child.is_empty() {
                set.children.insert(element, child);
            }
        }
        Some(set)
    }
}
