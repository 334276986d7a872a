//! Properties over all bytes, all clients and generated zones.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use meridian_dns::{
    Answer, Choice, Client, Content, Freshness, Name, Record, RecordType, Secrets, Server,
    Snapshot, SnapshotBuilder, Soa, Steered, SteeredRecords, Transport, UDP_BYTES_MAX, ViewTable,
    Zone, answer,
};
use proptest::prelude::*;

use crate::oracle;
use crate::reply::{Decoded, decode};

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn client() -> Client {
    let source = "192.0.2.1".parse().unwrap();
    Client {
        source,
        transport: Transport::Tcp,
        now_secs: 1_800_000_000,
        entropy: 0,
    }
}

pub(crate) fn server() -> Server {
    Server::from(Secrets {
        current: [7; 16],
        other: None,
    })
}

/// A query without EDNS.
pub(crate) fn query(name: &Name, record_type: RecordType) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(name.wire());
    query.extend(record_type.0.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// The reply's bytes.
pub(crate) fn reply(snapshot: &Snapshot, query: &[u8], client: &Client) -> Vec<u8> {
    let mut out = vec![0; meridian_dns::REPLY_BYTES_MAX];
    let reply = answer(snapshot, query, client, &server(), &mut out);
    out.truncate(reply.len);
    out
}

pub(crate) fn empty_zone(origin: &str) -> Zone {
    let origin = name(origin);
    let soa = Soa {
        primary: origin.child("ns").unwrap(),
        mailbox: origin.child("host").unwrap(),
        serial: 1,
        refresh_secs: 2,
        retry_secs: 3,
        expire_secs: 4,
        minimum_secs: 60,
    };
    let server = name("ns.elsewhere.");
    Zone::new(origin, 300, &soa, &[server])
}

/// What stands at a generated name.
#[derive(Debug, Clone)]
enum Stands {
    Data(Vec<(RecordType, u8)>),
    Steered(u8),
    Alias(Name),
    Delegation { server: Name, signed: bool },
    Redirection(Name),
}

/// Few labels, so that names meet.
fn names() -> impl Strategy<Value = Name> {
    let label = prop_oneof![3 => Just("a"), 3 => Just("b"), 1 => Just("c"), 2 => Just("*")];
    let tail = prop_oneof![8 => Just("z"), 1 => Just("y")];
    (prop::collection::vec(label, 0..5), tail).prop_map(|(mut labels, tail)| {
        labels.push(tail);
        name(&labels.join("."))
    })
}

fn contents() -> impl Strategy<Value = Stands> {
    let record_type = prop_oneof![
        Just(RecordType::A),
        Just(RecordType::AAAA),
        Just(RecordType::TXT),
        Just(RecordType::MX),
        Just(RecordType(65280)),
    ];
    prop_oneof![
        6 => prop::collection::vec((record_type, any::<u8>()), 1..4).prop_map(Stands::Data),
        2 => any::<u8>().prop_map(Stands::Steered),
        3 => names().prop_map(Stands::Alias),
        2 => (names(), any::<bool>())
            .prop_map(|(server, signed)| Stands::Delegation { server, signed }),
        1 => names().prop_map(Stands::Redirection),
    ]
}

fn data(owner: &Name, record_type: RecordType, byte: u8) -> Record {
    let data = match record_type {
        RecordType::A => vec![192, 0, 2, byte],
        RecordType::AAAA => [[0x20].as_slice(), &[byte; 15]].concat(),
        RecordType::TXT => vec![1, byte],
        RecordType::MX => [&[0, byte], name("mail.a.z").wire()].concat(),
        _ => vec![byte; 5],
    };
    Record::new(owner.clone(), 300, record_type, data)
}

/// A world: one or two zones with generated content, and the same with steered names written as
/// the static records that their single view gives.
struct World {
    snapshot: Snapshot,
    zones: Vec<Zone>,
}

fn world(contents: &[(Name, Stands)], origins: &[&str]) -> Option<World> {
    let mut zones: Vec<Zone> = origins.iter().map(|origin| empty_zone(origin)).collect();
    let mut steered = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (owner, content) in contents {
        let fitting = zones
            .iter_mut()
            .filter(|zone| owner.is_within(&zone.origin));
        let Some(zone) = fitting.max_by_key(|zone| zone.origin.label_count()) else {
            continue;
        };
        let apex = *owner == zone.origin;
        if !seen.insert(owner.clone()) {
            continue;
        }
        match content {
            Stands::Data(types) => {
                let records = types
                    .iter()
                    .map(|(record_type, byte)| data(owner, *record_type, *byte));
                for record in records {
                    if !zone.records.contains(&record) {
                        zone.records.push(record);
                    }
                }
            }
            Stands::Steered(byte) => steered.push((owner.clone(), *byte)),
            Stands::Alias(target) if !apex => {
                zone.records
                    .push(Record::name(owner.clone(), 300, RecordType::CNAME, target));
            }
            Stands::Delegation { server, signed } if !apex && !owner.is_wildcard() => {
                zone.records
                    .push(Record::name(owner.clone(), 300, RecordType::NS, server));
                if *signed {
                    zone.records.push(Record::new(
                        owner.clone(),
                        300,
                        RecordType::DS,
                        [1, 2, 8, 2],
                    ));
                }
            }
            Stands::Redirection(target) if !owner.is_wildcard() => {
                zone.records
                    .push(Record::name(owner.clone(), 300, RecordType::DNAME, target));
            }
            _ => {}
        }
    }
    let mut builder = SnapshotBuilder::new();
    for zone in &zones {
        builder.zone(zone).ok()?;
    }
    let views = Arc::new(ViewTable::uniform());
    for (owner, byte) in steered {
        if builder.steer(&owner, &steer(&views, byte)).is_ok() {
            let zone = zones
                .iter_mut()
                .filter(|zone| owner.is_within(&zone.origin))
                .max_by_key(|zone| zone.origin.label_count())?;
            zone.records.push(data(&owner, RecordType::A, byte));
        }
    }
    Some(World {
        snapshot: builder.build(1),
        zones,
    })
}

pub(crate) fn steer(views: &Arc<ViewTable>, byte: u8) -> Steered {
    let content = Content::Addresses(vec![IpAddr::from([192, 0, 2, byte])]);
    let choice = Choice::One(Answer {
        ttl_secs: 300,
        content,
    });
    Steered {
        views: Arc::clone(views),
        records: vec![SteeredRecords::per_view(RecordType::A, [choice])],
        freshness: Freshness::Fresh,
    }
}

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by(|a, b| {
        (&a.owner, a.record_type, &a.data).cmp(&(&b.owner, b.record_type, &b.data))
    });
    records
}

fn record_types() -> impl Strategy<Value = RecordType> {
    prop::sample::select(vec![
        RecordType::A,
        RecordType::TXT,
        RecordType::NS,
        RecordType::CNAME,
        RecordType::DNAME,
        RecordType::DS,
        RecordType::SOA,
        RecordType::MX,
        RecordType(65280),
    ])
}

fn worlds() -> impl Strategy<Value = World> {
    let origins = prop::sample::select(vec![
        vec!["z"],
        vec!["z", "a.z"],
        vec!["b.a.z", "z"],
        vec!["."],
        vec![".", "z"],
    ]);
    (prop::collection::vec((names(), contents()), 0..14), origins)
        .prop_filter_map("a circle of aliases", |(contents, origins)| {
            world(&contents, &origins)
        })
}

impl std::fmt::Debug for World {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for zone in &self.zones {
            writeln!(out, "zone {}", zone.origin)?;
            for record in &zone.records {
                let Record {
                    owner,
                    record_type,
                    data,
                    ..
                } = record;
                writeln!(out, "  {owner} {record_type} {data:02x?}")?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn answers_are_those_of_the_naive_algorithm(
        world in worlds(),
        questions in prop::collection::vec((names(), record_types()), 1..30),
    ) {
        for (name, record_type) in questions {
            let expected = oracle::ask(&world.zones, &name, record_type);
            let got = decode(&reply(&world.snapshot, &query(&name, record_type), &client()));
            let about = format!("{name} {record_type}: {got:#?}");
            prop_assert_eq!(got.rcode, expected.rcode, "{}", about);
            prop_assert_eq!(got.flags.contains(&"AA"), expected.authoritative, "{}", about);
            prop_assert_eq!(sorted(got.answer), sorted(expected.answer), "{}", about);
            prop_assert_eq!(sorted(got.authority), sorted(expected.authority), "{}", about);
            prop_assert_eq!(sorted(got.additional), sorted(expected.additional), "{}", about);
        }
    }
}

static SIZED: LazyLock<Snapshot> = LazyLock::new(sized);

/// A zone with sets of every size.
fn sized() -> Snapshot {
    let mut zone = empty_zone("z");
    for (owner, count, length) in [
        ("one.z", 1, 20),
        ("some.z", 9, 60),
        ("many.z", 60, 200),
        ("huge.z", 200, 250),
    ] {
        for index in 0..count {
            let mut text = vec![index as u8; length + 1];
            text[0] = length as u8;
            zone.records
                .push(Record::new(name(owner), 300, RecordType::TXT, text));
        }
    }
    for index in 0..40u8 {
        let server = name(&format!("ns{index}.cut.z"));
        zone.records
            .push(Record::name(name("cut.z"), 300, RecordType::NS, &server));
        zone.records.push(Record::address(
            server,
            300,
            IpAddr::from([192, 0, 2, index]),
        ));
        let sibling = name(&format!("ns{index}.sibling.z"));
        zone.records.push(Record::name(
            name("beside.z"),
            300,
            RecordType::NS,
            &sibling,
        ));
        zone.records.push(Record::address(
            sibling,
            300,
            IpAddr::from([192, 0, 2, index]),
        ));
    }
    zone.records.push(Record::name(
        name("sibling.z"),
        300,
        RecordType::NS,
        &name("ns0.sibling.z"),
    ));
    zone.records.push(Record::name(
        name("alias.z"),
        300,
        RecordType::CNAME,
        &name("some.z"),
    ));
    let mut builder = SnapshotBuilder::new();
    builder.zone(&zone).unwrap();
    builder
        .steer(&name("shop.z"), &steer(&Arc::new(ViewTable::uniform()), 9))
        .unwrap();
    builder.build(1)
}

#[derive(Debug, Clone)]
struct Asked {
    bytes: Vec<u8>,
    edns: Option<u16>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let names = prop::sample::select(vec![
        "one.z",
        "some.z",
        "many.z",
        "huge.z",
        "x.cut.z",
        "x.beside.z",
        "alias.z",
        "shop.z",
        "z",
        "no.z",
        "y",
    ]);
    let option = prop_oneof![
        Just(vec![0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2]),
        Just(vec![
            0, 8, 0, 20, 0, 2, 128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
        ]),
        Just(vec![0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
        Just(vec![0xfd, 0xe9, 0, 2, 1, 2]),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    let edns = prop::option::of((any::<u16>(), prop::collection::vec(option, 0..4)));
    let types = prop::sample::select(vec![16, 1, 255, 2, 6, 252, 43]);
    (any::<[u8; 2]>(), names, types, edns).prop_map(|(id, asked, record_type, edns)| {
        let mut bytes = query(&name(asked), RecordType(record_type));
        bytes[..2].copy_from_slice(&id);
        // Some letters in upper case.
        for (index, byte) in bytes[12..].iter_mut().enumerate() {
            if byte.is_ascii_lowercase() && id[index % 2] >> (index % 8) & 1 == 1 {
                *byte = byte.to_ascii_uppercase();
            }
        }
        if let Some((size, options)) = &edns {
            bytes[11] = 1;
            let data = options.concat();
            bytes.extend([0, 0, 41]);
            bytes.extend(size.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        Asked {
            bytes,
            edns: edns.map(|(size, _)| size),
        }
    })
}

fn whole(decoded: &Decoded) -> [usize; 3] {
    [
        decoded.answer.len(),
        decoded.authority.len(),
        decoded.additional.len(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_reply_repeats_the_question_and_is_never_larger_than_allowed(asked in asked()) {
        let snapshot = &*SIZED;
            let over_udp = Client { transport: Transport::Udp, ..client() };
            let bytes = reply(snapshot, &asked.bytes, &over_udp);
            let limit = usize::from(asked.edns.unwrap_or(512)).clamp(512, UDP_BYTES_MAX);
            prop_assert!(bytes.len() <= limit);
            let got = decode(&bytes);
            prop_assert_eq!(got.id.to_be_bytes(), [asked.bytes[0], asked.bytes[1]]);
            prop_assert!(got.flags.contains(&"QR"));
            if got.rcode != 1 {
                prop_assert!(asked.bytes[12..].starts_with(&got.question));
                prop_assert_eq!(got.opt.is_some(), asked.edns.is_some());
            }
            let streamed = decode(&reply(snapshot, &asked.bytes, &client()));
            prop_assert!(!streamed.flags.contains(&"TC"));
            if got.flags.contains(&"TC") {
                // What is there, is whole sets.
                prop_assert!(got.answer.len() <= 1 && got.additional.is_empty());
            } else {
                prop_assert_eq!(&got.answer, &streamed.answer);
                prop_assert_eq!(&got.authority, &streamed.authority);
                let needed = streamed.additional.iter().filter(|r| r.owner.is_within(&name("cut.z")));
                prop_assert!(got.additional.len() >= needed.count(), "{:?}", whole(&got));
            }
    }

    #[test]
    fn the_short_way_to_read_a_query_gives_the_bytes_that_the_long_one_gives(
        asked in asked(),
        world in worlds(),
    ) {
        // A record that says nothing, beside OPT or in its place, is what the short way does not take.
        let question = 12 + asked.bytes[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let mut beside = asked.bytes.clone();
        beside[11] += 1;
        beside.splice(question..question, [0, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for transport in Transport::ALL {
            let client = Client { transport, ..client() };
            for snapshot in [&SIZED, &world.snapshot] {
                let short = reply(snapshot, &asked.bytes, &client);
                prop_assert_eq!(short, reply(snapshot, &beside, &client));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        asked in asked(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        out in 0usize..1400,
    ) {
        let mut changed = asked.bytes;
        for (index, byte) in changes {
            let at = index.index(changed.len());
            changed[at] = byte;
        }
        let end = cut.index(changed.len() * 4);
        let cut = &changed[..end.min(changed.len())];
        for query in [&bytes[..], &changed, cut] {
            for transport in Transport::ALL {
                let mut buffer = vec![0; out];
                let client = Client { transport, ..client() };
                let reply = answer(&SIZED, query, &client, &server(), &mut buffer);
                prop_assert!(reply.len <= buffer.len());
                if reply.len > 0 {
                    let got = decode(&buffer[..reply.len]);
                    prop_assert_eq!(got.id.to_be_bytes(), [query[0], query[1]]);
                    prop_assert!(got.flags.contains(&"QR"));
                    // A query is what is answered, never a reply.
                    prop_assert!(query[2] & 0x80 == 0);
                }
            }
        }
    }
}
