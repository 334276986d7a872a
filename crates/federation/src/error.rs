//! What can keep a cluster's object from being rendered.

use thiserror::Error;

/// Why a cluster's object cannot be rendered. Values never appear in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The template is not what an object can be made of.
    #[error("template{path}: {why}")]
    Template {
        /// Where, as a JSON Pointer; empty for the template itself.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// An override does not fit.
    #[error("{field} at {path}: {why}")]
    Override {
        /// The override, relative to `spec`.
        field: String,
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl RenderError {
    /// A fixed label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Template { .. } => "template",
            Self::Override { .. } => "override",
        }
    }

    pub(crate) fn template(path: &str, why: &str) -> Self {
        Self::Template {
            path: path.to_owned(),
            why: why.to_owned(),
        }
    }
}
