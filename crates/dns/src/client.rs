//! Who asks, who answers, and what an answer depends on besides the query's bytes.

use std::net::IpAddr;

use crate::error::Error;
use crate::tsig::Keys;

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
    /// A stream (RFC 7766): 65,535 bytes, as with all that follow.
    Tcp,
    /// A stream within TLS (RFC 7858).
    Tls,
    /// A request over HTTPS (RFC 8484).
    Https,
    /// A stream of a QUIC connection (RFC 9250).
    Quic,
}

impl Transport {
    /// Every transport, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Https, Self::Quic];

    /// A fixed label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    /// Whether others on the way see only how long messages are.
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Quic)
    }

    /// Whether the client may keep it open for more queries by RFC 7828: HTTP and QUIC have
    /// means of their own for that.
    pub(crate) fn has_keepalive(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

/// Keys of server cookies (RFC 9018 § 5), shared by all replicas.
#[derive(Clone)]
pub struct Secrets {
    /// New cookies are made with this one.
    pub current: [u8; 16],
    /// Cookies of this one are still accepted: the one before, or the one to come.
    pub other: Option<[u8; 16]>,
}

/// The server that answers, beside the zones: the same for every query.
#[derive(Clone)]
pub struct Server {
    /// Keys of its cookies.
    pub secrets: Secrets,
    /// What it says of itself.
    pub identity: Identity,
    /// For how long it keeps a stream that is idle, in tenths of a second: told to clients that
    /// ask (RFC 7828).
    pub stream_idle_deciseconds: u16,
    /// Keys of those who sign their queries.
    pub keys: Keys,
}

impl From<Secrets> for Server {
    /// One that says nothing of itself and closes streams when it likes.
    fn from(secrets: Secrets) -> Self {
        Self {
            secrets,
            identity: Identity::default(),
            stream_idle_deciseconds: 0,
            keys: Keys::default(),
        }
    }
}

/// What a server says of itself to those who ask. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    name: Option<Box<str>>,
    version: Option<Box<str>>,
}

/// The longest name or version.
pub const IDENTITY_BYTES_MAX: usize = 64;

impl Identity {
    /// Its `name` is the answer to NSID (RFC 5001), `id.server` and `hostname.bind` (RFC 4892),
    /// and tells the replicas of an anycast address apart; its `version` is the answer to
    /// `version.server` and `version.bind`. What is `None` is refused.
    ///
    /// # Errors
    /// When one has more than [`IDENTITY_BYTES_MAX`] bytes.
    pub fn new(name: Option<&str>, version: Option<&str>) -> Result<Self, Error> {
        for text in [name, version].into_iter().flatten() {
            if text.len() > IDENTITY_BYTES_MAX {
                return Err(Error::IdentityTooLong {
                    text: text.to_owned(),
                });
            }
        }
        Ok(Self {
            name: name.map(Into::into),
            version: version.map(Into::into),
        })
    }

    /// The server's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its version.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

/// What was answered: how many bytes of the buffer, and of which class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The reply's length; 0 means that nothing is to be sent.
    pub len: usize,
    /// Its class, for counters and rate limits.
    pub class: ReplyClass,
    /// Whether the query came from the address that it says.
    pub origin: Origin,
    /// Its code, with the bits that OPT holds (RFC 6891 § 6.1.3).
    pub rcode: u16,
    /// The number of its zone, see [`crate::Snapshot::zone_numbers`]; 0 without one.
    pub zone: u16,
}

/// What is known of a query's source address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It may be another's.
    Claimed,
    /// A cookie that was sent to that address came back from it (RFC 7873 § 5.2.4).
    Proven,
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
    /// Records of a zone for one of its secondaries.
    Transfer,
    /// What became of a change that was asked for (RFC 2136).
    Update,
    /// Outside the zones, of another class, or a transfer to somebody else.
    Refused,
    /// The query's signature cannot be believed.
    NotAuth,
    /// The query is malformed.
    FormErr,
    /// Another opcode than QUERY.
    NotImp,
    /// Another version of EDNS than 0.
    BadVersion,
    /// Under a rate limit: ask again with the cookie that the reply has (RFC 7873 § 5.2.3).
    BadCookie,
    /// Under a rate limit: TC is set, ask again over TCP.
    Limited,
    /// What the server says of itself (RFC 4892).
    Identity,
    /// What is known is too old to be served, or a chain of aliases is too long.
    ServFail,
    /// Nothing is sent: not a query, or too short to be one.
    Dropped,
}

impl ReplyClass {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Static,
        Self::Steered,
        Self::NoData,
        Self::NxDomain,
        Self::Referral,
        Self::Truncated,
        Self::CookieOnly,
        Self::Transfer,
        Self::Update,
        Self::Refused,
        Self::NotAuth,
        Self::FormErr,
        Self::NotImp,
        Self::BadVersion,
        Self::BadCookie,
        Self::Limited,
        Self::Identity,
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
            Self::Transfer => "transfer",
            Self::Update => "update",
            Self::Refused => "refused",
            Self::NotAuth => "notauth",
            Self::FormErr => "formerr",
            Self::NotImp => "notimp",
            Self::BadVersion => "badvers",
            Self::BadCookie => "badcookie",
            Self::Limited => "limited",
            Self::Identity => "identity",
            Self::ServFail => "servfail",
            Self::Dropped => "dropped",
        }
    }
}
