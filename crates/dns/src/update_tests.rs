//! What holders of a key may change, and what everybody else is told.

use super::*;
use crate::client::{Secrets, Transport};
use crate::record::{Record, Soa};
use crate::snapshot::SnapshotBuilder;
use crate::tsig::{Key, Keys};
use crate::zone::Zone;

const NOW: u32 = 1_800_000_000;
const ZONE: &str = "example.org";
const NAME: &str = "_acme-challenge.shop.example.org";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn key(of: &str) -> Key {
    Key::parse(of, "hmac-sha256:AAAAAAAAAAAAAAAAAAAAAA==").unwrap()
}

fn server() -> Server {
    let secrets = Secrets {
        current: [1; 16],
        other: None,
    };
    Server {
        keys: Keys::new(vec![key("acme"), key("other")]),
        ..Server::from(secrets)
    }
}

fn snapshot() -> Snapshot {
    let soa = Soa {
        primary: name("ns.example.org"),
        mailbox: name("host.example.org"),
        serial: 1,
        refresh_secs: 1,
        retry_secs: 1,
        expire_secs: 1,
        minimum_secs: 1,
    };
    let mut zone = Zone::new(name(ZONE), 60, &soa, &[name("ns.example.org")]);
    let address = |owner: &str| Record::address(name(owner), 60, [192, 0, 2, 1].into());
    zone.records.push(address("shop.example.org"));
    zone.records.push(Record::name(
        name("cut.example.org"),
        60,
        RecordType::NS,
        &name("ns.cut.example.org"),
    ));
    let mut builder = SnapshotBuilder::new();
    builder.zone(&zone).unwrap();
    builder.updaters(BTreeMap::from([(
        name(ZONE),
        BTreeSet::from([name("acme")]),
    )]));
    builder.build(1)
}

/// A record of a section: name, type, class, TTL, data.
type Section<'s> = &'s [(&'s str, u16, u16, u32, &'s [u8])];

fn message(zone: &str, asked: Section<'_>, wanted: Section<'_>) -> Vec<u8> {
    let mut message = vec![7, 7, OPCODE << 3, 0, 0, 1];
    message.extend((asked.len() as u16).to_be_bytes());
    message.extend((wanted.len() as u16).to_be_bytes());
    message.extend([0, 0]);
    message.extend(name(zone).wire());
    message.extend([0, 6, 0, 1]);
    for (owner, record_type, class, ttl_secs, data) in asked.iter().chain(wanted) {
        message.extend(name(owner).wire());
        message.extend(record_type.to_be_bytes());
        message.extend(class.to_be_bytes());
        message.extend(ttl_secs.to_be_bytes());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(*data);
    }
    message
}

fn signed_by(of: &str, message: Vec<u8>) -> Vec<u8> {
    signed_at(NOW, of, message)
}

fn signed_at(secs: u32, of: &str, mut message: Vec<u8>) -> Vec<u8> {
    let len = message.len();
    let mut signing = Signing::query(&key(of), [7, 7]);
    message.resize(len + signing.bytes_max(), 0);
    let len = signing.sign(&mut message, len, secs);
    message.truncate(len);
    message
}

fn ask(message: &[u8], out: &mut [u8]) -> Requested {
    let client = Client {
        source: [192, 0, 2, 9].into(),
        transport: Transport::Tcp,
        now_secs: NOW,
        entropy: 0,
    };
    assert!(is_update(message));
    update(&snapshot(), message, &client, &server(), out)
}

/// The code of what is answered at once.
#[track_caller]
fn refused(message: &[u8]) -> u16 {
    let mut out = [0; 2048];
    match ask(message, &mut out) {
        Requested::Answered(reply) => {
            assert!(reply.len >= 12, "there is a reply");
            assert_eq!(out[2], 0x80 | OPCODE << 3, "a reply to an UPDATE");
            u16::from(out[3] & 0xf)
        }
        Requested::Asked(update) => panic!("{update:?}"),
    }
}

#[track_caller]
fn apply(
    now: &Challenges,
    asked: Section<'_>,
    wanted: Section<'_>,
) -> Result<Challenges, UpdateCode> {
    match ask(
        &signed_by("acme", message(ZONE, asked, wanted)),
        &mut [0; 2048],
    ) {
        Requested::Asked(update) => update.apply(now),
        Requested::Answered(reply) => panic!("{reply:?}"),
    }
}

fn held(values: &[&str]) -> Challenges {
    let challenge = Challenge {
        ttl_secs: 60,
        values: values.iter().map(|it| (*it).to_owned()).collect(),
    };
    BTreeMap::from([(name(NAME), challenge)])
}

const ADD_A: (&str, u16, u16, u32, &[u8]) = (NAME, 16, CLASS_IN, 60, b"\x01a");
const CLEAR: (&str, u16, u16, u32, &[u8]) = (NAME, 16, CLASS_ANY, 0, b"");

#[test]
fn what_an_acme_client_puts_and_takes_is_there_and_gone_and_twice_is_once() {
    let none = Challenges::new();
    let one = apply(&none, &[], &[CLEAR, ADD_A]).unwrap();
    assert_eq!(one, held(&["a"]));
    assert_eq!(apply(&one, &[], &[CLEAR, ADD_A]).unwrap(), one);
    let add_b = (NAME, 16, CLASS_IN, 60, b"\x01b".as_slice());
    let two = apply(&one, &[], &[add_b]).unwrap();
    assert_eq!(two, held(&["a", "b"]));
    let remove = (NAME, 16, CLASS_NONE, 0, b"\x01a".as_slice());
    assert_eq!(apply(&two, &[], &[remove]).unwrap(), held(&["b"]));
    assert_eq!(apply(&two, &[], &[CLEAR]).unwrap(), none);
    assert_eq!(apply(&none, &[], &[remove, CLEAR]).unwrap(), none);
    let all = (NAME, 255, CLASS_ANY, 0, b"".as_slice());
    assert_eq!(apply(&two, &[], &[all]).unwrap(), none);
}

#[test]
fn prerequisites_are_those_of_the_rfc() {
    let (none, one) = (Challenges::new(), held(&["a"]));
    let present = (NAME, 16, CLASS_ANY, 0, b"".as_slice());
    let absent = (NAME, 16, CLASS_NONE, 0, b"".as_slice());
    let used = (NAME, 255, CLASS_ANY, 0, b"".as_slice());
    let unused = (NAME, 255, CLASS_NONE, 0, b"".as_slice());
    let exactly = (NAME, 16, CLASS_IN, 0, b"\x01a".as_slice());
    for (prerequisite, holds, fails, code) in [
        (present, &one, &none, UpdateCode::NxRrset),
        (absent, &none, &one, UpdateCode::YxRrset),
        (used, &one, &none, UpdateCode::NxDomain),
        (unused, &none, &one, UpdateCode::YxDomain),
        (exactly, &one, &held(&["a", "b"]), UpdateCode::NxRrset),
    ] {
        assert!(apply(holds, &[prerequisite], &[ADD_A]).is_ok(), "{code:?}");
        assert_eq!(apply(fails, &[prerequisite], &[ADD_A]), Err(code));
    }
    // Of other names, what is published decides.
    let shop = |record_type, class| ("shop.example.org", record_type, class, 0, b"".as_slice());
    for holds in [
        shop(1, CLASS_ANY),
        shop(255, CLASS_ANY),
        shop(28, CLASS_NONE),
    ] {
        assert!(apply(&none, &[holds], &[ADD_A]).is_ok());
    }
    for (fails, code) in [
        (shop(1, CLASS_NONE), UpdateCode::YxRrset),
        (shop(28, CLASS_ANY), UpdateCode::NxRrset),
        (shop(255, CLASS_NONE), UpdateCode::YxDomain),
        (
            ("gone.example.org", 255, CLASS_ANY, 0, b"".as_slice()),
            UpdateCode::NxDomain,
        ),
    ] {
        let code = code.number();
        let sent = signed_by("acme", message(ZONE, &[fails], &[ADD_A]));
        assert_eq!(refused(&sent), code);
    }
}

#[test]
fn whoever_may_not_is_told_so() {
    let good = || message(ZONE, &[], &[ADD_A]);
    assert_eq!(refused(&good()), UpdateCode::Refused.number(), "unsigned");
    let sent = signed_by("other", good());
    assert_eq!(refused(&sent), UpdateCode::Refused.number(), "another key");
    let mut forged = signed_by("acme", good());
    let at = forged.len() - 20;
    forged[at] ^= 1;
    assert_eq!(refused(&forged), UpdateCode::NotAuth.number(), "forged");
    let elsewhere = signed_by("acme", message("example.net", &[], &[]));
    assert_eq!(refused(&elsewhere), UpdateCode::NotAuth.number());
    let below = signed_by("acme", message("shop.example.org", &[], &[]));
    assert_eq!(refused(&below), UpdateCode::NotAuth.number(), "no zone");
}

#[test]
fn nothing_but_challenges_can_be_changed() {
    let text = b"\x01a".as_slice();
    for (what, wanted, code) in [
        (
            "another name",
            ("shop.example.org", 16, CLASS_IN, 60, text),
            UpdateCode::Refused,
        ),
        (
            "another type",
            (NAME, 1, CLASS_IN, 60, b"\x01\x02\x03\x04".as_slice()),
            UpdateCode::Refused,
        ),
        (
            "all of another name",
            ("shop.example.org", 255, CLASS_ANY, 0, b"".as_slice()),
            UpdateCode::Refused,
        ),
        (
            "two strings",
            (NAME, 16, CLASS_IN, 60, b"\x01a\x01b".as_slice()),
            UpdateCode::Refused,
        ),
        (
            "no text",
            (NAME, 16, CLASS_IN, 60, b"\x01\n".as_slice()),
            UpdateCode::Refused,
        ),
        (
            "below a cut",
            ("_acme-challenge.cut.example.org", 16, CLASS_IN, 60, text),
            UpdateCode::Refused,
        ),
        (
            "outside",
            ("_acme-challenge.example.net", 16, CLASS_IN, 60, text),
            UpdateCode::NotZone,
        ),
        (
            "no such class",
            (NAME, 16, 3, 60, text),
            UpdateCode::FormErr,
        ),
        (
            "a TTL of what goes",
            (NAME, 16, CLASS_ANY, 1, b"".as_slice()),
            UpdateCode::FormErr,
        ),
        (
            "data of what goes",
            (NAME, 16, CLASS_ANY, 0, text),
            UpdateCode::FormErr,
        ),
    ] {
        let sent = signed_by("acme", message(ZONE, &[], &[wanted]));
        assert_eq!(refused(&sent), code.number(), "{what}");
    }
}

#[test]
fn challenges_are_bounded_and_what_is_full_can_be_emptied() {
    let values: Vec<String> = (0..VALUES_MAX).map(|it| format!("v{it}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let full = held(&values);
    assert_eq!(apply(&full, &[], &[ADD_A]), Err(UpdateCode::Refused));
    assert_eq!(apply(&full, &[], &[CLEAR]), Ok(Challenges::new()));
    let mut many = Challenges::new();
    for number in 0..NAMES_MAX {
        let owner = name(&format!("_acme-challenge.n{number}.example.org"));
        many.insert(owner, held(&["a"])[&name(NAME)].clone());
    }
    assert_eq!(apply(&many, &[], &[ADD_A]), Err(UpdateCode::Refused));
}

#[test]
fn the_reply_has_the_question_the_code_and_a_signature() {
    let Requested::Asked(update) = ask(
        &signed_by("acme", message(ZONE, &[], &[ADD_A])),
        &mut [0; 2048],
    ) else {
        panic!("it is allowed");
    };
    assert_eq!(*update.zone(), name(ZONE));
    let reply = update.reply(UpdateCode::ServFail, NOW);
    assert_eq!(reply[..4], [7, 7, 0x80 | OPCODE << 3, 2]);
    assert_eq!(
        reply[4..12],
        [0, 1, 0, 0, 0, 0, 0, 1],
        "a zone, a signature"
    );
    assert_eq!(reply[12..12 + 13], *name(ZONE).wire());
}

#[test]
fn no_bytes_make_it_fail() {
    let whole = signed_by("acme", message(ZONE, &[CLEAR], &[CLEAR, ADD_A]));
    for len in 12..whole.len() {
        ask(&whole[..len], &mut [0; 2048]);
    }
    // Unsigned sections are not read; these are, with a key that holds.
    let plain = message(ZONE, &[CLEAR], &[CLEAR, ADD_A]);
    for at in 12..plain.len() {
        for byte in [0, 0x3f, 0xc0, 0xff] {
            let mut changed = plain.clone();
            changed[at] = byte;
            ask(&signed_by("acme", changed), &mut [0; 2048]);
        }
    }
}

#[test]
fn what_is_malformed_and_signed_is_a_matter_of_form_and_not_of_authority() {
    // Data that its type does not have, which a reader of whole messages would stop at.
    let malformed: [(&str, u16, u16, u32, &[u8]); 5] = [
        (NAME, 16, 1, 60, &[5, b'a']),
        (NAME, 16, 1, 60, &[]),
        (NAME, 16, 254, 0, &[2, b'a']),
        ("shop.example.org", 1, 1, 60, &[192, 0, 2]),
        ("shop.example.org", 15, 1, 60, &[0, 1, 9, b'x']),
    ];
    for line in malformed {
        let message = signed_by("acme", message(ZONE, &[], &[line]));
        assert_eq!(refused(&message), UpdateCode::FormErr.number(), "{line:?}");
    }
    // A record that is announced and missing: no end is found, so that no signature is either.
    let mut short = message(ZONE, &[], &[(NAME, 16, 1, 60, b"\x01a")]);
    short[9] = 2;
    assert_eq!(refused(&short), UpdateCode::FormErr.number());
    assert_eq!(
        refused(&signed_by("acme", short)),
        UpdateCode::FormErr.number()
    );
}

/// A signed message with the first `length` bytes of its code of 32, which ends six bytes before the end.
fn cut(whole: &[u8], length: usize) -> Vec<u8> {
    let end = whole.len() - 6;
    let mut message = whole[..end - 32 + length].to_vec();
    message.extend(&whole[end..]);
    let size = end - 32 - 2;
    message[size..size + 2].copy_from_slice(&(length as u16).to_be_bytes());
    let data = size - 8 - b"\x0bhmac-sha256\x00".len() - 2;
    let long = (message.len() - data - 2) as u16;
    message[data..data + 2].copy_from_slice(&long.to_be_bytes());
    message
}

/// The code of what is answered at once; of its signature, how long the code is and which error it tells.
#[track_caller]
fn refused_how(message: &[u8]) -> (u16, u16, u16) {
    let mut out = [0; 2048];
    let Requested::Answered(reply) = ask(message, &mut out) else {
        panic!("it is not answered at once");
    };
    let two = |at: usize| u16::from_be_bytes([out[at], out[at + 1]]);
    // Header, zone, the key's name, type to length, the algorithm, time and fudge.
    let size = 12 + 17 + 6 + 10 + 13 + 8;
    let mac_bytes = two(size);
    let error = size + 2 + usize::from(mac_bytes) + 2;
    assert_eq!(
        error + 4 + usize::from(two(error + 2)),
        reply.len,
        "the reply ends there"
    );
    (reply.rcode, mac_bytes, two(error))
}

#[test]
fn a_code_that_is_cut_is_not_believed_and_one_that_cannot_be_is_malformed() {
    let whole = signed_by("acme", message(ZONE, &[], &[(NAME, 16, 1, 60, b"\x01a")]));
    let not_auth = UpdateCode::NotAuth.number();
    assert!(matches!(
        ask(&cut(&whole, 32), &mut [0; 2048]),
        Requested::Asked(_)
    ));
    for length in [31, 16] {
        assert_eq!(refused_how(&cut(&whole, length)), (not_auth, 32, 22));
    }
    for length in [0, 10, 15] {
        assert_eq!(refused(&cut(&whole, length)), UpdateCode::FormErr.number());
    }
}

#[test]
fn the_code_is_looked_at_before_the_time_and_the_time_before_how_long_the_code_is() {
    let not_auth = UpdateCode::NotAuth.number();
    let mut whole = signed_by("acme", message(ZONE, &[], &[(NAME, 16, 1, 60, b"\x01a")]));
    let first = whole.len() - 6 - 32;
    whole[first] ^= 1;
    for length in [32, 31, 16] {
        // BADSIG, unsigned: he does not have the key.
        assert_eq!(
            refused_how(&cut(&whole, length)),
            (not_auth, 0, 16),
            "{length}"
        );
    }
    let late = signed_at(
        NOW - 301,
        "acme",
        message(ZONE, &[], &[(NAME, 16, 1, 60, b"\x01a")]),
    );
    for length in [32, 31, 16] {
        // BADTIME, signed.
        assert_eq!(
            refused_how(&cut(&late, length)),
            (not_auth, 32, 18),
            "{length}"
        );
    }
}

#[test]
fn a_message_has_one_signature_and_that_last() {
    let form = UpdateCode::FormErr.number();
    let once = signed_by("acme", message(ZONE, &[], &[(NAME, 16, 1, 60, b"\x01a")]));
    assert_eq!(refused(&signed_by("acme", once.clone())), form);
    assert_eq!(refused(&signed_by("other", once.clone())), form);
    // Among what is to be changed, with no other, and with one where it belongs.
    let elsewhere = message(ZONE, &[], &[(NAME, 250, 255, 0, b"\x01a")]);
    assert_eq!(refused(&elsewhere), form);
    assert_eq!(refused(&signed_by("acme", elsewhere)), form);
    // It is last, but one of those before the additional ones: of any opcode.
    let mut before = once.clone();
    (before[9], before[11]) = (before[9] + 1, 0);
    assert_eq!(refused(&before), form);
    let mut other = before;
    other[2] = 3 << 3;
    let client = Client {
        source: [192, 0, 2, 9].into(),
        transport: Transport::Tcp,
        now_secs: NOW,
        entropy: 0,
    };
    let reply = crate::answer(&snapshot(), &other, &client, &server(), &mut [0; 2048]);
    assert_eq!(reply.rcode, form);
    // Something follows.
    let mut followed = once;
    followed[11] = 2;
    followed.extend([0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refused(&followed), form);
}
