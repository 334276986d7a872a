//! Zones and queries that a seed draws: few labels, so that names meet in every way.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many zones.
const ZONES: usize = 20;
/// Names in each.
const NAMES: usize = 150;
const LABELS: [&str; 9] = [
    "a",
    "b",
    "c",
    "www",
    "x1",
    "mail",
    "_tcp",
    "*",
    "long-label-with-digits-0123456789",
];
const TYPES: [u16; 14] = [1, 28, 16, 2, 5, 6, 15, 33, 39, 43, 12, 257, 65280, 13];

/// A zone as the text that every server reads.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) origin: String,
    pub(crate) text: String,
    /// Names that stand in it, relative to the origin.
    names: Vec<String>,
}

pub(crate) use crate::split_mix::SplitMix as Chance;

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// The zones of a seed.
pub(crate) fn make(seed: u64) -> Vec<Made> {
    let mut chance = Chance(seed);
    (0..ZONES).map(|number| zone(number, &mut chance)).collect()
}

fn zone(number: usize, chance: &mut Chance) -> Made {
    let origin = format!("zone{number}.example.");
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..NAMES {
        let depth = 1 + chance.below(4);
        let mut labels: Vec<&str> = (0..depth).map(|_| *chance.pick(&LABELS)).collect();
        // A wildcard inside a name is a name like any other; most stand at the left.
        if chance.below(3) > 0 {
            labels[1..]
                .iter_mut()
                .filter(|it| **it == "*")
                .for_each(|it| *it = "b");
        }
        names.entry(labels.join(".")).or_default();
    }
    let all: Vec<String> = names.keys().cloned().collect();
    for (name, records) in &mut names {
        stand(name, records, &all, chance);
    }
    // Nothing stands below a DNAME (RFC 6672 § 2.4).
    let tops: Vec<String> = names
        .iter()
        .filter(|(_, records)| records.iter().any(|it| it.contains(" DNAME ")))
        .map(|(name, _)| format!(".{name}"))
        .collect();
    names.retain(|name, _| !tops.iter().any(|top| name.ends_with(top.as_str())));
    let mut text = format!(
        "$ORIGIN {origin}\n$TTL 300\n@ 3600 IN SOA ns1 host 1 7200 3600 1209600 300\n@ NS ns1\n\
         @ NS ns.elsewhere.test.\n@ MX 10 mail0\nns1 A 192.0.2.53\nmail0 A 192.0.2.25\n"
    );
    // One set that fits no datagram.
    for i in 0..40 {
        let _ = writeln!(text, "big TXT \"{i} {}\"", "x".repeat(60));
    }
    for records in names.values() {
        for record in records {
            let _ = writeln!(text, "{record}");
        }
    }
    let mut names: Vec<String> = names.into_keys().collect();
    names.extend(["@", "ns1", "big", "mail0"].map(str::to_owned));
    Made {
        origin,
        text,
        names,
    }
}

/// What stands at a name: one alias, one delegation, one DNAME, or data.
fn stand(name: &str, records: &mut Vec<String>, all: &[String], chance: &mut Chance) {
    let wildcard = name.starts_with('*');
    let other = chance.pick(all).clone();
    match chance.below(12) {
        0 => {
            // Forwards only, so that there are no circles.
            let target = if other.as_str() > name {
                other
            } else {
                "gone.elsewhere.test.".into()
            };
            records.push(format!("{name} 120 CNAME {target}"));
        }
        1 | 2 if !wildcard && !name.contains('*') => {
            records.push(format!("{name} NS ns.{name}"));
            records.push(format!("{name} NS ns.elsewhere.test."));
            records.push(format!("ns.{name} A 192.0.2.{}", chance.below(256)));
            if chance.below(2) == 0 {
                records.push(format!(
                    "ns.{name} AAAA 2001:db8::{:x}",
                    chance.below(65_536)
                ));
            }
            if chance.below(2) == 0 {
                records.push(format!("under.{name} TXT \"occluded\""));
            }
        }
        3 if !wildcard && !name.contains('*') => {
            records.push(format!(
                "{name} DNAME target{}.elsewhere.test.",
                chance.below(3)
            ));
        }
        _ => {
            for _ in 0..1 + chance.below(4) {
                records.push(data(name, &other, chance));
            }
        }
    }
}

fn data(name: &str, other: &str, chance: &mut Chance) -> String {
    let byte = chance.below(256);
    match chance.below(8) {
        0 | 1 => format!("{name} A 192.0.2.{byte}"),
        2 => format!("{name} AAAA 2001:db8::{byte:x}"),
        3 => format!("{name} TXT \"text {byte}\" \"and more\""),
        4 => format!("{name} MX {byte} {other}"),
        5 => format!("{name} SRV 1 2 {byte} {other}"),
        6 => format!("{name} CAA 0 issue \"ca{byte}.example.net\""),
        _ => format!("{name} TYPE65280 \\# 3 0102{byte:02x}"),
    }
}

/// A query for one of the zones, or just outside; in any case, with or without EDNS.
pub(crate) fn query(zones: &[Made], chance: &mut Chance) -> Vec<u8> {
    let zone = chance.pick(zones);
    let known = chance.pick(&zone.names).clone();
    let mut labels: Vec<String> = match known.as_str() {
        "@" => Vec::new(),
        name => name.split('.').map(str::to_owned).collect(),
    };
    match chance.below(6) {
        0 => labels.insert(0, (*chance.pick(&LABELS)).to_owned()),
        1 if !labels.is_empty() => labels[0] = format!("n{}", chance.below(20)),
        2 if !labels.is_empty() => drop(labels.remove(0)),
        3 => labels.insert(0, "ns".to_owned()),
        _ => {}
    }
    labels.extend(
        zone.origin
            .trim_end_matches('.')
            .split('.')
            .map(str::to_owned),
    );
    if chance.below(200) == 0 {
        labels = vec!["www".to_owned(), "outside".to_owned(), "test".to_owned()];
    }
    let edns = chance.below(3) > 0;
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in labels {
        message.push(label.len() as u8);
        let turned = label.bytes().map(|byte| match chance.below(4) {
            0 => byte.to_ascii_uppercase(),
            _ => byte,
        });
        message.extend(turned.collect::<Vec<u8>>());
    }
    message.push(0);
    message.extend(chance.pick(&TYPES).to_be_bytes());
    message.extend([0, 1]);
    if edns {
        let size: u16 = *chance.pick(&[512, 1232, 4096]);
        message.extend([0, 0, 41]);
        message.extend(size.to_be_bytes());
        message.extend([0; 6]);
    }
    message
}
