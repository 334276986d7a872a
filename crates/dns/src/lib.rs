//! The DNS engine: names, zones, precompiled answers, bytes to bytes.
//!
//! A [`SnapshotBuilder`] compiles zones and steered names into a [`Snapshot`]; [`answer`] takes
//! the bytes of a query and writes those of the reply. The engine has no sockets, no clock and no
//! chance of its own, and knows neither health nor geography: a [`ViewTable`] tells the view of
//! an address, and each steered name has one [`Choice`] per view.
//!
//! Start reading in `answer.rs`.

mod address;
mod answer;
mod check;
mod choice;
mod client;
mod cookie;
mod edition;
mod edns;
mod encoded;
mod error;
mod graft;
mod hash;
mod identity;
mod limit;
mod lookup;
mod message;
mod name;
mod names;
mod notify;
mod query;
mod rdata_text;
mod record;
mod reply_ttl;
mod road;
mod signed;
mod snapshot;
mod steered;
mod transfer;
mod tsig;
mod update;
mod view;
mod words;
mod zone;
mod zone_text;

pub use address::normalized;
pub use answer::{REPLY_BYTES_MAX, answer, answer_limited};
pub use check::{Finding, Severity, check};
pub use client::{
    Client, IDENTITY_BYTES_MAX, Identity, Origin, Reply, ReplyClass, Secrets, Server, Transport,
};
pub use edition::{Secondary, Transfer};
pub use edns::UDP_BYTES_MAX;
pub use error::Error;
pub use limit::{RateLimiter, Rates, Verdict};
pub use name::Name;
pub use notify::News;
pub use query::asks_keepalive;
pub use record::{Record, RecordType, Soa, UnknownType};
pub use reply_ttl::reply_ttl_secs;
pub use snapshot::{Snapshot, SnapshotBuilder, ZONES_NUMBERED_MAX};
pub use steered::{
    ANSWER_RECORDS_MAX, Answer, Choice, Content, Freshness, SHARES_MAX, Share, Steered,
    SteeredRecords,
};
pub use transfer::{Messages, transfer};
pub use tsig::{Key, Keys};
pub use update::{Challenge, Challenges, Requested, Update, UpdateCode, is_update, update};
pub use view::{Leaf, ViewTable};
pub use zone::{Checked, Zone};
pub use zone_text::read_records;
