//! Schemas of kinds, as trees that every other part walks: pruning, defaulting, validation,
//! decoding, strategic merge and server-side apply.
//!
//! One type serves both built-in kinds (made from their OpenAPI definitions) and custom ones (made
//! from the structural schema of a CustomResourceDefinition, KEP-1111).

mod admit;

mod checks;
mod cost;
mod decode;
mod defaults;
mod formats;
mod patterns;
mod prune;
mod quantity;
mod rules;
mod structural;
mod typing;
mod validate;
mod zeros;

#[cfg(test)]
mod tests;

pub use admit::admit;
pub use decode::decode;
pub use defaults::fill_defaults;
pub(crate) use patterns::compile as compile_pattern;
pub use prune::{drop_null_defaults, prune, unknown_fields};
pub use quantity::canonical_quantity;
pub(crate) use quantity::milli;
pub use rules::{Rules, validate_rules};
pub use structural::from_open_api;
pub use validate::validate;
pub use zeros::write_zeros;

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One node of a schema. Nodes are shared: a kind's tree holds each type once.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// What JSON is expected.
    pub shape: Shape,
    /// Whether null is a value of its own.
    pub nullable: bool,
    /// Value given to a missing field.
    pub default: Option<Value>,
    /// Declared fields of an object.
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// Undeclared fields of an object.
    pub additional: Additional,
    /// Elements of a list.
    pub items: Option<Arc<Schema>>,
    /// Whether undeclared fields are kept (`x-kubernetes-preserve-unknown-fields`).
    pub unknown: Unknown,
    /// Whether the object is itself an API object (`x-kubernetes-embedded-resource`).
    pub embedded: Embedded,
    /// Who owns what inside: how apply merges lists and maps.
    pub merge: Merge,
    /// How a strategic merge patch treats the field.
    pub patch: PatchStrategy,
    /// Fields that must be there.
    pub required: Vec<String>,
    /// Limits on values, for custom kinds.
    pub checks: Option<Box<Checks>>,
    /// Name of the Go type of a built-in struct, for its decoding errors and zero values.
    pub go_type: Option<Arc<str>>,
    /// What happens to a zero value when a built-in object is written out.
    pub zero: Zero,
}

/// What JSON is expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    #[default]
    Any,
    /// An object with declared or free fields.
    Object,
    /// A list.
    List,
    /// A string.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A whole number or a string.
    IntOrString,
    /// A resource quantity: a string, or a number that is read as one.
    Quantity,
    /// An RFC 3339 time.
    Time,
    /// Base64.
    Bytes,
}

/// Undeclared fields of an object.
#[derive(Debug, Clone, Default)]
pub enum Additional {
    /// There are none.
    #[default]
    None,
    /// Any value.
    Any,
    /// Values of one schema.
    Schema(Arc<Schema>),
}

/// Whether undeclared fields are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// They are dropped.
    #[default]
    Prune,
    /// They are kept.
    Keep,
}

/// Whether an object is itself an API object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Embedded {
    /// It is not.
    #[default]
    No,
    /// It is, with apiVersion, kind and metadata.
    Yes,
}

/// How ownership and merging work inside a list or an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Merge {
    /// The kind's own: objects field by field, lists as a whole.
    #[default]
    Natural,
    /// As a whole.
    Atomic,
    /// A list that is a set of scalars.
    Set,
    /// A list of objects known by these keys.
    Map(Vec<ListKey>),
}

/// A key of a list map, with the value that a missing key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListKey {
    /// Field that holds the key.
    pub name: String,
    /// What it is when it is absent.
    pub default: Option<Value>,
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PatchStrategy {
    /// Objects merge, lists are replaced.
    #[default]
    Natural,
    /// The field is replaced.
    Replace,
    /// The list merges: by this key, or as a set of scalars.
    Merge(Option<String>),
    /// The object merges, and `$retainKeys` names what stays.
    RetainKeys,
    /// The list merges by this key, and its elements take `$retainKeys`.
    MergeRetainKeys(String),
}

/// What happens to a zero value (`0`, `""`, `false`, an empty list) of a built-in field when the
/// object is written out: what its Go type and JSON tag say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zero {
    /// It is kept when it was given.
    #[default]
    Keep,
    /// It is left out.
    Omit,
    /// It is written even when it was not given.
    Write,
    /// Null is written when it was not given.
    WriteNull,
}

/// Limits on the values of a node.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Allowed values.
    pub one_of_values: Vec<Value>,
    /// Pattern of strings.
    pub pattern: Option<Pattern>,
    /// Format of strings and numbers.
    pub format: String,
    /// Smallest number.
    pub minimum: Option<Bound>,
    /// Largest number.
    pub maximum: Option<Bound>,
    /// Divisor.
    pub multiple_of: Option<f64>,
    /// Shortest and longest string, in characters.
    pub length: Range,
    /// Fewest and most elements.
    pub items: Range,
    /// Fewest and most fields.
    pub properties: Range,
    /// No two elements are equal.
    pub unique_items: bool,
    /// All of these hold.
    pub all_of: Vec<Arc<Schema>>,
    /// At least one of these holds.
    pub any_of: Vec<Arc<Schema>>,
    /// Exactly one of these holds.
    pub one_of: Vec<Arc<Schema>>,
    /// This does not hold.
    pub not: Option<Arc<Schema>>,
}

/// A compiled pattern with its source.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written in the schema.
    pub source: String,
    /// Compiled.
    pub regex: Arc<Regex>,
}

/// A bound of a number.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The bound, as written.
    pub value: Value,
    /// Whether the bound itself is out.
    pub exclusive: bool,
}

/// Smallest and largest size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// At least this many.
    pub min: Option<u64>,
    /// At most this many.
    pub max: Option<u64>,
}

impl Schema {
    /// A schema that knows nothing and keeps everything.
    pub fn any() -> Arc<Self> {
        Arc::new(Self {
            unknown: Unknown::Keep,
            ..Self::default()
        })
    }

    /// A scalar of a shape.
    pub fn scalar(shape: Shape) -> Self {
        Self {
            shape,
            ..Self::default()
        }
    }

    /// The schema of a field, declared or not.
    pub fn field(&self, name: &str) -> Option<&Arc<Self>> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            Additional::None | Additional::Any => None,
        })
    }

    /// Whether a field is declared by name.
    pub fn declares(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// Whether values of undeclared fields are kept as they are.
    pub fn keeps_unknown(&self) -> bool {
        self.unknown == Unknown::Keep || matches!(self.additional, Additional::Any)
    }
}

/// A path with a field added, as error messages write it.
pub(crate) fn child_path(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        path => format!("{path}.{field}"),
    }
}

/// A path with a map key added: `labels[key]` where the server writes keys so.
pub(crate) fn key_path(path: &str, key: &str) -> String {
    format!("{path}[{key}]")
}

/// A path with a list index added.
pub(crate) fn index_path(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
