//! Domain names in wire form, lower-cased (RFC 4343): equal names are equal bytes.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;

use crate::error::Error;

/// The longest name in wire form (RFC 1035 § 2.3.4).
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// The longest label (RFC 1035 § 2.3.4).
pub(crate) const LABEL_BYTES_MAX: usize = 63;

/// An absolute domain name: labels with their lengths, the root's zero byte last.
///
/// Ordered as RFC 4034 § 6.1 says (by labels from the right), so that a name is followed by
/// all that is below it.
#[derive(PartialEq, Eq, Hash)]
pub struct Name {
    wire: SmallVec<[u8; 40]>,
}

impl Clone for Name {
    /// At once: `SmallVec` itself would go byte by byte, and zones are full of names.
    fn clone(&self) -> Self {
        Self {
            wire: SmallVec::from_slice(&self.wire),
        }
    }
}

impl Name {
    /// The root.
    pub fn root() -> Self {
        Self {
            wire: SmallVec::from_slice(&[0]),
        }
    }

    /// Reads presentation form; a name without a final dot is taken as absolute.
    ///
    /// # Errors
    /// `Error::Name` when a label or the name is too long, empty, or badly escaped.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_relative(text, &Self::root())
    }

    /// Reads presentation form; a name without a final dot is below `origin`, and `@` is `origin`
    /// (RFC 1035 § 5.1).
    ///
    /// # Errors
    /// `Error::Name` when a label or the name is too long, empty, or badly escaped.
    pub fn parse_relative(text: &str, origin: &Self) -> Result<Self, Error> {
        let refuse = |problem| Error::Name {
            text: text.to_owned(),
            problem,
        };
        match text {
            "@" => return Ok(origin.clone()),
            "." => return Ok(Self::root()),
            "" => return Err(refuse("it is empty")),
            _ => {}
        }
        let mut wire = SmallVec::<[u8; 40]>::new();
        let mut label = SmallVec::<[u8; 64]>::new();
        let mut bytes = text.bytes();
        let mut absolute = false;
        while let Some(byte) = bytes.next() {
            absolute = byte == b'.';
            match byte {
                b'.' => push_label(&mut wire, &mut label).map_err(refuse)?,
                b'\\' => {
                    let byte = unescape(&mut bytes).ok_or_else(|| {
                        refuse("a backslash is followed by three digits up to 255 or a character")
                    })?;
                    label.push(byte.to_ascii_lowercase());
                }
                _ => label.push(byte.to_ascii_lowercase()),
            }
        }
        if absolute {
            wire.push(0);
        } else {
            push_label(&mut wire, &mut label).map_err(refuse)?;
            wire.extend_from_slice(&origin.wire);
        }
        if wire.len() > NAME_BYTES_MAX {
            return Err(refuse("it is longer than 255 bytes"));
        }
        Ok(Self { wire })
    }

    /// Reads an uncompressed wire form that fills `wire` exactly.
    ///
    /// # Errors
    /// `Error::Name` when the bytes are not one whole name.
    pub fn from_wire(wire: &[u8]) -> Result<Self, Error> {
        let refuse = |problem| Error::Name {
            text: format!("{wire:02x?}"),
            problem,
        };
        let mut at = 0;
        loop {
            match wire.get(at) {
                Some(0) => break,
                Some(&length) if usize::from(length) <= LABEL_BYTES_MAX => {
                    at += 1 + usize::from(length);
                }
                Some(_) => return Err(refuse("a label is longer than 63 bytes or compressed")),
                None => return Err(refuse("it ends before its root label")),
            }
        }
        if at + 1 != wire.len() || wire.len() > NAME_BYTES_MAX {
            return Err(refuse(
                "bytes follow its root label, or it is longer than 255 bytes",
            ));
        }
        // A length byte is at most 63 and so never an upper-case letter.
        let mut wire = SmallVec::from_slice(wire);
        wire.make_ascii_lowercase();
        Ok(Self { wire })
    }

    /// The wire form, lower-cased.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// How many labels, the root's not counted.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The labels from left to right, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.wire;
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, tail) = tail.split_at(usize::from(length));
            rest = tail;
            Some(label)
        })
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let length = usize::from(*self.wire.first().filter(|length| **length > 0)?);
        Some(Self {
            wire: SmallVec::from_slice(&self.wire[1 + length..]),
        })
    }

    /// This name and those above it, up to the root.
    pub fn ancestry(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// Whether this name is `other` or below it.
    pub fn is_within(&self, other: &Self) -> bool {
        let Some(skip) = self.wire.len().checked_sub(other.wire.len()) else {
            return false;
        };
        self.wire[skip..] == other.wire[..] && starts_label(&self.wire, skip)
    }

    /// Whether the leftmost label is the wildcard's (RFC 4592 § 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// `label` in front of this name.
    ///
    /// # Errors
    /// `Error::Name` when the label or the result is too long.
    pub fn child(&self, label: &str) -> Result<Self, Error> {
        Self::parse_relative(label, self)
    }
}

/// Appends one label with its length, and empties it.
fn push_label(
    wire: &mut SmallVec<[u8; 40]>,
    label: &mut SmallVec<[u8; 64]>,
) -> Result<(), &'static str> {
    if label.is_empty() {
        return Err("it has an empty label");
    }
    if label.len() > LABEL_BYTES_MAX {
        return Err("it has a label longer than 63 bytes");
    }
    wire.push(u8::try_from(label.len()).expect("a label has at most 63 bytes"));
    wire.extend_from_slice(label);
    label.clear();
    Ok(())
}

/// What follows a backslash: three digits, or any other character as it is (RFC 1035 § 5.1).
pub(crate) fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).ok()
}

/// Whether a label (or the root) begins at `at`.
fn starts_label(wire: &[u8], at: usize) -> bool {
    let mut position = 0;
    while position < at {
        position += 1 + usize::from(wire[position]);
    }
    position == at
}

impl Ord for Name {
    /// Names of one zone end alike, so that what both have at their ends is passed over at once.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (self.wire.as_slice(), other.wire.as_slice());
        let alike = common_end(mine, theirs);
        let (my_label, my_rest) = last_beyond(mine, alike);
        let (their_label, their_rest) = last_beyond(theirs, alike);
        // Bytes inside a label may look like lengths: only where labels begin alike do they end alike.
        if my_rest != their_rest {
            return self.cmp_each(other);
        }
        match (my_label, their_label) {
            (Some(mine), Some(theirs)) => mine.cmp(theirs),
            (mine, theirs) => mine.is_some().cmp(&theirs.is_some()),
        }
    }
}

impl Name {
    /// Label by label, from the right.
    #[cold]
    fn cmp_each(&self, other: &Self) -> Ordering {
        let mine: SmallVec<[&[u8]; 8]> = self.labels().collect();
        let theirs: SmallVec<[&[u8]; 8]> = other.labels().collect();
        mine.iter().rev().cmp(theirs.iter().rev())
    }
}

/// The last label that begins before the common end, and how many bytes come after it.
#[inline]
fn last_beyond(wire: &[u8], alike: usize) -> (Option<&[u8]>, usize) {
    let mut at = 0;
    let mut label = None;
    while wire.len() - at > alike {
        let end = at + 1 + usize::from(wire[at]);
        label = Some(&wire[at + 1..end]);
        at = end;
    }
    (label, wire.len() - at)
}

/// How many bytes both have alike at their ends.
#[inline]
fn common_end(a: &[u8], b: &[u8]) -> usize {
    let shorter = a.len().min(b.len());
    let (a, b) = (&a[a.len() - shorter..], &b[b.len() - shorter..]);
    let mut left = shorter;
    while let (Some(a), Some(b)) = (a[..left].last_chunk::<8>(), b[..left].last_chunk::<8>()) {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return shorter - left + differing.leading_zeros() as usize / 8;
        }
        left -= 8;
    }
    while left > 0 && a[left - 1] == b[left - 1] {
        left -= 1;
    }
    shorter - left
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wire.len() == 1 {
            return out.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(out, "\\{}", char::from(byte))?;
                    }
                    0x21..=0x7e => write!(out, "{}", char::from(byte))?,
                    _ => write!(out, "\\{byte:03}")?,
                }
            }
            out.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn names_are_read_lower_cased_and_written_back() {
        for (given, expected) in [
            ("WWW.Example.ORG", "www.example.org."),
            ("www.example.org.", "www.example.org."),
            (".", "."),
            (r"a\.b.c", r"a\.b.c."),
            (r"a\000b.c", r"a\000b.c."),
            (r"\065.c", "a.c."),
            ("*.c", "*.c."),
        ] {
            assert_eq!(name(given).to_string(), expected);
            assert_eq!(name(expected), name(given));
        }
    }

    #[test]
    fn names_are_ordered_by_their_labels_from_the_right_whatever_bytes_these_have() {
        // Bytes that look like lengths, in names that end alike.
        let labels = [
            "a",
            "b",
            "ab",
            r"\001",
            r"\001a",
            r"\002\001a",
            r"a\001",
            "abcdefgh",
        ];
        let mut names = vec![Name::root()];
        for depth in [1, 2, 3] {
            let mut below = Vec::new();
            for (at, above) in names.iter().enumerate().filter(|(at, _)| at % depth == 0) {
                let label = |index: usize| labels[(at + index) % labels.len()];
                below.extend((0..labels.len()).map(|index| above.child(label(index)).unwrap()));
            }
            names.extend(below);
        }
        names.sort_by(Name::cmp_each);
        for (at, a) in names.iter().enumerate() {
            for (other, b) in names.iter().enumerate() {
                assert_eq!(a.cmp(b), a.cmp_each(b), "{a} and {b}");
                assert!(at >= other || a <= b);
            }
        }
    }

    #[test]
    fn a_name_without_final_dot_is_below_the_origin() {
        let origin = name("example.org");
        for (given, expected) in [
            ("www", "www.example.org."),
            ("@", "example.org."),
            ("www.", "www."),
            (".", "."),
        ] {
            assert_eq!(
                Name::parse_relative(given, &origin).unwrap().to_string(),
                expected
            );
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(128);
        for given in [
            "",
            "..",
            "a..b",
            ".a",
            r"a\",
            r"a\25",
            r"a\256",
            &long_label,
            &long_name,
        ] {
            assert!(Name::parse(given).is_err(), "{given:?}");
        }
        assert!(Name::parse(&"a.".repeat(127)).is_ok());
        for wire in [
            &b""[..],
            b"\x01",
            b"\x01a",
            b"\x00\x00",
            b"\xc0\x0c",
            b"\x40",
        ] {
            assert!(Name::from_wire(wire).is_err(), "{wire:?}");
        }
    }

    #[test]
    fn within_respects_label_borders() {
        assert!(name("a.example.org").is_within(&name("example.org")));
        assert!(name("example.org").is_within(&name("example.org")));
        assert!(!name("badexample.org").is_within(&name("example.org")));
        assert!(!name("org").is_within(&name("example.org")));
        assert!(name("org").is_within(&Name::root()));
        // The bytes of "\003org" stand inside a label here.
        assert!(!name(r"a\003org").is_within(&name("org")));
    }

    #[test]
    fn the_order_is_the_canonical_one_of_rfc_4034() {
        let expected = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "z.a.example",
            "zabc.a.example",
            "z.example",
            r"\001.z.example",
            "*.z.example",
            r"\200.z.example",
        ];
        let mut names: Vec<Name> = expected.iter().rev().map(|text| name(text)).collect();
        names.sort();
        assert_eq!(names, expected.map(name));
    }
}
