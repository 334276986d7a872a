//! dnsperf over UDP, TCP and TLS.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use dns::Transport;

use crate::ours::Counter;
use crate::zones::{self, Chance, Made};
use crate::{Fallible, say};

/// Queries over each transport.
const QUERIES: usize = 20_000;

/// Runs it.
pub(crate) fn run(
    zones: &[Made],
    plain: SocketAddr,
    tls: SocketAddr,
    folder: &Path,
    asked: &Counter,
) -> Fallible<()> {
    let file = folder.join("queries");
    fs::write(&file, queries(zones)?)?;
    for (mode, address, transport) in [
        ("udp", plain, Transport::Udp),
        ("tcp", plain, Transport::Tcp),
        ("dot", tls, Transport::Tls),
    ] {
        let before = total(asked, transport);
        let output = Command::new("dnsperf")
            .args([
                "-s",
                "127.0.0.1",
                "-p",
                &address.port().to_string(),
                "-m",
                mode,
            ])
            .args(["-n", "1", "-c", "8", "-q", "64", "-t", "10", "-e", "-d"])
            .arg(&file)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |label: &str| {
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(label));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.and_then(|word| word.parse::<u64>().ok())
        };
        let (sent, lost) = (number("Queries sent:"), number("Queries lost:"));
        let warned = String::from_utf8_lossy(&output.stderr);
        let failed = text.contains("SERVFAIL") || text.contains("FORMERR");
        if sent != Some(QUERIES as u64) || lost != Some(too_early(&text, &warned)) || failed {
            return Err(format!("dnsperf over {mode}:\n{text}{warned}").into());
        }
        let counted = total(asked, transport) - before;
        if counted < QUERIES as u64 {
            return Err(format!("{counted} replies are counted over {mode}, not {QUERIES}").into());
        }
        say(&format!(
            "dnsperf over {mode}: {QUERIES} queries, none lost, none failed"
        ));
    }
    Ok(())
}

/// How many replies came to dnsperf before it had noted that their queries were sent: it warns that
/// it did not expect them, and later counts these queries as lost (seen in its version 2.10).
fn too_early(text: &str, warned: &str) -> u64 {
    let ids = |text: &str, before: &str| -> BTreeSet<String> {
        let after = text.lines().filter_map(|line| line.split_once(before));
        after.map(|(_, id)| id.trim().to_owned()).collect()
    };
    let came = ids(warned, "unexpected (maybe timed out) id:");
    let missed = ids(text, "Query timed out: msg id");
    came.intersection(&missed).count() as u64
}

fn total(asked: &Counter, transport: Transport) -> u64 {
    let classes = dns::ReplyClass::ALL.into_iter();
    classes.map(|class| asked(class, transport)).sum()
}

/// `name type` lines.
fn queries(zones: &[Made]) -> Fallible<String> {
    let mut chance = Chance(3);
    let mut text = String::new();
    for _ in 0..QUERIES {
        let query = hickory_proto::op::Message::from_vec(&zones::query(zones, &mut chance))?;
        let asked = query.queries.first().ok_or("a query asks")?;
        let number = u16::from(asked.query_type());
        writeln!(text, "{} TYPE{number}", asked.name())?;
    }
    Ok(text)
}
