//! Sets of field paths.

use super::path::Element;
use crate::schema::Schema;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// A set of paths, as a tree: members of this level, and sets below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    pub(super) members: BTreeSet<Element>,
    pub(super) children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    /// Adds a path.
    pub fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether it has no path.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Whether it has exactly this path.
    pub fn contains(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self
                .children
                .get(first)
                .is_some_and(|set| set.contains(rest)),
        }
    }

    /// Paths of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.absorb(other.clone());
        result
    }

    /// Takes the paths of another one as well.
    pub(super) fn absorb(&mut self, mut other: Self) {
        self.members.append(&mut other.members);
        for (element, set) in other.children {
            match self.children.entry(element) {
                Entry::Occupied(own) => own.into_mut().absorb(set),
                Entry::Vacant(place) => {
                    place.insert(set);
                }
            }
        }
    }

    /// Paths of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let members = self.members.intersection(&other.members).cloned().collect();
        let common = self.children.iter().filter_map(|(element, set)| {
            let both = set.intersection(other.children.get(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        });
        Self {
            members,
            children: common.collect(),
        }
    }

    /// Paths of this one that the other does not have.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.subtract(other);
        result
    }

    /// Gives up the paths of another one.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.members
            .retain(|member| !other.members.contains(member));
        self.children.retain(|element, set| {
            if let Some(gone) = other.children.get(element) {
                set.subtract(gone);
            }
            !set.is_empty()
        });
    }

    /// Paths of this one that are not below, or equal to, a path of the other.
    #[must_use]
    pub fn without_below(mut self, other: &Self) -> Self {
        self.cut(other);
        self
    }

    fn cut(&mut self, other: &Self) {
        self.members
            .retain(|member| !other.members.contains(member));
        self.children.retain(|element, set| {
            if other.members.contains(element) {
                return false;
            }
            if let Some(gone) = other.children.get(element) {
                set.cut(gone);
            }
            !set.is_empty()
        });
    }

    /// All paths, in the server's order: at each level first what is owned there, then what is
    /// owned below.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    pub(super) fn child(&self, element: &Element) -> Option<&Self> {
        self.children.get(element).filter(|set| !set.is_empty())
    }

    /// The set with every declared field above a path added as a path of its own, so that
    /// structures come and go with their content.
    #[must_use]
    pub(super) fn with_named_fields(&self, schema: Option<&Schema>) -> Self {
        let mut result = Self {
            members: self.members.clone(),
            ..Self::default()
        };
        for (element, set) in &self.children {
            let below = match element {
                Element::Field(name) => {
                    let is_declared = schema.is_some_and(|schema| schema.declares(name));
                    if is_declared {
                        result.members.insert(element.clone());
                    }
                    schema.and_then(|schema| schema.field(name))
                }
                _ => schema.and_then(|schema| schema.items.as_ref()),
            };
            let child = set.with_named_fields(below.map(AsRef::as_ref));
            result.children.insert(element.clone(), child);
        }
        result
    }

    fn collect(&self, at: &mut Vec<Element>, found: &mut Vec<Vec<Element>>) {
        for element in &self.members {
            at.push(element.clone());
            found.push(at.clone());
            at.pop();
        }
        for (element, set) in &self.children {
            at.push(element.clone());
            set.collect(at, found);
            at.pop();
        }
    }
}
