//! What all servers serve: names, sites, the built-in country database, continents and distances.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dns::{
    Answer, Choice, Content, Freshness, Name, RecordType, Snapshot, SnapshotBuilder, Soa, Steered,
    SteeredRecords, Zone,
};
use geo::{Candidate, Countries, Database, DatabaseFile, PrefixTable, Ranking};
use maxminddb::{Reader, WithinOptions};
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use model::Location;
use serde::{Deserialize, Serialize};

use crate::Fallible;

/// The zone.
pub(crate) const ORIGIN: &str = "bench.test";
/// How many names it has.
pub(crate) const NAMES: usize = 1000;
/// How much longer a reply with one address is than its query.
pub(crate) const ANSWER_BYTES: usize = 16;
pub(crate) const TTL_SECS: u32 = 60;

/// A site, and the continents whose clients go there where continents decide. In the order of names.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    pub(crate) location: Location,
    pub(crate) continents: &'static [&'static str],
}

pub(crate) const SITES: [Site; 4] = [
    site("ashburn", 1, 39.0, -77.5, &["NA"]),
    site("beijing", 2, 39.9, 116.4, &["AS", "OC"]),
    site("frankfurt", 3, 50.1, 8.7, &["EU", "AF", "AN"]),
    site("saopaulo", 4, -23.5, -46.6, &["SA"]),
];

const fn site(
    name: &'static str,
    last: u8,
    latitude: f64,
    longitude: f64,
    continents: &'static [&'static str],
) -> Site {
    Site {
        name,
        address: Ipv4Addr::new(192, 0, 2, last),
        location: Location {
            latitude,
            longitude,
        },
        continents,
    }
}

const COUNTRIES: &str = include_str!("../../../../geo/countries.csv");
const DATABASE: &[u8] = include_bytes!("../../../../geo/iptoasn-country-ipv4.mmdb");

/// The database, and what is known of countries.
pub(crate) struct World {
    pub(crate) database: Database,
    /// The code of each country's continent.
    continents: BTreeMap<String, String>,
}

/// A record of the built-in database.
#[derive(Deserialize)]
struct Flat {
    country_code: String,
}

/// A record as MaxMind's databases have it.
#[derive(Serialize)]
struct Layered {
    continent: Code,
    country: IsoCode,
}

#[derive(Serialize)]
struct Code {
    code: String,
}

#[derive(Serialize)]
struct IsoCode {
    iso_code: String,
}

impl World {
    pub(crate) fn read() -> Fallible<Self> {
        let countries = Countries::read("countries.csv", COUNTRIES)?;
        let file = DatabaseFile {
            name: "built-in",
            bytes: DATABASE,
        };
        let database = Database::read(&[file], &countries)?;
        let continents = COUNTRIES.lines().skip(1).filter_map(|line| {
            let mut fields = line.split(',');
            Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
        });
        Ok(Self {
            continents: continents.collect(),
            database,
        })
    }

    /// The code of the continent of a country.
    pub(crate) fn continent(&self, country: &str) -> Option<&str> {
        self.continents.get(country).map(String::as_str)
    }

    /// A query for the name of this number, by a client of this network of 24 bits.
    pub(crate) fn query(&self, id: u16, name: usize, network: [u8; 3]) -> Vec<u8> {
        let mut query = id.to_be_bytes().to_vec();
        query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for label in format!("name{}.{ORIGIN}", name % NAMES).split('.') {
            query.push(label.len() as u8);
            query.extend(label.bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 11]);
        query.extend([0, 8, 0, 7, 0, 1, 24, 0]);
        query.extend(network);
        query
    }

    /// The same networks in MaxMind's layout, with continents, which others read.
    pub(crate) fn layered(&self) -> Fallible<Vec<u8>> {
        let mut writer = maxminddb_writer::Database::default();
        writer.metadata.binary_format_major_version = 2;
        writer.metadata.database_type = "GeoLite2-Country".to_owned();
        writer.metadata.ip_version = IpVersion::V6;
        writer.metadata.build_epoch = 1;
        let mut records = BTreeMap::new();
        let reader = Reader::from_source(DATABASE)?;
        for found in reader.within("0.0.0.0/0".parse()?, WithinOptions::default())? {
            let found = found?;
            let Some(flat) = found.decode::<Flat>()? else {
                continue;
            };
            let Some(continent) = self.continent(&flat.country_code) else {
                continue;
            };
            if !records.contains_key(&flat.country_code) {
                let record = writer.insert_value(Layered {
                    continent: Code {
                        code: continent.to_owned(),
                    },
                    country: IsoCode {
                        iso_code: flat.country_code.clone(),
                    },
                })?;
                records.insert(flat.country_code.clone(), record);
            }
            let network = found.network()?;
            let IpAddr::V4(first) = network.network() else {
                continue;
            };
            // Others read databases of both families only, where IPv4 is ::/96.
            let first = IpAddr::V6(Ipv6Addr::from_bits(first.to_bits().into()));
            let path = IpAddrWithMask::new(first, 96 + network.prefix());
            writer.insert_node(path, records[&flat.country_code]);
        }
        Ok(writer.write_to(Vec::new())?)
    }

    /// What the steering engine would publish for names whose policy is `nearest`.
    pub(crate) fn snapshot(&self) -> Fallible<Snapshot> {
        let candidate = |site: &Site| Candidate {
            cluster: site.name.into(),
            location: Some(site.location),
            city: None,
            bias: 0,
        };
        let ranking = Ranking {
            candidates: SITES.iter().map(candidate).collect(),
        };
        let table = PrefixTable::compile(Some(&self.database), &[ranking], &[], &[]);
        let views = Arc::new(steering::view_table(&table));
        let choices: Vec<Choice> = table
            .views()
            .iter()
            .map(|view| {
                let nearest = usize::from(view.lists[0][0][0]);
                Choice::One(Answer {
                    ttl_secs: TTL_SECS,
                    content: Content::Addresses(vec![IpAddr::V4(SITES[nearest].address)]),
                })
            })
            .collect();
        let server = Name::parse(&format!("ns.{ORIGIN}"))?;
        let soa = Soa {
            primary: server.clone(),
            mailbox: Name::parse(&format!("hostmaster.{ORIGIN}"))?,
            serial: 1,
            refresh_secs: 3600,
            retry_secs: 600,
            expire_secs: 604_800,
            minimum_secs: 60,
        };
        let mut builder = SnapshotBuilder::new();
        builder.zone(&Zone::new(Name::parse(ORIGIN)?, 300, &soa, &[server]))?;
        let steered = Steered {
            views,
            records: vec![SteeredRecords::per_view(RecordType::A, choices)],
            freshness: Freshness::Fresh,
        };
        for number in 0..NAMES {
            builder.steer(&Name::parse(&format!("name{number}.{ORIGIN}"))?, &steered)?;
        }
        Ok(builder.build(1))
    }
}

pub(crate) use crate::split_mix::SplitMix as Chance;

impl Chance {
    /// A network of 24 bits, of those that hosts may have.
    pub(crate) fn network(&mut self) -> [u8; 3] {
        let bits = self.next();
        [
            1 + (bits % 223) as u8,
            (bits >> 16) as u8,
            (bits >> 32) as u8,
        ]
    }
}
