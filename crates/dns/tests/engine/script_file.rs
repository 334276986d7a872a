//! Reads `tests/dns/*.rpl`: a world, then queries and what each must give.
//!
//! The form is that of Stelline and Deckard, as far as an authoritative server needs it;
//! `tests/dns/README.md` describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meridian_dns::{
    Answer, Challenges, Choice, Client, Content, Freshness, Identity, Key, Keys, Leaf, Name,
    Record, RecordType, Secondary, Secrets, Server, Share, Snapshot, SnapshotBuilder, Steered,
    SteeredRecords, Transfer, Transport, ViewTable, Zone, read_records,
};

use crate::script_query::hex;

/// One file.
pub(crate) struct Script {
    pub(crate) snapshot: Snapshot,
    pub(crate) server: Server,
    /// Zones as their text says.
    pub(crate) zones: BTreeMap<Name, Vec<Record>>,
    /// Keys by name, as `ALGORITHM:SECRET`.
    pub(crate) keys: BTreeMap<String, String>,
    /// Whether changes by UPDATE are taken at all.
    pub(crate) has_updates: bool,
    pub(crate) steps: Vec<Step>,
}

/// A query and what must come back.
pub(crate) struct Step {
    pub(crate) label: String,
    pub(crate) query: Entry,
    pub(crate) expected: Entry,
}

/// Lines between `ENTRY_BEGIN` and `ENTRY_END`.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Each line's first word and the rest, outside of sections.
    pub(crate) lines: Vec<(String, String)>,
    /// Lines of each section.
    pub(crate) sections: Vec<(String, Vec<String>)>,
}

impl Entry {
    /// What follows `keyword`, if the line is there.
    pub(crate) fn get(&self, keyword: &str) -> Option<&str> {
        self.all(keyword).next()
    }

    /// What follows `keyword` on each of its lines.
    pub(crate) fn all(&self, keyword: &str) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(move |(word, _)| word == keyword)
            .map(|(_, rest)| rest.as_str())
    }

    /// The records of a section.
    pub(crate) fn records(&self, section: &str) -> Vec<Record> {
        let lines = self.section(section).join("\n");
        read_records(&lines, &Name::root(), 0).unwrap_or_else(|error| panic!("{section}: {error}"))
    }

    /// The lines of a section.
    pub(crate) fn section(&self, section: &str) -> &[String] {
        let found = self.sections.iter().find(|(known, _)| known == section);
        found.map_or(&[], |(_, lines)| lines)
    }

    /// Who asks.
    pub(crate) fn client(&self) -> Client {
        let number = |keyword: &str| self.get(keyword).map(|text| text.parse::<u64>().unwrap());
        let transport = match self.get("TRANSPORT") {
            Some("TCP") => Transport::Tcp,
            Some("TLS") => Transport::Tls,
            Some("HTTPS") => Transport::Https,
            Some("QUIC") => Transport::Quic,
            None | Some("UDP") => Transport::Udp,
            Some(other) => panic!("{other} is no transport"),
        };
        Client {
            source: self.get("CLIENT").unwrap_or("192.0.2.200").parse().unwrap(),
            transport,
            now_secs: number("NOW").unwrap_or(1_800_000_000).try_into().unwrap(),
            entropy: number("ENTROPY").unwrap_or(0),
        }
    }
}

impl Script {
    /// The world with these challenges beside what the zones say, as whoever serves them has them.
    pub(crate) fn with(&self, challenges: &Challenges, before: &Snapshot) -> Snapshot {
        let mut builder = SnapshotBuilder::from(before);
        for (origin, records) in &self.zones {
            let mut records = records.clone();
            let mine = challenges.iter().filter(|(name, _)| name.is_within(origin));
            for (name, challenge) in mine {
                records.extend(challenge.values.iter().map(|value| {
                    let data = [&[value.len() as u8], value.as_bytes()].concat();
                    Record::new(name.clone(), challenge.ttl_secs, RecordType::TXT, data)
                }));
            }
            let origin = origin.clone();
            builder.zone(&Zone { origin, records }).unwrap();
        }
        builder.build(1)
    }
}

/// The scripts, in order.
pub(crate) fn paths() -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rpl"))
        .collect();
    paths.sort();
    paths
}

/// Where they are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dns")
}

/// Reads a script.
///
/// # Panics
/// When it is malformed: a script is part of the tests.
pub(crate) fn read(text: &str) -> Script {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(';'));
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let end = lines
        .iter()
        .position(|line| *line == "CONFIG_END")
        .expect("CONFIG_END");
    let blocks = blocks(&lines[..end]);
    let (snapshot, zones) = world(&blocks);
    let keys = blocks.iter().filter(|block| block.key == "key");
    let keys = keys.map(|block| block.value.split_once(' ').expect("NAME ALGORITHM:SECRET"));
    Script {
        snapshot,
        server: server_of(&blocks),
        zones,
        keys: keys
            .map(|(name, key)| (name.to_owned(), key.to_owned()))
            .collect(),
        has_updates: blocks.iter().any(|block| block.key == "updates"),
        steps: steps(&lines[end + 1..]),
    }
}

/// One `key: value` of the configuration with the lines below it.
struct Block<'t> {
    key: &'t str,
    value: &'t str,
    lines: Vec<&'t str>,
}

fn blocks<'t>(lines: &[&'t str]) -> Vec<Block<'t>> {
    let mut blocks: Vec<Block<'t>> = Vec::new();
    assert_eq!(lines.first(), Some(&"server:"));
    for line in &lines[1..] {
        match line.strip_prefix("        ") {
            Some(inner) => blocks
                .last_mut()
                .expect("a key before its lines")
                .lines
                .push(inner),
            None => {
                let (key, value) = line.trim().split_once(':').expect("key: value");
                blocks.push(Block {
                    key,
                    value: value.trim(),
                    lines: Vec::new(),
                });
            }
        }
    }
    blocks
}

fn world(blocks: &[Block<'_>]) -> (Snapshot, BTreeMap<Name, Vec<Record>>) {
    let mut builder = SnapshotBuilder::new();
    let mut zones = BTreeMap::new();
    let mut updaters: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    let mut views = Arc::new(ViewTable::uniform());
    let mut steered = BTreeMap::new();
    for block in blocks {
        match block.key {
            "zone" => {
                let origin = Name::parse(block.value).unwrap();
                let records = read_records(&block.lines.join("\n"), &origin, 3600).unwrap();
                zones.insert(origin.clone(), records.clone());
                builder.zone(&Zone { origin, records }).unwrap();
            }
            "transfer" => {
                let (origin, transfer) = transfer(block.value, &zones);
                builder.transfer(&origin, &transfer).unwrap();
            }
            "updates" => {
                let mut names = block
                    .value
                    .split(' ')
                    .map(|name| Name::parse(name).unwrap());
                updaters.insert(names.next().unwrap(), names.collect());
            }
            "views" => views = Arc::new(view_table(&block.lines)),
            "steer" => steer(&mut builder, &views, block, &mut steered),
            "freshness" => builder.freshness(match block.value {
                "stale" => Freshness::Stale,
                "expired" => Freshness::Expired,
                _ => Freshness::Fresh,
            }),
            "identity" | "key" | "cookies" => {}
            key => panic!("{key} is no key"),
        }
    }
    builder.updaters(updaters);
    (builder.build(1), zones)
}

/// `transfer: ZONE [NETWORK] [KEY]`: the zone's text so far is an edition for whom both are right.
fn transfer(said: &str, zones: &BTreeMap<Name, Vec<Record>>) -> (Name, Transfer) {
    let mut words = said.split_whitespace();
    let origin = Name::parse(words.next().expect("ZONE")).unwrap();
    let (networks, keys): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('/'));
    let secondary = Secondary {
        networks: networks.iter().map(|it| it.parse().unwrap()).collect(),
        key: keys.first().map(|it| Name::parse(it).unwrap()),
        notify: Vec::new(),
    };
    let transfer = Transfer {
        secondaries: vec![secondary],
        records: zones[&origin].clone(),
    };
    (origin, transfer)
}

/// `identity: NAME VERSION`, `cookies: SECRET [OTHER]` and `key: NAME ALGORITHM:SECRET`; streams may
/// be idle for 10 seconds.
fn server_of(blocks: &[Block<'_>]) -> Server {
    let all = |key: &'static str| {
        let found = blocks.iter().filter(move |block| block.key == key);
        found.map(|block| block.value)
    };
    let (name, version) = all("identity").next().unwrap_or("").split_once(' ').unzip();
    let secret = |digits: &str| -> [u8; 16] { hex(digits).try_into().expect("16 bytes") };
    let mut secrets = all("cookies").flat_map(|it| it.split(' ')).map(secret);
    let secrets = Secrets {
        current: secrets.next().unwrap_or([7; 16]),
        other: secrets.next(),
    };
    let keys = all("key").map(|key| {
        let (name, key) = key.split_once(' ').unwrap();
        Key::parse(name, key).unwrap()
    });
    Server {
        secrets,
        identity: Identity::new(name, version).unwrap(),
        stream_idle_deciseconds: 100,
        keys: Keys::new(keys.collect()),
    }
}

/// `prefix view` lines, later ones inside earlier ones; everything else has view 0.
fn view_table(lines: &[&str]) -> ViewTable {
    let mut v4 = vec![Leaf {
        bits: 0u128,
        length: 0,
        view: 0,
    }];
    let mut v6 = v4.clone();
    for line in lines {
        let (prefix, view) = line.split_once(' ').expect("prefix view");
        let (address, length) = prefix.split_once('/').expect("address/length");
        let (leaves, bits) = match address.parse().unwrap() {
            IpAddr::V4(address) => (&mut v4, u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => (&mut v6, address.to_bits()),
        };
        split(
            leaves,
            bits,
            length.parse().unwrap(),
            view.trim().parse().unwrap(),
        );
    }
    let v4: Vec<_> = v4
        .iter()
        .map(|leaf| Leaf {
            bits: (leaf.bits >> 96) as u32,
            length: leaf.length,
            view: leaf.view,
        })
        .collect();
    ViewTable::compile(&v4, &v6).unwrap()
}

fn split(leaves: &mut Vec<Leaf<u128>>, bits: u128, length: u8, view: u16) {
    let mask = |length: u8| u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    let contains = |leaf: &Leaf<u128>| (leaf.bits ^ bits) & mask(leaf.length) == 0;
    let index = leaves.iter().position(contains).expect("leaves cover all");
    let outer = leaves.swap_remove(index);
    for length in outer.length + 1..=length {
        let sibling = (bits ^ (1 << (128 - length))) & mask(length);
        leaves.push(Leaf {
            bits: sibling,
            length,
            view: outer.view,
        });
    }
    leaves.push(Leaf { bits, length, view });
}

/// `steer: NAME TYPE TTL [stale|expired]`, with one line per view; a name may have several types.
fn steer(
    builder: &mut SnapshotBuilder,
    views: &Arc<ViewTable>,
    block: &Block<'_>,
    before: &mut BTreeMap<Name, Vec<SteeredRecords>>,
) {
    let words: Vec<&str> = block.value.split_whitespace().collect();
    let [owner, record_type, ttl_secs, rest @ ..] = words.as_slice() else {
        panic!("NAME TYPE TTL");
    };
    let record_type: RecordType = record_type.parse().unwrap();
    let said = Said {
        record_type,
        ttl_secs: ttl_secs.parse().unwrap(),
    };
    let choices: Vec<_> = block.lines.iter().map(|line| choice(line, said)).collect();
    let name = Name::parse(owner).unwrap();
    let records = before.entry(name.clone()).or_default();
    records.push(SteeredRecords::per_view(record_type, choices));
    let steered = Steered {
        views: Arc::clone(views),
        records: records.clone(),
        freshness: match rest {
            ["stale"] => Freshness::Stale,
            ["expired"] => Freshness::Expired,
            _ => Freshness::Fresh,
        },
    };
    builder.steer(&name, &steered).unwrap();
}

/// Of what answers are.
#[derive(Clone, Copy)]
struct Said {
    record_type: RecordType,
    ttl_secs: u32,
}

/// `addresses…`, `record DATA`, `alias NAME`, `none`, `nothing-healthy`, or a choice between such, as in
/// `weighted 30 192.0.2.1 | 70 192.0.2.2` or `prefix 24 56 1 192.0.2.1 | 1 192.0.2.2`.
fn choice(line: &str, said: Said) -> Choice {
    let shares = |text: &str| -> Vec<Share> {
        let share = |part: &str| {
            let (weight, rest) = part.trim().split_once(' ').expect("weight answer");
            Share {
                weight: weight.parse().unwrap(),
                answer: answer(rest, said),
            }
        };
        text.split('|').map(share).collect()
    };
    if let Some(rest) = line.strip_prefix("weighted ") {
        return Choice::Weighted(shares(rest));
    }
    if let Some(rest) = line.strip_prefix("prefix ") {
        let mut words = rest.splitn(3, ' ');
        let mut bits = || words.next().unwrap().parse().unwrap();
        let (bits_v4, bits_v6) = (bits(), bits());
        return Choice::ByPrefix {
            bits_v4,
            bits_v6,
            shares: shares(words.next().unwrap()),
        };
    }
    Choice::One(answer(line, said))
}

fn answer(text: &str, said: Said) -> Answer {
    let content = match text.trim() {
        "none" => Content::NoData,
        "nothing-healthy" => Content::NothingHealthy,
        text => match text.split_once(' ') {
            Some(("alias", target)) => Content::Alias(Name::parse(target).unwrap()),
            Some(("record", data)) => {
                let line = format!("@ {} {data}", said.record_type);
                let records = read_records(&line, &Name::root(), 0).unwrap();
                Content::Records(records.into_iter().map(|it| it.data).collect())
            }
            _ => Content::Addresses(
                text.split_whitespace()
                    .map(|address| address.parse().unwrap())
                    .collect(),
            ),
        },
    };
    Answer {
        ttl_secs: said.ttl_secs,
        content,
    }
}

fn steps(lines: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut open: Option<(String, Entry)> = None;
    let mut rest = lines.iter();
    while let Some(line) = rest.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["SCENARIO_BEGIN" | "SCENARIO_END", ..] => {}
            ["STEP", number, "QUERY"] => {
                assert!(
                    open.is_none(),
                    "step {number}: the query before has no CHECK_ANSWER"
                );
                open = Some(((*number).to_owned(), entry(&mut rest)));
            }
            ["STEP", number, "CHECK_ANSWER"] => {
                let (label, query) = open.take().unwrap_or_else(|| panic!("{number}: no query"));
                let label = format!("step {label}, answer {number}");
                steps.push(Step {
                    label,
                    query,
                    expected: entry(&mut rest),
                });
            }
            _ => panic!("{line:?} is no step"),
        }
    }
    assert!(open.is_none(), "the last query has no CHECK_ANSWER");
    steps
}

fn entry<'t>(lines: &mut impl Iterator<Item = &'t &'t str>) -> Entry {
    let mut entry = Entry::default();
    assert_eq!(lines.next().map(|line| line.trim()), Some("ENTRY_BEGIN"));
    for line in lines {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "ENTRY_END" => return entry,
            "SECTION" => entry.sections.push((rest.to_owned(), Vec::new())),
            _ => match entry.sections.last_mut() {
                Some((_, lines)) => lines.push(line.to_owned()),
                None => entry.lines.push((word.to_owned(), rest.trim().to_owned())),
            },
        }
    }
    panic!("ENTRY_BEGIN without ENTRY_END")
}
