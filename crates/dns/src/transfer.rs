//! Zones to secondaries: AXFR (RFC 5936) and IXFR (RFC 1995), message by message.
//!
//! | asked | known | answer |
//! |---|---|---|
//! | AXFR | | SOA, all records, SOA |
//! | IXFR from the newest serial, or a later one | | the SOA alone |
//! | IXFR from an earlier one | every step since | SOA, of each step what went and what came, SOA |
//! | | not every step | as AXFR |
//! | IXFR in a datagram | what fits | the same |
//! | | what does not fit | the SOA alone: ask again over TCP (RFC 1995 § 2) |

use std::collections::HashMap;
use std::sync::Arc;

use crate::client::{Client, Server, Transport};
use crate::edition::{Change, Edition, is_newer};
use crate::edns::UDP_BYTES_MAX;
use crate::name::Name;
use crate::query::{HEADER_BYTES, Header, Parsed, Question, parse, skip_name};
use crate::record::{Record, RecordType, compressible, name_length};
use crate::snapshot::Snapshot;
use crate::steered::Freshness;
use crate::tsig::{self, Signing};

/// How long a message becomes: pointers reach no further.
const MESSAGE_BYTES: usize = 16_384;
const CLASS_IN: u16 = 1;
/// Flags of a reply that speaks for the zone.
const RESPONSE: u8 = 0x80;
const AUTHORITATIVE: u8 = 0x04;

/// The messages of a transfer, each with its signature if the query had one. What is sent is what
/// the snapshot held when it was asked, however long sending takes.
pub struct Messages {
    parts: Vec<Part>,
    /// How many records of the first part have been sent.
    sent: usize,
    header: Header,
    /// The question, for the first message.
    question: Option<Vec<u8>>,
    has_edns: bool,
    signing: Option<Signing>,
    now_secs: u32,
}

/// A run of records.
enum Part {
    One(Record),
    Removed(Arc<Change>),
    Added(Arc<Change>),
    All(Arc<[Record]>),
}

impl Part {
    fn records(&self) -> &[Record] {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Removed(change) => &change.removed,
            Self::Added(change) => &change.added,
            Self::All(records) => records,
        }
    }
}

/// The messages that answer `query`, if it asks for a transfer over a stream and may have it. All
/// else, what is refused among it, is for [`crate::answer`].
pub fn transfer(
    snapshot: &Snapshot,
    query: &[u8],
    client: &Client,
    server: &Server,
) -> Option<Messages> {
    let Parsed::Question(question) = parse(query) else {
        return None;
    };
    let streams = matches!(client.transport, Transport::Tcp | Transport::Tls);
    if !streams || !asks(&question) {
        return None;
    }
    let verified = match question.signed {
        true => Some(tsig::verify(query, &server.keys, client.now_secs).ok()?),
        false => None,
    };
    let key = verified.as_ref().map(|verified| &verified.key);
    let edition = edition(snapshot, &question, client, key)?;
    Some(Messages {
        parts: parts(edition, &question, serial(query, &question))?,
        sent: 0,
        header: question.header,
        question: Some(question.bytes.to_vec()),
        has_edns: question.edns.is_some(),
        signing: verified.map(|verified| verified.signing),
        now_secs: client.now_secs,
    })
}

/// Whether it asks for a transfer.
pub(crate) fn asks(question: &Question<'_>) -> bool {
    question.header.opcode == 0
        && question.class == CLASS_IN
        && matches!(question.record_type, RecordType::AXFR | RecordType::IXFR)
}

/// The records of an IXFR in a datagram, encoded after the question, and how many; `None` when
/// the client may not have them, or its query has no serial.
pub(crate) fn datagram(
    snapshot: &Snapshot,
    query: &[u8],
    question: &Question<'_>,
    client: &Client,
    key: Option<&Name>,
    room: usize,
) -> Option<(Vec<u8>, u16)> {
    if client.transport != Transport::Udp || question.record_type != RecordType::IXFR {
        return None;
    }
    let edition = edition(snapshot, question, client, key)?;
    let parts = parts(edition, question, serial(query, question))?;
    let limit = room.min(UDP_BYTES_MAX);
    let whole = encode(question, limit, parts.iter().flat_map(Part::records));
    whole.or_else(|| encode(question, limit, std::iter::once(&edition.start)))
}

/// The records after the question, if all fit, and how many they are.
fn encode<'r>(
    question: &Question<'_>,
    limit: usize,
    mut records: impl Iterator<Item = &'r Record>,
) -> Option<(Vec<u8>, u16)> {
    let mut writer = Writer::new(question.bytes, limit);
    let all = records.all(|record| writer.push(record));
    let start = HEADER_BYTES + question.bytes.len();
    let fits = all && writer.bytes.len() <= limit;
    fits.then(|| (writer.bytes[start..].to_vec(), writer.answers))
}

fn edition<'s>(
    snapshot: &'s Snapshot,
    question: &Question<'_>,
    client: &Client,
    key: Option<&Name>,
) -> Option<&'s Arc<Edition>> {
    let origin = Name::from_wire(&question.bytes[..question.name_len]).ok()?;
    let edition = snapshot.transfers.get(&origin)?;
    let fresh = snapshot.freshness() != Freshness::Expired;
    (fresh && edition.allows(client.source, key)).then_some(edition)
}

/// What is sent to a secondary that has `serial`; nothing for an IXFR that says none.
fn parts(edition: &Edition, question: &Question<'_>, serial: Option<u32>) -> Option<Vec<Part>> {
    let start = || Part::One(edition.start.clone());
    let all = || vec![start(), Part::All(Arc::clone(&edition.records)), start()];
    if question.record_type == RecordType::AXFR {
        return Some(all());
    }
    let theirs = serial?;
    if !is_newer(edition.serial, theirs) {
        return Some(vec![start()]);
    }
    let Some(changes) = edition.since(theirs) else {
        return Some(all());
    };
    let mut parts = vec![start()];
    for change in changes {
        parts.push(Part::One(change.from.clone()));
        parts.push(Part::Removed(Arc::clone(change)));
        parts.push(Part::One(change.to.clone()));
        parts.push(Part::Added(Arc::clone(change)));
    }
    parts.push(start());
    Some(parts)
}

/// The serial of the SOA in an IXFR's authority section (RFC 1995 § 3).
fn serial(query: &[u8], question: &Question<'_>) -> Option<u32> {
    let authorities = u16::from_be_bytes([query[8], query[9]]);
    let rest = query.get(HEADER_BYTES + question.bytes.len()..)?;
    let fixed = rest.get(skip_name(rest)?..)?;
    let record_type = u16::from_be_bytes(*fixed.first_chunk()?);
    if authorities == 0 || record_type != RecordType::SOA.0 {
        return None;
    }
    let mut data = fixed.get(10..)?;
    for _ in 0..2 {
        data = data.get(skip_name(data)?..)?;
    }
    Some(u32::from_be_bytes(*data.first_chunk()?))
}

impl Iterator for Messages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.parts.is_empty() {
            return None;
        }
        let question = self.question.take();
        let limit = match self.signing.as_ref() {
            Some(signing) => MESSAGE_BYTES - signing.bytes_max(),
            None => MESSAGE_BYTES,
        };
        let mut writer = Writer::new(question.as_deref().unwrap_or_default(), limit);
        while let Some(part) = self.parts.first() {
            let rest = &part.records()[self.sent..];
            let taken = rest.iter().take_while(|record| writer.push(record)).count();
            if taken < rest.len() {
                self.sent += taken;
                break;
            }
            self.parts.remove(0);
            self.sent = 0;
        }
        // RFC 5936 § 2.2.5: where the query had one, the first message has one.
        let has_edns = self.has_edns && question.is_some();
        let mut message = writer.finish(self.header, has_edns, question.is_some());
        if let Some(signing) = &mut self.signing {
            let len = message.len();
            message.resize(len + signing.bytes_max(), 0);
            let len = signing.sign(&mut message, len, self.now_secs);
            message.truncate(len);
        }
        Some(message)
    }
}

/// A message that takes records as long as they fit.
struct Writer {
    bytes: Vec<u8>,
    /// Names that pointers can lead to.
    known: HashMap<Vec<u8>, u16>,
    answers: u16,
    limit: usize,
}

impl Writer {
    fn new(question: &[u8], limit: usize) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend(question);
        let mut this = Self {
            bytes,
            known: HashMap::new(),
            answers: 0,
            limit,
        };
        if let Some(length) = name_length(question) {
            let mut at = 0;
            while at + 1 < length {
                let name = question[at..length].to_ascii_lowercase();
                this.known.insert(name, (HEADER_BYTES + at) as u16);
                at += 1 + usize::from(question[at]);
            }
        }
        this
    }

    /// Whether the record fitted; the first of a message always does.
    fn push(&mut self, record: &Record) -> bool {
        let start = self.bytes.len();
        self.name(record.owner.wire());
        self.bytes.extend(record.record_type.0.to_be_bytes());
        self.bytes.extend(CLASS_IN.to_be_bytes());
        self.bytes.extend(record.ttl_secs.to_be_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend([0, 0]);
        let mut rest: &[u8] = &record.data;
        if let Some((prefix, names)) = compressible(record.record_type) {
            let (head, tail) = rest.split_at(prefix.min(rest.len()));
            self.bytes.extend(head);
            rest = tail;
            for _ in 0..names {
                let (name, tail) = rest.split_at(name_length(rest).unwrap_or(0));
                self.name(name);
                rest = tail;
            }
        }
        self.bytes.extend(rest);
        let length = (self.bytes.len() - length_at - 2) as u16;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        if self.bytes.len() > self.limit && self.answers > 0 {
            self.bytes.truncate(start);
            self.known.retain(|_, at| usize::from(*at) < start);
            return false;
        }
        self.answers += 1;
        true
    }

    /// Labels up to the longest suffix that is known, then a pointer to that.
    fn name(&mut self, wire: &[u8]) {
        let mut rest = wire;
        while let Some((&length, _)) = rest.split_first().filter(|(length, _)| **length > 0) {
            if let Some(at) = self.known.get(rest) {
                self.bytes.extend((0xc000 | at).to_be_bytes());
                return;
            }
            if self.bytes.len() < 0x4000 {
                self.known.insert(rest.to_vec(), self.bytes.len() as u16);
            }
            let (label, tail) = rest.split_at(1 + usize::from(length));
            self.bytes.extend(label);
            rest = tail;
        }
        self.bytes.extend(rest);
    }

    fn finish(mut self, header: Header, has_edns: bool, has_question: bool) -> Vec<u8> {
        if has_edns {
            let [high, low] = (UDP_BYTES_MAX as u16).to_be_bytes();
            let opt = [0, 0, RecordType::OPT.0 as u8, high, low, 0, 0, 0, 0, 0, 0];
            self.bytes.extend(opt);
        }
        let flags = RESPONSE | AUTHORITATIVE | u8::from(header.recursion_desired);
        self.bytes[..2].copy_from_slice(&header.id);
        self.bytes[2] = flags;
        self.bytes[5] = u8::from(has_question);
        self.bytes[6..8].copy_from_slice(&self.answers.to_be_bytes());
        self.bytes[11] = u8::from(has_edns);
        self.bytes
    }
}
