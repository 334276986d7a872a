//! From shares of endpoints to the answers of a steered name.
//!
//! A and AAAA are decided together: the same clusters answer both, each with what it has. A cluster
//! without an address of a family answers NODATA for it in its share, so that shares hold for both
//! and DNS64 can do its work (RFC 6147 § 5.1.6). An endpoint that is a hostname answers as an alias,
//! and where none can be, with the addresses that a resolver gave for it.

use crate::{
    bindings::Binding,
    choose::{Form, Pick},
    resolve::Hostnames,
    spec::EndpointStatus,
};
use dns::{Answer, Choice, Content, Name, RecordType, Share};
use model::Target;
use std::net::IpAddr;

/// Into how many parts a whole is cut: shares are good to a millionth.
const PARTS: f64 = 1_000_000.0;

/// How many answers a choice may hold; `dns` refuses more. The greatest shares are kept.
const SHARES_MAX: usize = 256;

/// The prefix that is sticky as a whole: what resolvers send of a client (RFC 7871 § 11.1).
const STICKY_BITS_V4: u8 = 24;
const STICKY_BITS_V6: u8 = 56;

/// What is steered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// Addresses of one family.
    Addresses(RecordType),
    /// How to speak with them.
    Binding(Binding<'a>),
}

impl Wanted<'_> {
    pub(crate) fn record_type(&self) -> RecordType {
        match self {
            Self::Addresses(record_type) => *record_type,
            Self::Binding(binding) => binding.record_type,
        }
    }
}

/// What is always steered.
pub(crate) const ALWAYS: [Wanted<'static>; 2] = [
    Wanted::Addresses(RecordType::A),
    Wanted::Addresses(RecordType::AAAA),
];

/// The choice for one view and type.
pub(crate) fn choice(
    picks: &[Pick],
    endpoints: &[&EndpointStatus],
    wanted: Wanted<'_>,
    hostnames: Hostnames<'_>,
    ttl_secs: u32,
) -> Choice {
    let mut shares: Vec<(f64, Content)> = Vec::new();
    for pick in picks {
        let record_type = match wanted {
            Wanted::Addresses(family) => family,
            Wanted::Binding(binding) => {
                shares.extend(binding.shares(pick, endpoints, hostnames));
                continue;
            }
        };
        if let Form::Together(max) = pick.form
            && let Some(together) = together(pick, endpoints, record_type, hostnames, max)
        {
            shares.extend(together);
            continue;
        }
        let fitting: Vec<_> = pick
            .entries
            .iter()
            .filter_map(|&at| {
                let content = content(&endpoints[at].target, record_type, hostnames)?;
                Some((endpoints[at], content))
            })
            .collect();
        if fitting.is_empty() {
            shares.push((pick.share, Content::NoData));
            continue;
        }
        let whole: f64 = fitting.iter().map(|(endpoint, _)| weight(endpoint)).sum();
        for (endpoint, content) in &fitting {
            let part = if whole > 0.0 {
                weight(endpoint) / whole
            } else {
                1.0 / fitting.len() as f64
            };
            shares.push((pick.share * part, content.clone()));
        }
    }
    shares.retain(|(share, _)| *share > 0.0);
    match from_shares(shares, ttl_secs) {
        // One part that is sticky makes the whole choice sticky: shares hold over prefixes.
        Choice::Weighted(shares) if picks.iter().any(|pick| pick.form == Form::Sticky) => {
            Choice::ByPrefix {
                bits_v4: STICKY_BITS_V4,
                bits_v6: STICKY_BITS_V6,
                shares,
            }
        }
        choice => choice,
    }
}

/// Several addresses in one answer, each first and, if there are more than fit, each there equally
/// often; nothing when none is an address of the family, where aliases are left.
fn together(
    pick: &Pick,
    endpoints: &[&EndpointStatus],
    record_type: RecordType,
    hostnames: Hostnames<'_>,
    max: u32,
) -> Option<Vec<(f64, Content)>> {
    let targets = pick.entries.iter().map(|&at| &endpoints[at].target);
    let ips: Vec<IpAddr> = targets
        .filter_map(|target| hostnames.addresses(target))
        .flatten()
        .filter(|ip| family(ip) == record_type)
        .take(SHARES_MAX)
        .collect();
    let size = ips.len().min(usize::try_from(max).unwrap_or(usize::MAX));
    let from = |first: usize| -> Vec<IpAddr> {
        let turned = ips.iter().cycle().skip(first);
        turned.take(size).copied().collect()
    };
    let share = pick.share / ips.len() as f64;
    let answers = (0..ips.len()).map(|first| (share, Content::Addresses(from(first))));
    (!ips.is_empty()).then(|| answers.collect())
}

/// The choice of a last resort: all its addresses in one answer.
pub(crate) fn last_resort(addresses: &[IpAddr], wanted: Wanted<'_>, ttl_secs: u32) -> Choice {
    let record_type = match wanted {
        Wanted::Addresses(family) => family,
        Wanted::Binding(binding) => return binding.last_resort(addresses, ttl_secs),
    };
    let fitting = addresses.iter().filter(|ip| family(ip) == record_type);
    let fitting: Vec<IpAddr> = fitting.copied().collect();
    let content = if fitting.is_empty() {
        Content::NoData
    } else {
        Content::Addresses(fitting)
    };
    Choice::One(Answer { ttl_secs, content })
}

/// The choice when nothing may answer.
pub(crate) fn nothing(ttl_secs: u32) -> Choice {
    Choice::One(Answer {
        ttl_secs,
        content: Content::NothingHealthy,
    })
}

fn weight(endpoint: &EndpointStatus) -> f64 {
    f64::from(endpoint.weight)
}

fn family(ip: &IpAddr) -> RecordType {
    match ip {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::AAAA,
    }
}

/// What an endpoint answers for a type, if anything.
fn content(target: &Target, record_type: RecordType, hostnames: Hostnames<'_>) -> Option<Content> {
    let Some(mut addresses) = hostnames.addresses(target) else {
        let name = Name::parse(&target.to_string());
        return name.ok().map(Content::Alias);
    };
    addresses.retain(|ip| family(ip) == record_type);
    (!addresses.is_empty()).then_some(Content::Addresses(addresses))
}

fn from_shares(shares: Vec<(f64, Content)>, ttl_secs: u32) -> Choice {
    let answer = |content| Answer { ttl_secs, content };
    let mut merged: Vec<(f64, Content)> = Vec::new();
    for (share, content) in shares {
        match merged.iter_mut().find(|(_, known)| *known == content) {
            Some(known) => known.0 += share,
            None => merged.push((share, content)),
        }
    }
    // Stable: of equal shares the first stays.
    merged.sort_by(|a, b| b.0.total_cmp(&a.0));
    merged.truncate(SHARES_MAX);
    if merged.len() <= 1 {
        let only = merged
            .pop()
            .map_or(Content::NothingHealthy, |(_, content)| content);
        return Choice::One(answer(only));
    }
    let whole: f64 = merged.iter().map(|(share, _)| share).sum();
    let parts: Vec<u32> = merged
        .iter()
        .map(|(share, _)| parts(share / whole))
        .collect();
    let common = parts.iter().copied().fold(0, greatest_common_divisor);
    let weighted = merged
        .into_iter()
        .zip(parts)
        .map(|((_, content), part)| Share {
            weight: part / common,
            answer: answer(content),
        });
    Choice::Weighted(weighted.collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is 0 to 1"
)]
fn parts(share: f64) -> u32 {
    ((share * PARTS).round() as u32).max(1)
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(cluster: &str, target: &str, weight: u32) -> EndpointStatus {
        let target = target
            .parse()
            .map_or_else(|_| Target::Hostname(target.into()), Target::Ip);
        EndpointStatus {
            cluster: cluster.into(),
            target,
            region: None,
            ready_replicas: None,
            wanted_replicas: None,
            weight,
        }
    }

    fn check(picks: &[(f64, &[usize])], record_type: RecordType, expected: &[(u32, &str)]) {
        let endpoints = [
            endpoint("a", "192.0.2.1", 1),
            endpoint("a", "192.0.2.2", 3),
            endpoint("a", "2001:db8::1", 1),
            endpoint("b", "192.0.2.3", 1),
            endpoint("c", "lb.example.net", 1),
        ];
        let endpoints: Vec<_> = endpoints.iter().collect();
        let picks: Vec<_> = picks
            .iter()
            .map(|(share, entries)| Pick {
                share: *share,
                clusters: vec!["x".into()],
                entries: entries.to_vec(),
                form: Form::One,
            })
            .collect();
        let tell = |content: &Content| match content {
            Content::Addresses(ips) => ips[0].to_string(),
            Content::Alias(name) => name.to_string(),
            other => format!("{other:?}"),
        };
        let found = match choice(
            &picks,
            &endpoints,
            Wanted::Addresses(record_type),
            Hostnames::Aliases,
            5,
        ) {
            Choice::One(answer) => vec![(1, tell(&answer.content))],
            Choice::Weighted(shares) => shares
                .iter()
                .map(|share| (share.weight, tell(&share.answer.content)))
                .collect(),
            Choice::ByPrefix { .. } => unreachable!("no pick is sticky"),
        };
        let found: Vec<_> = found
            .iter()
            .map(|(weight, text)| (*weight, text.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn endpoints_share_their_clusters_part_by_weight() {
        check(
            &[(1.0, &[0, 1, 2])],
            RecordType::A,
            &[(3, "192.0.2.2"), (1, "192.0.2.1")],
        );
        check(
            &[(1.0, &[0, 1, 2])],
            RecordType::AAAA,
            &[(1, "2001:db8::1")],
        );
    }

    #[test]
    fn a_cluster_without_the_family_answers_nodata_in_its_share() {
        check(
            &[(0.75, &[2]), (0.25, &[3])],
            RecordType::A,
            &[(3, "NoData"), (1, "192.0.2.3")],
        );
        check(
            &[(0.75, &[2]), (0.25, &[3])],
            RecordType::AAAA,
            &[(3, "2001:db8::1"), (1, "NoData")],
        );
    }

    #[test]
    fn a_hostname_is_an_alias_beside_addresses() {
        check(
            &[(0.5, &[3]), (0.5, &[4])],
            RecordType::A,
            &[(1, "192.0.2.3"), (1, "lb.example.net.")],
        );
        check(&[(1.0, &[4])], RecordType::AAAA, &[(1, "lb.example.net.")]);
    }

    #[test]
    fn without_any_pick_nothing_is_healthy() {
        check(&[], RecordType::A, &[(1, "NothingHealthy")]);
    }
}
