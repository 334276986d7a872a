//! What changed between two objects.

use super::path::Element;
use super::set::FieldSet;
use super::walk::{Form, field, form, identity, is_hollow, items};
use crate::schema::{Merge, Schema};
use serde_json::Value;

/// The difference between two objects, as sets of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Only the old one has them.
    pub(super) removed: FieldSet,
    /// Both have them, with other values.
    pub(super) modified: FieldSet,
    /// Only the new one has them.
    pub(super) added: FieldSet,
}

/// Compares two objects of one schema.
pub(super) fn compare(schema: &Schema, old: &Value, new: &Value) -> Difference {
    let mut walk = Walk {
        at: Vec::new(),
        found: Difference::default(),
    };
    walk.both(Some(schema), Some(old), Some(new));
    walk.found
}

impl Difference {
    /// Whether both are the same.
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Without some fields and all below them.
    pub(super) fn without(self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.without_below(ignored),
            modified: self.modified.without_below(ignored),
            added: self.added.without_below(ignored),
        }
    }
}

struct Walk {
    at: Vec<Element>,
    found: Difference,
}

impl Walk {
    fn both(&mut self, schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) {
        let nothing = Value::Null;
        let shaped = new
            .filter(|value| !value.is_null())
            .or(old)
            .unwrap_or(&nothing);
        let how = match (old, new) {
            // A value that changed from one form to another is a leaf that was modified.
            (Some(before), Some(after)) if !before.is_null() && !after.is_null() => {
                match (form(schema, before), form(schema, after)) {
                    (Form::Map, Form::Map) => Form::Map,
                    (Form::List(merge), Form::List(_)) => Form::List(merge),
                    _ => Form::Leaf,
                }
            }
            _ => form(schema, shaped),
        };
        let is_leaf = matches!(how, Form::Leaf) || (is_hollow(old) && is_hollow(new));
        if is_leaf {
            self.leaf(old, new);
            return;
        }
        match how {
            Form::Leaf => {}
            Form::Map => self.maps(schema, old, new),
            Form::List(merge) => self.lists(schema, merge, old, new),
        }
        if old.is_none() {
            self.found.added.insert(&self.at);
        } else if new.is_none() {
            self.found.removed.insert(&self.at);
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.at),
            (_, None) => self.found.removed.insert(&self.at),
            (Some(before), Some(after)) if before != after => {
                self.found.modified.insert(&self.at);
            }
            _ => {}
        }
    }

    fn maps(&mut self, schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) {
        let (before, after) = (
            old.and_then(Value::as_object),
            new.and_then(Value::as_object),
        );
        let first = before.into_iter().flatten().map(|(name, _)| name);
        let is_new = |name: &&String| before.is_none_or(|fields| !fields.contains_key(*name));
        let second = after
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .filter(is_new);
        for name in first.chain(second) {
            self.at.push(Element::Field(name.clone()));
            let (was, is) = (
                before.and_then(|f| f.get(name)),
                after.and_then(|f| f.get(name)),
            );
            self.both(field(schema, name), was, is);
            self.at.pop();
        }
    }

    fn lists(
        &mut self,
        schema: Option<&Schema>,
        merge: &Merge,
        old: Option<&Value>,
        new: Option<&Value>,
    ) {
        let (before, after) = (grouped(merge, old), grouped(merge, new));
        let is_new = |(element, _): &&(Element, Vec<&Value>)| find(&before, element).is_empty();
        let second: Vec<&Element> = after.iter().filter(is_new).map(|(e, _)| e).collect();
        for element in before.iter().map(|(element, _)| element).chain(second) {
            let (was, is) = (find(&before, element), find(&after, element));
            self.at.push(element.clone());
            match (was.len(), is.len()) {
                (0 | 1, 0 | 1) => {
                    self.both(items(schema), was.first().copied(), is.first().copied());
                }
                // Elements that share an identity are owned as one.
                (2.., 2..) => {
                    if was != is {
                        self.found.modified.insert(&self.at);
                    }
                }
                (2.., _) => {
                    if let Some(one) = is.first() {
                        self.both(items(schema), None, Some(one));
                    }
                    self.found.removed.insert(&self.at);
                }
                (_, _) => {
                    if let Some(one) = was.first() {
                        self.both(items(schema), Some(one), None);
                    }
                    self.found.added.insert(&self.at);
                }
            }
            self.at.pop();
        }
    }
}

fn grouped<'a>(merge: &Merge, value: Option<&'a Value>) -> Vec<(Element, Vec<&'a Value>)> {
    let mut groups: Vec<(Element, Vec<&Value>)> = Vec::new();
    for value in value.and_then(Value::as_array).into_iter().flatten() {
        let Some(element) = identity(merge, value) else {
            continue;
        };
        match groups.iter_mut().find(|(other, _)| *other == element) {
            Some((_, same)) => same.push(value),
            None => groups.push((element, vec![value])),
        }
    }
    groups
}

fn find<'a, 'b>(groups: &'b [(Element, Vec<&'a Value>)], element: &Element) -> &'b [&'a Value] {
    let found = groups.iter().find(|(other, _)| other == element);
    found.map_or(&[], |(_, values)| values.as_slice())
}
