//! A reply under construction.

use crate::encoded::{Encoded, QUESTION_POINTER, Target};
use crate::query::{HEADER_BYTES, Header};
use crate::record::RecordType;

/// The AA bit and the TC bit, in the header's third byte.
const AUTHORITATIVE: u8 = 0x04;
const TRUNCATED: u8 = 0x02;

/// Where the owner of the records to come stands: a pointer to its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnerPointer(pub(crate) u16);

impl OwnerPointer {
    /// The question's name.
    pub(crate) const QUESTION: Self = Self(QUESTION_POINTER);

    fn at(place: usize) -> Self {
        // Chains are short enough for 14 bits: CHAIN_MAX aliases of 267 bytes.
        Self(0xc000 | (place & 0x3fff) as u16)
    }
}

/// A reply: header, question and so far some records.
pub(crate) struct Message<'o> {
    out: &'o mut [u8],
    len: usize,
    /// How long it may become before OPT.
    limit: usize,
    counts: [u16; 3],
    name_len: usize,
    pub(crate) truncated: bool,
}

impl<'o> Message<'o> {
    /// A reply that repeats `question`, whose name takes `name_len` bytes.
    #[inline]
    pub(crate) fn new(out: &'o mut [u8], question: &[u8], name_len: usize, limit: usize) -> Self {
        let len = HEADER_BYTES + question.len();
        out[HEADER_BYTES..len].copy_from_slice(question);
        Self {
            out,
            len,
            limit,
            counts: [0; 3],
            name_len,
            truncated: false,
        }
    }

    /// Appends records, with what can be left out only where there is room; with no room for the
    /// rest, none of it, and TC will be set (RFC 2181 § 9).
    #[inline]
    pub(crate) fn append(&mut self, encoded: &Encoded, owner: OwnerPointer) {
        let room = self.limit - self.len;
        let (mut end, mut additional) = (encoded.bytes.len(), encoded.counts[2]);
        if end > room {
            let fitting = encoded
                .early_ends
                .iter()
                .rfind(|early| usize::from(early.end) <= room);
            let Some(early) = fitting else {
                self.truncated = true;
                return;
            };
            (end, additional) = (usize::from(early.end), early.additional);
        }
        let start = self.len;
        self.out[start..start + end].copy_from_slice(&encoded.bytes[..end]);
        self.len += end;
        self.counts[0] += encoded.counts[0];
        self.counts[1] += encoded.counts[1];
        self.counts[2] += additional;
        for pointer in &encoded.pointers {
            let at = usize::from(pointer.at);
            if at >= end {
                break;
            }
            let leads_to = match pointer.target {
                Target::Origin(len) => HEADER_BYTES + self.name_len - usize::from(len),
                Target::Body(place) => start + usize::from(place),
            };
            self.put_pointer(start + at, OwnerPointer::at(leads_to));
        }
        if owner.0 != QUESTION_POINTER {
            for at in &encoded.owners {
                self.put_pointer(start + usize::from(*at), owner);
            }
        }
    }

    /// Appends answers that were encoded for this place, right after the question.
    pub(crate) fn append_transfer(&mut self, bytes: &[u8], answers: u16) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        self.counts[0] += answers;
    }

    /// How much room is left before OPT.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Appends a CNAME record and gives its target as the owner of what follows.
    pub(crate) fn append_alias(&mut self, record: &Encoded, owner: OwnerPointer) -> OwnerPointer {
        let start = self.len;
        self.append(record, owner);
        // Owner pointer, type, class, TTL and length stand before the target.
        OwnerPointer::at(start + 12)
    }

    /// Appends a CNAME record that a DNAME makes (RFC 6672 § 2.2).
    pub(crate) fn append_synthesized(
        &mut self,
        owner: OwnerPointer,
        ttl_secs: u32,
        target: &[u8],
    ) -> OwnerPointer {
        let start = self.len;
        if 12 + target.len() > self.limit - start {
            self.truncated = true;
            return owner;
        }
        let fixed = &mut self.out[start..start + 12];
        fixed[..2].copy_from_slice(&owner.0.to_be_bytes());
        fixed[2..4].copy_from_slice(&RecordType::CNAME.0.to_be_bytes());
        fixed[4..6].copy_from_slice(&1u16.to_be_bytes());
        fixed[6..10].copy_from_slice(&ttl_secs.to_be_bytes());
        fixed[10..].copy_from_slice(&(target.len() as u16).to_be_bytes());
        self.out[start + 12..start + 12 + target.len()].copy_from_slice(target);
        self.len += 12 + target.len();
        self.counts[0] += 1;
        OwnerPointer::at(start + 12)
    }

    /// Appends what a server says of itself: a TXT record of class CH at the question's name,
    /// which is not to be cached (RFC 4892).
    pub(crate) fn append_chaos_text(&mut self, text: &str) {
        let data = text.len() + 1;
        let start = self.len;
        if 12 + data > self.limit - start {
            self.truncated = true;
            return;
        }
        let [high, low] = QUESTION_POINTER.to_be_bytes();
        let fixed = [
            high,
            low,
            0,
            16,
            0,
            3,
            0,
            0,
            0,
            0,
            0,
            data as u8,
            text.len() as u8,
        ];
        self.out[start..start + 13].copy_from_slice(&fixed);
        self.out[start + 13..start + 12 + data].copy_from_slice(text.as_bytes());
        self.len += 12 + data;
        self.counts[0] += 1;
    }

    /// Appends records, the first of which has another TTL than it was encoded with, at `ttl_at`.
    pub(crate) fn append_with_ttl(&mut self, encoded: &Encoded, ttl_at: usize, ttl_secs: u32) {
        let start = self.len;
        self.append(encoded, OwnerPointer::QUESTION);
        if !self.truncated {
            self.out[start + ttl_at..start + ttl_at + 4].copy_from_slice(&ttl_secs.to_be_bytes());
        }
    }

    /// How long it is so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What is left of the buffer, for OPT.
    pub(crate) fn rest(&mut self) -> &mut [u8] {
        &mut self.out[self.len..]
    }

    /// Counts an OPT record of so many bytes.
    pub(crate) fn opt_written(&mut self, len: usize) {
        self.len += len;
        self.counts[2] += 1;
    }

    /// Writes the header and gives the length.
    #[inline]
    pub(crate) fn finish(&mut self, header: Header, rcode: u16, authoritative: Authority) -> usize {
        let question = u8::from(self.name_len > 0);
        let mut flags = 0x80 | header.opcode << 3 | u8::from(header.recursion_desired);
        if authoritative == Authority::Ours {
            flags |= AUTHORITATIVE;
        }
        if self.truncated {
            flags |= TRUNCATED;
        }
        let [answers, authorities, additionals] = self.counts.map(u16::to_be_bytes);
        let head = &mut self.out[..HEADER_BYTES];
        head[..2].copy_from_slice(&header.id);
        head[2..6].copy_from_slice(&[flags, (rcode & 0xf) as u8, 0, question]);
        head[6..8].copy_from_slice(&answers);
        head[8..10].copy_from_slice(&authorities);
        head[10..12].copy_from_slice(&additionals);
        self.len
    }

    fn put_pointer(&mut self, at: usize, pointer: OwnerPointer) {
        self.out[at..at + 2].copy_from_slice(&pointer.0.to_be_bytes());
    }
}

/// Whether the answer speaks for the zone of the question's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    Ours,
    Others,
}
