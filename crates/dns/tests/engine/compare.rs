//! Compares what came with what a script says.

use meridian_dns::Record;

use crate::reply::{Decoded, decode, lines};
use crate::script_file::{Entry, Step};
use crate::script_query::{opcode, option_bytes, question_bytes, rcode};

/// Compares a reply with an entry: everything, or what `MATCH` lists.
pub(crate) fn check(step: &Step, messages: &[Vec<u8>], told: &str) -> Result<(), String> {
    let expected = &step.expected;
    if expected.get("NO_REPLY").is_some() {
        return if messages.is_empty() {
            Ok(())
        } else {
            Err("there is a reply".to_owned())
        };
    }
    let Some((first, others)) = messages.split_first() else {
        return Err("there is no reply".to_owned());
    };
    let mut got = decode(first);
    for message in others {
        got.answer.extend(decode(message).answer);
    }
    compare(expected, &got, first.len(), told)
}

/// Compares what is there.
fn compare(expected: &Entry, got: &Decoded, size: usize, told: &str) -> Result<(), String> {
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
    let shown = |records: &[Record]| show(records, expected.get("IN_ORDER").is_some());
    let sections = [&got.answer, &got.authority, &got.additional];
    for (section, got) in ["ANSWER", "AUTHORITY", "ADDITIONAL"]
        .into_iter()
        .zip(sections)
    {
        let wanted = shown(&expected.records(section));
        compare(&section.to_lowercase(), shown(got), wanted);
    }
    compare("opt", shown_opt(got), expected_opt(expected));
    let wanted = expected.get("TSIG").unwrap_or("none");
    compare("tsig", told.to_owned(), wanted.to_owned());
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

/// Records as lines, sorted unless their order says something.
fn show(records: &[Record], in_order: bool) -> String {
    let mut lines = lines(records);
    if !in_order {
        lines.sort();
    }
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
