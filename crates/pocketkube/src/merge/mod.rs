//! Patches: JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch.

mod json;
mod strategic;

pub use json::{json_patch, merge_patch};
pub use strategic::strategic_patch;
