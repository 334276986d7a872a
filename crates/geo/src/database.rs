//! Databases of places: MMDB files, read once into networks and their places.

use crate::{
    Error, Result,
    country::{Continent, Countries, CountryCode},
    partition::{self, Block, Growing, Partition},
    places::{KnownPlace, Places, PlacesBuilder},
    record::Value,
    tree,
};
use ipnet::IpNet;
use maxminddb::{Reader, WithinOptions};
use model::Location;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, fmt, net::IpAddr};

/// The value of networks of which nothing is known.
pub(crate) const NO_PLACE: u32 = 0;

/// The value of networks whose autonomous system is not known (RFC 7607 reserves it).
const NO_SYSTEM: u32 = 0;

/// Part of every hash: raised when the same bytes would give other tables.
const FORMAT: u32 = 1;

/// A file as it was read: its name is for messages only.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseFile<'a> {
    /// What to call it.
    pub name: &'a str,
    /// All of it.
    pub bytes: &'a [u8],
}

/// What a database says of a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The country.
    pub country: Option<CountryCode>,
    /// The continent.
    pub continent: Option<Continent>,
    /// The first-level subdivision.
    pub subdivision: Option<String>,
    /// The city, in English.
    pub city: Option<String>,
    /// The point, when the database knows one nearer than the country.
    pub location: Option<Location>,
}

/// A place, the network it holds for, and the point that distances are measured from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundPlace {
    /// The network, merged with neighbours of the same place.
    pub network: IpNet,
    /// What is known.
    pub place: Place,
    /// The place's point, else its country's, else its continent's.
    pub location: Option<Location>,
}

/// A digest of everything a compiled table depends on in a database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseHash([u8; 16]);

/// A file of a database, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Its name, as it was given.
    pub name: String,
    /// Its `database_type`.
    pub kind: String,
    /// When it was built, in seconds since 1970.
    pub built_secs: u64,
    /// How many networks with a place it has.
    pub networks: usize,
}

/// Networks and their places, from one or several files.
///
/// Reading is the verification: every network is visited and every record decoded once, so that a
/// database that was read cannot fail later.
#[derive(Debug)]
pub struct Database {
    hash: DatabaseHash,
    files: Vec<FileSummary>,
    places: Places,
    v4: Partition,
    v6: Partition,
    /// Autonomous systems by number, 0 where none is known.
    systems_v4: Partition,
    systems_v6: Partition,
}

/// What one file says: places and autonomous systems of both spaces.
struct Contents {
    v4: Partition,
    v6: Partition,
    systems_v4: Partition,
    systems_v6: Partition,
}

/// What a record says, as numbers.
#[derive(Clone, Copy)]
struct Said {
    place: u32,
    system: u32,
}

impl Database {
    /// Reads MMDB files. Where several know an address, one that knows the point wins over one that
    /// knows the country only, and then the earlier file over the later.
    ///
    /// # Errors
    /// The first file that is no MMDB, is broken, or knows no places.
    pub fn read(files: &[DatabaseFile<'_>], countries: &Countries) -> Result<Self> {
        let mut reading = Reading {
            files: Vec::new(),
            places: PlacesBuilder::new(),
        };
        let mut whole = Contents {
            v4: Partition::uniform(32, NO_PLACE),
            v6: Partition::uniform(128, NO_PLACE),
            systems_v4: Partition::uniform(32, NO_SYSTEM),
            systems_v6: Partition::uniform(128, NO_SYSTEM),
        };
        for file in files {
            let read = reading.file(file, countries)?;
            let places = reading.places.places();
            let pick = |old: u32, new: u32| better(places, old, new);
            whole.v4 = whole.v4.joined(read.v4, pick);
            whole.v6 = whole.v6.joined(read.v6, pick);
            let first = |old: u32, new: u32| if old == NO_SYSTEM { new } else { old };
            whole.systems_v4 = whole.systems_v4.joined(read.systems_v4, first);
            whole.systems_v6 = whole.systems_v6.joined(read.systems_v6, first);
        }
        Ok(Self {
            hash: hash(files, countries),
            files: reading.files,
            places: reading.places.finish(),
            v4: whole.v4,
            v6: whole.v6,
            systems_v4: whole.systems_v4,
            systems_v6: whole.systems_v6,
        })
    }

    /// The digest that compiled tables are kept by.
    pub fn hash(&self) -> DatabaseHash {
        self.hash
    }

    /// The files it was read from.
    pub fn files(&self) -> &[FileSummary] {
        &self.files
    }

    /// The place of an address.
    pub fn lookup(&self, address: IpAddr) -> FoundPlace {
        let (width, space) = match address {
            IpAddr::V4(_) => (32, &self.v4),
            IpAddr::V6(_) => (128, &self.v6),
        };
        let block = space.lookup(partition::number(address));
        FoundPlace {
            network: IpNet::new(partition::address(width, block.first), block.length)
                .expect("a block is no longer than its address"),
            place: self.places.place(block.value),
            location: self.places.location(block.value),
        }
    }

    /// The point of each place, by the values of the partitions.
    pub(crate) fn locations(&self) -> impl Iterator<Item = Option<Location>> + '_ {
        (0..)
            .take(self.places.len())
            .map(|at| self.places.location(at))
    }

    /// A place by its value in the partitions.
    pub(crate) fn place(&self, value: u32) -> Option<KnownPlace<'_>> {
        self.places.known(value)
    }

    pub(crate) fn systems_v4(&self) -> &Partition {
        &self.systems_v4
    }

    pub(crate) fn systems_v6(&self) -> &Partition {
        &self.systems_v6
    }

    pub(crate) fn v4(&self) -> &Partition {
        &self.v4
    }

    pub(crate) fn v6(&self) -> &Partition {
        &self.v6
    }
}

/// What is gathered while files are read.
struct Reading {
    files: Vec<FileSummary>,
    places: PlacesBuilder,
}

impl Reading {
    fn file(&mut self, file: &DatabaseFile<'_>, countries: &Countries) -> Result<Contents> {
        let reader = Reader::from_source(file.bytes).map_err(|error| Error::NotMmdb {
            file: file.name.to_owned(),
            bytes: file.bytes.len(),
            reason: error.to_string(),
        })?;
        let broken = |reason: String| Error::Broken {
            file: file.name.to_owned(),
            reason,
        };
        tree::check(file.bytes, reader.metadata()).map_err(broken)?;
        let blocks_max = reader.metadata().node_count as usize + 1;
        let (mut places, mut systems) = (Blocks::new(blocks_max), Blocks::new(blocks_max));
        let mut known: HashMap<u32, Said> = HashMap::new();
        // A tree of n nodes has at most n + 1 ends: more means a cycle through the start of IPv4.
        let mut left = reader.metadata().node_count as usize + 1;
        let networks = reader.networks(WithinOptions::default());
        for found in networks.map_err(|error| broken(error.to_string()))? {
            let found = found.map_err(|error| broken(error.to_string()))?;
            left = left
                .checked_sub(1)
                .ok_or_else(|| broken("its tree has a cycle".into()))?;
            let Some(offset) = found.offset() else {
                continue;
            };
            let offset = u32::try_from(offset)
                .map_err(|_| broken("it has records beyond 4 GiB".to_owned()))?;
            let said = match known.get(&offset) {
                Some(&said) => said,
                None => {
                    let record = found.decode::<Value<'_>>();
                    let record = record.map_err(|error| broken(error.to_string()))?;
                    let said = self.intern(record.as_ref(), countries);
                    known.insert(offset, said);
                    said
                }
            };
            let network = found.network().map_err(|error| broken(error.to_string()))?;
            for (value, spaces) in [(said.place, &mut places), (said.system, &mut systems)] {
                // A file that knows no systems costs no list of them.
                if value != 0 {
                    spaces.take(block(network.network(), network.prefix(), value));
                }
            }
        }
        let networks = places.count.max(systems.count);
        let kind = &reader.metadata().database_type;
        if known
            .values()
            .all(|said| said.place == NO_PLACE && said.system == NO_SYSTEM)
        {
            return Err(Error::NoPlaces {
                file: file.name.to_owned(),
                kind: kind.clone(),
            });
        }
        self.files.push(FileSummary {
            name: file.name.to_owned(),
            kind: kind.clone(),
            built_secs: reader.metadata().build_epoch,
            networks,
        });
        Ok(Contents {
            v4: places.v4.finish(),
            v6: places.v6.finish(),
            systems_v4: systems.v4.finish(),
            systems_v6: systems.v6.finish(),
        })
    }

    fn intern(&mut self, record: Option<&Value<'_>>, countries: &Countries) -> Said {
        Said {
            place: self.intern_place(record.and_then(Value::place), countries),
            system: record.and_then(Value::system).unwrap_or(NO_SYSTEM),
        }
    }

    fn intern_place(&mut self, place: Option<Place>, countries: &Countries) -> u32 {
        let Some(mut place) = place else {
            return NO_PLACE;
        };
        let country = place.country;
        place.continent = place.continent.or_else(|| countries.continent(country?));
        let wide = country.and_then(|country| countries.location(country));
        let wide = wide.or_else(|| countries.continent_location(place.continent?));
        self.places.add(&place, wide)
    }
}

/// Both spaces, as they are read from a file.
struct Blocks {
    v4: Growing,
    v6: Growing,
    count: usize,
}

impl Blocks {
    fn new(blocks_max: usize) -> Self {
        Self {
            v4: Growing::new(32, blocks_max),
            v6: Growing::new(128, blocks_max),
            count: 0,
        }
    }

    fn take(&mut self, (width, block): (u8, Block)) {
        self.count += 1;
        match width {
            32 => self.v4.take(block),
            _ => self.v6.take(block),
        }
    }
}

/// Which of two places of one address to keep; the old one is of an earlier file.
fn better(places: &Places, old: u32, new: u32) -> u32 {
    let exact = |value: u32| places.is_exact(value);
    if old == NO_PLACE || (new != NO_PLACE && exact(new) && !exact(old)) {
        new
    } else {
        old
    }
}

/// A network as a block of its space; IPv4 networks of an IPv6 tree lie at `::/96`.
fn block(first: IpAddr, length: u8, value: u32) -> (u8, Block) {
    let first = match first {
        IpAddr::V4(_) => {
            return (
                32,
                Block {
                    first: partition::number(first),
                    length,
                    value,
                },
            );
        }
        IpAddr::V6(v6) => u128::from(v6),
    };
    if length >= 96 && first >> 32 == 0 {
        (
            32,
            Block {
                first,
                length: length - 96,
                value,
            },
        )
    } else {
        (
            128,
            Block {
                first,
                length,
                value,
            },
        )
    }
}

fn hash(files: &[DatabaseFile<'_>], countries: &Countries) -> DatabaseHash {
    let mut digest = Sha256::new();
    digest.update(FORMAT.to_be_bytes());
    for file in files {
        digest.update(file.bytes.len().to_be_bytes());
        digest.update(file.bytes);
    }
    for code in countries.codes() {
        digest.update(code.as_str());
        if let Some(location) = countries.location(code) {
            digest.update(location.latitude.to_be_bytes());
            digest.update(location.longitude.to_be_bytes());
        }
    }
    let whole = digest.finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&whole[..16]);
    DatabaseHash(short)
}

impl fmt::Display for DatabaseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DatabaseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<DatabaseHash> for String {
    fn from(hash: DatabaseHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for DatabaseHash {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let number = u128::from_str_radix(&text, 16)
            .ok()
            .filter(|_| text.len() == 32);
        let number = number.ok_or_else(|| format!("{text:?} is not 32 hexadecimal digits"))?;
        Ok(Self(number.to_be_bytes()))
    }
}
