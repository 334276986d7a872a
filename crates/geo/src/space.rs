//! Address space that has no place, and IPv4 inside IPv6.

use crate::partition::Block;
use ipnet::IpNet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Private, shared and local IPv4 space: RFC 1122 "this network" and loopback, RFC 1918, RFC 6598
/// (carrier-grade NAT), RFC 3927. In order, disjoint.
const PLACELESS_V4: [([u8; 4], u8); 7] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
];

/// Of these, and of IPv6, what networks may use as they like.
const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
];

/// Unique local (RFC 4193) and link-local (RFC 4291) IPv6 space, with its first 16 bits.
const PLACELESS_V6: [(u16, u8); 2] = [(0xfc00, 7), (0xfe80, 10)];

/// The IPv4 address that an IPv6 address stands for, in any of the six forms: mapped and compatible
/// (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380, the
/// client's).
pub fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    let last = pair(segments[6], segments[7]);
    match segments {
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => Some(last),
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(last),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last),
        [0x2002, high, low, ..] => Some(pair(high, low)),
        [0x2001, 0, ..] => Some(pair(!segments[6], !segments[7])),
        _ => None,
    }
}

/// Whether a network is within private or shared space: RFC 1918, RFC 6598 and RFC 4193, which belong to whoever uses
/// them, and to no place.
pub fn is_private(network: &IpNet) -> bool {
    let within = |text: &str| {
        let space: IpNet = text.parse().expect("a network");
        space.contains(network)
    };
    PRIVATE.into_iter().any(within)
}

/// The blocks of IPv4 space that belong to no place, all with one value.
pub(crate) fn placeless_v4(value: u32) -> Vec<Block> {
    let block = |&(octets, length): &([u8; 4], u8)| Block {
        first: u128::from(u32::from_be_bytes(octets)),
        length,
        value,
    };
    PLACELESS_V4.iter().map(block).collect()
}

/// The blocks of IPv6 space that belong to no place, all with one value.
pub(crate) fn placeless_v6(value: u32) -> Vec<Block> {
    let block = |&(high, length): &(u16, u8)| Block {
        first: u128::from(high) << 112,
        length,
        value,
    };
    PLACELESS_V6.iter().map(block).collect()
}

/// The blocks of IPv4 space in which no client of the public Internet is: those without a place, and multicast and
/// reserved space (RFC 1112 § 4).
pub(crate) fn not_public_v4(value: u32) -> Vec<Block> {
    let mut blocks = placeless_v4(value);
    blocks.push(Block {
        first: 0xe000_0000,
        length: 3,
        value,
    });
    blocks
}

/// The blocks of IPv6 space that are no global unicast space (RFC 4291 § 2.4): all but `2000::/3`.
pub(crate) fn not_public_v6(value: u32) -> Vec<Block> {
    let block = |(high, length): (u128, u8)| Block {
        first: high << 112,
        length,
        value,
    };
    [(0, 3), (0x4000, 2), (0x8000, 1)].map(block).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_networks_are_those_within_private_space() {
        let private = |text: &str| is_private(&text.parse().unwrap());
        assert!(
            ["10.0.0.0/8", "100.127.0.0/16", "fd00::/48"]
                .map(private)
                .iter()
                .all(|it| *it)
        );
        assert!(
            ![
                "0.0.0.0/0",
                "10.0.0.0/7",
                "192.0.2.0/24",
                "2001:db8::/32",
                "127.0.0.0/8"
            ]
            .map(private)
            .iter()
            .any(|it| *it)
        );
    }

    #[test]
    fn all_six_forms_give_their_ipv4_address() {
        for form in [
            "::ffff:192.0.2.33",
            "::192.0.2.33",
            "::ffff:0:192.0.2.33",
            "64:ff9b::192.0.2.33",
            "2002:c000:221::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdde",
        ] {
            let embedded = embedded_ipv4(form.parse().unwrap());
            assert_eq!(embedded, Some([192, 0, 2, 33].into()), "{form}");
        }
        for other in ["::", "::1", "2001:db8::1", "64:ff9b:1::1"] {
            assert_eq!(embedded_ipv4(other.parse().unwrap()), None, "{other}");
        }
    }
}
