//! What can be wrong with a custom resource that the schema let pass.

use crate::spelling::nearest;

/// A field that cannot be used, with its path and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A required field is absent.
    #[error("{path}: required, and absent")]
    Missing {
        /// The field, as in `spec.placement.clusters[0].name`.
        path: String,
    },
    /// A field that does not exist there.
    #[error("{path}: unknown field{} known are {known}", meant(path, known))]
    Unknown {
        /// The field.
        path: String,
        /// What is allowed, comma-separated.
        known: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{path}: {message}")]
    Invalid {
        /// The field.
        path: String,
        /// What was found and what is allowed.
        message: String,
    },
}

impl Error {
    /// A value that is not allowed.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.into(),
            message: message.into(),
        }
    }

    /// An absent field.
    pub fn missing(path: impl Into<String>) -> Self {
        Self::Missing { path: path.into() }
    }

    /// The path of the field.
    pub fn path(&self) -> &str {
        match self {
            Self::Missing { path } | Self::Unknown { path, .. } | Self::Invalid { path, .. } => {
                path
            }
        }
    }

    /// A fixed label; none of these is worth a retry before the object changes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing_field",
            Self::Unknown { .. } => "unknown_field",
            Self::Invalid { .. } => "invalid_field",
        }
    }
}

/// What joins the two halves of the message: the spelling that was meant, when one is near.
fn meant(path: &str, known: &str) -> String {
    let word = path.rsplit('.').next().unwrap_or_default();
    match nearest(word, known.split(", ")) {
        Some(near) => format!(", did you mean {near}?"),
        None => ";".to_owned(),
    }
}
