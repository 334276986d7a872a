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
//! | only the closest encloser | NXDOMAIN (RFC 2308 § 2.1): then nothing is below either (RFC 8020 § 2) |
//! | nothing | REFUSED |

use crate::client::{Client, Origin, Reply, ReplyClass, Server, Transport};
use crate::cookie;
use crate::edns::{
    Edns, ExtendedError, OPT_BYTES, ReplyOptions, UDP_BYTES_MAX, UDP_BYTES_PLAIN, write_bare,
    write_options,
};
use crate::identity::{self, CLASS_CHAOS};
use crate::lookup::Sought;
use crate::message::{Authority, Message, OwnerPointer};
use crate::name::Name;
use crate::query::{HEADER_BYTES, Header, Parsed, Question, parse};
use crate::road::{Ahead, NOERROR, Outcome, Road, SERVFAIL};
use crate::signed;
use crate::snapshot::Snapshot;
use crate::steered::Freshness;
use crate::transfer;

/// The longest reply: what a stream's length prefix can say.
pub const REPLY_BYTES_MAX: usize = 65_535;

const CLASS_IN: u16 = 1;
pub(crate) const FORMERR: u16 = 1;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
pub(crate) const BADVERS: u16 = 16;
const BADCOOKIE: u16 = 23;

/// Answers one query: no allocation, no lock, no system call.
///
/// The reply is in the first `len` bytes of `out`, which holds at least 512 bytes, 1232 for
/// datagrams and [`REPLY_BYTES_MAX`] for streams; what does not fit is truncated. A `len` of 0
/// means that nothing is to be sent.
pub fn answer(
    snapshot: &Snapshot,
    query: &[u8],
    client: &Client,
    server: &Server,
    out: &mut [u8],
) -> Reply {
    if out.len() < UDP_BYTES_PLAIN {
        return DROPPED;
    }
    match parse(query) {
        Parsed::NotAQuery => DROPPED,
        Parsed::Malformed(header) if header.opcode != 0 => {
            bare(header, NOTIMP, ReplyClass::NotImp, out)
        }
        Parsed::Malformed(header) => bare(header, FORMERR, ReplyClass::FormErr, out),
        Parsed::BadOptions(question) if question.header.opcode != 0 => {
            coded(&question, NOTIMP, ReplyClass::NotImp, out)
        }
        Parsed::BadOptions(question) => coded(&question, FORMERR, ReplyClass::FormErr, out),
        Parsed::CookieOnly(header, edns) => {
            let mut message = Message::new(out, &[], 0, UDP_BYTES_PLAIN);
            let outcome = Outcome::error(NOERROR, ReplyClass::CookieOnly, None);
            finish(&mut message, header, Some(&edns), &outcome, client, server)
        }
        Parsed::Question(question) if question.signed => {
            signed::answer(snapshot, query, &question, client, server, out)
        }
        Parsed::Question(question) => answer_question(
            snapshot,
            query,
            &question,
            client,
            server,
            Caller::ANYBODY,
            out,
        ),
    }
}

/// Who asks, as far as a signature says.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'k> {
    pub(crate) key: Option<&'k Name>,
    /// Room that the reply leaves for its own signature.
    pub(crate) reserved: usize,
}

impl Caller<'_> {
    const ANYBODY: Self = Self {
        key: None,
        reserved: 0,
    };
}

/// Answers a query with one question, without looking at a signature.
#[inline(always)]
pub(crate) fn answer_question(
    snapshot: &Snapshot,
    query: &[u8],
    question: &Question<'_>,
    client: &Client,
    server: &Server,
    caller: Caller<'_>,
    out: &mut [u8],
) -> Reply {
    let room = room(question, client.transport, out.len());
    // With long options and a signature the question alone may be more than 512 bytes allow.
    let limit = room
        .saturating_sub(caller.reserved)
        .max(HEADER_BYTES + question.bytes.len());
    let mut message = Message::new(out, question.bytes, question.name_len, limit);
    let outcome = if transfer::asks(question) {
        ask_transfer(snapshot, query, question, client, caller.key, &mut message)
    } else {
        ask(snapshot, question, client, server, &mut message)
    };
    let edns = question.edns.as_ref();
    finish(
        &mut message,
        question.header,
        edns,
        &outcome,
        client,
        server,
    )
}

/// A transfer in one message; over a stream only what is refused comes here.
#[cold]
fn ask_transfer(
    snapshot: &Snapshot,
    query: &[u8],
    question: &Question<'_>,
    client: &Client,
    key: Option<&Name>,
    message: &mut Message<'_>,
) -> Outcome {
    if question.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Outcome::error(BADVERS, ReplyClass::BadVersion, None);
    }
    let room = message.limit();
    match transfer::datagram(snapshot, query, question, client, key, room) {
        Some((records, answers)) => {
            message.append_transfer(&records, answers);
            Outcome {
                authority: Authority::Ours,
                ..Outcome::error(NOERROR, ReplyClass::Transfer, None)
            }
        }
        None => Outcome::error(
            REFUSED,
            ReplyClass::Refused,
            Some(ExtendedError::Prohibited),
        ),
    }
}

/// What is sent in place of a reply that a rate limit holds back: never longer than the query
/// by more than an OPT record, and it tells an honest client how to get its answer.
///
/// One that sent a cookie gets BADCOOKIE with a good one, and comes back with it
/// (RFC 7873 § 5.2.3); any other gets TC and comes back over TCP.
pub fn answer_limited(query: &[u8], client: &Client, server: &Server, out: &mut [u8]) -> Reply {
    let (Parsed::Question(question), UDP_BYTES_PLAIN..) = (parse(query), out.len()) else {
        return DROPPED;
    };
    let edns = question.edns.as_ref().filter(|edns| edns.version == 0);
    let limit = room(&question, client.transport, out.len());
    let mut message = Message::new(out, question.bytes, question.name_len, limit);
    let outcome = match edns.and_then(|edns| edns.cookie) {
        Some(_) => Outcome::error(BADCOOKIE, ReplyClass::BadCookie, None),
        None => {
            message.truncated = true;
            Outcome::error(NOERROR, ReplyClass::Limited, None)
        }
    };
    Reply {
        class: outcome.class,
        ..finish(
            &mut message,
            question.header,
            edns,
            &outcome,
            client,
            server,
        )
    }
}

pub(crate) const DROPPED: Reply = Reply {
    len: 0,
    class: ReplyClass::Dropped,
    origin: Origin::Claimed,
    rcode: NOERROR,
    zone: 0,
};

/// A header alone.
pub(crate) fn bare(header: Header, rcode: u16, class: ReplyClass, out: &mut [u8]) -> Reply {
    let mut message = Message::new(out, &[], 0, UDP_BYTES_PLAIN);
    Reply {
        len: message.finish(header, rcode, Authority::Others),
        class,
        origin: Origin::Claimed,
        rcode,
        zone: 0,
    }
}

/// The question, OPT without options if the query had one (RFC 6891 § 6.1.1), and a code.
#[cold]
pub(crate) fn coded(
    question: &Question<'_>,
    rcode: u16,
    class: ReplyClass,
    out: &mut [u8],
) -> Reply {
    let mut message = Message::new(out, question.bytes, question.name_len, usize::MAX);
    if let Some(edns) = &question.edns {
        let len = write_bare(edns.dnssec_ok, rcode, message.rest());
        message.opt_written(len);
    }
    Reply {
        len: message.finish(question.header, rcode, Authority::Others),
        class,
        origin: Origin::Claimed,
        rcode,
        zone: 0,
    }
}

/// The most bytes of such a reply.
pub(crate) fn coded_bytes_max(question: &Question<'_>) -> usize {
    HEADER_BYTES + question.bytes.len() + OPT_BYTES
}

/// How long the reply may become before its OPT (RFC 6891 § 6.2.5).
pub(crate) fn room(question: &Question<'_>, transport: Transport, buffer: usize) -> usize {
    let allowed = match (transport, &question.edns) {
        (Transport::Udp, None) => UDP_BYTES_PLAIN,
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.udp_bytes).clamp(UDP_BYTES_PLAIN, UDP_BYTES_MAX)
        }
        _ => REPLY_BYTES_MAX,
    };
    let edns = question.edns.as_ref();
    let options = edns.map_or(0, |edns| edns.reply_bytes(transport));
    allowed.min(buffer).saturating_sub(options)
}

/// Appends OPT if the query had one, and writes the header.
#[inline]
fn finish(
    message: &mut Message<'_>,
    header: Header,
    edns: Option<&Edns<'_>>,
    outcome: &Outcome,
    client: &Client,
    server: &Server,
) -> Reply {
    let origin = match edns {
        None => Origin::Claimed,
        Some(edns) if edns.asks_nothing() && outcome.errors == [None; 2] => {
            let len = write_bare(edns.dnssec_ok, outcome.rcode, message.rest());
            message.opt_written(len);
            Origin::Claimed
        }
        Some(edns) => append_options(message, edns, outcome, client, server),
    };
    let class = if message.truncated {
        ReplyClass::Truncated
    } else {
        outcome.class
    };
    Reply {
        len: message.finish(header, outcome.rcode, outcome.authority),
        class,
        origin,
        rcode: outcome.rcode,
        zone: outcome.zone,
    }
}

/// Appends OPT with options, and says what the query's cookie proved.
#[inline]
fn append_options(
    message: &mut Message<'_>,
    edns: &Edns<'_>,
    outcome: &Outcome,
    client: &Client,
    server: &Server,
) -> Origin {
    let cookie = edns
        .cookie
        .and_then(|cookie| cookie::reply(cookie, client, &server.secrets));
    let origin = cookie
        .as_ref()
        .map_or(Origin::Claimed, |cookie| cookie.origin);
    let options = ReplyOptions {
        dnssec_ok: edns.dnssec_ok,
        subnet: edns.subnet.map(|subnet| (subnet, outcome.scope)),
        cookie: cookie.map(|cookie| (cookie.mine, cookie.server)),
        extended_errors: outcome.errors,
        name: edns.name(server),
        keepalive: edns.keepalive(server, client.transport),
        padded_after: edns.pads(client.transport).then(|| message.len()),
    };
    let len = write_options(&options, outcome.rcode, message.rest());
    message.opt_written(len);
    origin
}

/// What comes before looking for the name.
#[inline]
fn ask(
    snapshot: &Snapshot,
    question: &Question<'_>,
    client: &Client,
    server: &Server,
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
        return Some(question.class)
            .filter(|class| *class == CLASS_CHAOS)
            .and_then(|_| identity::answer(question, &server.identity, message))
            .unwrap_or_else(|| refused(ExtendedError::NotSupported));
    }
    let subnet = question
        .edns
        .as_ref()
        .and_then(|edns| edns.subnet?.address());
    let ahead = subnet.and_then(|subnet| Ahead::look(snapshot, subnet));
    let mut sought = Sought::NOTHING;
    sought.read(&question.bytes[..question.name_len], question.labels);
    let found = sought.find(&snapshot.names);
    let Some(zone) = found.zone() else {
        return refused(ExtendedError::NotAuthoritative);
    };
    if snapshot.freshness == Freshness::Expired {
        let error = Some(ExtendedError::InvalidData);
        return Outcome {
            zone: zone.number,
            ..Outcome::error(SERVFAIL, ReplyClass::ServFail, error)
        };
    }
    let stale = snapshot.freshness == Freshness::Stale;
    let road = Road {
        names: &snapshot.names,
        zone,
        record_type: question.record_type,
        client,
        subnet,
        ahead,
        owner: OwnerPointer::QUESTION,
        outcome: Outcome {
            rcode: NOERROR,
            class: ReplyClass::Static,
            authority: Authority::Ours,
            scope: 0,
            errors: [stale.then_some(ExtendedError::Stale), None],
            zone: zone.number,
        },
        message,
    };
    road.walk(&mut sought, found)
}
