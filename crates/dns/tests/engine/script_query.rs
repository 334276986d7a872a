//! The bytes of a script's query, and of what a reply is compared with.

use std::net::IpAddr;

use meridian_dns::{Name, RecordType, read_records};

use crate::script_file::Entry;

/// Sections of a query besides the question, in their order, with the names that UPDATE has for them.
const SECTIONS: [&[&str]; 3] = [
    &["ANSWER", "PREREQUISITE"],
    &["AUTHORITY", "UPDATE"],
    &["ADDITIONAL"],
];

/// The bytes of a query, without a signature.
pub(crate) fn query(entry: &Entry) -> Vec<u8> {
    if let Some(digits) = entry.get("HEX") {
        return hex(digits);
    }
    let words: Vec<&str> = entry
        .get("REPLY")
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let opcode = words.iter().find_map(|word| opcode(word)).unwrap_or(0);
    let mut flags = u16::from(opcode) << 11;
    for (bit, name) in [
        (0x0400, "AA"),
        (0x0100, "RD"),
        (0x0080, "RA"),
        (0x40, "Z"),
        (0x20, "AD"),
        (0x10, "CD"),
    ] {
        flags |= if words.contains(&name) { bit } else { 0 };
    }
    let questions = entry.section("QUESTION");
    let mut query = vec![0xab, 0xcd];
    query.extend(flags.to_be_bytes());
    query.extend((questions.len() as u16).to_be_bytes());
    let records = SECTIONS.map(|names| {
        let lines = names.iter().flat_map(|name| entry.section(name));
        lines.map(|line| record_bytes(line)).collect::<Vec<_>>()
    });
    for section in &records {
        query.extend((section.len() as u16).to_be_bytes());
    }
    query[11] += u8::from(entry.get("EDNS").is_some());
    for question in questions {
        query.extend(question_bytes(question));
    }
    query.extend(records.into_iter().flatten().flatten());
    if let Some(edns) = entry.get("EDNS") {
        query.extend(opt(entry, edns));
    }
    query
}

fn opt(entry: &Entry, edns: &str) -> Vec<u8> {
    let words: Vec<&str> = edns.split_whitespace().collect();
    let version = words.iter().find_map(|word| word.strip_prefix("VERSION="));
    let flags = words.iter().find_map(|word| word.strip_prefix("FLAGS="));
    let mut bytes = vec![0, 0, 41];
    bytes.extend(words[0].parse::<u16>().unwrap().to_be_bytes());
    bytes.extend([0, version.map_or(0, |version| version.parse().unwrap())]);
    let flags = flags.map_or(0, |flags| u16::from_str_radix(flags, 16).unwrap());
    let flags = flags | if words.contains(&"DO") { 0x8000 } else { 0 };
    bytes.extend(flags.to_be_bytes());
    let options: Vec<u8> = entry
        .all("OPTION")
        .flat_map(|option| {
            let (code, data) = option_bytes(option);
            [
                &code.to_be_bytes()[..],
                &(data.len() as u16).to_be_bytes(),
                &data,
            ]
            .concat()
        })
        .collect();
    bytes.extend((options.len() as u16).to_be_bytes());
    bytes.extend(options);
    bytes
}

/// `SUBNET address/source[/scope]`, `COOKIE hex`, `EDE number`, `NSID text`, `KEEPALIVE hex`,
/// `PADDING bytes`, or `number hex`.
pub(crate) fn option_bytes(option: &str) -> (u16, Vec<u8>) {
    let (code, value) = option.split_once(' ').unwrap_or((option, ""));
    match code {
        "SUBNET" => (8, subnet(value)),
        "NSID" => (3, value.as_bytes().to_vec()),
        "COOKIE" => (10, hex(value)),
        "KEEPALIVE" => (11, hex(value)),
        "PADDING" => (12, vec![0; value.parse().unwrap()]),
        "EDE" => (15, value.parse::<u16>().unwrap().to_be_bytes().to_vec()),
        number => (number.parse().unwrap(), hex(value)),
    }
}

fn subnet(text: &str) -> Vec<u8> {
    let mut parts = text.split('/');
    let address: IpAddr = parts.next().unwrap().parse().unwrap();
    let source: u8 = parts.next().unwrap().parse().unwrap();
    let scope = parts.next().map_or(0, |scope| scope.parse().unwrap());
    let (family, octets) = match address {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let octets = &octets[..usize::from(source).div_ceil(8)];
    [&[0, family, source, scope], octets].concat()
}

/// `name [class] type`; the case of the name is kept.
pub(crate) fn question_bytes(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (owner, class, record_type) = match words.as_slice() {
        [owner, record_type] => (owner, "IN", record_type),
        [owner, class, record_type] => (owner, *class, record_type),
        _ => panic!("{line:?} is no question"),
    };
    [
        &name_bytes(owner)[..],
        &type_number(record_type).to_be_bytes(),
        &class_number(class).to_be_bytes(),
    ]
    .concat()
}

/// `name TTL class type [data]`; the data is left out, or in hex after `\#`, where none of its type is
/// meant.
fn record_bytes(line: &str) -> Vec<u8> {
    let mut words = line.splitn(5, ' ');
    let mut word = || {
        words
            .next()
            .unwrap_or_else(|| panic!("{line:?} is no record"))
    };
    let (owner, ttl_secs, class) = (word(), word(), word());
    let (record_type, data) = (word(), words.next().unwrap_or(""));
    let data = match data.strip_prefix("\\# ") {
        Some(digits) => hex(digits),
        None if data.is_empty() => Vec::new(),
        None => {
            let line = format!("@ {record_type} {data}");
            let records = read_records(&line, &Name::root(), 0).unwrap();
            records[0].data.to_vec()
        }
    };
    [
        &name_bytes(owner)[..],
        &type_number(record_type).to_be_bytes(),
        &class_number(class).to_be_bytes(),
        &ttl_secs.parse::<u32>().unwrap().to_be_bytes(),
        &(data.len() as u16).to_be_bytes(),
        &data,
    ]
    .concat()
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}

fn type_number(text: &str) -> u16 {
    match text {
        "IXFR" => 251,
        other => other.parse::<RecordType>().unwrap().0,
    }
}

fn class_number(class: &str) -> u16 {
    match class {
        "IN" => 1,
        "CH" => 3,
        "NONE" => 254,
        "ANY" => 255,
        number => number.strip_prefix("CLASS").unwrap().parse().unwrap(),
    }
}

pub(crate) fn opcode(word: &str) -> Option<u8> {
    match word {
        "STATUS" => Some(2),
        "NOTIFY" => Some(4),
        "UPDATE" => Some(5),
        number => number.strip_prefix("OPCODE")?.parse().ok(),
    }
}

pub(crate) fn rcode(word: &str) -> Option<u16> {
    let known = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
        "NXRRSET", "NOTAUTH", "NOTZONE",
    ];
    match word {
        "BADVERS" => Some(16),
        "BADCOOKIE" => Some(23),
        _ => known
            .iter()
            .position(|name| *name == word)
            .map(|code| code as u16),
    }
}

pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
