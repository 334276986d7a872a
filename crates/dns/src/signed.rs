//! Answers to signed queries (RFC 8945), off the fast path: they are verified, answered as any
//! other, and signed.

use crate::answer::{Caller, DROPPED, FORMERR, answer_question, bare, coded, coded_bytes_max};
use crate::client::{Client, Origin, Reply, ReplyClass, Server};
use crate::edns::UDP_BYTES_MAX;
use crate::query::{Parsed, Question, parse};
use crate::snapshot::Snapshot;
use crate::tsig::{self, Refusal, Signing, Verified};

const NOTAUTH: u16 = 9;

/// Answers a query that has a signature among its additional records.
#[cold]
#[inline(never)]
pub(crate) fn answer(
    snapshot: &Snapshot,
    query: &[u8],
    question: &Question<'_>,
    client: &Client,
    server: &Server,
    out: &mut [u8],
) -> Reply {
    let malformed = |out| coded(question, FORMERR, ReplyClass::FormErr, out);
    match tsig::verify(query, &server.keys, client.now_secs) {
        Ok(verified) => match parse(&verified.query) {
            Parsed::Question(bare) if !bare.signed => {
                answer_verified(snapshot, &verified, &bare, client, server, out)
            }
            _ => malformed(out),
        },
        Err(Refusal::Malformed) => malformed(out),
        Err(refusal) => refuse(question, refusal, client, out),
    }
}

fn answer_verified(
    snapshot: &Snapshot,
    verified: &Verified,
    question: &Question<'_>,
    client: &Client,
    server: &Server,
    out: &mut [u8],
) -> Reply {
    if out.len() < UDP_BYTES_MAX {
        return DROPPED;
    }
    let mut signing: Signing = verified.signing.clone();
    let caller = Caller {
        key: Some(&verified.key),
        reserved: signing.bytes_max(),
    };
    let query = &verified.query;
    let reply = answer_question(snapshot, query, question, client, server, caller, out);
    Reply {
        len: signing.sign(out, reply.len, client.now_secs),
        // Whoever has the key is who he says.
        origin: Origin::Proven,
        ..reply
    }
}

/// NOTAUTH: the question, OPT if it had one, and what is wrong with its signature.
pub(crate) fn refuse(
    question: &Question<'_>,
    refusal: Refusal,
    client: &Client,
    out: &mut [u8],
) -> Reply {
    let needed = match &refusal {
        Refusal::Malformed => 0,
        Refusal::Unsigned(unsigned) => unsigned.bytes_max(),
        Refusal::Late(signing) | Refusal::Cut(signing) => signing.bytes_max(),
    };
    if out.len() < coded_bytes_max(question) + needed {
        return bare(question.header, NOTAUTH, ReplyClass::NotAuth, out);
    }
    let reply = coded(question, NOTAUTH, ReplyClass::NotAuth, out);
    let len = match refusal {
        Refusal::Malformed => reply.len,
        Refusal::Unsigned(unsigned) => unsigned.append(out, reply.len, client.now_secs),
        Refusal::Late(mut signing) => signing.sign_late(out, reply.len, client.now_secs),
        Refusal::Cut(mut signing) => signing.sign_cut(out, reply.len, client.now_secs),
    };
    Reply { len, ..reply }
}
