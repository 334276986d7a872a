//! A decoder of replies that shares no code with the engine's encoder, and strict: every pointer
//! leads back, every byte is read.

use meridian_dns::{Name, Record, RecordType};

/// A reply, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) id: u16,
    /// Names of the flags that are set, in the order of the header.
    pub(crate) flags: Vec<&'static str>,
    pub(crate) opcode: u8,
    /// With the upper bits from OPT.
    pub(crate) rcode: u16,
    /// The question's bytes, as they stand there.
    pub(crate) question: Vec<u8>,
    pub(crate) answer: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    pub(crate) opt: Option<Opt>,
}

/// An OPT record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) udp_bytes: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

const FLAGS: [(u16, &str); 8] = [
    (0x8000, "QR"),
    (0x0400, "AA"),
    (0x0200, "TC"),
    (0x0100, "RD"),
    (0x0080, "RA"),
    (0x0040, "Z"),
    (0x0020, "AD"),
    (0x0010, "CD"),
];

/// Takes a reply apart.
///
/// # Panics
/// When it is not well formed.
pub(crate) fn decode(message: &[u8]) -> Decoded {
    let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let flags = FLAGS
        .iter()
        .filter(|(bit, _)| word(2) & bit != 0)
        .map(|(_, name)| *name);
    let mut decoded = Decoded {
        id: word(0),
        flags: flags.collect(),
        opcode: message[2] >> 3 & 0xf,
        rcode: word(2) & 0xf,
        question: Vec::new(),
        answer: Vec::new(),
        authority: Vec::new(),
        additional: Vec::new(),
        opt: None,
    };
    let mut at = 12;
    assert!(word(4) <= 1, "more than one question");
    if word(4) == 1 {
        let (_, end) = name(message, at);
        assert!(
            message[at..end]
                .iter()
                .all(|byte| *byte < 0xc0 || !byte.is_ascii())
        );
        decoded.question = message[at..end + 4].to_vec();
        at = end + 4;
    }
    for index in 0..3 {
        for _ in 0..word(6 + 2 * index) {
            let (owner, end) = name(message, at);
            let record_type = RecordType(word(end));
            let ttl_secs = u32::from_be_bytes(message[end + 4..end + 8].try_into().unwrap());
            let data = end + 10..end + 10 + usize::from(word(end + 8));
            at = data.end;
            if record_type == RecordType::OPT {
                assert!(index == 2 && decoded.opt.is_none() && owner == Name::root());
                decoded.rcode |= ((ttl_secs >> 24) as u16) << 4;
                decoded.opt = Some(opt(word(end + 2), ttl_secs, &message[data]));
                continue;
            }
            let class = decoded.question.last_chunk();
            // Messages of a transfer, from the second on, have no question.
            let class = class.map_or(1, |class| u16::from_be_bytes(*class));
            assert_eq!(word(end + 2), class, "the class of the question");
            let data = expanded(message, record_type, data);
            let section = match index {
                0 => &mut decoded.answer,
                1 => &mut decoded.authority,
                _ => &mut decoded.additional,
            };
            section.push(Record::new(owner, ttl_secs, record_type, data));
        }
    }
    assert_eq!(at, message.len(), "bytes follow the last record");
    decoded
}

/// Where the signature starts (RFC 8945 § 5.1) that is a message's last record.
pub(crate) fn signature_start(message: &[u8]) -> Option<usize> {
    let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let mut at = 12;
    for _ in 0..word(4) {
        at = name(message, at).1 + 4;
    }
    let mut last = None;
    for _ in 0..(6..12).step_by(2).map(word).sum::<u16>() {
        let (_, end) = name(message, at);
        last = (word(end) == 250).then_some(at);
        at = end + 10 + usize::from(word(end + 8));
    }
    last
}

fn opt(udp_bytes: u16, ttl: u32, mut data: &[u8]) -> Opt {
    let mut options = Vec::new();
    while !data.is_empty() {
        let code = u16::from_be_bytes([data[0], data[1]]);
        let length = usize::from(u16::from_be_bytes([data[2], data[3]]));
        options.push((code, data[4..4 + length].to_vec()));
        data = &data[4 + length..];
    }
    assert_eq!(ttl & 0x7fff, 0, "flags that have no meaning are clear");
    Opt {
        udp_bytes,
        version: (ttl >> 16) as u8,
        dnssec_ok: ttl & 0x8000 != 0,
        options,
    }
}

/// The name at `at`, and where it ends.
fn name(message: &[u8], at: usize) -> (Name, usize) {
    let mut wire = Vec::new();
    let mut position = at;
    let mut end = None;
    loop {
        let length = usize::from(message[position]);
        match length {
            0 => {
                wire.push(0);
                let name = Name::from_wire(&wire).expect("a whole name");
                return (name, end.unwrap_or(position + 1));
            }
            0xc0.. => {
                let target = (length & 0x3f) << 8 | usize::from(message[position + 1]);
                assert!(target < position, "a pointer leads back");
                end = end.or(Some(position + 2));
                position = target;
            }
            1..=63 => {
                wire.extend(&message[position..=position + length]);
                position += 1 + length;
            }
            _ => panic!("a label of an unknown kind"),
        }
    }
}

/// Data without compression.
fn expanded(message: &[u8], record_type: RecordType, data: std::ops::Range<usize>) -> Vec<u8> {
    let (prefix, names) = match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => (0, 1),
        RecordType::SOA => (0, 2),
        RecordType::MX => (2, 1),
        _ => (0, 0),
    };
    let mut at = data.start + prefix;
    let mut whole = message[data.start..at].to_vec();
    for _ in 0..names {
        let (name, end) = name(message, at);
        whole.extend(name.wire());
        at = end;
    }
    whole.extend(&message[at..data.end]);
    whole
}

/// Records as lines.
pub(crate) fn lines(records: &[Record]) -> Vec<String> {
    let line = |it: &Record| {
        let data = &it.data;
        format!(
            "{} {} {} {data:02x?}",
            it.owner, it.ttl_secs, it.record_type
        )
    };
    records.iter().map(line).collect()
}
