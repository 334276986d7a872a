//! What can be wrong with geographic data. Each error says which file, what, and what to do.

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why geographic data could not be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The file has no MMDB metadata at its end.
    #[error(
        "{file}: not a readable MMDB file of {bytes} bytes ({reason}); \
         it may be cut short or another format: fetch it again"
    )]
    NotMmdb {
        /// The file's name, as it was given.
        file: String,
        /// How long it is.
        bytes: usize,
        /// What the reader said.
        reason: String,
    },
    /// The file's tree or a record of it is broken.
    #[error("{file}: broken MMDB file ({reason}); fetch it again")]
    Broken {
        /// The file's name, as it was given.
        file: String,
        /// What the reader said, and where.
        reason: String,
    },
    /// No record of the file names a place.
    #[error(
        "{file}: an MMDB file of type {kind:?} without places (no country.iso_code, country_code, \
         country, location.latitude, latitude or lat) and without autonomous systems; \
         give a country, city or ASN database"
    )]
    NoPlaces {
        /// The file's name, as it was given.
        file: String,
        /// Its `database_type`.
        kind: String,
    },
    /// A line of a table of countries or regions is wrong.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The file's name, as it was given.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A compiled table that was stored is not whole.
    #[error("stored prefix table is broken ({reason}); compile it again")]
    Stored {
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// A fixed label for metrics and decisions.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotMmdb { .. } => "not_mmdb",
            Self::Broken { .. } => "broken",
            Self::NoPlaces { .. } => "no_places",
            Self::Line { .. } => "line",
            Self::Stored { .. } => "stored",
        }
    }
}
