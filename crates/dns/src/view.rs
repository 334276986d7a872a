//! From a client's address to its view: a flat multibit trie, compiled from merged prefixes.
//!
//! The first 16 bits index an array; each further byte goes through a node that marks where runs
//! of equal entries begin, so that a lookup counts bits in one cache line and reads one entry.
//! For country and city tables that is the root (which stays in the cache), a node and an entry.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::address::{EMBEDDINGS, Embedding, embedded};
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
        let v4: Vec<_> = v4
            .iter()
            .map(|leaf| Leaf {
                bits: u128::from(leaf.bits) << 96,
                ..widened(leaf)
            })
            .collect();
        let mut v6 = v6.to_vec();
        for form in &EMBEDDINGS {
            carve(&mut v6, form);
        }
        let view_count = v4
            .iter()
            .chain(&v6)
            .map(|leaf| usize::from(leaf.view) + 1)
            .max();
        Ok(Self {
            v4: Trie::build(v4, 32)?,
            v6: Trie::build(v6, 128)?,
            view_count: view_count.unwrap_or(0),
        })
    }

    /// A table in which every client has view 0, for answers that do not depend on the address.
    ///
    /// # Panics
    /// Never: one leaf per family covers it.
    pub fn uniform() -> Self {
        let v4 = Trie::build(
            vec![Leaf {
                bits: 0,
                length: 0,
                view: 0,
            }],
            32,
        );
        let v6 = Trie::build(
            vec![Leaf {
                bits: 0,
                length: 0,
                view: 0,
            }],
            128,
        );
        let whole = "one leaf covers its family";
        Self {
            v4: v4.expect(whole),
            v6: v6.expect(whole),
            view_count: 1,
        }
    }

    /// The view of `address` and the depth of its leaf, in bits of `address`'s own family.
    #[inline]
    pub fn lookup(&self, address: IpAddr) -> (u16, u8) {
        match address {
            IpAddr::V4(v4) => self.v4.lookup(&v4.octets()),
            IpAddr::V6(v6) => self.lookup_v6(v6),
        }
    }

    fn lookup_v6(&self, address: Ipv6Addr) -> (u16, u8) {
        if let Some((inner, start)) = embedded(address) {
            let (view, depth) = self.v4.lookup(&inner.octets());
            return (view, start + depth);
        }
        self.v6.lookup(&address.octets())
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

fn widened(leaf: &Leaf<u32>) -> Leaf<u128> {
    Leaf {
        bits: u128::from(leaf.bits),
        length: leaf.length,
        view: leaf.view,
    }
}

/// Splits the leaf that strictly contains `form`'s prefix, so that the prefix has its own.
fn carve(leaves: &mut Vec<Leaf<u128>>, form: &Embedding) {
    let contains = |leaf: &Leaf<u128>| {
        leaf.length < form.length && (leaf.bits ^ form.prefix) & high_bits(leaf.length) == 0
    };
    let Some(index) = leaves.iter().position(contains) else {
        return;
    };
    let outer = leaves.swap_remove(index);
    leaves.push(Leaf {
        bits: form.prefix,
        length: form.length,
        view: outer.view,
    });
    for length in outer.length + 1..=form.length {
        let sibling = (form.prefix ^ (1 << (128 - length))) & high_bits(length);
        leaves.push(Leaf {
            bits: sibling,
            length,
            view: outer.view,
        });
    }
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

/// 256 slots, of which neighbours with the same entry share one.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Node {
    /// A set bit where a run of equal entries begins; the first is always set.
    starts: [u64; 4],
    /// How many runs begin before each word.
    before: [u16; 4],
    /// Where this node's entries begin.
    base: u32,
}

impl Trie {
    #[inline]
    fn lookup(&self, octets: &[u8]) -> (u16, u8) {
        let first = u32::from(octets[0]) << 8 | u32::from(octets[1]);
        let mut entry = self.root[(first >> self.root_shift) as usize];
        let mut rest = octets[2..].iter();
        while entry & CHILD != 0 {
            let Some(&slot) = rest.next() else { break };
            entry = self.entries[self.nodes[(entry & !CHILD) as usize].entry(slot)];
        }
        ((entry & 0xffff) as u16, (entry >> 16) as u8)
    }

    fn build(mut leaves: Vec<Leaf<u128>>, width: u8) -> Result<Self, Error> {
        leaves.sort_by_key(|leaf| leaf.bits);
        check_complete(&leaves, width)?;
        let mut builder = Builder {
            nodes: Vec::new(),
            entries: Vec::new(),
        };
        let (root, root_shift) = match leaves.as_slice() {
            [leaf] => (vec![leaf_entry(leaf)], u32::from(ROOT_BITS)),
            leaves => (builder.root(leaves), 0),
        };
        Ok(Self {
            root: root.into(),
            root_shift,
            nodes: builder.nodes.into(),
            entries: builder.entries.into(),
        })
    }

    fn memory_bytes(&self) -> usize {
        self.root.len() * 4 + self.entries.len() * 4 + self.nodes.len() * size_of::<Node>()
    }
}

impl Node {
    #[inline]
    fn entry(&self, slot: u8) -> usize {
        let word = usize::from(slot >> 6);
        let upto = self.starts[word] & (u64::MAX >> (63 - (slot & 63)));
        self.base as usize + usize::from(self.before[word]) + upto.count_ones() as usize - 1
    }
}

struct Builder {
    nodes: Vec<Node>,
    entries: Vec<u32>,
}

impl Builder {
    fn root(&mut self, leaves: &[Leaf<u128>]) -> Vec<u32> {
        let runs = self.runs(leaves, 0, ROOT_BITS);
        let mut root = vec![0; 1 << ROOT_BITS];
        for (index, &(slot, entry)) in runs.iter().enumerate() {
            let end = runs.get(index + 1).map_or(root.len(), |next| next.0);
            root[slot..end].fill(entry);
        }
        root
    }

    /// Where runs of equal entries begin within the `stride` bits from `start` on.
    fn runs(&mut self, leaves: &[Leaf<u128>], start: u8, stride: u8) -> Vec<(usize, u32)> {
        let slot_of = |leaf: &Leaf<u128>| {
            (leaf.bits >> (128 - start - stride)) as usize & ((1 << stride) - 1)
        };
        let mut runs = Vec::new();
        let mut rest = leaves;
        while let Some(leaf) = rest.first() {
            let slot = slot_of(leaf);
            if leaf.length <= start + stride {
                runs.push((slot, leaf_entry(leaf)));
                rest = &rest[1..];
            } else {
                let (below, after) = rest.split_at(rest.partition_point(|l| slot_of(l) == slot));
                runs.push((slot, self.node(below, start + stride)));
                rest = after;
            }
        }
        runs
    }

    /// Adds the node for `leaves`, which share their first `start` bits.
    fn node(&mut self, leaves: &[Leaf<u128>], start: u8) -> u32 {
        let runs = self.runs(leaves, start, NODE_BITS);
        let base = u32::try_from(self.entries.len()).expect("fewer than 2³² leaves");
        let mut node = Node {
            starts: [0; 4],
            before: [0; 4],
            base,
        };
        for (slot, entry) in runs {
            node.starts[slot >> 6] |= 1 << (slot & 63);
            self.entries.push(entry);
        }
        for word in 1..4 {
            let runs = node.starts[word - 1].count_ones();
            node.before[word] =
                node.before[word - 1] + u16::try_from(runs).expect("at most 64 runs a word");
        }
        self.nodes.push(node);
        CHILD | u32::try_from(self.nodes.len() - 1).expect("fewer than 2³¹ nodes")
    }
}

fn leaf_entry(leaf: &Leaf<u128>) -> u32 {
    u32::from(leaf.length) << 16 | u32::from(leaf.view)
}

/// Checks that sorted leaves cover the whole family, each address once.
fn check_complete(leaves: &[Leaf<u128>], width: u8) -> Result<(), Error> {
    let family = if width == 32 { "IPv4" } else { "IPv6" };
    let refuse = |problem| Err(Error::Views { family, problem });
    let show = |bits: u128| match width {
        32 => IpAddr::V4(((bits >> 96) as u32).into()).to_string(),
        _ => IpAddr::V6(bits.into()).to_string(),
    };
    let mut expected = Some(0u128);
    for leaf in leaves {
        let prefix = format!("{}/{}", show(leaf.bits), leaf.length);
        if leaf.length > width {
            return refuse(format!("{prefix} is longer than an address"));
        }
        if leaf.bits & !high_bits(leaf.length) != 0 {
            return refuse(format!("{prefix} has bits beyond its length"));
        }
        match expected {
            Some(next) if next == leaf.bits => {}
            Some(next) if next < leaf.bits => {
                return refuse(format!("nothing covers {} up to {prefix}", show(next)));
            }
            _ => return refuse(format!("{prefix} overlaps the prefix before it")),
        }
        expected = (leaf.bits | !high_bits(leaf.length)).checked_add(1);
    }
    match expected {
        Some(next) => refuse(format!("nothing covers {} and what follows", show(next))),
        None => Ok(()),
    }
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

                let v6 = Ipv6Addr::from_bits(probe);
                let expected = match embedded(v6) {
                    Some((inner, _)) => naive(&leaves4, u128::from(inner.to_bits()) << 96),
                    None => naive(&leaves6, probe),
                };
                let (view, depth) = table.lookup(IpAddr::V6(v6));
                prop_assert_eq!(view, expected);
                let sibling = probe & high_bits(depth) | other & !high_bits(depth);
                prop_assert_eq!(table.lookup(IpAddr::V6(sibling.into())), (view, depth));
            }
        }
    }
}
