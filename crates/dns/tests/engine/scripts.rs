//! Runs `tests/dns/*.rpl`.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use meridian_dns::{Record, RecordType, answer, answer_limited};

use crate::reply::{Decoded, decode};
use crate::script_file::{Entry, Step, read};

#[test]
fn every_script_gives_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dns");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rpl"))
        .collect();
    paths.sort();
    let mut failures = Vec::new();
    let mut steps = 0;
    for path in &paths {
        let script = read(&fs::read_to_string(path).unwrap());
        assert!(!script.steps.is_empty(), "{} has no steps", path.display());
        for step in &script.steps {
            steps += 1;
            let mut out = vec![0; meridian_dns::REPLY_BYTES_MAX];
            let query = query(&step.query);
            let client = step.query.client();
            let reply = match step.query.get("LIMITED") {
                Some(_) => answer_limited(&query, &client, &script.server, &mut out),
                None => answer(&script.snapshot, &query, &client, &script.server, &mut out),
            };
            if let Err(problem) = check(step, &out[..reply.len]) {
                let file = path.file_name().unwrap().to_string_lossy().into_owned();
                failures.push(format!("{file}, {}: {problem}", step.label));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {steps}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(steps >= 60, "only {steps} steps in {} scripts", paths.len());
}

/// The bytes of a query.
fn query(entry: &Entry) -> Vec<u8> {
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
    query.extend([0; 4]);
    query.extend([0, u8::from(entry.get("EDNS").is_some())]);
    for question in questions {
        query.extend(question_bytes(question));
    }
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
fn option_bytes(option: &str) -> (u16, Vec<u8>) {
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

/// Compares a reply with an entry: everything, or what `MATCH` lists.
fn check(step: &Step, reply: &[u8]) -> Result<(), String> {
    let expected = &step.expected;
    if expected.get("NO_REPLY").is_some() {
        return if reply.is_empty() {
            Ok(())
        } else {
            Err("there is a reply".to_owned())
        };
    }
    if reply.is_empty() {
        return Err("there is no reply".to_owned());
    }
    compare(expected, &decode(reply), reply.len())
}

/// Compares what is there.
fn compare(expected: &Entry, got: &Decoded, size: usize) -> Result<(), String> {
    let listed: Option<Vec<&str>> = expected
        .get("MATCH")
        .map(|m| m.split_whitespace().collect());
    let matches = |what: &str| listed.as_ref().is_none_or(|listed| listed.contains(&what));
    let mut problems = Vec::new();
    let mut compare = |what: &str, got: String, wanted: String| {
        if matches(what) && got != wanted {
            problems.push(format!("{what}\n     got {got}\n  wanted {wanted}"));
        }
    };
    let words: Vec<&str> = expected
        .get("REPLY")
        .expect("REPLY")
        .split_whitespace()
        .collect();
    let flags = words
        .iter()
        .filter(|word| word.len() <= 2)
        .copied()
        .collect::<Vec<_>>();
    let code = words.iter().find_map(|word| rcode(word)).unwrap_or(0);
    let kind = words.iter().find_map(|word| opcode(word)).unwrap_or(0);
    compare("flags", format!("{:?}", got.flags), format!("{flags:?}"));
    compare("rcode", got.rcode.to_string(), code.to_string());
    compare("opcode", got.opcode.to_string(), kind.to_string());
    let question: Vec<u8> = expected
        .section("QUESTION")
        .iter()
        .flat_map(|line| question_bytes(line))
        .collect();
    compare(
        "question",
        format!("{:02x?}", got.question),
        format!("{question:02x?}"),
    );
    compare(
        "answer",
        show(&got.answer),
        show(&expected.records("ANSWER")),
    );
    compare(
        "authority",
        show(&got.authority),
        show(&expected.records("AUTHORITY")),
    );
    compare(
        "additional",
        show(&got.additional),
        show(&expected.records("ADDITIONAL")),
    );
    compare("opt", shown_opt(got), expected_opt(expected));
    let size_max = expected
        .get("SIZE_MAX")
        .map_or(usize::MAX, |size| size.parse().unwrap());
    compare("size", (size <= size_max).to_string(), true.to_string());
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

/// Records as lines, sorted.
fn show(records: &[Record]) -> String {
    let mut lines: Vec<_> = records
        .iter()
        .map(|r| {
            format!(
                "{} {} {} {:02x?}",
                r.owner, r.ttl_secs, r.record_type, r.data
            )
        })
        .collect();
    lines.sort();
    lines.join("\n         ")
}

fn shown_opt(got: &Decoded) -> String {
    let Some(opt) = &got.opt else {
        return "none".to_owned();
    };
    let options: Vec<_> = opt
        .options
        .iter()
        .map(|(code, data)| format!("{code} {data:02x?}"))
        .collect();
    format!(
        "{} v{} {} {options:?}",
        opt.udp_bytes, opt.version, opt.dnssec_ok
    )
}

fn expected_opt(entry: &Entry) -> String {
    let Some(edns) = entry.get("EDNS") else {
        return "none".to_owned();
    };
    let words: Vec<&str> = edns.split_whitespace().collect();
    let options: Vec<_> = entry
        .all("OPTION")
        .map(option_bytes)
        .map(|(code, data)| format!("{code} {data:02x?}"))
        .collect();
    format!("{} v0 {} {options:?}", words[0], words.contains(&"DO"))
}

/// `name [class] type`; the case of the name is kept.
fn question_bytes(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (owner, class, record_type) = match words.as_slice() {
        [owner, record_type] => (owner, "IN", record_type),
        [owner, class, record_type] => (owner, *class, record_type),
        _ => panic!("{line:?} is no question"),
    };
    let mut wire = Vec::new();
    for label in owner.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    let class: u16 = match class {
        "IN" => 1,
        "CH" => 3,
        "ANY" => 255,
        number => number.strip_prefix("CLASS").unwrap().parse().unwrap(),
    };
    let record_type: RecordType = record_type.parse().unwrap();
    [
        &wire[..],
        &record_type.0.to_be_bytes(),
        &class.to_be_bytes(),
    ]
    .concat()
}

fn opcode(word: &str) -> Option<u8> {
    match word {
        "STATUS" => Some(2),
        "NOTIFY" => Some(4),
        "UPDATE" => Some(5),
        "OPCODE15" => Some(15),
        _ => None,
    }
}

fn rcode(word: &str) -> Option<u16> {
    let known = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN",
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

fn hex(digits: &str) -> Vec<u8> {
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
