//! Finding a name: itself, the wildcard that stands for it, or its closest encloser.

use std::sync::Arc;

use crate::hash;
use crate::name::NAME_BYTES_MAX;
use crate::names::{Names, Node};
use crate::words;
use crate::zone::ZoneCore;

/// A name that is looked for, lower-cased.
pub(crate) struct Sought {
    pub(crate) wire: [u8; NAME_BYTES_MAX + 1],
    pub(crate) len: usize,
    pub(crate) labels: usize,
    /// The hash of the whole name, by which the table finds it.
    hash: u64,
}

/// What there is.
#[derive(Clone, Copy)]
pub(crate) enum Found<'s> {
    /// The name itself.
    Exact(&'s Node),
    /// A wildcard that stands for it.
    Wildcard(&'s Node),
    /// Only this closest encloser.
    Below(&'s Node),
    Outside,
}

impl<'s> Found<'s> {
    pub(crate) fn zone(self) -> Option<&'s Arc<ZoneCore>> {
        match self {
            Self::Exact(node) | Self::Wildcard(node) | Self::Below(node) => Some(&node.zone),
            Self::Outside => None,
        }
    }
}

impl Sought {
    /// No name yet.
    pub(crate) const NOTHING: Self = Self {
        wire: [0; NAME_BYTES_MAX + 1],
        len: 0,
        labels: 0,
        hash: 0,
    };

    /// Looks for `wire`, and hashes it while its words are at hand. Written in place: one that is handed over is
    /// copied, and read back before it is written.
    #[inline(always)]
    pub(crate) fn read(&mut self, wire: &[u8], labels: usize) {
        (self.len, self.labels) = (wire.len(), labels);
        let mut state = hash::start(wire.len());
        // A length byte is at most 63 and so never an upper-case letter.
        let (from, _) = wire.as_chunks::<8>();
        let (to, _) = self.wire.as_chunks_mut::<8>();
        for (from, to) in from.iter().zip(&mut *to) {
            let word = words::lower(u64::from_le_bytes(*from));
            state = hash::word(state, word);
            *to = word.to_le_bytes();
        }
        let tail = words::lower(words::tail(wire));
        to[from.len()] = tail.to_le_bytes();
        self.hash = hash::end(state, tail);
    }

    /// The name, else the wildcard at its closest encloser, else the closest encloser.
    #[inline]
    pub(crate) fn find<'s>(&mut self, names: &'s Names) -> Found<'s> {
        if self.labels <= names.labels_max
            && let Some(node) = names.get_hashed(self.hash, &self.wire[..self.len])
        {
            return Found::Exact(node);
        }
        self.find_encloser(names)
    }

    pub(crate) fn find_encloser<'s>(&mut self, names: &'s Names) -> Found<'s> {
        let mut start = 0;
        for left in (0..self.labels).rev() {
            start += 1 + usize::from(self.wire[start]);
            if left > names.labels_max {
                continue;
            }
            let Some(node) = names.get(&self.wire[start..self.len]) else {
                continue;
            };
            let delegated = node.referral().is_some() || node.redirection().is_some();
            if !node.has_wildcard || delegated {
                return Found::Below(node);
            }
            // At least one letter and its length stand before the encloser.
            self.wire[start - 2..start].copy_from_slice(b"\x01*");
            let wildcard = names.get(&self.wire[start - 2..self.len]);
            return wildcard.map_or(Found::Below(node), |wildcard| Found::Wildcard(wildcard));
        }
        Found::Outside
    }

    /// Looks for `target` from now on.
    pub(crate) fn replace(&mut self, target: &[u8]) {
        let mut labels = 0;
        let mut at = 0;
        while target[at] != 0 {
            at += 1 + usize::from(target[at]);
            labels += 1;
        }
        self.read(target, labels);
    }

    /// Looks for what was written into `wire` from now on.
    pub(crate) fn rewritten(&mut self, len: usize, labels: usize) {
        (self.len, self.labels) = (len, labels);
        self.hash = hash::of(&self.wire[..len]);
    }
}
