//! From a client's address to its view: a flat multibit trie, compiled from merged prefixes.
//!
//! The first 16 bits index an array; each further byte goes through a node that marks where runs
//! of equal entries begin, so that a lookup counts bits in one cache line. The first entries stand
//! in that line too, in what would be padding; of a node with more, the others stand apart. For
//! country and city tables a lookup reads the root (which stays in the cache), a node and at most
//! one entry.

use std::fmt;
use std::net::IpAddr;

use crate::address::{Address, EMBEDDINGS, Embedding};
use crate::error::Error;

/// One prefix and the view of all its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<Bits> {
    /// The prefix's first address: `u32` for IPv4, `u128` for IPv6.
    pub bits: Bits,
    /// The prefix length.
    pub length: u8,
    /// The view.
    pub view: u16,
}

/// Which view an address has, and how deep the prefix is that says so.
pub struct ViewTable {
    v4: Trie,
    v6: Trie,
    view_count: usize,
}

impl ViewTable {
    /// Compiles leaves that cover each family exactly once, in any order. The depth of a leaf is
    /// the scope of answers made for it (RFC 7871 § 7.2.1): merge equal siblings first.
    ///
    /// IPv6 leaves around the six forms of embedded IPv4 are split, because addresses in there
    /// have the view of their IPv4 address: no scope may reach over them.
    ///
    /// # Errors
    /// `Error::Views` when leaves overlap, leave a gap, or have bits beyond their length.
    pub fn compile(v4: &[Leaf<u32>], v6: &[Leaf<u128>]) -> Result<Self, Error> {
        let (mut v4, mut v6) = (v4.to_vec(), v6.to_vec());
        v4.sort_by_key(|leaf| leaf.bits);
        v6.sort_by_key(|leaf| leaf.bits);
        Self::from_ordered(v4, v6)
    }

    /// As [`Self::compile`], of leaves in the order of their addresses. None is kept: the leaves of a city
    /// database are several times as large as its table.
    ///
    /// # Errors
    /// As [`Self::compile`]'s.
    pub fn from_ordered(
        v4: impl IntoIterator<Item = Leaf<u32>>,
        v6: impl IntoIterator<Item = Leaf<u128>>,
    ) -> Result<Self, Error> {
        let (mut of_v4, mut of_v6) = (Builder::new(32), Builder::new(128));
        for leaf in v4 {
            of_v4.take(Leaf {
                bits: u128::from(leaf.bits) << 96,
                length: leaf.length,
                view: leaf.view,
            })?;
        }
        for leaf in v6 {
            carve(leaf, &mut |leaf| of_v6.take(leaf))?;
        }
        let view_count = of_v4.view_count.max(of_v6.view_count);
        Ok(Self {
            v4: of_v4.finish()?,
            v6: of_v6.finish()?,
            view_count,
        })
    }

    /// A table in which every client has view 0, for answers that do not depend on the address.
    ///
    /// # Panics
    /// Never: one leaf per family covers it.
    pub fn uniform() -> Self {
        let trie = |width| {
            let mut builder = Builder::new(width);
            let leaf = Leaf {
                bits: 0,
                length: 0,
                view: 0,
            };
            let taken = builder.take(leaf).and_then(|()| builder.finish());
            taken.expect("one leaf covers its family")
        };
        Self {
            v4: trie(32),
            v6: trie(128),
            view_count: 1,
        }
    }

    /// The view of `address` and the depth of its leaf, in bits of `address`'s own family.
    #[inline]
    pub fn lookup(&self, address: IpAddr) -> (u16, u8) {
        let (address, start) = Address::from(address).inner();
        let (view, depth) = self.find(address);
        (view, start + depth)
    }

    /// The same for one that carries no other.
    #[inline]
    pub(crate) fn find(&self, address: Address) -> (u16, u8) {
        let trie = if address.is_v4 { &self.v4 } else { &self.v6 };
        trie.lookup(address.bits)
    }

    /// How many views there are: one more than the greatest.
    pub fn view_count(&self) -> usize {
        self.view_count
    }

    /// How many bytes the table takes.
    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes() + self.v6.memory_bytes()
    }
}

impl fmt::Debug for ViewTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "ViewTable({} views, {} bytes)",
            self.view_count,
            self.memory_bytes()
        )
    }
}

/// Halves a leaf until each form's prefix that it strictly contains has its own.
fn carve(
    leaf: Leaf<u128>,
    take: &mut impl FnMut(Leaf<u128>) -> Result<(), Error>,
) -> Result<(), Error> {
    let contains = |form: &Embedding| {
        leaf.length < form.length && (leaf.bits ^ form.prefix) & high_bits(leaf.length) == 0
    };
    if !EMBEDDINGS.iter().any(contains) {
        return take(leaf);
    }
    let length = leaf.length + 1;
    for bits in [leaf.bits, leaf.bits | 1 << (128 - length)] {
        carve(
            Leaf {
                bits,
                length,
                view: leaf.view,
            },
            take,
        )?;
    }
    Ok(())
}

/// A mask of the first `length` bits.
fn high_bits(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// Marks an entry that leads to a node; else it is a leaf: view in the low 16 bits, depth above.
const CHILD: u32 = 1 << 31;
/// How many bits the root takes at once.
const ROOT_BITS: u8 = 16;
/// How many bits each node takes.
const NODE_BITS: u8 = 8;

/// The table of one family.
struct Trie {
    /// One entry per value of the first 16 bits, or a single one where that says it all.
    root: Box<[u32]>,
    /// 0, or 16 when the root is a single entry.
    root_shift: u32,
    nodes: Box<[Node]>,
    entries: Box<[u32]>,
}

/// How many entries stand in their node, in the same line of the cache: most nodes have no more.
const FIRST: usize = 5;

/// 256 slots, of which neighbours with the same entry share one.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Node {
    /// A set bit where a run of equal entries begins; the first is always set.
    starts: [u64; 4],
    /// How many runs begin before each word.
    before: [u16; 4],
    /// Where this node's further entries begin.
    base: u32,
    first: [u32; FIRST],
}

const _: () = assert!(size_of::<Node>() == 64, "a node is one line of the cache");

impl Trie {
    #[inline]
    fn lookup(&self, bits: u128) -> (u16, u8) {
        let first = (bits >> 112) as u32;
        let mut entry = self.root[(first >> self.root_shift) as usize];
        let mut rest = bits << ROOT_BITS;
        while entry & CHILD != 0 {
            let slot = (rest >> 120) as u8;
            rest <<= NODE_BITS;
            let node = &self.nodes[(entry & !CHILD) as usize];
            let run = node.run(slot);
            entry = match node.first.get(run) {
                Some(entry) => *entry,
                None => self.entries[node.base as usize + run - FIRST],
            };
        }
        ((entry & 0xffff) as u16, (entry >> 16) as u8)
    }

    fn memory_bytes(&self) -> usize {
        self.root.len() * 4 + self.entries.len() * 4 + self.nodes.len() * size_of::<Node>()
    }
}

impl Node {
    /// Which of its runs a slot lies in.
    #[inline]
    fn run(&self, slot: u8) -> usize {
        let word = usize::from(slot >> 6);
        let upto = self.starts[word] & (u64::MAX >> (63 - (slot & 63)));
        usize::from(self.before[word]) + upto.count_ones() as usize - 1
    }
}

/// Makes a trie of leaves that come in order: a node is written when the last leaf below it was seen.
struct Builder {
    width: u8,
    nodes: Vec<Node>,
    entries: Vec<u32>,
    /// The runs of the root, and below it of the nodes that the last leaf lies in.
    open: Vec<Vec<Run>>,
    /// The address of the last leaf.
    last: u128,
    /// The address that has to follow; nothing, when the family is covered.
    next: Option<u128>,
    view_count: usize,
}

/// Where equal entries begin within a node, and the entry.
type Run = (usize, u32);

impl Builder {
    fn new(width: u8) -> Self {
        Self {
            width,
            nodes: Vec::new(),
            entries: Vec::new(),
            open: vec![Vec::new()],
            last: 0,
            next: Some(0),
            view_count: 0,
        }
    }

    fn take(&mut self, leaf: Leaf<u128>) -> Result<(), Error> {
        self.check(&leaf)?;
        self.view_count = self.view_count.max(usize::from(leaf.view) + 1);
        // Nodes that this leaf does not lie in have seen their last.
        while self.open.len() > 1 && (leaf.bits ^ self.last) & high_bits(self.begins()) != 0 {
            self.close();
        }
        self.last = leaf.bits;
        while leaf.length > self.begins() + self.takes() {
            self.open.push(Vec::new());
        }
        self.add(leaf.bits, leaf_entry(&leaf));
        Ok(())
    }

    fn finish(mut self) -> Result<Trie, Error> {
        if let Some(next) = self.next {
            return self.refuse(format!(
                "nothing covers {} and what follows",
                self.show(next)
            ));
        }
        while self.open.len() > 1 {
            self.close();
        }
        let runs = self.open.pop().unwrap_or_default();
        let (root, root_shift) = match runs.as_slice() {
            [(_, entry)] => (vec![*entry], u32::from(ROOT_BITS)),
            runs => (filled(runs), 0),
        };
        Ok(Trie {
            root: root.into(),
            root_shift,
            nodes: self.nodes.into(),
            entries: self.entries.into(),
        })
    }

    /// How many bits lead to the node that is open below all others.
    fn begins(&self) -> u8 {
        let nodes = u8::try_from(self.open.len() - 1).expect("an address has 16 bytes");
        match nodes.checked_sub(1) {
            None => 0,
            Some(above) => ROOT_BITS + above * NODE_BITS,
        }
    }

    /// How many bits that node takes.
    fn takes(&self) -> u8 {
        match self.open.len() {
            1 => ROOT_BITS,
            _ => NODE_BITS,
        }
    }

    /// Adds an entry to that node; neighbours that are equal are one run.
    fn add(&mut self, bits: u128, entry: u32) {
        let (begins, takes) = (self.begins(), self.takes());
        let slot = (bits >> (128 - begins - takes)) as usize & ((1 << takes) - 1);
        let runs = self.open.last_mut().expect("the root is open");
        if runs.last().is_none_or(|run| run.1 != entry) {
            runs.push((slot, entry));
        }
    }

    /// Writes that node, and its number into the one above.
    fn close(&mut self) {
        let runs = self.open.pop().expect("the root stays open");
        let base = u32::try_from(self.entries.len()).expect("fewer than 2³² leaves");
        let mut node = Node {
            starts: [0; 4],
            before: [0; 4],
            base,
            first: [0; FIRST],
        };
        for (run, (slot, entry)) in runs.into_iter().enumerate() {
            node.starts[slot >> 6] |= 1 << (slot & 63);
            match node.first.get_mut(run) {
                Some(first) => *first = entry,
                None => self.entries.push(entry),
            }
        }
        for word in 1..4 {
            let runs = node.starts[word - 1].count_ones();
            node.before[word] =
                node.before[word - 1] + u16::try_from(runs).expect("at most 64 runs a word");
        }
        self.nodes.push(node);
        let number = u32::try_from(self.nodes.len() - 1).expect("fewer than 2³¹ nodes");
        self.add(self.last, CHILD | number);
    }

    /// Checks that leaves cover the family, each address once.
    fn check(&mut self, leaf: &Leaf<u128>) -> Result<(), Error> {
        let prefix = || format!("{}/{}", self.show(leaf.bits), leaf.length);
        if leaf.length > self.width {
            return self.refuse(format!("{} is longer than an address", prefix()));
        }
        if leaf.bits & !high_bits(leaf.length) != 0 {
            return self.refuse(format!("{} has bits beyond its length", prefix()));
        }
        match self.next {
            Some(next) if next == leaf.bits => {}
            Some(next) if next < leaf.bits => {
                let next = self.show(next);
                return self.refuse(format!("nothing covers {next} up to {}", prefix()));
            }
            _ => return self.refuse(format!("{} overlaps the prefix before it", prefix())),
        }
        self.next = (leaf.bits | !high_bits(leaf.length)).checked_add(1);
        Ok(())
    }

    fn refuse<T>(&self, problem: String) -> Result<T, Error> {
        let family = if self.width == 32 { "IPv4" } else { "IPv6" };
        Err(Error::Views { family, problem })
    }

    fn show(&self, bits: u128) -> String {
        match self.width {
            32 => IpAddr::V4(((bits >> 96) as u32).into()).to_string(),
            _ => IpAddr::V6(bits.into()).to_string(),
        }
    }
}

/// A root with an entry per slot.
fn filled(runs: &[Run]) -> Vec<u32> {
    let mut root = vec![0; 1 << ROOT_BITS];
    for (index, &(slot, entry)) in runs.iter().enumerate() {
        let end = runs.get(index + 1).map_or(root.len(), |next| next.0);
        root[slot..end].fill(entry);
    }
    root
}

fn leaf_entry(leaf: &Leaf<u128>) -> u32 {
    u32::from(leaf.length) << 16 | u32::from(leaf.view)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(v4: &[(&str, u16)], v6: &[(&str, u16)]) -> Result<ViewTable, Error> {
        let split = |text: &str| {
            let (address, length) = text.split_once('/').unwrap();
            (
                address.parse::<IpAddr>().unwrap(),
                length.parse::<u8>().unwrap(),
            )
        };
        let v4: Vec<_> = v4
            .iter()
            .map(|(prefix, view)| match split(prefix) {
                (IpAddr::V4(bits), length) => Leaf {
                    bits: bits.to_bits(),
                    length,
                    view: *view,
                },
                _ => panic!("not IPv4"),
            })
            .collect();
        let v6: Vec<_> = v6
            .iter()
            .map(|(prefix, view)| match split(prefix) {
                (IpAddr::V6(bits), length) => Leaf {
                    bits: bits.to_bits(),
                    length,
                    view: *view,
                },
                _ => panic!("not IPv6"),
            })
            .collect();
        ViewTable::compile(&v4, &v6)
    }

    #[test]
    fn a_lookup_gives_the_view_and_the_depth_of_its_leaf() {
        let table = table(&[("0.0.0.0/1", 7), ("128.0.0.0/1", 3)], &[("::/0", 2)]).unwrap();
        assert_eq!(table.lookup("10.0.0.1".parse().unwrap()), (7, 1));
        assert_eq!(table.lookup("192.0.2.1".parse().unwrap()), (3, 1));
        assert_eq!(table.lookup("::ffff:192.0.2.1".parse().unwrap()), (3, 97));
        assert_eq!(table.lookup("2002:c000:201::".parse().unwrap()), (3, 17));
        // The first bit in which an address differs from all six forms.
        assert_eq!(table.lookup("2a00::1".parse().unwrap()), (2, 5));
        assert_eq!(table.view_count(), 8);
    }

    #[test]
    fn a_uniform_table_has_one_view_and_scope_zero() {
        let table = ViewTable::uniform();
        assert_eq!(table.lookup("192.0.2.1".parse().unwrap()), (0, 0));
        assert_eq!(table.lookup("2001:db8::1".parse().unwrap()), (0, 0));
        assert!(table.memory_bytes() < 64);
    }

    #[test]
    fn leaves_that_do_not_cover_all_exactly_once_are_refused() {
        for (v4, problem) in [
            (vec![], "nothing covers 0.0.0.0 and what follows"),
            (
                vec![("0.0.0.0/1", 0)],
                "nothing covers 128.0.0.0 and what follows",
            ),
            (
                vec![("128.0.0.0/1", 0)],
                "nothing covers 0.0.0.0 up to 128.0.0.0/1",
            ),
            (
                vec![("0.0.0.0/0", 0), ("1.0.0.0/8", 0)],
                "1.0.0.0/8 overlaps the prefix before it",
            ),
            (
                vec![("1.2.3.4/8", 0)],
                "1.2.3.4/8 has bits beyond its length",
            ),
            (
                vec![("0.0.0.0/33", 0)],
                "0.0.0.0/33 is longer than an address",
            ),
        ] {
            let error = table(&v4, &[("::/0", 0)]).unwrap_err();
            assert_eq!(error.to_string(), format!("view table, IPv4: {problem}"));
        }
    }

    /// Prefixes that were split at random until `splits` is used up: complete and disjoint.
    fn split(width: u8, splits: &[(u128, u16)]) -> Vec<Leaf<u128>> {
        let mut leaves = vec![Leaf {
            bits: 0,
            length: 0,
            view: 0,
        }];
        for &(address, view) in splits {
            let inside = |leaf: &Leaf<u128>| (leaf.bits ^ address) & high_bits(leaf.length) == 0;
            let index = leaves.iter().position(inside).unwrap();
            if leaves[index].length < width {
                let length = leaves[index].length + 1;
                let bits = leaves[index].bits | 1 << (128 - length);
                leaves[index].length = length;
                leaves.push(Leaf { bits, length, view });
            }
        }
        leaves
    }

    /// Longest prefix match by looking at every leaf.
    fn naive(leaves: &[Leaf<u128>], address: u128) -> u16 {
        let covers = |leaf: &&Leaf<u128>| (leaf.bits ^ address) & high_bits(leaf.length) == 0;
        leaves
            .iter()
            .filter(covers)
            .max_by_key(|leaf| leaf.length)
            .unwrap()
            .view
    }

    /// Few distinct addresses, so that splits go deep.
    fn addresses() -> impl Strategy<Value = u128> {
        prop_oneof![
            any::<u128>(),
            (0u128..16, 0u128..256).prop_map(|(a, b)| a << 120 | b << 96 | b << 3),
            Just(0),
            (0usize..6).prop_map(|form| EMBEDDINGS[form].prefix | 0xc000_0201),
        ]
    }

    proptest! {
        #[test]
        fn a_table_equals_longest_prefix_match(
            splits4 in prop::collection::vec((addresses(), any::<u16>()), 0..200),
            splits6 in prop::collection::vec((addresses(), any::<u16>()), 0..200),
            probes in prop::collection::vec((addresses(), any::<u128>()), 1..100),
        ) {
            let leaves4 = split(32, &splits4);
            let leaves6 = split(128, &splits6);
            let narrow: Vec<_> = leaves4
                .iter()
                .map(|l| Leaf { bits: (l.bits >> 96) as u32, length: l.length, view: l.view })
                .collect();
            let table = ViewTable::compile(&narrow, &leaves6).unwrap();
            for (probe, other) in probes {
                let v4 = ((probe >> 96) as u32).into();
                let (view, depth) = table.lookup(IpAddr::V4(v4));
                prop_assert_eq!(view, naive(&leaves4, u128::from(v4.to_bits()) << 96));
                // Every address of the scope has the same view and the same scope.
                let mask = (high_bits(depth) >> 96) as u32;
                let sibling = (v4.to_bits() & mask | (other >> 96) as u32 & !mask).into();
                prop_assert_eq!(table.lookup(IpAddr::V4(sibling)), (view, depth));

                let v6 = std::net::Ipv6Addr::from_bits(probe);
                let (inner, _) = Address::v6(probe).inner();
                let expected = naive(if inner.is_v4 { &leaves4 } else { &leaves6 }, inner.bits);
                let (view, depth) = table.lookup(IpAddr::V6(v6));
                prop_assert_eq!(view, expected);
                let sibling = probe & high_bits(depth) | other & !high_bits(depth);
                prop_assert_eq!(table.lookup(IpAddr::V6(sibling.into())), (view, depth));
            }
        }
    }
}
