//! Rules by which addresses are told apart: countries, continents, subdivisions, networks' owners,
//! prefixes. Compiled into the same table as distances, so that nothing is matched per query.

use crate::{
    country::{Continent, CountryCode},
    database::Database,
    partition::{Block, Partition, number},
    places::KnownPlace,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What one `geo` or `cidr` node asks for: which of its rules an address meets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Division {
    /// The rules in their order.
    pub rules: Vec<RuleMatch>,
    /// Which rule counts where several are met.
    pub precedence: Precedence,
}

/// Which rule counts where several are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precedence {
    /// The first.
    #[default]
    First,
    /// The one with the longest prefix; only networks are looked at.
    Longest,
}

/// What meets a rule: any of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleMatch {
    /// Countries.
    pub countries: BTreeSet<CountryCode>,
    /// Continents.
    pub continents: BTreeSet<Continent>,
    /// Subdivisions as `COUNTRY-SUBDIVISION` (ISO 3166-2), compared without regard to case.
    pub subdivisions: BTreeSet<String>,
    /// Autonomous systems.
    pub systems: BTreeSet<u32>,
    /// Prefixes.
    pub networks: Vec<IpNet>,
}

impl Division {
    /// The number that stands for no rule at all.
    pub(crate) fn none(&self) -> u32 {
        u32::try_from(self.rules.len()).expect("rules are counted in 32 bits")
    }

    /// The first rule that a place meets.
    pub(crate) fn by_place(&self, place: KnownPlace<'_>) -> u32 {
        if self.precedence == Precedence::Longest {
            return self.none();
        }
        let met = self.rules.iter().position(|rule| rule.holds(place));
        met.map_or(self.none(), |at| {
            u32::try_from(at).expect("rules are counted in 32 bits")
        })
    }

    /// Whether addresses have to be told apart by more than their places.
    pub(crate) fn cuts(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| !rule.networks.is_empty() || !rule.systems.is_empty())
    }

    /// Both spaces by the rule that an address meets through prefixes and owners.
    pub(crate) fn spaces(&self, database: Option<&Database>) -> (Partition, Partition) {
        let none = self.none();
        let owned = |space: Option<&Partition>, width| match space {
            Some(systems) if self.precedence == Precedence::First => {
                systems.mapped(|system| self.by_system(system))
            }
            _ => Partition::uniform(width, none),
        };
        let v4 = owned(database.map(Database::systems_v4), 32);
        let v6 = owned(database.map(Database::systems_v6), 128);
        match self.precedence {
            Precedence::First => self.laid_by_rule(v4, v6),
            Precedence::Longest => self.laid_by_length(v4, v6),
        }
    }

    fn by_system(&self, system: u32) -> u32 {
        let met = self
            .rules
            .iter()
            .position(|rule| system != 0 && rule.systems.contains(&system));
        met.map_or(self.none(), |at| {
            u32::try_from(at).expect("rules are counted in 32 bits")
        })
    }

    /// The first rule counts, whether through a prefix or an owner.
    fn laid_by_rule(&self, mut v4: Partition, mut v6: Partition) -> (Partition, Partition) {
        let none = self.none();
        for (rule, value) in self.rules.iter().zip(0..) {
            let (of_v4, of_v6) = split(&rule.networks);
            let lay = |width, blocks: Vec<Block>| Partition::from_blocks(width, none, blocks);
            let of_v4 = Ipv4Net::aggregate(&of_v4).into_iter().map(IpNet::V4);
            let of_v6 = Ipv6Net::aggregate(&of_v6).into_iter().map(IpNet::V6);
            v4 = v4.zipped(&lay(32, blocks(of_v4, value)), u32::min);
            v6 = v6.zipped(&lay(128, blocks(of_v6, value)), u32::min);
        }
        (v4, v6)
    }

    /// Shorter prefixes first, so that longer ones lie over them.
    fn laid_by_length(&self, mut v4: Partition, mut v6: Partition) -> (Partition, Partition) {
        let numbered = self.rules.iter().zip(0..);
        let mut all: Vec<(IpNet, u32)> = numbered
            .flat_map(|(rule, value)| rule.networks.iter().map(move |net| (net.trunc(), value)))
            .collect();
        all.sort_by_key(|(net, value)| (net.prefix_len(), *net, *value));
        for same_length in all.chunk_by(|a, b| a.0.prefix_len() == b.0.prefix_len()) {
            let of = |v4: bool| {
                let nets = same_length
                    .iter()
                    .filter(move |(net, _)| matches!(net, IpNet::V4(_)) == v4);
                let mut blocks: Vec<Block> = nets.map(|(net, value)| block(*net, *value)).collect();
                blocks.dedup_by_key(|block| block.first);
                blocks
            };
            v4 = v4.overlaid(&of(true));
            v6 = v6.overlaid(&of(false));
        }
        (v4, v6)
    }
}

impl RuleMatch {
    fn holds(&self, place: KnownPlace<'_>) -> bool {
        let subdivision = || {
            let (country, part) = (place.country?, place.subdivision?);
            let code = format!("{country}-{part}");
            self.subdivisions
                .iter()
                .find(|wanted| wanted.eq_ignore_ascii_case(&code))
        };
        place.country.is_some_and(|it| self.countries.contains(&it))
            || place
                .continent
                .is_some_and(|it| self.continents.contains(&it))
            || (!self.subdivisions.is_empty() && subdivision().is_some())
    }
}

fn split(networks: &[IpNet]) -> (Vec<Ipv4Net>, Vec<Ipv6Net>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for network in networks {
        match network {
            IpNet::V4(net) => v4.push(net.trunc()),
            IpNet::V6(net) => v6.push(net.trunc()),
        }
    }
    (v4, v6)
}

fn blocks(networks: impl Iterator<Item = IpNet>, value: u32) -> Vec<Block> {
    let mut blocks: Vec<Block> = networks.map(|net| block(net, value)).collect();
    blocks.sort_by_key(|block| block.first);
    blocks
}

fn block(network: IpNet, value: u32) -> Block {
    Block {
        first: number(network.network()),
        length: network.prefix_len(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(networks: &[&str]) -> RuleMatch {
        RuleMatch {
            networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
            ..RuleMatch::default()
        }
    }

    fn check(division: &Division, address: &str, expected: u32) {
        let (v4, v6) = division.spaces(None);
        let address: std::net::IpAddr = address.parse().unwrap();
        let space = if address.is_ipv4() { v4 } else { v6 };
        assert_eq!(space.lookup(number(address)).value, expected, "{address}");
    }

    #[test]
    fn of_overlapping_prefixes_the_longest_counts_whatever_the_order() {
        let division = Division {
            rules: vec![
                rule(&["10.0.0.0/8", "2001:db8::/32"]),
                rule(&["10.1.0.0/16", "10.2.3.0/24"]),
                rule(&["10.2.0.0/16"]),
            ],
            precedence: Precedence::Longest,
        };
        check(&division, "10.9.9.9", 0);
        check(&division, "10.1.9.9", 1);
        check(&division, "10.2.9.9", 2);
        check(&division, "10.2.3.9", 1);
        check(&division, "2001:db8::1", 0);
        check(&division, "192.0.2.1", 3);
        check(&division, "::1", 3);
    }

    #[test]
    fn of_rules_by_place_the_first_counts() {
        let division = Division {
            rules: vec![rule(&["10.1.0.0/16"]), rule(&["10.0.0.0/8"])],
            precedence: Precedence::First,
        };
        check(&division, "10.1.0.1", 0);
        check(&division, "10.2.0.1", 1);
        let china = CountryCode::parse("CN").unwrap();
        let by_place = Division {
            rules: vec![
                RuleMatch {
                    subdivisions: ["us-ca".to_owned()].into(),
                    ..RuleMatch::default()
                },
                RuleMatch {
                    countries: [china].into(),
                    continents: [Continent::Europe].into(),
                    ..RuleMatch::default()
                },
            ],
            precedence: Precedence::First,
        };
        let place = |country: &str, continent, subdivision| KnownPlace {
            country: CountryCode::parse(country),
            continent,
            subdivision,
        };
        let met = |place: KnownPlace<'_>| by_place.by_place(place);
        assert_eq!(met(place("US", None, Some("CA"))), 0);
        assert_eq!(met(place("US", None, Some("NY"))), 2);
        assert_eq!(met(place("CN", Some(Continent::Asia), None)), 1);
        assert_eq!(met(place("DE", Some(Continent::Europe), None)), 1);
    }
}
