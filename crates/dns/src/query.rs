//! Reading a query: what it asks, or why it cannot be answered, which is answered as well (RFC 8906 § 3). No allocation.

use crate::edns::{Edns, read_options};
use crate::name::{LABEL_BYTES_MAX, NAME_BYTES_MAX};
use crate::record::RecordType;
use crate::tsig::TYPE_TSIG;

/// The length of a message's header (RFC 1035 § 4.1.1).
pub(crate) const HEADER_BYTES: usize = 12;

/// The header's first four bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) id: [u8; 2],
    /// RD, which a reply copies.
    pub(crate) recursion_desired: bool,
    pub(crate) opcode: u8,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Parsed<'q> {
    /// A reply, or too short for a header: answering could make a loop.
    NotAQuery,
    /// Malformed. RFC 9619 § 4 counts more than one question among it.
    Malformed(Header),
    /// Well formed but for OPT, which the reply must have all the same, so that nobody takes us for a
    /// server without EDNS (RFC 6891 § 7).
    BadOptions(Question<'q>),
    /// No question but a cookie (RFC 7873 § 5.4).
    CookieOnly(Header, Edns<'q>),
    /// One question; the opcode is still to be looked at.
    Question(Question<'q>),
}

/// A query with one question.
#[derive(Debug)]
pub(crate) struct Question<'q> {
    pub(crate) header: Header,
    /// The question section as it came, in the case it came in.
    pub(crate) bytes: &'q [u8],
    /// The length of its name, and of how many labels it is.
    pub(crate) name_len: usize,
    pub(crate) labels: usize,
    pub(crate) record_type: RecordType,
    pub(crate) class: u16,
    pub(crate) edns: Option<Edns<'q>>,
    /// Whether a signature stands at its end (RFC 8945).
    pub(crate) signed: bool,
}

impl<'q> Question<'q> {
    /// In place of one that is not there.
    fn none(header: Header, edns: Option<Edns<'q>>) -> Self {
        Self {
            header,
            bytes: &[],
            name_len: 0,
            labels: 0,
            record_type: RecordType(0),
            class: 0,
            edns,
            signed: false,
        }
    }
}

/// What the records after the question say.
#[derive(Default)]
struct Records<'q> {
    edns: Option<Edns<'q>>,
    /// Whether OPT is malformed, or not the only one.
    bad_options: bool,
    /// Whether a signature stands anywhere.
    signed: bool,
}

impl<'q> Records<'q> {
    /// Takes what an OPT record says.
    #[inline(always)]
    fn take(&mut self, read: Result<Edns<'q>, Edns<'q>>) {
        self.bad_options |= read.is_err();
        self.edns = Some(read.unwrap_or_else(|plain| plain));
    }
}

/// Reads a message. Inlined, as is what it calls: what it gives is large to hand over.
#[inline(always)]
pub(crate) fn parse(message: &[u8]) -> Parsed<'_> {
    let Some((head, body)) = message.split_first_chunk::<HEADER_BYTES>() else {
        return Parsed::NotAQuery;
    };
    if head[2] & 0x80 != 0 {
        return Parsed::NotAQuery;
    }
    let header = Header {
        id: [head[0], head[1]],
        recursion_desired: head[2] & 1 != 0,
        opcode: head[2] >> 3 & 0xf,
    };
    let counts = [4, 6, 8, 10].map(|at| u16::from_be_bytes([head[at], head[at + 1]]));
    match read_body(header, counts, body) {
        Some(parsed) => parsed,
        None => Parsed::Malformed(header),
    }
}

/// Whether a query asks for how long a stream may be idle (RFC 7828).
pub fn asks_keepalive(query: &[u8]) -> bool {
    match parse(query) {
        Parsed::Question(Question { edns, .. }) => edns.is_some_and(|edns| edns.asks_keepalive),
        Parsed::CookieOnly(_, edns) => edns.asks_keepalive,
        _ => false,
    }
}

#[inline(always)]
fn read_body(header: Header, counts: [u16; 4], body: &[u8]) -> Option<Parsed<'_>> {
    let [questions, answers, authorities, additionals] = counts;
    if questions > 1 {
        return None;
    }
    if questions == 0 {
        let records = read_records(body, answers, authorities, additionals)?;
        if records.bad_options {
            return Some(Parsed::BadOptions(Question::none(header, records.edns)));
        }
        // What is signed has a question: nobody verifies it here.
        let edns = records.edns.filter(|_| !records.signed);
        let edns = edns.filter(|edns| edns.cookie.is_some() && header.opcode == 0)?;
        return Some(Parsed::CookieOnly(header, edns));
    }
    let (name_len, labels) = question_name(body)?;
    let (bytes, rest) = body.split_at_checked(name_len + 4)?;
    let fixed = &bytes[name_len..];
    let record_type = RecordType(u16::from_be_bytes([fixed[0], fixed[1]]));
    // A query has nothing in these sections, but for the SOA of an IXFR (RFC 1995 § 3).
    let has_records = answers > 0 || (authorities > 0 && record_type != RecordType::IXFR);
    if header.opcode == 0 && has_records {
        return None;
    }
    let mut records = Records::default();
    match lone_options(rest) {
        Some((fixed, data)) if additionals == 1 && answers | authorities == 0 => {
            records.take(read_options(fixed, data));
        }
        _ if rest.is_empty() && additionals == 0 && !has_records => {}
        _ => records = read_records(rest, answers, authorities, additionals)?,
    }
    let question = Question {
        header,
        bytes,
        name_len,
        labels,
        record_type,
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
        edns: records.edns,
        signed: records.signed,
    };
    Some(match records.bad_options {
        false => Parsed::Question(question),
        true => Parsed::BadOptions(question),
    })
}

/// The length of the name at the start of `body`, with its root label, and its labels without.
/// It is not compressed: nothing stands before it.
#[inline]
fn question_name(body: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    let mut labels = 0;
    loop {
        let length = usize::from(*body.get(at)?);
        if length == 0 {
            return Some((at + 1, labels)).filter(|(name_len, _)| *name_len <= NAME_BYTES_MAX);
        }
        if length > LABEL_BYTES_MAX || at > NAME_BYTES_MAX {
            return None;
        }
        at += 1 + length;
        labels += 1;
    }
}

/// What an OPT record that fills `rest` has after its owner, and its data: nearly all that queries have.
#[inline]
fn lone_options(rest: &[u8]) -> Option<(&[u8; 10], &[u8])> {
    let (owner, rest) = rest.split_first()?;
    let (fixed, data) = rest.split_first_chunk::<10>()?;
    let is_options = *owner == 0 && fixed[..2] == RecordType::OPT.0.to_be_bytes();
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    (is_options && length == data.len()).then_some((fixed, data))
}

/// Walks over all records, which must fill `rest`, and reads the OPT among the additional ones. `None`
/// is a malformed message.
#[cold]
#[inline(never)]
fn read_records(
    mut rest: &[u8],
    answers: u16,
    authorities: u16,
    additionals: u16,
) -> Option<Records<'_>> {
    let before = u32::from(answers) + u32::from(authorities);
    let mut records = Records::default();
    for index in 0..before + u32::from(additionals) {
        let owner = skip_name(rest)?;
        let (fixed, tail) = rest[owner..].split_first_chunk::<10>()?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let (data, tail) = tail.split_at_checked(length)?;
        let record_type = u16::from_be_bytes([fixed[0], fixed[1]]);
        if index >= before && record_type == RecordType::OPT.0 {
            // One OPT, at the root (RFC 6891 § 6.1.1).
            records.bad_options |= records.edns.is_some() || owner != 1;
            records.take(read_options(fixed, data));
        }
        records.signed |= record_type == TYPE_TSIG;
        rest = tail;
    }
    rest.is_empty().then_some(records)
}

/// The length of a name that may end in a pointer.
pub(crate) fn skip_name(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length < 0x40 => at += 1 + usize::from(length),
            length if length >= 0xc0 => return (bytes.len() >= at + 2).then_some(at + 2),
            _ => return None,
        }
    }
}
