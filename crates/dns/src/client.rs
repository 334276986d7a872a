//! Who asks, and what an answer depends on besides the query's bytes.

use std::net::IpAddr;

/// The client of one query. Time and chance are arguments: the engine has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Where the query came from.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// The unix time, for server cookies; it may wrap (RFC 9018 § 4.3).
    pub now_secs: u32,
    /// Fresh random bits, for weighted choices.
    pub entropy: u64,
}

/// How a query came: it bounds the size of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram: 512 bytes without EDNS, and never more than 1232 (RFC 9715).
    Udp,
    /// A stream, with or without TLS, HTTP or QUIC: 65,535 bytes.
    Stream,
}

/// Keys of server cookies (RFC 9018 § 5), shared by all replicas.
#[derive(Clone)]
pub struct Secrets {
    /// New cookies are made with this one.
    pub current: [u8; 16],
    /// Cookies of this one are still accepted: the one before, or the one to come.
    pub other: Option<[u8; 16]>,
}

/// What was answered: how many bytes of the buffer, and of which class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The reply's length; 0 means that nothing is to be sent.
    pub len: usize,
    /// Its class, for counters and rate limits.
    pub class: ReplyClass,
}

/// A closed list of what a reply can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyClass {
    /// Records of a zone.
    Static,
    /// An answer that depends on who asks.
    Steered,
    /// The name exists, the type does not.
    NoData,
    /// Nothing exists at the name nor below it.
    NxDomain,
    /// The name is delegated.
    Referral,
    /// The answer did not fit: TC is set.
    Truncated,
    /// Only a server cookie (RFC 7873 § 5.4).
    CookieOnly,
    /// Outside the zones, of another class, or a transfer.
    Refused,
    /// The query is malformed.
    FormErr,
    /// Another opcode than QUERY.
    NotImp,
    /// Another version of EDNS than 0.
    BadVersion,
    /// What is known is too old to be served, or a chain of aliases is too long.
    ServFail,
    /// Nothing is sent: not a query, or too short to be one.
    Dropped,
}

impl ReplyClass {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Static,
        Self::Steered,
        Self::NoData,
        Self::NxDomain,
        Self::Referral,
        Self::Truncated,
        Self::CookieOnly,
        Self::Refused,
        Self::FormErr,
        Self::NotImp,
        Self::BadVersion,
        Self::ServFail,
        Self::Dropped,
    ];

    /// A fixed label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Steered => "steered",
            Self::NoData => "nodata",
            Self::NxDomain => "nxdomain",
            Self::Referral => "referral",
            Self::Truncated => "truncated",
            Self::CookieOnly => "cookie_only",
            Self::Refused => "refused",
            Self::FormErr => "formerr",
            Self::NotImp => "notimp",
            Self::BadVersion => "badvers",
            Self::ServFail => "servfail",
            Self::Dropped => "dropped",
        }
    }
}
