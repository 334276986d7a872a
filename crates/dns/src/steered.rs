//! Steered names as they are given: per record type, which answer each view gets.
//!
//! The engine knows neither health nor geography. Whoever steers hands in a table of views and,
//! for each type, one [`Choice`] per view; health changes only which choices a name has.

use std::net::IpAddr;
use std::sync::Arc;

use crate::name::Name;
use crate::record::RecordType;
use crate::view::ViewTable;

/// The most answers one choice may hold.
pub const SHARES_MAX: usize = 256;
/// The most addresses or records in one answer.
pub const ANSWER_RECORDS_MAX: usize = 64;

/// A name whose answers depend on who asks.
#[derive(Debug, Clone)]
pub struct Steered {
    /// Which view a client has. Names of one policy share one table.
    pub views: Arc<ViewTable>,
    /// The record types that are steered; static records of other types stand beside them.
    pub records: Vec<SteeredRecords>,
    /// Whether the answers are known to be current.
    pub freshness: Freshness,
}

/// One record type of a steered name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SteeredRecords {
    /// The type; not CNAME, which is an [`Content::Alias`] in the place of addresses.
    pub record_type: RecordType,
    /// The distinct choices.
    pub choices: Vec<Choice>,
    /// Per view, the index of its choice. Shared where many names have the same.
    pub by_view: Arc<[u16]>,
}

impl SteeredRecords {
    /// One choice per view, in the order of the views; equal choices are kept once.
    ///
    /// # Panics
    /// Never: a table has at most 65,536 views.
    pub fn per_view(record_type: RecordType, views: impl IntoIterator<Item = Choice>) -> Self {
        let mut choices = Vec::new();
        let by_view = views
            .into_iter()
            .map(|choice| {
                let found = choices.iter().position(|known| *known == choice);
                let index = found.unwrap_or_else(|| {
                    choices.push(choice);
                    choices.len() - 1
                });
                u16::try_from(index).expect("a table has at most 65,536 views")
            })
            .collect();
        Self {
            record_type,
            choices,
            by_view,
        }
    }
}

/// How the answer is chosen for a client of one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Always the same answer.
    One(Answer),
    /// One of these by chance, per query. A single answer each, so that shares survive resolvers
    /// that rotate.
    Weighted(Vec<Share>),
    /// One of these by the client's prefix: the same for all clients of a prefix, and moving as
    /// few prefixes as can be when a share goes (weighted rendezvous hashing).
    ByPrefix {
        /// The fixed prefix length of IPv4 clients; the least ECS scope.
        bits_v4: u8,
        /// The fixed prefix length of IPv6 clients; the least ECS scope.
        bits_v6: u8,
        /// Between what is chosen.
        shares: Vec<Share>,
    },
}

/// An answer and its part of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The part, relative to the sum of all; a zero is never chosen.
    pub weight: u32,
    /// The answer.
    pub answer: Answer,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How long a resolver may keep it.
    pub ttl_secs: u32,
    /// What it says.
    pub content: Content,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Addresses of the record type's family, in this order.
    Addresses(Vec<IpAddr>),
    /// Data of any other type, in wire form without compression.
    Records(Vec<Box<[u8]>>),
    /// An alias to a hostname; it answers for every type of the name, which therefore has no
    /// static records (RFC 2181 § 10.1).
    Alias(Name),
    /// The name exists but has no such record: an endpoint without addresses of this family.
    NoData,
    /// Nothing healthy is left to name: NODATA with extended error 22 (RFC 8914). Never NXDOMAIN,
    /// which would deny the name and all below it.
    NothingHealthy,
}

/// Whether answers are known to be current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// As current as can be.
    #[default]
    Fresh,
    /// From a source that cannot be reached: served with extended error 3 (RFC 8914).
    Stale,
    /// Too old to be served: SERVFAIL, as an expired secondary.
    Expired,
}
