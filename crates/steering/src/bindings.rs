//! Steered HTTPS and SVCB records (RFC 9460): how to speak with a service, and hints of the addresses
//! that the same client is steered to.
//!
//! A hint follows health and place as the address does. Of a cluster, one record has the addresses of
//! both families.
//!
//! | owner | type | target | an endpoint that is a hostname |
//! |---|---|---|---|
//! | the host | HTTPS | the owner (§ 2.5) | answers as an alias, for every type; where none can be, its addresses are hints |
//! | `_8443._https.` before it (§ 9.1) | HTTPS | the host | is the target |
//! | `_dns.` and others before it (§ 2.3, RFC 9461) | SVCB | the host | is the target |

use crate::{
    choose::Pick,
    resolve::Hostnames,
    spec::{EndpointStatus, HttpsSpec, SvcbSpec},
};
use dns::{Answer, Choice, Content, Name, RecordType, SteeredRecords};
use model::Target;
use std::net::IpAddr;

/// Addresses of one family in a record: clients try few.
const HINTS_MAX: usize = 8;
/// Service mode, the one record of its answer (RFC 9460 § 2.4.1).
const PRIORITY: u16 = 1;
/// The target that is the owner itself, in wire form (RFC 9460 § 2.5).
const OWNER: &[u8] = &[0];
/// Where a record's target begins.
const TARGET_AT: usize = size_of_val(&PRIORITY);

/// Keys of parameters (RFC 9460 § 14.3.2, RFC 9461 § 5), in the order that they must have.
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;
const DOH_PATH: u16 = 7;

/// What records say besides addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) record_type: RecordType,
    alpn: &'a [String],
    port: Option<u16>,
    doh_path: Option<&'a str>,
    owner: Owner,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Host,
    /// At a name of its own below the host.
    Prefixed,
}

impl<'a> Binding<'a> {
    /// The HTTPS record of a host.
    pub(crate) fn of_host(https: &'a HttpsSpec) -> Self {
        Self {
            record_type: RecordType::HTTPS,
            alpn: &https.alpn,
            port: https.port,
            doh_path: None,
            owner: Owner::Host,
        }
    }

    /// The record at a prefix.
    pub(crate) fn prefixed(svcb: &'a SvcbSpec) -> Self {
        Self {
            record_type: match svcb.is_https() {
                true => RecordType::HTTPS,
                false => RecordType::SVCB,
            },
            alpn: &svcb.alpn,
            port: svcb.port,
            doh_path: svcb.doh_path.as_deref(),
            owner: Owner::Prefixed,
        }
    }

    /// The shares of one pick: one for all its addresses, one for each hostname.
    pub(crate) fn shares(
        &self,
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
                None => shares.push((part(endpoint), self.elsewhere(&endpoint.target))),
            }
        }
        if !addresses.is_empty() {
            shares.push((of_addresses, self.content(&addresses)));
        }
        if shares.is_empty() {
            shares.push((pick.share, Content::NoData));
        }
        shares
    }

    /// What goes with the addresses of a last resort.
    pub(crate) fn last_resort(&self, addresses: &[IpAddr], ttl_secs: u32) -> Choice {
        let content = self.content(addresses);
        Choice::One(Answer { ttl_secs, content })
    }

    /// The data of the one record, whose target is its owner.
    pub(crate) fn record(&self, addresses: &[IpAddr]) -> Box<[u8]> {
        self.data(OWNER, addresses)
    }

    fn content(&self, addresses: &[IpAddr]) -> Content {
        Content::Records(vec![self.record(addresses)])
    }

    /// An endpoint whose addresses somebody else tells.
    fn elsewhere(&self, target: &Target) -> Content {
        let name = Name::parse(&target.to_string());
        name.map_or(Content::NoData, |name| match self.owner {
            Owner::Host => Content::Alias(name),
            Owner::Prefixed => Content::Records(vec![self.data(name.wire(), &[])]),
        })
    }

    fn data(&self, target: &[u8], addresses: &[IpAddr]) -> Box<[u8]> {
        let mut data = PRIORITY.to_be_bytes().to_vec();
        data.extend(target);
        let mut parameter = |key: u16, value: &[u8]| {
            if !value.is_empty() {
                data.extend(key.to_be_bytes());
                data.extend((value.len() as u16).to_be_bytes());
                data.extend(value);
            }
        };
        let alpn = self.alpn.iter().filter_map(|protocol| {
            let length = u8::try_from(protocol.len()).ok().filter(|it| *it > 0)?;
            Some([&[length], protocol.as_bytes()].concat())
        });
        parameter(ALPN, &alpn.flatten().collect::<Vec<u8>>());
        if let Some(port) = self.port {
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
        parameter(DOH_PATH, self.doh_path.unwrap_or_default().as_bytes());
        data.into()
    }
}

/// The same records at a prefix of `host`, which is their target where it was the owner.
pub(crate) fn for_host(records: &SteeredRecords, host: &Name) -> SteeredRecords {
    let mut records = records.clone();
    for choice in &mut records.choices {
        let answers: Vec<&mut Answer> = match choice {
            Choice::One(answer) => vec![answer],
            Choice::Weighted(shares) | Choice::ByPrefix { shares, .. } => {
                shares.iter_mut().map(|it| &mut it.answer).collect()
            }
        };
        for answer in answers {
            if let Content::Records(records) = &mut answer.content {
                records
                    .iter_mut()
                    .for_each(|data| *data = data_for(data, host));
            }
        }
    }
    records
}

/// The same data, with `host` for a target that was the owner.
pub(crate) fn data_for(data: &[u8], host: &Name) -> Box<[u8]> {
    match data.split_at(TARGET_AT) {
        (priority, [0, parameters @ ..]) => [priority, host.wire(), parameters].concat().into(),
        _ => data.into(),
    }
}
