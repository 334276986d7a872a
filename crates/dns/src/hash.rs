//! A fast hash of a name's wire form: eight bytes at a time, folded multiplication.
//!
//! Which names are in the table is the operator's choice, so no client can make it slow.

use crate::words;

/// Of a whole name.
#[inline]
pub(crate) fn of(wire: &[u8]) -> u64 {
    let (words, _) = wire.as_chunks::<8>();
    let state = words.iter().fold(start(wire.len()), |state, bytes| {
        word(state, u64::from_le_bytes(*bytes))
    });
    end(state, words::tail(wire))
}

/// Before the first word of a name that is so long.
#[inline]
pub(crate) fn start(len: usize) -> u64 {
    0x243f_6a88_85a3_08d3 ^ len as u64
}

/// After a whole word.
#[inline]
pub(crate) fn word(state: u64, word: u64) -> u64 {
    fold(state ^ word, 0x9e37_79b9_7f4a_7c15)
}

/// After what is left, [`words::tail`].
#[inline]
pub(crate) fn end(state: u64, tail: u64) -> u64 {
    fold(state ^ tail, 0xd6e8_feb8_6659_fd93)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}
