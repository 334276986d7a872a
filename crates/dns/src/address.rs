//! IPv4 addresses inside IPv6 ones: a client behind a translator or a tunnel is looked up as the
//! IPv4 client that it is.

use std::net::{IpAddr, Ipv4Addr};

/// An address as its bits: it stays in registers on the way to its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// Left-aligned.
    pub(crate) bits: u128,
    pub(crate) is_v4: bool,
}

impl Address {
    #[inline]
    pub(crate) fn v4(bits: u32) -> Self {
        Self {
            bits: u128::from(bits) << 96,
            is_v4: true,
        }
    }

    #[inline]
    pub(crate) fn v6(bits: u128) -> Self {
        Self { bits, is_v4: false }
    }

    /// The address inside, where it carries one, and the bit at which that begins; else itself.
    #[inline]
    pub(crate) fn inner(self) -> (Self, u8) {
        if self.is_v4 {
            return (self, 0);
        }
        embedded(self.bits).map_or((self, 0), |(v4, start)| (Self::v4(v4), start))
    }
}

impl From<IpAddr> for Address {
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.to_bits()),
            IpAddr::V6(v6) => Self::v6(v6.to_bits()),
        }
    }
}

/// A prefix whose addresses carry an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Embedding {
    /// The prefix, left-aligned.
    pub(crate) prefix: u128,
    /// Its length.
    pub(crate) length: u8,
    /// The bit at which the IPv4 address begins.
    pub(crate) start: u8,
    /// What its bits are combined with by exclusive or: Teredo inverts them.
    pub(crate) mask: u32,
}

/// All six forms.
pub(crate) const EMBEDDINGS: [Embedding; 6] = [
    // IPv4-compatible, ::/96 (RFC 4291 § 2.5.5.1).
    Embedding {
        prefix: 0,
        length: 96,
        start: 96,
        mask: 0,
    },
    // IPv4-mapped, ::ffff:0:0/96 (RFC 4291 § 2.5.5.2).
    Embedding {
        prefix: 0xffff << 32,
        length: 96,
        start: 96,
        mask: 0,
    },
    // IPv4-translated, ::ffff:0:0:0/96 (RFC 2765 § 2.1).
    Embedding {
        prefix: 0xffff << 48,
        length: 96,
        start: 96,
        mask: 0,
    },
    // NAT64, 64:ff9b::/96 (RFC 6052 § 2.1).
    Embedding {
        prefix: 0x0064_ff9b << 96,
        length: 96,
        start: 96,
        mask: 0,
    },
    // Teredo, 2001::/32 (RFC 4380 § 4).
    Embedding {
        prefix: 0x2001_0000 << 96,
        length: 32,
        start: 96,
        mask: u32::MAX,
    },
    // 6to4, 2002::/16 (RFC 3056 § 2).
    Embedding {
        prefix: 0x2002 << 112,
        length: 16,
        start: 16,
        mask: 0,
    },
];

/// The IPv4 address inside an IPv6 one, and the bit at which it begins.
#[inline]
fn embedded(bits: u128) -> Option<(u32, u8)> {
    // Few addresses begin like one of the six: look no further for all others.
    if !matches!(bits >> 112, 0 | 0x0064 | 0x2001 | 0x2002) {
        return None;
    }
    let form = EMBEDDINGS
        .iter()
        .find(|form| (bits ^ form.prefix) >> (128 - form.length) == 0)?;
    let inner = (bits >> (96 - form.start)) as u32 ^ form.mask;
    Some((inner, form.start))
}

/// `address` as the IPv4 address that it carries, if it does.
pub fn normalized(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            embedded(v6.to_bits()).map_or(address, |(v4, _)| IpAddr::V4(Ipv4Addr::from_bits(v4)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_forms_are_looked_up_as_ipv4() {
        for given in [
            "::192.0.2.1",
            "::ffff:192.0.2.1",
            "::ffff:0:192.0.2.1",
            "64:ff9b::192.0.2.1",
            "2001:0:4136:e378:8000:63bf:3fff:fdfe",
            "2002:c000:201::1",
        ] {
            let given: IpAddr = given.parse().unwrap();
            assert_eq!(normalized(given).to_string(), "192.0.2.1", "{given}");
        }
    }

    #[test]
    fn other_addresses_stay() {
        for given in [
            "192.0.2.1",
            "2001:db8::1",
            "2003::1",
            "64:ff9b:1::1",
            "fe80::1",
        ] {
            let given: IpAddr = given.parse().unwrap();
            assert_eq!(normalized(given), given);
        }
    }
}
