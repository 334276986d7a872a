//! Address to place, place to clusters by distance, as a compiled prefix table.
//!
//! ```text
//! MMDB bytes ──Database::read──► networks → places ──PrefixTable::compile──► prefix → view
//!                    countries.csv ┘                  candidates, bias ┘
//! ```
//!
//! Nothing is computed per query: a database is read once, and a table is compiled from it once per
//! distinct geographic policy. Bytes are arguments; this crate opens no file.

mod compile;
mod country;
mod database;
mod distance;
mod division;
mod error;
mod partition;
mod places;
mod record;
mod region;
mod space;
mod starts;
mod table;
mod tree;

pub use compile::{Candidate, Overlay, Ranking};
pub use country::{Continent, Countries, CountryCode};
pub use database::{Database, DatabaseFile, DatabaseHash, FileSummary, FoundPlace, Place};
pub use distance::{distance_km, seeming_km};
pub use division::{Division, Precedence, RuleMatch};
pub use error::{Error, Result};
pub use partition::Block;
pub use region::RegionLocations;
pub use space::{embedded_ipv4, is_private};
pub use table::{Compared, Family, FoundView, Group, PrefixTable, View};
