//! Chance for weighted answers, seeded by the system.

use std::hash::{BuildHasher, RandomState};

use crate::split_mix::SplitMix;

/// Seeded once per thread or connection.
pub(crate) struct Chance(SplitMix);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(SplitMix(RandomState::new().hash_one(0u8)))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A key that nobody else knows.
    pub(crate) fn key(&mut self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.next().to_ne_bytes());
        key[8..].copy_from_slice(&RandomState::new().hash_one(1u8).to_ne_bytes());
        key
    }
}
