//! What can go wrong at the engine's edge. Bad specs are not errors but statuses.

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A checkpoint of another version.
    #[error("checkpoint has version {found}, this program reads {expected}; start without it")]
    CheckpointVersion {
        /// The version found.
        found: u32,
        /// The version this program writes.
        expected: u32,
    },
    /// `explain` was asked for a name that is not steered.
    #[error("{host} is not served here; the steered names are {known}")]
    UnknownHost {
        /// What was asked for.
        host: String,
        /// Those that are, separated by commas.
        known: String,
    },
}

impl Error {
    /// A fixed label for metrics and decisions.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CheckpointVersion { .. } => "checkpoint_version",
            Self::UnknownHost { .. } => "unknown_host",
        }
    }
}
