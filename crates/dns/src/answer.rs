//! The road of a query: bytes in, bytes out.
//!
//! ```text
//! parse → EDNS → find the name → static | steered: view → choice → encoded bytes → OPT → header
//! ```
//! Finding a name follows RFC 1034 § 4.3.2 as RFC 4592 § 3.3 clarifies it:
//!
//! | found | reply |
//! |---|---|
//! | the name, with the type | its records |
//! | the name, with an alias | the CNAME, then on with its target inside the zone |
//! | the name, without the type | NODATA (RFC 2308 § 2.2) |
//! | a delegation at or above | a referral |
//! | a DNAME above | the DNAME, a CNAME made from it, then on (RFC 6672) |
//! | a wildcard beside the closest encloser | as if the name were the wildcard's |
//! | only the closest encloser | NXDOMAIN (RFC 2308 § 2.1) |
//! | nothing | REFUSED |

use std::net::IpAddr;
use std::sync::Arc;

use crate::address;
use crate::choice::{Pick, Steering};
use crate::client::{Client, Reply, ReplyClass, Secrets, Transport};
use crate::cookie;
use crate::edns::{
    Edns, ExtendedError, ReplyOptions, UDP_BYTES_MAX, UDP_BYTES_PLAIN, write_options,
};
use crate::encoded::Encoded;
use crate::message::{Authority, Message, OwnerPointer};
use crate::name::NAME_BYTES_MAX;
use crate::names::{Names, Node};
use crate::query::{Header, Parsed, Question, parse};
use crate::record::RecordType;
use crate::snapshot::{CHAIN_MAX, Snapshot};
use crate::steered::Freshness;
use crate::zone::{Redirection, ZoneCore};

/// The longest reply: what a stream's length prefix can say.
pub const REPLY_BYTES_MAX: usize = 65_535;

const CLASS_IN: u16 = 1;
const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const YXDOMAIN: u16 = 6;
const BADVERS: u16 = 16;

/// Answers one query: no allocation, no lock, no system call.
///
/// The reply is in the first `len` bytes of `out`, which holds at least 512 bytes, 1232 for
/// datagrams and [`REPLY_BYTES_MAX`] for streams; what does not fit is truncated. A `len` of 0
/// means that nothing is to be sent.
pub fn answer(
    snapshot: &Snapshot,
    query: &[u8],
    client: &Client,
    secrets: &Secrets,
    out: &mut [u8],
) -> Reply {
    if out.len() < UDP_BYTES_PLAIN {
        return Reply {
            len: 0,
            class: ReplyClass::Dropped,
        };
    }
    match parse(query) {
        Parsed::NotAQuery => Reply {
            len: 0,
            class: ReplyClass::Dropped,
        },
        Parsed::Malformed(header) if header.opcode != 0 => {
            bare(header, NOTIMP, ReplyClass::NotImp, out)
        }
        Parsed::Malformed(header) => bare(header, FORMERR, ReplyClass::FormErr, out),
        Parsed::CookieOnly(header, edns) => {
            let message = Message::new(out, &[], 0, UDP_BYTES_PLAIN);
            let outcome = Outcome::error(NOERROR, ReplyClass::CookieOnly, None);
            finish(message, header, Some(&edns), &outcome, client, secrets)
        }
        Parsed::Question(question) => {
            let limit = room(&question, client.transport, out.len());
            let mut message = Message::new(out, question.bytes, question.name_len, limit);
            let outcome = ask(snapshot, &question, client, &mut message);
            finish(
                message,
                question.header,
                question.edns.as_ref(),
                &outcome,
                client,
                secrets,
            )
        }
    }
}

/// What a query came to.
struct Outcome {
    rcode: u16,
    class: ReplyClass,
    authority: Authority,
    /// The prefix length for which a tailored answer is good.
    scope: u8,
    errors: [Option<ExtendedError>; 2],
}

impl Outcome {
    fn error(rcode: u16, class: ReplyClass, error: Option<ExtendedError>) -> Self {
        Self {
            rcode,
            class,
            authority: Authority::Others,
            scope: 0,
            errors: [error, None],
        }
    }
}

/// A header alone.
fn bare(header: Header, rcode: u16, class: ReplyClass, out: &mut [u8]) -> Reply {
    let message = Message::new(out, &[], 0, UDP_BYTES_PLAIN);
    Reply {
        len: message.finish(header, rcode, Authority::Others),
        class,
    }
}

/// How long the reply may become before its OPT (RFC 6891 § 6.2.5).
fn room(question: &Question<'_>, transport: Transport, buffer: usize) -> usize {
    let allowed = match (transport, &question.edns) {
        (Transport::Stream, _) => REPLY_BYTES_MAX,
        (Transport::Udp, None) => UDP_BYTES_PLAIN,
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.udp_bytes).clamp(UDP_BYTES_PLAIN, UDP_BYTES_MAX)
        }
    };
    allowed.min(buffer) - question.edns.as_ref().map_or(0, Edns::reply_bytes)
}

/// Appends OPT if the query had one, and writes the header.
#[inline]
fn finish(
    mut message: Message<'_>,
    header: Header,
    edns: Option<&Edns<'_>>,
    outcome: &Outcome,
    client: &Client,
    secrets: &Secrets,
) -> Reply {
    if let Some(edns) = edns {
        let options = ReplyOptions {
            dnssec_ok: edns.dnssec_ok,
            subnet: edns.subnet.map(|subnet| (subnet, outcome.scope)),
            cookie: edns
                .cookie
                .and_then(|cookie| cookie::reply(cookie, client, secrets)),
            extended_errors: outcome.errors,
        };
        let len = write_options(&options, outcome.rcode, message.rest());
        message.opt_written(len);
    }
    let class = if message.truncated {
        ReplyClass::Truncated
    } else {
        outcome.class
    };
    Reply {
        len: message.finish(header, outcome.rcode, outcome.authority),
        class,
    }
}

/// What comes before looking for the name.
#[inline]
fn ask(
    snapshot: &Snapshot,
    question: &Question<'_>,
    client: &Client,
    message: &mut Message<'_>,
) -> Outcome {
    if question.header.opcode != 0 {
        return Outcome::error(
            NOTIMP,
            ReplyClass::NotImp,
            Some(ExtendedError::NotSupported),
        );
    }
    if question.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Outcome::error(BADVERS, ReplyClass::BadVersion, None);
    }
    let refused = |error| Outcome::error(REFUSED, ReplyClass::Refused, Some(error));
    if question.class != CLASS_IN {
        return refused(ExtendedError::NotSupported);
    }
    if matches!(question.record_type, RecordType::AXFR | RecordType::IXFR) {
        return refused(ExtendedError::Prohibited);
    }
    let mut sought = Sought::new(&question.bytes[..question.name_len], question.labels);
    let found = sought.find(&snapshot.names);
    let Some(zone) = found.zone() else {
        return refused(ExtendedError::NotAuthoritative);
    };
    if snapshot.freshness == Freshness::Expired {
        let error = Some(ExtendedError::InvalidData);
        return Outcome::error(SERVFAIL, ReplyClass::ServFail, error);
    }
    let stale = snapshot.freshness == Freshness::Stale;
    let road = Road {
        names: &snapshot.names,
        zone,
        record_type: question.record_type,
        client,
        subnet: question.edns.as_ref().and_then(|edns| edns.subnet?.address),
        owner: OwnerPointer::QUESTION,
        outcome: Outcome {
            rcode: NOERROR,
            class: ReplyClass::Static,
            authority: Authority::Ours,
            scope: 0,
            errors: [stale.then_some(ExtendedError::Stale), None],
        },
        message,
    };
    road.walk(sought, found)
}

/// A name that is looked for, lower-cased.
struct Sought {
    wire: [u8; NAME_BYTES_MAX + 1],
    len: usize,
    labels: usize,
}

/// What there is.
#[derive(Clone, Copy)]
enum Found<'s> {
    /// The name itself.
    Exact(&'s Node),
    /// A wildcard that stands for it.
    Wildcard(&'s Node),
    /// Only this closest encloser.
    Below(&'s Node),
    Outside,
}

impl<'s> Found<'s> {
    fn zone(self) -> Option<&'s Arc<ZoneCore>> {
        match self {
            Self::Exact(node) | Self::Wildcard(node) | Self::Below(node) => Some(&node.zone),
            Self::Outside => None,
        }
    }
}

impl Sought {
    #[inline]
    fn new(wire: &[u8], labels: usize) -> Self {
        let mut sought = Self {
            wire: [0; NAME_BYTES_MAX + 1],
            len: wire.len(),
            labels,
        };
        sought.wire[..wire.len()].copy_from_slice(wire);
        // A length byte is at most 63 and so never an upper-case letter.
        sought.wire[..wire.len()].make_ascii_lowercase();
        sought
    }

    /// The name, else the wildcard at its closest encloser, else the closest encloser.
    #[inline]
    fn find<'s>(&mut self, names: &'s Names) -> Found<'s> {
        if self.labels <= names.labels_max
            && let Some(node) = names.get(&self.wire[..self.len])
        {
            return Found::Exact(node);
        }
        self.find_encloser(names)
    }

    fn find_encloser<'s>(&mut self, names: &'s Names) -> Found<'s> {
        let mut start = 0;
        for left in (0..self.labels).rev() {
            start += 1 + usize::from(self.wire[start]);
            if left > names.labels_max {
                continue;
            }
            let Some(node) = names.get(&self.wire[start..self.len]) else {
                continue;
            };
            let delegated = node.referral().is_some() || node.redirection().is_some();
            if !node.has_wildcard || delegated {
                return Found::Below(node);
            }
            // At least one letter and its length stand before the encloser.
            self.wire[start - 2..start].copy_from_slice(b"\x01*");
            let wildcard = names.get(&self.wire[start - 2..self.len]);
            return wildcard.map_or(Found::Below(node), |wildcard| Found::Wildcard(wildcard));
        }
        Found::Outside
    }
}

/// One query on its way along aliases.
struct Road<'s, 'm, 'o> {
    names: &'s Names,
    /// The zone of the question: aliases out of it are not followed.
    zone: &'s Arc<ZoneCore>,
    record_type: RecordType,
    client: &'m Client,
    subnet: Option<IpAddr>,
    owner: OwnerPointer,
    outcome: Outcome,
    message: &'m mut Message<'o>,
}

/// Whether the road goes on.
enum Step<'s> {
    Done,
    /// With this name, in wire form.
    To(&'s [u8]),
    /// With the name that `Sought` now holds.
    Rewritten,
}

impl<'s> Road<'s, '_, '_> {
    #[inline]
    fn walk(mut self, mut sought: Sought, mut found: Found<'s>) -> Outcome {
        for _ in 0..=CHAIN_MAX {
            let step = match found {
                Found::Exact(node) => self.at(node),
                Found::Wildcard(node) => self.serve(node),
                Found::Below(node) => self.below(node, &mut sought),
                Found::Outside => Step::Done,
            };
            match step {
                Step::Done => break,
                // A target is lower-cased already.
                Step::To(target) => {
                    let labels = sought.replace(target);
                    sought.labels = labels;
                }
                Step::Rewritten => {}
            }
            if self.message.truncated {
                break;
            }
            found = sought.find(self.names);
            if !found
                .zone()
                .is_some_and(|zone| Arc::ptr_eq(zone, self.zone))
            {
                break;
            }
        }
        self.outcome
    }

    /// The name exists.
    #[inline]
    fn at(&mut self, node: &'s Node) -> Step<'s> {
        if self.record_type == RecordType::DS {
            return self.delegation_signer(node);
        }
        match node.referral() {
            Some(referral) => self.refer(referral),
            None => self.serve(node),
        }
    }

    /// The name does not exist, but this one above it does.
    fn below(&mut self, node: &'s Node, sought: &mut Sought) -> Step<'s> {
        if let Some(referral) = node.referral() {
            return self.refer(referral);
        }
        if let Some(redirection) = node.redirection() {
            return self.redirect(redirection, node, sought);
        }
        // RFC 6604 § 2.1: the code is that of the last name in the chain.
        self.outcome.rcode = NXDOMAIN;
        self.negative(&node.zone, ReplyClass::NxDomain, u32::MAX);
        Step::Done
    }

    /// The records of a node, for the name that was asked.
    #[inline]
    fn serve(&mut self, node: &'s Node) -> Step<'s> {
        if let Some(steering) = &node.steered {
            return self.steer(node, steering);
        }
        if let Some(alias) = node.alias() {
            self.owner = self.message.append_alias(&alias.record, self.owner);
            return self.after_alias(alias.target.wire());
        }
        self.serve_static(node)
    }

    #[inline]
    fn serve_static(&mut self, node: &'s Node) -> Step<'s> {
        let types = &node.content.types;
        let asked = types
            .iter()
            .find(|(record_type, _)| *record_type == self.record_type);
        match asked {
            Some((_, encoded)) => self.message.append(encoded, self.owner),
            None if self.record_type == RecordType::ANY
                && (!types.is_empty() || node.steered.is_some()) =>
            {
                self.message.append(&node.zone.any, self.owner);
            }
            None => self.negative(&node.zone, ReplyClass::NoData, u32::MAX),
        }
        Step::Done
    }

    fn after_alias(&mut self, target: &'s [u8]) -> Step<'s> {
        match self.record_type {
            RecordType::CNAME | RecordType::ANY => Step::Done,
            _ => Step::To(target),
        }
    }

    /// The client's answer at a steered name.
    #[inline]
    fn steer(&mut self, node: &'s Node, steering: &'s Steering) -> Step<'s> {
        let asked = steering
            .sets
            .iter()
            .find(|(record_type, _)| *record_type == self.record_type);
        if asked.is_none() && !steering.may_alias {
            return self.serve_static(node);
        }
        match steering.freshness {
            Freshness::Fresh => {}
            Freshness::Stale => self.outcome.errors[0] = Some(ExtendedError::Stale),
            Freshness::Expired => {
                let error = Some(ExtendedError::InvalidData);
                self.outcome = Outcome::error(SERVFAIL, ReplyClass::ServFail, error);
                return Step::Done;
            }
        }
        // RFC 7871 § 7.2.1: the subnet, else the address that asks. A prefix of length 0 asks
        // not to be tailored by more than that.
        let address = self.subnet.unwrap_or(self.client.source);
        let (address, start) = match address {
            IpAddr::V6(v6) => {
                address::embedded(v6).map_or((address, 0), |(v4, start)| (IpAddr::V4(v4), start))
            }
            IpAddr::V4(_) => (address, 0),
        };
        let (view, depth) = steering.views.lookup(address);
        // An alias answers for every type, whichever type's table it stands in.
        let mut sets = asked
            .map_or(&steering.sets[..], std::slice::from_ref)
            .iter();
        let picked = sets.find_map(|(_, set)| {
            let (pick, bits) = set.pick(view, address, self.client.entropy);
            (asked.is_some() || matches!(pick, Pick::Alias(_))).then_some((pick, bits))
        });
        let Some((pick, bits)) = picked else {
            return self.serve_static(node);
        };
        match pick {
            Pick::Records(encoded) => self.message.append(encoded, self.owner),
            Pick::Alias(alias) => {
                self.owner = self.message.append_alias(&alias.record, self.owner);
            }
            // Negative answers are not tailored (RFC 7871 § 7.4).
            Pick::NoData { ttl_secs } => {
                self.negative(&node.zone, ReplyClass::NoData, *ttl_secs);
                return Step::Done;
            }
            Pick::NothingHealthy { ttl_secs } => {
                self.outcome.errors[1] = Some(ExtendedError::NoReachableAuthority);
                self.negative(&node.zone, ReplyClass::NoData, *ttl_secs);
                return Step::Done;
            }
        }
        self.outcome.class = ReplyClass::Steered;
        if self.subnet.is_some() {
            self.outcome.scope = self.outcome.scope.max(start + depth.max(bits));
        }
        match pick {
            Pick::Alias(alias) => self.after_alias(alias.target.wire()),
            _ => Step::Done,
        }
    }

    /// A referral: not authoritative, unless aliases led here (RFC 1034 § 4.3.1).
    fn refer(&mut self, referral: &Encoded) -> Step<'s> {
        if self.owner.0 == OwnerPointer::QUESTION.0 {
            self.outcome.authority = Authority::Others;
            self.outcome.class = ReplyClass::Referral;
        }
        self.message.append(referral, self.owner);
        Step::Done
    }

    /// DS records are the parent's (RFC 4035 § 3.1.4.1).
    #[cold]
    fn delegation_signer(&mut self, node: &'s Node) -> Step<'s> {
        let mut zone = &node.zone;
        let is_apex = node.name == zone.origin;
        if is_apex {
            let labels = node.name.label_count();
            let mut above = Sought::new(node.name.wire(), labels);
            if let Some(parent) = above.find_encloser(self.names).zone() {
                zone = parent;
            }
        } else if node.referral().is_none() {
            return self.serve(node);
        }
        match zone.ds.get(&node.name) {
            Some(encoded) => self.message.append(encoded, self.owner),
            None => self.negative(zone, ReplyClass::NoData, u32::MAX),
        }
        Step::Done
    }

    /// A DNAME and the CNAME made from it (RFC 6672 § 3.2).
    #[cold]
    fn redirect(
        &mut self,
        redirection: &'s Redirection,
        node: &'s Node,
        sought: &mut Sought,
    ) -> Step<'s> {
        self.message
            .append(&redirection.record, OwnerPointer::QUESTION);
        let kept = sought.len - node.name.wire().len();
        let target = redirection.target.wire();
        if kept + target.len() > NAME_BYTES_MAX {
            self.outcome.rcode = YXDOMAIN;
            return Step::Done;
        }
        sought.wire[kept..kept + target.len()].copy_from_slice(target);
        sought.len = kept + target.len();
        sought.labels = sought.labels - node.name.label_count() + redirection.target.label_count();
        let made = &sought.wire[..sought.len];
        self.owner = self
            .message
            .append_synthesized(self.owner, redirection.ttl_secs, made);
        match self.record_type {
            RecordType::CNAME | RecordType::ANY => Step::Done,
            _ => Step::Rewritten,
        }
    }

    /// The zone's SOA, for as long as a resolver may believe that there is nothing
    /// (RFC 2308 § 3 and § 5), but no longer than `ttl_secs`.
    #[inline]
    fn negative(&mut self, zone: &ZoneCore, class: ReplyClass, ttl_secs: u32) {
        self.outcome.class = class;
        let ttl_secs = ttl_secs.min(zone.negative_ttl_secs);
        self.message
            .append_with_ttl(&zone.negative, zone.negative_ttl_at, ttl_secs);
    }
}

impl Sought {
    /// Looks for `target` from now on; gives its labels.
    fn replace(&mut self, target: &[u8]) -> usize {
        self.wire[..target.len()].copy_from_slice(target);
        self.len = target.len();
        let mut labels = 0;
        let mut at = 0;
        while target[at] != 0 {
            at += 1 + usize::from(target[at]);
            labels += 1;
        }
        labels
    }
}
