//! UPDATE (RFC 2136): holders of a key may put and take TXT records at `_acme-challenge` names, as
//! ACME clients do (RFC 8555 § 8.4), and change nothing else.
//!
//! | what comes | code |
//! |---|---|
//! | a message that breaks § 2, or a type that no record has | FORMERR |
//! | a zone that is not here, a signature that does not hold | NOTAUTH |
//! | no signature, a key that the zone does not name, any other change | REFUSED |
//! | a name outside the zone | NOTZONE |
//! | a prerequisite that does not hold (§ 3.2) | NXDOMAIN, YXDOMAIN, NXRRSET, YXRRSET |
//!
//! This room reads and decides; whoever calls it keeps the challenges, and replies when they are
//! served. What is done twice is done once.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{BADVERS, DROPPED, FORMERR, bare, coded, coded_bytes_max};
use crate::client::{Client, Reply, ReplyClass, Server};
use crate::edns::{OPT_BYTES, write_bare};
use crate::message::{Authority, Message};
use crate::name::{NAME_BYTES_MAX, Name};
use crate::query::{HEADER_BYTES, Header, Parsed, Question, parse};
use crate::record::RecordType;
use crate::signed;
use crate::snapshot::Snapshot;
use crate::tsig::{self, Refusal, Signing};
use crate::zone;

const OPCODE: u8 = 5;
const CLASS_IN: u16 = 1;
const CLASS_NONE: u16 = 254;
const CLASS_ANY: u16 = 255;
/// The first label of the names that can be changed.
const LABEL: &[u8] = b"_acme-challenge";

/// Challenges that can be kept at the same time: each is there for minutes.
const NAMES_MAX: usize = 1000;
/// Values of one name: a certificate for a name and its wildcard needs two.
const VALUES_MAX: usize = 16;
/// Seconds for which a challenge may be cached: nobody gains from more.
const TTL_SECS_MAX: u32 = 3600;
/// The longest name that is kept: it is the key of an entry in an object of the host.
const TEXT_BYTES_MAX: usize = 253;

/// The TXT records of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// Their TTL: the last that was given.
    pub ttl_secs: u32,
    /// Each the one string of a record.
    pub values: BTreeSet<String>,
}

/// All challenges, by name.
pub type Challenges = BTreeMap<Name, Challenge>;

/// The code of a reply to an UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateCode {
    /// It is done, or was done before.
    NoError,
    /// It could not be done, or not everywhere in time: it may be tried again.
    ServFail,
    /// It is not allowed.
    Refused,
    /// A name should be in use and is not.
    NxDomain,
    /// A name should not be in use and is.
    YxDomain,
    /// Records should be there and are not.
    NxRrset,
    /// Records should not be there and are.
    YxRrset,
    /// A name lies outside the zone.
    NotZone,
    /// The zone is not here.
    NotAuth,
    /// The message is malformed.
    FormErr,
}

impl UpdateCode {
    /// The number of the wire (RFC 2136 § 2.2).
    pub fn number(self) -> u16 {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::Refused => 5,
            Self::YxDomain => 6,
            Self::YxRrset => 7,
            Self::NxRrset => 8,
            Self::NotAuth => 9,
            Self::NotZone => 10,
        }
    }

    /// With its class.
    fn coded(self) -> (u16, ReplyClass) {
        (self.number(), self.class())
    }

    fn class(self) -> ReplyClass {
        match self {
            Self::Refused => ReplyClass::Refused,
            Self::NotAuth => ReplyClass::NotAuth,
            Self::FormErr => ReplyClass::FormErr,
            Self::ServFail => ReplyClass::ServFail,
            _ => ReplyClass::Update,
        }
    }
}

/// What became of an UPDATE when it was read.
#[derive(Debug)]
pub enum Requested {
    /// It is answered.
    Answered(Reply),
    /// It may change something. Whoever keeps the challenges applies it, and replies.
    Asked(Box<Update>),
}

/// An UPDATE that is well formed, signed by a key that the zone names, and about challenges.
#[derive(Debug)]
pub struct Update {
    zone: Name,
    prerequisites: Vec<Prerequisite>,
    changes: Vec<Change>,
    header: Header,
    question: Vec<u8>,
    name_len: usize,
    /// What OPT says of DNSSEC, if there is one.
    dnssec_ok: Option<bool>,
    signing: Signing,
}

/// What must hold of a challenge's name; what was asked of others has been looked at.
#[derive(Debug, PartialEq, Eq)]
enum Prerequisite {
    InUse(Name),
    NotInUse(Name),
    Present(Name),
    Absent(Name),
    Exactly(Name, BTreeSet<String>),
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Add(Name, u32, String),
    Remove(Name, String),
    RemoveAll(Name),
}

/// Whether a message is an UPDATE.
#[inline]
pub fn is_update(message: &[u8]) -> bool {
    // Not a reply, and the opcode (RFC 1035 § 4.1.1).
    message
        .get(2)
        .is_some_and(|byte| byte & 0xf8 == OPCODE << 3)
}

/// Reads an UPDATE, and answers it in `out` when there is nothing to be changed.
pub fn update(
    snapshot: &Snapshot,
    message: &[u8],
    client: &Client,
    server: &Server,
    out: &mut [u8],
) -> Requested {
    let question = match parse(message) {
        Parsed::Question(question) => question,
        Parsed::Malformed(header) => {
            return Requested::Answered(bare(header, FORMERR, ReplyClass::FormErr, out));
        }
        Parsed::BadOptions(question) if out.len() >= coded_bytes_max(&question) => {
            return Requested::Answered(coded(&question, FORMERR, ReplyClass::FormErr, out));
        }
        _ => return Requested::Answered(DROPPED),
    };
    if out.len() < coded_bytes_max(&question) {
        return Requested::Answered(DROPPED);
    }
    if !question.signed {
        let refused = zone_named(snapshot, &question).err();
        let (code, class) = refused.unwrap_or(UpdateCode::Refused.coded());
        return Requested::Answered(coded(&question, code, class, out));
    }
    let verified = match tsig::verify(message, &server.keys, client.now_secs) {
        Ok(verified) => verified,
        Err(Refusal::Malformed) => {
            return Requested::Answered(coded(&question, FORMERR, ReplyClass::FormErr, out));
        }
        Err(refusal) => {
            return Requested::Answered(signed::refuse(&question, refusal, client, out));
        }
    };
    let read = zone_named(snapshot, &question).and_then(|zone| {
        let named = snapshot.updaters.get(&zone);
        if !named.is_some_and(|keys| keys.contains(&verified.key)) {
            return Err(UpdateCode::Refused.coded());
        }
        let sections = sections(snapshot, &zone, &verified.query, &question);
        let (prerequisites, changes) = sections.map_err(UpdateCode::coded)?;
        Ok((zone, prerequisites, changes))
    });
    let mut signing = verified.signing;
    match read {
        Ok((zone, prerequisites, changes)) => Requested::Asked(Box::new(Update {
            zone,
            prerequisites,
            changes,
            header: question.header,
            question: question.bytes.to_vec(),
            name_len: question.name_len,
            dnssec_ok: question.edns.as_ref().map(|edns| edns.dnssec_ok),
            signing,
        })),
        Err((code, class)) => {
            let reply = coded(&question, code, class, out);
            if out.len() < reply.len + signing.bytes_max() {
                return Requested::Answered(DROPPED);
            }
            let len = signing.sign(out, reply.len, client.now_secs);
            Requested::Answered(Reply { len, ..reply })
        }
    }
}

impl Update {
    /// The zone that it is about.
    pub fn zone(&self) -> &Name {
        &self.zone
    }

    /// The challenges as they are to be after it.
    ///
    /// # Errors
    /// The code that says why nothing is changed.
    pub fn apply(&self, now: &Challenges) -> Result<Challenges, UpdateCode> {
        for prerequisite in &self.prerequisites {
            prerequisite.check(now)?;
        }
        let mut then = now.clone();
        for change in &self.changes {
            match change {
                Change::Add(name, ttl_secs, value) => {
                    let challenge = then.entry(name.clone()).or_default();
                    // One TTL for all (RFC 2181 § 5.2): the newest.
                    challenge.ttl_secs = *ttl_secs;
                    challenge.values.insert(value.clone());
                }
                Change::Remove(name, value) => {
                    if let Some(challenge) = then.get_mut(name) {
                        challenge.values.remove(value);
                    }
                }
                Change::RemoveAll(name) => {
                    then.remove(name);
                }
            }
        }
        then.retain(|_, challenge| !challenge.values.is_empty());
        let full = then.len() > NAMES_MAX || then.values().any(|it| it.values.len() > VALUES_MAX);
        if full && then != *now {
            return Err(UpdateCode::Refused);
        }
        Ok(then)
    }

    /// The bytes of its reply.
    pub fn reply(&self, code: UpdateCode, now_secs: u32) -> Vec<u8> {
        let mut signing = self.signing.clone();
        let len = HEADER_BYTES + self.question.len() + OPT_BYTES;
        let mut out = vec![0; len + signing.bytes_max()];
        let mut message = Message::new(&mut out, &self.question, self.name_len, len);
        if let Some(dnssec_ok) = self.dnssec_ok {
            let len = write_bare(dnssec_ok, code.number(), message.rest());
            message.opt_written(len);
        }
        let len = message.finish(self.header, code.number(), Authority::Others);
        let len = signing.sign(&mut out, len, now_secs);
        out.truncate(len);
        out
    }
}

impl Prerequisite {
    fn check(&self, now: &Challenges) -> Result<(), UpdateCode> {
        let held = |holds: bool, code| if holds { Ok(()) } else { Err(code) };
        match self {
            Self::InUse(name) => held(now.contains_key(name), UpdateCode::NxDomain),
            Self::NotInUse(name) => held(!now.contains_key(name), UpdateCode::YxDomain),
            Self::Present(name) => held(now.contains_key(name), UpdateCode::NxRrset),
            Self::Absent(name) => held(!now.contains_key(name), UpdateCode::YxRrset),
            Self::Exactly(name, values) => {
                let same = now.get(name).is_some_and(|it| it.values == *values);
                held(same, UpdateCode::NxRrset)
            }
        }
    }
}

/// The zone of the zone section, if the message is in a version of EDNS that we know
/// (RFC 6891 § 6.1.3); else a code and its class.
fn zone_named(snapshot: &Snapshot, question: &Question<'_>) -> Result<Name, (u16, ReplyClass)> {
    match &question.edns {
        Some(edns) if edns.version != 0 => Err((BADVERS, ReplyClass::BadVersion)),
        _ => origin(snapshot, question).map_err(UpdateCode::coded),
    }
}

/// The zone of the zone section (§ 3.1).
fn origin(snapshot: &Snapshot, question: &Question<'_>) -> Result<Name, UpdateCode> {
    if question.record_type != RecordType::SOA {
        return Err(UpdateCode::FormErr);
    }
    let name = Name::from_wire(&question.bytes[..question.name_len]);
    let name = name.map_err(|_| UpdateCode::FormErr)?;
    let here = question.class == CLASS_IN && snapshot.zones.contains_key(&name);
    here.then_some(name).ok_or(UpdateCode::NotAuth)
}

/// One record of a section.
struct Line {
    name: Name,
    record_type: RecordType,
    class: u16,
    ttl_secs: u32,
    data: Vec<u8>,
}

/// The prerequisites that are left to look at, and the changes.
fn sections(
    snapshot: &Snapshot,
    zone: &Name,
    message: &[u8],
    question: &Question<'_>,
) -> Result<(Vec<Prerequisite>, Vec<Change>), UpdateCode> {
    let count = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let mut at = HEADER_BYTES + question.bytes.len();
    let mut lines = |count: u16| -> Result<Vec<Line>, UpdateCode> {
        let read = (0..count).map(|_| line(message, &mut at).ok_or(UpdateCode::FormErr));
        read.collect()
    };
    let (asked, wanted) = (lines(count(6))?, lines(count(8))?);
    let outside = |line: &Line| !line.name.is_within(zone);
    if asked.iter().chain(&wanted).any(outside) {
        return Err(UpdateCode::NotZone);
    }
    // Form before content (§ 3.4.1).
    let wanted: Vec<Change> = wanted.iter().map(change).collect::<Result<_, _>>()?;
    let mut prerequisites = Vec::new();
    let mut exactly: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
    for line in &asked {
        if line.class == CLASS_IN && line.ttl_secs == 0 {
            let (true, Some(value)) = (is_challenge(&line.name, line.record_type), text(line))
            else {
                return Err(UpdateCode::Refused);
            };
            exactly.entry(line.name.clone()).or_default().insert(value);
        } else {
            prerequisites.extend(prerequisite(snapshot, line)?);
        }
    }
    let exactly = exactly.into_iter();
    prerequisites.extend(exactly.map(|(name, values)| Prerequisite::Exactly(name, values)));
    let names = wanted.iter().map(Change::name);
    for name in names {
        // What is delegated, or a zone of its own, is not ours to change.
        let longest = name.ancestry().find_map(|above| snapshot.zones.get(&above));
        let ours = longest.is_some_and(|it| it.core.origin == *zone && it.occluder(name).is_none());
        if !ours {
            return Err(UpdateCode::Refused);
        }
    }
    Ok((prerequisites, wanted))
}

/// A prerequisite without a value (§ 2.4): `None` when it holds for good.
fn prerequisite(snapshot: &Snapshot, line: &Line) -> Result<Option<Prerequisite>, UpdateCode> {
    let wants = match line.class {
        CLASS_ANY => true,
        CLASS_NONE => false,
        _ => return Err(UpdateCode::FormErr),
    };
    if line.ttl_secs != 0 || !line.data.is_empty() {
        return Err(UpdateCode::FormErr);
    }
    let name = line.name.clone();
    let any = line.record_type == RecordType::ANY;
    let challenge = is_challenge(&name, RecordType::TXT);
    if challenge && line.record_type == RecordType::TXT {
        return Ok(Some(match wants {
            true => Prerequisite::Present(name),
            false => Prerequisite::Absent(name),
        }));
    }
    let known = snapshot.names.get(name.wire());
    let types = |wanted: &dyn Fn(RecordType) -> bool| known.is_some_and(|node| node.has(wanted));
    let there = match any {
        // A challenge that is published may be gone by now: whoever keeps them knows.
        true => types(&|record_type| !challenge || record_type != RecordType::TXT),
        false => types(&|record_type| record_type == line.record_type),
    };
    match (any, wants, there) {
        (_, true, true) | (false, false, false) => Ok(None),
        (true, true, false) if challenge => Ok(Some(Prerequisite::InUse(name))),
        (true, false, false) if challenge => Ok(Some(Prerequisite::NotInUse(name))),
        (true, false, false) => Ok(None),
        (true, true, false) => Err(UpdateCode::NxDomain),
        (true, false, true) => Err(UpdateCode::YxDomain),
        (false, true, false) => Err(UpdateCode::NxRrset),
        (false, false, true) => Err(UpdateCode::YxRrset),
    }
}

impl Change {
    fn name(&self) -> &Name {
        match self {
            Self::Add(name, ..) | Self::Remove(name, _) | Self::RemoveAll(name) => name,
        }
    }
}

/// A change (§ 2.5), where it is of the kind that is allowed.
fn change(line: &Line) -> Result<Change, UpdateCode> {
    let name = line.name.clone();
    let any = line.record_type == RecordType::ANY;
    if !any && !line.record_type.is_data() {
        return Err(UpdateCode::FormErr);
    }
    let allowed = is_challenge(&name, line.record_type);
    match line.class {
        CLASS_IN if any => Err(UpdateCode::FormErr),
        CLASS_IN | CLASS_NONE if !any && !is_whole(line) => Err(UpdateCode::FormErr),
        CLASS_ANY if line.ttl_secs != 0 || !line.data.is_empty() => Err(UpdateCode::FormErr),
        CLASS_NONE if line.ttl_secs != 0 || any => Err(UpdateCode::FormErr),
        CLASS_IN | CLASS_NONE | CLASS_ANY if !allowed => Err(UpdateCode::Refused),
        CLASS_ANY => Ok(Change::RemoveAll(name)),
        CLASS_IN => {
            let value = text(line).ok_or(UpdateCode::Refused)?;
            Ok(Change::Add(name, line.ttl_secs.min(TTL_SECS_MAX), value))
        }
        CLASS_NONE => {
            let value = text(line).ok_or(UpdateCode::Refused)?;
            Ok(Change::Remove(name, value))
        }
        _ => Err(UpdateCode::FormErr),
    }
}

/// Whether TXT records there can be changed. All types together are these.
fn is_challenge(name: &Name, record_type: RecordType) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.labels().next() == Some(LABEL)
        && name.wire().len() <= TEXT_BYTES_MAX
        && name.labels().all(|label| label.iter().all(plain))
        && matches!(record_type, RecordType::TXT | RecordType::ANY)
}

/// Whether data has the form of its type, as far as the engine knows it (§ 3.4.1.3).
fn is_whole(line: &Line) -> bool {
    if line.record_type == RecordType::TXT {
        let mut rest = line.data.as_slice();
        while let Some((length, tail)) = rest.split_first() {
            let Some(tail) = tail.get(usize::from(*length)..) else {
                return false;
            };
            rest = tail;
        }
        return !line.data.is_empty();
    }
    zone::check_data(line.record_type, &line.data).is_ok()
}

/// The one string of a TXT record, of letters that print: what an ACME client computes is base64.
fn text(line: &Line) -> Option<String> {
    let (length, bytes) = line.data.split_first()?;
    let whole = usize::from(*length) == bytes.len() && !bytes.is_empty();
    let printable = bytes.iter().all(u8::is_ascii_graphic);
    (whole && printable).then(|| String::from_utf8(bytes.to_vec()).ok())?
}

fn line(message: &[u8], at: &mut usize) -> Option<Line> {
    let name = read_name(message, at)?;
    let fixed: &[u8; 10] = message.get(*at..)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let data = message.get(*at + 10..*at + 10 + length)?.to_vec();
    *at += 10 + length;
    Some(Line {
        name,
        record_type: RecordType(u16::from_be_bytes([fixed[0], fixed[1]])),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
        ttl_secs: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        data,
    })
}

/// A name that may end in a pointer (RFC 1035 § 4.1.4). Pointers lead backwards only, so that there
/// is an end.
fn read_name(message: &[u8], at: &mut usize) -> Option<Name> {
    let mut wire = Vec::new();
    let (mut from, mut after) = (*at, None);
    loop {
        let length = *message.get(from)?;
        match length {
            0 => {
                wire.push(0);
                *at = after.unwrap_or(from + 1);
                return Name::from_wire(&wire).ok();
            }
            1..=63 => {
                let end = from + 1 + usize::from(length);
                wire.extend(message.get(from..end)?);
                from = end;
            }
            0xc0.. => {
                let low = *message.get(from + 1)?;
                let to = usize::from(length & 0x3f) << 8 | usize::from(low);
                after.get_or_insert(from + 2);
                if to >= from {
                    return None;
                }
                from = to;
            }
            _ => return None,
        }
        if wire.len() > NAME_BYTES_MAX {
            return None;
        }
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
