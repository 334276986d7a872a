//! Whether the search tree of an MMDB file is a tree, before anything walks it.
//!
//! Every node of a tree hangs in one place. Where nodes may hang in two, 128 of them have 2^128 ways
//! through, and whoever walks them never ends. The start of IPv4 alone hangs in several: writers let
//! the networks of `::ffff:0:0/96`, `2002::/16` and other forms point there, and readers do not
//! follow them twice.

use maxminddb::Metadata;

/// How many zero bits of an IPv6 address lie before an IPv4 address (`::/96`).
const BITS_BEFORE_V4: u8 = 96;

/// Checks the nodes of a file whose metadata were read and fit its length.
pub(crate) fn check(bytes: &[u8], metadata: &Metadata) -> Result<(), String> {
    let tree = Tree {
        bytes,
        count: metadata.node_count,
        record_bits: metadata.record_size,
    };
    let v4_start = match metadata.ip_version {
        6 => tree.v4_start(),
        _ => None,
    };
    // The root hangs nowhere.
    let mut seen = Seen::new(tree.count);
    seen.first_time(0);
    for node in 0..tree.count {
        for child in tree.children(node) {
            let inner = child < tree.count && Some(child) != v4_start;
            if inner && !seen.first_time(child) {
                return Err(format!(
                    "its tree has a cycle or is none: node {child} hangs in two places"
                ));
            }
        }
    }
    Ok(())
}

/// The nodes, as they lie at the beginning of a file.
struct Tree<'a> {
    bytes: &'a [u8],
    count: u32,
    /// Bits of one of a node's two records: 24, 28 or 32.
    record_bits: u16,
}

impl Tree<'_> {
    /// The node at `::/96`, when there is one.
    fn v4_start(&self) -> Option<u32> {
        let mut node = 0;
        for _ in 0..BITS_BEFORE_V4 {
            [node, _] = self.children(node);
            if node >= self.count {
                return None;
            }
        }
        Some(node).filter(|node| *node != 0)
    }

    /// What a node's records point to.
    fn children(&self, node: u32) -> [u32; 2] {
        let bytes = usize::from(self.record_bits) / 4;
        let at = node as usize * bytes;
        match self.bytes[at..at + bytes] {
            [a, b, c, d, e, f] => [[0, a, b, c], [0, d, e, f]].map(u32::from_be_bytes),
            // The middle byte has the highest bits of both.
            [a, b, c, high, d, e, f] => {
                [[high >> 4, a, b, c], [high & 0xf, d, e, f]].map(u32::from_be_bytes)
            }
            [a, b, c, d, e, f, g, h] => [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes),
            _ => unreachable!("records have 24, 28 or 32 bits"),
        }
    }
}

/// A bit for every node.
struct Seen(Vec<u64>);

impl Seen {
    fn new(nodes: u32) -> Self {
        Self(vec![0; nodes as usize / 64 + 1])
    }

    fn first_time(&mut self, node: u32) -> bool {
        let (word, bit) = (&mut self.0[node as usize / 64], 1 << (node % 64));
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}
