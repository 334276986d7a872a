//! Records of the journal, as bytes.
//!
//! ```text
//! file    "pocketkube journal\n"  format u32   records …
//! record  length u32   checksum u32 (CRC-32 of the body)   body
//! body    tag u8   version u64   table length u16, table   key length u32, key   line of a watch
//! ```
//!
//! Numbers are little-endian. A file begins with the rows of a snapshot and the record that ends
//! it; what follows are changes in the order of their versions.

/// What every file begins with.
const MAGIC: &[u8] = b"pocketkube journal\n";

/// Version of the format that is written; others are refused.
const FORMAT: u32 = 1;

/// Bytes of a file before its first record.
pub(super) const HEAD_BYTES: usize = MAGIC.len() + 4;

/// Bytes of a record before its body.
const FRAME_BYTES: usize = 8;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Record<'a> {
    pub(in crate::store) tag: Tag,
    /// Of the change, of the row, or of the snapshot as a whole.
    pub(in crate::store) version: u64,
    pub(in crate::store) table: &'a str,
    pub(in crate::store) key: &'a str,
    /// The object as the line of a watch; empty at the end of a snapshot.
    pub(in crate::store) line: &'a [u8],
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Tag {
    /// A row of the snapshot.
    Row,
    /// The end of the snapshot.
    End,
    /// An object was written.
    Put,
    /// An object went.
    Remove,
}

/// What stands at a place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A record, and where the next one starts.
    Record(Record<'a>, usize),
    /// The start of a record whose rest was never written.
    Torn,
    /// Something that was never written there.
    Damaged,
    /// The end of the file.
    Nothing,
}

/// The head of a file.
pub(super) fn head() -> Vec<u8> {
    [MAGIC, &FORMAT.to_le_bytes()].concat()
}

/// What is wrong with the head of a file.
pub(super) fn check_head(bytes: &[u8]) -> Result<(), String> {
    let Some(format) = bytes.strip_prefix(MAGIC).and_then(number) else {
        return Err("it is no journal".to_owned());
    };
    match format {
        FORMAT => Ok(()),
        other => Err(format!(
            "its format is {other}, and this version reads {FORMAT}"
        )),
    }
}

impl<'a> Record<'a> {
    /// Appends the record to bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let frame = bytes.len();
        bytes.extend_from_slice(&[0; FRAME_BYTES]);
        bytes.push(self.tag as u8);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        let table = u16::try_from(self.table.len()).expect("names of kinds are short");
        bytes.extend_from_slice(&table.to_le_bytes());
        bytes.extend_from_slice(self.table.as_bytes());
        let key = u32::try_from(self.key.len()).expect("a request is smaller");
        bytes.extend_from_slice(&key.to_le_bytes());
        bytes.extend_from_slice(self.key.as_bytes());
        bytes.extend_from_slice(self.line);
        let body = &bytes[frame + FRAME_BYTES..];
        let length = u32::try_from(body.len()).expect("a request is smaller");
        let checksum = checksum(body);
        bytes[frame..frame + 4].copy_from_slice(&length.to_le_bytes());
        bytes[frame + 4..frame + FRAME_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }

    /// What stands at a place.
    pub(super) fn read(bytes: &'a [u8], at: usize) -> Found<'a> {
        let rest = &bytes[at..];
        if rest.is_empty() {
            return Found::Nothing;
        }
        let (Some(length), Some(sum)) = (number(rest), rest.get(4..).and_then(number)) else {
            return Found::Torn;
        };
        let end = FRAME_BYTES.saturating_add(length as usize);
        let Some(body) = rest.get(FRAME_BYTES..end) else {
            return Found::Torn;
        };
        match Self::of_body(body).filter(|_| checksum(body) == sum) {
            Some(record) => Found::Record(record, at + end),
            // The system may write the length of a file before its contents.
            None if end == rest.len() => Found::Torn,
            None => Found::Damaged,
        }
    }

    fn of_body(body: &'a [u8]) -> Option<Self> {
        let (tag, body) = body.split_first()?;
        let (version, body) = body.split_at_checked(8)?;
        let (table_length, body) = body.split_at_checked(2)?;
        let table_length = u16::from_le_bytes(table_length.try_into().ok()?);
        let (table, body) = body.split_at_checked(table_length.into())?;
        let key_length = number(body)? as usize;
        let (key, line) = body.get(4..)?.split_at_checked(key_length)?;
        Some(Self {
            tag: Tag::of(*tag)?,
            version: u64::from_le_bytes(version.try_into().ok()?),
            table: std::str::from_utf8(table).ok()?,
            key: std::str::from_utf8(key).ok()?,
            line,
        })
    }
}

impl Tag {
    fn of(byte: u8) -> Option<Self> {
        [Self::Row, Self::End, Self::Put, Self::Remove]
            .into_iter()
            .find(|tag| *tag as u8 == byte)
    }
}

/// The number at the start of bytes.
fn number(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(..4)?;
    Some(u32::from_le_bytes(digits.try_into().ok()?))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record<'_> = Record {
        tag: Tag::Put,
        version: 7,
        table: "pods",
        key: "default/a",
        line: b"{}",
    };

    #[test]
    fn a_record_is_read_as_it_was_written_and_torn_at_every_earlier_byte() {
        let mut bytes = head();
        RECORD.write(&mut bytes);
        let read = Record::read(&bytes, HEAD_BYTES);
        assert_eq!(read, Found::Record(RECORD, bytes.len()));
        assert_eq!(Record::read(&bytes, bytes.len()), Found::Nothing);
        for end in HEAD_BYTES + 1..bytes.len() {
            assert_eq!(Record::read(&bytes[..end], HEAD_BYTES), Found::Torn);
        }
    }

    #[test]
    fn a_changed_byte_is_damage_unless_it_is_in_the_last_record() {
        let mut bytes = head();
        RECORD.write(&mut bytes);
        bytes[HEAD_BYTES + 20] ^= 1;
        assert_eq!(Record::read(&bytes, HEAD_BYTES), Found::Torn);
        RECORD.write(&mut bytes);
        assert_eq!(Record::read(&bytes, HEAD_BYTES), Found::Damaged);
    }

    #[test]
    fn other_formats_are_named() {
        assert_eq!(check_head(&head()), Ok(()));
        let mut other = head();
        other[MAGIC.len()] = 9;
        assert!(check_head(&other).unwrap_err().contains("format is 9"));
        assert!(check_head(b"PK").unwrap_err().contains("no journal"));
    }
}
