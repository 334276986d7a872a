//! Record types, records and the data that the engine needs to understand by itself.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::rr::RecordType as ProtoType;

use crate::name::Name;

/// A record type by its number (RFC 1035 § 3.2.2); unknown ones are as good as known ones
/// (RFC 3597).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// A name server of a zone, or a delegation.
    pub const NS: Self = Self(2);
    /// An alias.
    pub const CNAME: Self = Self(5);
    /// The start of a zone.
    pub const SOA: Self = Self(6);
    /// A pointer.
    pub const PTR: Self = Self(12);
    /// A mail exchange.
    pub const MX: Self = Self(15);
    /// Text.
    pub const TXT: Self = Self(16);
    /// An IPv6 address.
    pub const AAAA: Self = Self(28);
    /// A service's location (RFC 2782).
    pub const SRV: Self = Self(33);
    /// An alias of a whole subtree (RFC 6672).
    pub const DNAME: Self = Self(39);
    /// EDNS (RFC 6891); never data.
    pub const OPT: Self = Self(41);
    /// A delegation's signer (RFC 4034 § 5), the only data of the parent at a cut.
    pub const DS: Self = Self(43);
    /// Service binding (RFC 9460).
    pub const SVCB: Self = Self(64);
    /// Service binding of HTTPS (RFC 9460).
    pub const HTTPS: Self = Self(65);
    /// Incremental transfer; never data.
    pub const IXFR: Self = Self(251);
    /// Transfer; never data.
    pub const AXFR: Self = Self(252);
    /// All that there is; never data.
    pub const ANY: Self = Self(255);
    /// Who may issue certificates (RFC 8659).
    pub const CAA: Self = Self(257);

    /// Whether a zone may hold records of this type: not OPT, not 0, not the query types
    /// (RFC 6895 § 3.1).
    pub fn is_data(self) -> bool {
        !matches!(self.0, 0 | 41 | 128..=255)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ProtoType::from(self.0) {
            ProtoType::Unknown(number) => write!(out, "TYPE{number}"),
            known => write!(out, "{known}"),
        }
    }
}

impl FromStr for RecordType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let upper = text.to_ascii_uppercase();
        if let Some(number) = upper.strip_prefix("TYPE") {
            return number
                .parse()
                .map(Self)
                .map_err(|_| UnknownType(text.to_owned()));
        }
        upper
            .parse::<ProtoType>()
            .map(|known| Self(known.into()))
            .map_err(|_| UnknownType(text.to_owned()))
    }
}

/// A record type's mnemonic that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no record type: write TYPEnnn for one that has no name (RFC 3597)")]
pub struct UnknownType(pub String);

/// One record of a zone; class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose record it is.
    pub owner: Name,
    /// How long a resolver may keep it.
    pub ttl_secs: u32,
    /// Its type.
    pub record_type: RecordType,
    /// Its data, in wire form without compression.
    pub data: Box<[u8]>,
}

impl Record {
    /// An A or AAAA record.
    pub fn address(owner: Name, ttl_secs: u32, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::new(owner, ttl_secs, RecordType::A, v4.octets().to_vec()),
            IpAddr::V6(v6) => Self::new(owner, ttl_secs, RecordType::AAAA, v6.octets().to_vec()),
        }
    }

    /// A record whose data is one name: NS, CNAME, PTR or DNAME.
    pub fn name(owner: Name, ttl_secs: u32, record_type: RecordType, target: &Name) -> Self {
        Self::new(owner, ttl_secs, record_type, target.wire().to_vec())
    }

    /// A record of any type.
    pub fn new(
        owner: Name,
        ttl_secs: u32,
        record_type: RecordType,
        data: impl Into<Box<[u8]>>,
    ) -> Self {
        Self {
            owner,
            ttl_secs,
            record_type,
            data: data.into(),
        }
    }
}

/// The start of authority (RFC 1035 § 3.3.13); times in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// The primary server.
    pub primary: Name,
    /// The responsible person's mailbox, as a name.
    pub mailbox: Name,
    /// The zone's version.
    pub serial: u32,
    /// When a secondary looks again.
    pub refresh_secs: u32,
    /// When it tries again after a failure.
    pub retry_secs: u32,
    /// When it gives up.
    pub expire_secs: u32,
    /// How long a negative answer is kept (RFC 2308 § 4).
    pub minimum_secs: u32,
}

impl Soa {
    /// The record's data in wire form.
    pub fn data(&self) -> Vec<u8> {
        let mut data = [self.primary.wire(), self.mailbox.wire()].concat();
        let numbers = [
            self.serial,
            self.refresh_secs,
            self.retry_secs,
            self.expire_secs,
            self.minimum_secs,
        ];
        data.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        data
    }
}

/// The names that stand in the data of a type, as `(prefix bytes, names)`: only the types of
/// RFC 1035 may be compressed (RFC 3597 § 4).
pub(crate) fn compressible(record_type: RecordType) -> Option<(usize, usize)> {
    match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => Some((0, 1)),
        RecordType::SOA => Some((0, 2)),
        RecordType::MX => Some((2, 1)),
        _ => None,
    }
}

/// The length of the name at the start of `data`, if a whole one stands there.
pub(crate) fn name_length(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*data.get(at)?);
        at += 1 + length;
        match length {
            0 => return Some(at).filter(|length| *length <= crate::name::NAME_BYTES_MAX),
            1..=crate::name::LABEL_BYTES_MAX => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_written_by_name_or_number() {
        for (text, number) in [("A", 1), ("aaaa", 28), ("TYPE65280", 65280), ("CAA", 257)] {
            assert_eq!(text.parse(), Ok(RecordType(number)));
        }
        assert_eq!(RecordType(65280).to_string(), "TYPE65280");
        assert_eq!(RecordType::HTTPS.to_string(), "HTTPS");
        assert_eq!(
            "TYPE70000".parse::<RecordType>(),
            Err(UnknownType("TYPE70000".into()))
        );
        assert_eq!(
            "NOPE".parse::<RecordType>(),
            Err(UnknownType("NOPE".into()))
        );
    }
}
