//! Signs queries, and looks at the signatures of replies (RFC 8945), by hickory-proto's reading of the
//! rule: what is covered, and in which form, is not asked of the engine.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{
    TsigAlgorithm, TsigError, make_tsig_record, signed_bitmessage_to_buf,
};
use hickory_proto::rr::{Name, TSigner};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use crate::reply::signature_start;

/// How far clocks may differ, unless a script says otherwise (RFC 8945 § 10).
const FUDGE_SECS: u16 = 300;

/// A query with its signature, and what its replies are verified with.
pub(crate) struct Signed {
    pub(crate) query: Vec<u8>,
    signer: TSigner,
    time: u64,
    mac: Vec<u8>,
}

/// Signs a query as its line says: `KEY [TIME=SECONDS] [FUDGE=SECONDS] [MAC=BYTES] [ID=HEX]
/// [WITH=ALGORITHM:SECRET]`. The time is relative to `now_secs`; `known` finds a key as
/// `ALGORITHM:SECRET`, in place of which `WITH` gives one that the server does not have.
pub(crate) fn sign<'k>(
    mut query: Vec<u8>,
    line: &'k str,
    now_secs: u32,
    known: impl Fn(&str) -> Option<&'k str>,
) -> Signed {
    let mut words = line.split_whitespace();
    let owner = words.next().expect("the name of a key");
    let settings: Vec<_> = words.map(|word| word.split_once('=').unwrap()).collect();
    let setting = |name: &str| settings.iter().find(|it| it.0 == name).map(|it| it.1);
    let key = setting("WITH").or_else(|| known(owner));
    let fudge = setting("FUDGE").map_or(FUDGE_SECS, |it| it.parse().unwrap());
    let signer = signer(owner, key.expect("a key"), fudge);
    let apart: i64 = setting("TIME").map_or(0, |it| it.parse().unwrap());
    let time = u64::from(now_secs).checked_add_signed(apart).unwrap();
    let own = [query[0], query[1]];
    let id = setting("ID").map_or(u16::from_be_bytes(own), |it| {
        u16::from_str_radix(it, 16).unwrap()
    });
    let algorithm = signer.algorithm().clone();
    let bare = TSIG::new(algorithm, time, fudge, Vec::new(), id, None, Vec::new());
    let mut covered = [&id.to_be_bytes(), &query[2..]].concat();
    let mut tail = Vec::new();
    let mut encoder = BinEncoder::new(&mut tail);
    bare.emit_tsig_for_mac(&mut encoder, signer.signer_name())
        .unwrap();
    covered.extend(tail);
    let mut mac = signer.sign(&covered).unwrap();
    mac.truncate(setting("MAC").map_or(usize::MAX, |it| it.parse().unwrap()));
    let record = make_tsig_record(signer.signer_name().clone(), bare.set_mac(mac.clone()));
    query.extend(record.to_bytes().unwrap());
    query[11] += 1;
    Signed {
        query,
        signer,
        time,
        mac,
    }
}

fn signer(owner: &str, key: &str, fudge: u16) -> TSigner {
    let (algorithm, secret) = key.split_once(':').expect("ALGORITHM:SECRET");
    let algorithm = TsigAlgorithm::from_name(algorithm.parse().unwrap());
    let secret = STANDARD.decode(secret).unwrap();
    let owner: Name = owner.parse().unwrap();
    TSigner::new(secret, algorithm, owner, fudge).unwrap()
}

/// The messages of a reply without their signatures, and the error that these tell: `none` without
/// one, and more than an error where a signature is not as it must be. `now` is when it was made.
pub(crate) fn verify(
    messages: Vec<Vec<u8>>,
    sent: Option<&Signed>,
    now: &RangeInclusive<u64>,
) -> (Vec<Vec<u8>>, String) {
    let mut told = "none".to_owned();
    let mut before = sent.map_or(Vec::new(), |sent| sent.mac.clone());
    let mut bare = Vec::new();
    for (index, mut message) in messages.into_iter().enumerate() {
        if let Some(start) = signature_start(&message) {
            let sent = sent.expect("no signature unless the query has one");
            told = one(&message, sent, &mut before, index == 0, now);
            message.truncate(start);
            let additional = u16::from_be_bytes([message[10], message[11]]) - 1;
            message[10..12].copy_from_slice(&additional.to_be_bytes());
        } else if told != "none" {
            told = format!("message {index} has no signature");
        }
        bare.push(message);
    }
    (bare, told)
}

/// What the signature of one message tells.
fn one(
    message: &[u8],
    sent: &Signed,
    before: &mut Vec<u8>,
    first: bool,
    now: &RangeInclusive<u64>,
) -> String {
    let (_, record) = signed_bitmessage_to_buf(message, Some(before), first).unwrap();
    let tsig = record.data;
    let (error, is_signed) = match tsig.error {
        None => ("NOERROR", true),
        Some(TsigError::BadSig) => ("BADSIG", false),
        Some(TsigError::BadKey) => ("BADKEY", false),
        Some(TsigError::BadTime) => ("BADTIME", true),
        Some(TsigError::BadTrunc) => ("BADTRUNC", true),
        Some(TsigError::Unknown(_)) => ("an unknown error", false),
    };
    // RFC 8945 § 5.2.3: with the time of the query, so that its sender can verify it, and with ours.
    let other = tsig
        .other
        .iter()
        .fold(0, |time, byte| time << 8 | u64::from(*byte));
    let is_timely = match tsig.error {
        Some(TsigError::BadTime) => {
            tsig.time == sent.time && tsig.other.len() == 6 && now.contains(&other)
        }
        _ => now.contains(&tsig.time) && tsig.other.is_empty(),
    };
    if !is_timely {
        return format!("{error} at {}, with {:02x?}", tsig.time, tsig.other);
    }
    if !is_signed {
        let problem = if tsig.mac.is_empty() { "" } else { ", signed" };
        return format!("{error}{problem}");
    }
    match sent
        .signer
        .verify_message_byte(message, Some(before), first)
    {
        Ok((mac, ..)) => {
            *before = mac;
            error.to_owned()
        }
        Err(problem) => format!("{error}, but it does not hold: {problem}"),
    }
}
