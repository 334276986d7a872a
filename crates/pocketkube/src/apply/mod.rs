//! Who owns which field (`metadata.managedFields`), and server-side apply (KEP-555).
//!
//! [`apply`] merges what one manager wants into an object and refuses to take fields that others
//! own; [`track_update`] records who changed what in every other write.
//!
//! The semantics are those of structured merge: a field set is a tree of paths; objects merge
//! field by field, lists as a whole, unless the schema says that they are sets or have keys.

mod compare;
mod conflicts;
mod fields_v1;
mod fit;
mod managed;
mod merge;
mod path;
mod remove;
mod scale;
mod set;
mod update;
mod walk;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

pub use managed::Operation;
pub use path::Element;
pub use scale::{ReplicasPaths, SCALE_VERSION, managers_of_parent, managers_of_scale};
pub use set::FieldSet;
pub use update::{Writer, apply, track_update};
