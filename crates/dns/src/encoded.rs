//! Records that are already in wire form, ready to be copied into a reply.
//!
//! An encoding does not know where in a message it will stand nor which question stands before
//! it. It lists the few compression pointers that depend on either (RFC 1035 § 4.1.4):
//!
//! | pointer | leads to | depends on |
//! |---|---|---|
//! | owner | the name that owns the records: the question's, or an alias's target | both |
//! | origin | the zone's origin (or what is above), at the end of the question's name | question |
//! | body | a name that was written before in the same encoding | place |

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::name::Name;
use crate::record::{RecordType, compressible, name_length};

/// The most bytes in one encoding, so that header, question and options fit beside it.
pub(crate) const ENCODED_BYTES_MAX: usize = 64_000;
/// Names beyond this place are not pointed to: the 14 bits of a pointer must reach them wherever
/// the encoding begins.
const POINTED_TO_MAX: usize = 0x2000;
/// The pointer to the question's name, which follows the header.
pub(crate) const QUESTION_POINTER: u16 = 0xc00c;

/// Records in wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// Short ones stand here without another load.
    pub(crate) bytes: SmallVec<[u8; 48]>,
    /// Where owner pointers stand; they hold [`QUESTION_POINTER`].
    pub(crate) owners: Box<[u16]>,
    /// The other pointers.
    pub(crate) pointers: Box<[Pointer]>,
    /// Records in the answer, authority and additional sections.
    pub(crate) counts: [u16; 3],
    /// Where it may end early, by leaving out RRsets of the additional section that the client
    /// can do without.
    pub(crate) early_ends: Box<[EarlyEnd]>,
}

/// One pointer that is completed when the encoding is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// Where it stands.
    pub(crate) at: u16,
    pub(crate) target: Target,
}

/// Where a pointer leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the last so many bytes of the question's name.
    Origin(u8),
    /// To this place of the encoding.
    Body(u16),
}

/// A place where the encoding is still whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EarlyEnd {
    pub(crate) end: u16,
    /// Additional records up to there.
    pub(crate) additional: u16,
}

/// The section a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// Whose record it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// Whoever the answer is for: the question, a wildcard's match, an alias's target.
    Asked,
    /// This name.
    Named(&'a Name),
}

/// Writes an [`Encoded`].
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    owners: Vec<u16>,
    pointers: Vec<Pointer>,
    counts: [u16; 3],
    early_ends: Vec<EarlyEnd>,
    /// Suffixes that can be pointed to, by their wire form.
    known: BTreeMap<Vec<u8>, Target>,
}

/// An encoding that would not fit into a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Encoder {
    /// For records of the zone at `origin`, whose name ends every question that they answer.
    pub(crate) fn new(origin: &Name) -> Self {
        let known = origin
            .ancestry()
            .filter(|suffix| suffix.wire().len() > 1)
            .map(|suffix| {
                (
                    suffix.wire().to_vec(),
                    Target::Origin(byte(suffix.wire().len())),
                )
            })
            .collect();
        Self {
            bytes: Vec::new(),
            owners: Vec::new(),
            pointers: Vec::new(),
            counts: [0; 3],
            early_ends: Vec::new(),
            known,
        }
    }

    /// Appends one record.
    pub(crate) fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        record_type: RecordType,
        ttl_secs: u32,
        data: &[u8],
    ) -> Result<(), TooLong> {
        match owner {
            Owner::Asked => {
                self.owners.push(self.place()?);
                self.bytes.extend(QUESTION_POINTER.to_be_bytes());
            }
            Owner::Named(name) => self.name(name.wire())?,
        }
        self.bytes.extend(record_type.0.to_be_bytes());
        self.bytes.extend(1u16.to_be_bytes());
        self.bytes.extend(ttl_secs.to_be_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.data(record_type, data)?;
        let length = u16::try_from(self.bytes.len() - length_at - 2).map_err(|_| TooLong)?;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        self.counts[section as usize] += 1;
        self.place().map(|_| ())
    }

    /// Says that the encoding may end here.
    pub(crate) fn may_end(&mut self) -> Result<(), TooLong> {
        let additional = self.counts[Section::Additional as usize];
        self.early_ends.push(EarlyEnd {
            end: self.place()?,
            additional,
        });
        Ok(())
    }

    /// What was written.
    pub(crate) fn finish(self) -> Encoded {
        Encoded {
            bytes: SmallVec::from_slice(&self.bytes),
            owners: self.owners.into(),
            pointers: self.pointers.into(),
            counts: self.counts,
            early_ends: self.early_ends.into(),
        }
    }

    /// Data, with its names compressed where the type allows it.
    fn data(&mut self, record_type: RecordType, data: &[u8]) -> Result<(), TooLong> {
        let mut rest = data;
        if let Some((prefix, names)) = compressible(record_type) {
            let (head, tail) = rest.split_at(prefix);
            self.bytes.extend(head);
            rest = tail;
            for _ in 0..names {
                let (name, tail) = rest.split_at(name_length(rest).ok_or(TooLong)?);
                self.name(name)?;
                rest = tail;
            }
        }
        self.bytes.extend(rest);
        Ok(())
    }

    /// A name: labels up to the longest suffix that is known, then a pointer to that.
    fn name(&mut self, wire: &[u8]) -> Result<(), TooLong> {
        let mut rest = wire;
        while rest[0] != 0 {
            let at = self.place()?;
            if let Some(&target) = self.known.get(rest) {
                self.pointers.push(Pointer { at, target });
                self.bytes.extend([0xc0, 0]);
                return Ok(());
            }
            if usize::from(at) < POINTED_TO_MAX {
                self.known.insert(rest.to_vec(), Target::Body(at));
            }
            let (label, tail) = rest.split_at(1 + usize::from(rest[0]));
            self.bytes.extend(label);
            rest = tail;
        }
        self.bytes.push(0);
        Ok(())
    }

    fn place(&self) -> Result<u16, TooLong> {
        match u16::try_from(self.bytes.len()) {
            Ok(place) if usize::from(place) <= ENCODED_BYTES_MAX => Ok(place),
            _ => Err(TooLong),
        }
    }
}

fn byte(length: usize) -> u8 {
    u8::try_from(length).expect("a name has at most 255 bytes")
}
