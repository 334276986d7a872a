//! Steered HTTPS records (RFC 9460): how to speak with a service, and hints of the addresses that the
//! same client is steered to.
//!
//! A hint follows health and place as the address does. Of a cluster, one record has the addresses of
//! both families; an endpoint that is a hostname answers as an alias, for every type, and where none can be,
//! its addresses are hints as well.

use crate::{
    choose::Pick,
    resolve::Hostnames,
    spec::{EndpointStatus, HttpsSpec},
};
use dns::{Answer, Choice, Content, Name};
use std::net::IpAddr;

/// Addresses of one family in a record: clients try few.
const HINTS_MAX: usize = 8;
/// Service mode, the one record of its answer (RFC 9460 § 2.4.1).
const PRIORITY: u16 = 1;

/// Keys of parameters (RFC 9460 § 14.3.2), in the order that they must have.
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

/// The shares of one pick: one for all its addresses, one for each alias.
pub(crate) fn shares(
    https: &HttpsSpec,
    pick: &Pick,
    endpoints: &[&EndpointStatus],
    hostnames: Hostnames<'_>,
) -> Vec<(f64, Content)> {
    let entries = || pick.entries.iter().map(|&at| endpoints[at]);
    let weight = |endpoint: &EndpointStatus| f64::from(endpoint.weight);
    let count = pick.entries.len() as f64;
    let whole: f64 = entries().map(weight).sum();
    let part = |endpoint: &EndpointStatus| match whole > 0.0 {
        true => pick.share * weight(endpoint) / whole,
        false => pick.share / count,
    };
    let mut shares = Vec::new();
    let (mut addresses, mut of_addresses) = (Vec::new(), 0.0);
    for endpoint in entries() {
        match hostnames.addresses(&endpoint.target) {
            Some(ips) => {
                addresses.extend(ips);
                of_addresses += part(endpoint);
            }
            None => {
                let name = Name::parse(&endpoint.target.to_string());
                let alias = name.map_or(Content::NoData, Content::Alias);
                shares.push((part(endpoint), alias));
            }
        }
    }
    if !addresses.is_empty() {
        shares.push((of_addresses, record(https, &addresses)));
    }
    if shares.is_empty() {
        shares.push((pick.share, Content::NoData));
    }
    shares
}

/// What goes with the addresses of a last resort.
pub(crate) fn last_resort(https: &HttpsSpec, addresses: &[IpAddr], ttl_secs: u32) -> Choice {
    let content = record(https, addresses);
    Choice::One(Answer { ttl_secs, content })
}

/// One record whose target is its owner (RFC 9460 § 2.5).
fn record(https: &HttpsSpec, addresses: &[IpAddr]) -> Content {
    let mut data = PRIORITY.to_be_bytes().to_vec();
    data.push(0);
    let mut parameter = |key: u16, value: &[u8]| {
        if !value.is_empty() {
            data.extend(key.to_be_bytes());
            data.extend((value.len() as u16).to_be_bytes());
            data.extend(value);
        }
    };
    let alpn = https.alpn.iter().filter_map(|protocol| {
        let length = u8::try_from(protocol.len()).ok().filter(|it| *it > 0)?;
        Some([&[length], protocol.as_bytes()].concat())
    });
    parameter(ALPN, &alpn.flatten().collect::<Vec<u8>>());
    if let Some(port) = https.port {
        parameter(PORT, &port.to_be_bytes());
    }
    let v4 = addresses.iter().filter_map(|ip| match ip {
        IpAddr::V4(v4) => Some(v4.octets()),
        IpAddr::V6(_) => None,
    });
    let v6 = addresses.iter().filter_map(|ip| match ip {
        IpAddr::V6(v6) => Some(v6.octets()),
        IpAddr::V4(_) => None,
    });
    parameter(
        IPV4_HINT,
        &v4.take(HINTS_MAX).flatten().collect::<Vec<u8>>(),
    );
    parameter(
        IPV6_HINT,
        &v6.take(HINTS_MAX).flatten().collect::<Vec<u8>>(),
    );
    Content::Records(vec![data.into()])
}
