//! The same queries to all, and whether their answers agree.
//!
//! What must agree: the code, AA, TC, and the sections without regard to the order of records. What
//! a server may add or leave out is an exception, each with its reason in
//! `tests/peers/dns-exceptions`; one that never occurred is an error, so that the list stays true.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Record, RecordType};

use crate::servers::{self, Peer};
use crate::zones::{self, Chance, Made};
use crate::{Fallible, say};

/// Queries that are under way to one server.
const WINDOW: usize = 64;
/// How long a reply may take before the query is sent again.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES_MAX: usize = 5;
/// So many differences are shown.
const SHOWN_MAX: usize = 12;
/// Reasons, relative to the repository.
const EXCEPTIONS: &str = include_str!("../../../../tests/peers/dns-exceptions");

/// Runs the comparison.
pub(crate) fn run(zones: &[Made], count: usize, ours: SocketAddr, folder: &Path) -> Fallible<()> {
    let peers = servers::start(zones, folder)?;
    let mut chance = Chance(count as u64);
    let queries: Vec<Vec<u8>> = (0..count)
        .map(|_| zones::query(zones, &mut chance))
        .collect();
    let mut replies = vec![ask_all(ours, &queries)?];
    for peer in &peers {
        replies.push(ask_all(peer.address, &queries)?);
    }
    let mut exceptions = Exceptions::read()?;
    let mut different = Vec::new();
    let mut undecided = 0;
    for (index, query) in queries.iter().enumerate() {
        let given: Vec<&[u8]> = replies.iter().map(|of| of[index].as_slice()).collect();
        match judge(&given, &mut exceptions)? {
            Verdict::Agrees => {}
            Verdict::Undecided => undecided += 1,
            Verdict::Differs(told) => different.push(tell(query, &told, &peers)?),
        }
    }
    exceptions.check_used()?;
    if !different.is_empty() {
        let shown = different
            .iter()
            .take(SHOWN_MAX)
            .cloned()
            .collect::<String>();
        return Err(format!("{} of {count} differ\n{shown}", different.len()).into());
    }
    say(&format!(
        "{count} queries to {} zones: as most of knotd, nsd and named answer ({undecided} where \
         these do not agree)",
        zones.len()
    ));
    Ok(())
}

enum Verdict {
    Agrees,
    /// No answer has more than half.
    Undecided,
    /// Each server's.
    Differs(Vec<String>),
}

/// The first is ours.
fn judge(replies: &[&[u8]], exceptions: &mut Exceptions) -> Fallible<Verdict> {
    let messages = replies.iter().map(|bytes| Message::from_vec(bytes));
    let messages: Vec<Message> = messages.collect::<Result<_, _>>()?;
    let cut = messages.iter().any(|it| it.metadata.truncation);
    let essences: Vec<String> = messages
        .iter()
        .map(|message| essence(message, cut, exceptions))
        .collect();
    let others = &essences[1..];
    let most = others
        .iter()
        .max_by_key(|it| others.iter().filter(|other| other == it).count());
    let most = most.ok_or("there are no others")?;
    let votes = others.iter().filter(|other| *other == most).count();
    Ok(match (essences[0] == *most, votes * 2 > others.len()) {
        (true, true) => Verdict::Agrees,
        _ if votes * 2 <= others.len() => {
            if others.contains(&essences[0]) {
                Verdict::Undecided
            } else {
                Verdict::Differs(essences)
            }
        }
        _ => Verdict::Differs(essences),
    })
}

/// What must be the same, as text.
fn essence(message: &Message, cut: bool, exceptions: &mut Exceptions) -> String {
    let meta = &message.metadata;
    let flags = format!(
        "{:?} aa={} tc={}",
        meta.response_code, meta.authoritative, meta.truncation
    );
    if cut {
        exceptions.use_it("what-is-cut-off");
        return format!("{:?} tc={}", meta.response_code, meta.truncation);
    }
    let asked = message
        .queries
        .first()
        .map(|query| query.name().to_lowercase());
    let is_referral = message.answers.is_empty() && !meta.authoritative;
    let mut authority = message.authorities.clone();
    if !is_referral {
        let before = authority.len();
        authority.retain(|record| record.record_type() != RecordType::NS);
        exceptions.use_if("name-servers-beside-answers", before != authority.len());
    }
    let mut additional: Vec<Record> = message.additionals.clone();
    additional.retain(|record| record.record_type() != RecordType::OPT);
    if !is_referral {
        exceptions.use_if("addresses-beside-answers", !additional.is_empty());
        additional.clear();
    }
    let sections = [&message.answers, &authority, &additional].map(|records| {
        let lines: BTreeSet<String> = records.iter().map(line).collect();
        lines.into_iter().collect::<Vec<_>>().join("\n    ")
    });
    format!(
        "{flags} for {}\n  answer\n    {}\n  authority\n    {}\n  additional\n    {}",
        asked.map(|name| name.to_string()).unwrap_or_default(),
        sections[0],
        sections[1],
        sections[2]
    )
}

fn line(record: &Record) -> String {
    format!(
        "{} {} {} {}",
        record.name,
        record.ttl,
        record.record_type(),
        record.data
    )
    .to_lowercase()
}

fn tell(query: &[u8], essences: &[String], peers: &[Peer]) -> Fallible<String> {
    let query = Message::from_vec(query)?;
    let asked = query.queries.first().ok_or("a query asks")?;
    let mut text = format!("\n{} {}\n", asked.name(), asked.query_type());
    let labels = std::iter::once("meridian").chain(peers.iter().map(|peer| peer.label));
    for (label, essence) in labels.zip(essences) {
        text += &format!("{label}: {essence}\n");
    }
    Ok(text)
}

/// All replies of one server, in the order of the queries.
fn ask_all(server: SocketAddr, queries: &[Vec<u8>]) -> Fallible<Vec<Vec<u8>>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut replies: Vec<Vec<u8>> = Vec::with_capacity(queries.len());
    let mut buffer = [0; 4096];
    for window in queries.chunks(WINDOW) {
        let start = replies.len();
        replies.resize(start + window.len(), Vec::new());
        let mut missing = window.len();
        for _ in 0..TRIES_MAX {
            for (at, query) in window.iter().enumerate() {
                if replies[start + at].is_empty() {
                    // The number within all queries is the identifier.
                    let id = ((start + at) as u16).to_be_bytes();
                    socket.send(&[&id, &query[2..]].concat())?;
                }
            }
            while missing > 0 {
                let Ok(len) = socket.recv(&mut buffer) else {
                    break;
                };
                let id = u16::from_be_bytes([buffer[0], buffer[1]]);
                let at = usize::from(id.wrapping_sub(start as u16));
                if at < window.len() && replies[start + at].is_empty() {
                    replies[start + at] = buffer[..len].to_vec();
                    missing -= 1;
                }
            }
            if missing == 0 {
                break;
            }
        }
        if missing > 0 {
            return Err(format!("{server} left {missing} queries without an answer").into());
        }
    }
    Ok(replies)
}

/// Exceptions that are allowed, and whether each was needed.
struct Exceptions {
    used: BTreeMap<&'static str, bool>,
}

impl Exceptions {
    /// `name: reason` on each line.
    fn read() -> Fallible<Self> {
        let mut used = BTreeMap::new();
        for line in EXCEPTIONS
            .lines()
            .filter(|it| !it.is_empty() && !it.starts_with('#'))
        {
            let (name, reason) = line.split_once(": ").ok_or("an exception has a reason")?;
            if reason.trim().is_empty() {
                return Err(format!("{name} has no reason").into());
            }
            used.insert(name, false);
        }
        Ok(Self { used })
    }

    fn use_if(&mut self, name: &'static str, needed: bool) {
        if needed {
            self.use_it(name);
        }
    }

    /// One that the file does not name shows up as missing at the end.
    fn use_it(&mut self, name: &'static str) {
        self.used.insert(name, true);
    }

    fn check_used(&self) -> Fallible<()> {
        for (name, used) in &self.used {
            let named = EXCEPTIONS
                .lines()
                .any(|line| line.starts_with(&format!("{name}: ")));
            if !named {
                return Err(format!("{name} is an exception without a reason").into());
            }
            if !used {
                return Err(format!("the exception {name} never occurred: take it out").into());
            }
        }
        Ok(())
    }
}
