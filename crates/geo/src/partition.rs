//! A whole address space, cut into ranges of one value each.
//!
//! Kept as the sorted beginnings of the ranges: complete and disjoint by construction, and merged,
//! since neighbours of equal value are one range. [`Partition::blocks`] gives the prefixes: the
//! largest aligned blocks inside each range, which are the leaves of a trie whose equal siblings
//! were merged.

use crate::{Error, Result, starts::Starts};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One prefix of an address space and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first address; of an IPv4 space only the low 32 bits are used.
    pub first: u128,
    /// The prefix's length in bits.
    pub length: u8,
    /// The value.
    pub value: u32,
}

/// An address space: its width in bits, and where values change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    starts: Starts,
    values: Vec<u32>,
}

impl Partition {
    /// A space of one value. The width is 32 or 128.
    pub(crate) fn uniform(width: u8, value: u32) -> Self {
        let mut space = Self::with_capacity(width, 1);
        space.push(0, value);
        space
    }

    /// No range yet, and room for so many.
    fn with_capacity(width: u8, ranges: usize) -> Self {
        Self {
            starts: Starts::with_capacity(width, ranges),
            values: Vec::with_capacity(ranges),
        }
    }

    /// A space with these blocks, in order and disjoint, on a background.
    pub(crate) fn from_blocks(
        width: u8,
        background: u32,
        blocks: impl IntoIterator<Item = Block>,
    ) -> Self {
        let mut space = Self::with_capacity(width, 0);
        let mut next = Some(0);
        for block in blocks {
            let Some(free) = next else { break };
            if free < block.first {
                space.push(free, background);
            }
            space.push(block.first, block.value);
            let last = last_of(width, &block);
            next = (last < space.highest()).then(|| last + 1);
        }
        if let Some(free) = next {
            space.push(free, background);
        }
        space
    }

    /// The same space with these blocks laid over it, in order and disjoint.
    pub(crate) fn overlaid(&self, blocks: &[Block]) -> Self {
        let mut space = Self::with_capacity(self.width(), self.ranges() + 2 * blocks.len());
        let mut tops = blocks.iter().peekable();
        let mut next = 0;
        for (index, start) in self.starts.iter().enumerate() {
            let end = self.end_of(index);
            next = next.max(start);
            while let Some(top) = tops.next_if(|top| top.first <= end) {
                if next < top.first {
                    space.push(next, self.values[index]);
                }
                space.push(top.first, top.value);
                let last = last_of(self.width(), top);
                if last == self.highest() {
                    return space;
                }
                next = last + 1;
            }
            if next <= end {
                space.push(next, self.values[index]);
            }
        }
        space
    }

    /// Cell by cell, the value that `pick` makes of this space's and the other's.
    pub(crate) fn zipped(&self, other: &Self, mut pick: impl FnMut(u32, u32) -> u32) -> Self {
        let mut space = Self::with_capacity(self.width(), self.ranges().max(other.ranges()));
        let (mut a, mut b, mut at) = (0, 0, 0);
        loop {
            space.push(at, pick(self.values[a], other.values[b]));
            let (end_a, end_b) = (self.end_of(a), other.end_of(b));
            let end = end_a.min(end_b);
            if end == self.highest() {
                return space;
            }
            at = end + 1;
            a += usize::from(end_a == end);
            b += usize::from(end_b == end);
        }
    }

    /// How many addresses have each pair of values in this space and the other, those in these blocks left out.
    pub(crate) fn counted(&self, other: &Self, apart: &[Block]) -> BTreeMap<(u32, u32), u128> {
        let mut known: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let pairs = self.zipped(other, |a, b| {
            let next = u32::try_from(known.len()).expect("pairs are counted in 32 bits");
            *known.entry((a, b)).or_insert(next)
        });
        let pairs = pairs.overlaid(apart);
        let mut counts: BTreeMap<u32, u128> = BTreeMap::new();
        for (index, start) in pairs.starts.iter().enumerate() {
            // What is left out is the greatest part of IPv6, and no pair's number.
            if let Some(number) =
                Some(pairs.values[index]).filter(|it| (*it as usize) < known.len())
            {
                *counts.entry(number).or_default() += pairs.end_of(index) - start + 1;
            }
        }
        let counted = known.into_iter().filter_map(|(pair, number)| {
            let count = counts.get(&number)?;
            Some((pair, *count))
        });
        counted.collect()
    }

    /// As [`Self::zipped`]; where this space is of one value, the other is changed in place.
    pub(crate) fn joined(&self, mut other: Self, pick: impl Fn(u32, u32) -> u32) -> Self {
        let [only] = self.values[..] else {
            return self.zipped(&other, pick);
        };
        let values = &mut other.values;
        values
            .iter_mut()
            .for_each(|value| *value = pick(only, *value));
        let begins = |at: usize| at == 0 || values[at] != values[at - 1];
        other.starts.retain(begins);
        values.dedup();
        other
    }

    /// The same space with every value replaced.
    pub(crate) fn mapped(&self, value: impl Fn(u32) -> u32) -> Self {
        let mut space = Self::with_capacity(self.width(), 0);
        for (start, &old) in self.starts.iter().zip(&self.values) {
            space.push(start, value(old));
        }
        space
    }

    /// The merged block that holds an address.
    pub(crate) fn lookup(&self, address: u128) -> Block {
        let index = self.starts.upto(address) - 1;
        let start = self.starts.get(index).expect("a space begins at 0");
        let (width, end) = (self.width(), self.end_of(index));
        let length = (0..=width)
            .find(|&length| {
                let host = host_bits(width, length);
                address & !host >= start && address | host <= end
            })
            .unwrap_or(width);
        Block {
            first: address & !host_bits(width, length),
            length,
            value: self.values[index],
        }
    }

    /// The merged, disjoint blocks that cover the space, in order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        let width = self.width();
        (0..self.ranges()).flat_map(move |index| {
            let (end, value) = (self.end_of(index), self.values[index]);
            let mut next = self.starts.get(index);
            std::iter::from_fn(move || {
                let first = next?;
                let block = largest_block(width, first, end, value);
                let last = last_of(width, &block);
                next = (last < end).then(|| last + 1);
                Some(block)
            })
        })
    }

    /// How many ranges there are.
    pub(crate) fn ranges(&self) -> usize {
        self.starts.len()
    }

    /// Every value that is used, in the order of addresses, with repetitions.
    pub(crate) fn values(&self) -> impl Iterator<Item = u32> + '_ {
        self.values.iter().copied()
    }

    fn push(&mut self, start: u128, value: u32) {
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    fn end_of(&self, index: usize) -> u128 {
        let next = self.starts.get(index + 1);
        next.map_or(self.highest(), |next| next - 1)
    }

    fn width(&self) -> u8 {
        self.starts.width()
    }

    fn highest(&self) -> u128 {
        host_bits(self.width(), 0)
    }
}

/// A space that is read block by block, as a file has them: in order, but for a few.
pub(crate) struct Growing {
    space: Partition,
    /// The first address that no block holds yet; nothing when the last does.
    next: Option<u128>,
    late: Vec<Block>,
}

impl Growing {
    /// An empty space on a background of 0. Room for so many blocks is set aside; what is not used is
    /// never touched.
    pub(crate) fn new(width: u8, blocks_max: usize) -> Self {
        Self {
            space: Partition::with_capacity(width, blocks_max),
            next: Some(0),
            late: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, block: Block) {
        let Some(free) = self.next.filter(|free| *free <= block.first) else {
            self.late.push(block);
            return;
        };
        if free < block.first {
            self.space.push(free, 0);
        }
        self.space.push(block.first, block.value);
        let last = last_of(self.space.width(), &block);
        self.next = (last < self.space.highest()).then(|| last + 1);
    }

    pub(crate) fn finish(mut self) -> Partition {
        if let Some(free) = self.next {
            self.space.push(free, 0);
        }
        self.space.starts.shrink_to_fit();
        self.space.values.shrink_to_fit();
        if self.late.is_empty() {
            return self.space;
        }
        self.late.sort_by_key(|block| block.first);
        self.space.overlaid(&self.late)
    }
}

/// An address as a number in its own space.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address with this number in a space of this width.
pub(crate) fn address(width: u8, number: u128) -> IpAddr {
    if width == 32 {
        let low = u32::try_from(number).expect("an IPv4 space holds 32-bit numbers");
        Ipv4Addr::from(low).into()
    } else {
        Ipv6Addr::from(number).into()
    }
}

fn host_bits(width: u8, length: u8) -> u128 {
    let bits = u32::from(width - length);
    u128::MAX.checked_shr(128 - bits).unwrap_or(0)
}

fn last_of(width: u8, block: &Block) -> u128 {
    block.first | host_bits(width, block.length)
}

fn largest_block(width: u8, first: u128, end: u128, value: u32) -> Block {
    let mut length = width;
    while length > 0 {
        let host = host_bits(width, length - 1);
        if first & host != 0 || first | host > end {
            break;
        }
        length -= 1;
    }
    Block {
        first,
        length,
        value,
    }
}

/// Stored as text, `width` and then `start=value` in hexadecimal: short, and exact in every format.
impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use std::fmt::Write;
        let mut text = format!("{}", self.width());
        for (start, value) in self.starts.iter().zip(&self.values) {
            write!(text, " {start:x}={value:x}").expect("writing to a String succeeds");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map_err(serde::de::Error::custom)
    }
}

fn parse(text: &str) -> Result<Partition> {
    let broken = |reason: &str| Error::Stored {
        reason: reason.to_owned(),
    };
    let mut words = text.split(' ');
    let width = match words.next() {
        Some("32") => 32,
        Some("128") => 128,
        _ => return Err(broken("its width is neither 32 nor 128")),
    };
    let mut space = Partition::with_capacity(width, 0);
    for word in words {
        let (start, value) = word
            .split_once('=')
            .ok_or_else(|| broken("a range has no value"))?;
        let start = u128::from_str_radix(start, 16).map_err(|_| broken("a start is no number"))?;
        let value = u32::from_str_radix(value, 16).map_err(|_| broken("a value is no number"))?;
        if start > space.highest() || space.starts.last().is_some_and(|last| last >= start) {
            return Err(broken("its ranges are out of order"));
        }
        space.starts.push(start);
        space.values.push(value);
    }
    if space.starts.get(0) == Some(0) {
        Ok(space)
    } else {
        Err(broken("it does not begin at the first address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: u128, length: u8, value: u32) -> Block {
        Block {
            first,
            length,
            value,
        }
    }

    #[test]
    fn equal_siblings_are_one_block_and_unequal_ones_are_not() {
        let half = 1 << 31;
        let space = Partition::from_blocks(32, 0, [block(0, 1, 7), block(half, 1, 7)]);
        assert_eq!(space.blocks().collect::<Vec<_>>(), [block(0, 0, 7)]);
        let space = Partition::from_blocks(32, 0, [block(0, 1, 7), block(half, 2, 7)]);
        assert_eq!(
            space.blocks().collect::<Vec<_>>(),
            [
                block(0, 1, 7),
                block(half, 2, 7),
                block(half | half >> 1, 2, 0)
            ]
        );
    }

    #[test]
    fn a_block_laid_over_cuts_what_lies_under_it() {
        let space = Partition::uniform(32, 1).overlaid(&[block(0x0a00_0000, 8, 2)]);
        assert_eq!(space.lookup(0x09ff_ffff).value, 1);
        assert_eq!(space.lookup(0x0a01_0203), block(0x0a00_0000, 8, 2));
        assert_eq!(space.lookup(0x0b00_0000).value, 1);
        let last = Partition::uniform(128, 1).overlaid(&[block(u128::MAX, 128, 2)]);
        assert_eq!(last.lookup(u128::MAX).value, 2);
        assert_eq!(last.lookup(u128::MAX - 1).value, 1);
    }

    #[test]
    fn addresses_are_counted_by_both_values_and_without_what_is_left_out() {
        let a = Partition::from_blocks(32, 0, [block(0, 1, 1)]);
        let b = Partition::from_blocks(32, 0, [block(1 << 30, 2, 2)]);
        let apart = [block(0, 8, u32::MAX)];
        let counts = a.counted(&b, &apart);
        let expected = [
            ((0, 0), 1 << 31),
            ((1, 0), (1 << 30) - (1 << 24)),
            ((1, 2), 1 << 30),
        ];
        assert_eq!(Vec::from_iter(counts), expected);
    }

    #[test]
    fn a_stored_partition_reads_back_and_a_broken_one_says_why() {
        let space = Partition::from_blocks(128, 0, [block(0x2001 << 112, 16, 3)]);
        let text = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Partition>(&text).unwrap(), space);
        for bad in [
            "",
            "\"\"",
            "\"32\"",
            "\"32 5=1\"",
            "\"32 0=1 0=2\"",
            "\"32 0=1 100000000=2\"",
        ] {
            assert!(serde_json::from_str::<Partition>(bad).is_err(), "{bad}");
        }
    }
}
