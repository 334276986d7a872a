//! What can be wrong with what the engine is given. Answering itself never fails.

use crate::client::IDENTITY_BYTES_MAX;
use crate::name::Name;

/// A refused input: what was wrong and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A domain name that breaks RFC 1035 § 2.3.4 or § 5.1.
    #[error("{text:?} is not a domain name: {problem}")]
    Name {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line of zone text that cannot be read.
    #[error("line {line}: {problem}")]
    Text {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A zone whose records do not fit together.
    #[error("zone {origin}: {problem}")]
    Zone {
        /// The zone's origin.
        origin: Name,
        /// What is wrong, and at which name.
        problem: String,
    },
    /// A steered name that cannot be served as given.
    #[error("steered name {name}: {problem}")]
    Steered {
        /// The name.
        name: Name,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// What a server would say of itself does not fit.
    #[error("identity {text:?} has more than {IDENTITY_BYTES_MAX} bytes: shorten it")]
    IdentityTooLong {
        /// The text.
        text: String,
    },
    /// A key of TSIG that cannot be used.
    #[error("key {name}: {problem}")]
    Key {
        /// Its name.
        name: String,
        /// What is wrong with it; never the secret.
        problem: &'static str,
    },
    /// Leaves that do not cover the address space exactly once.
    #[error("view table, {family}: {problem}")]
    Views {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// Where the leaves overlap, leave a gap or are malformed.
        problem: String,
    },
}

impl Error {
    /// A fixed label for metrics and conditions.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name",
            Self::Text { .. } => "text",
            Self::Zone { .. } => "zone",
            Self::Steered { .. } => "steered",
            Self::IdentityTooLong { .. } => "identity_too_long",
            Self::Key { .. } => "key",
            Self::Views { .. } => "views",
        }
    }
}
