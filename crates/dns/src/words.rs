//! Bytes of names as words of eight: what is done to every query's name is done in few steps.

/// The last `length % 8` bytes, as the low bytes of a word.
#[inline]
pub(crate) fn tail(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % 8;
    match bytes.last_chunk::<8>() {
        _ if rest == 0 => 0,
        Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest)),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Whether both are the same: names are short, and a call for so few bytes costs more than they do.
#[inline]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (words, others) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let differing = words
        .iter()
        .zip(others)
        .fold(0, |differing, (word, other)| {
            differing | (u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other))
        });
    differing | (tail(a) ^ tail(b)) == 0
}

/// All eight bytes in lower case, as far as they are letters of ASCII.
#[inline]
pub(crate) fn lower(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let low_bits = word & (ONES * 0x7f);
    // The top bit of each byte: whether it is at least A, and whether it is beyond Z.
    let from_a = low_bits + ONES * (0x80 - b'A' as u64);
    let beyond_z = low_bits + ONES * (0x7f - b'Z' as u64);
    let is_upper = !word & (ONES * 0x80) & (from_a ^ beyond_z);
    word | is_upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_lowered_as_ascii_says_whatever_stands_beside_it() {
        for byte in 0..=255u8 {
            for other in [0, b'A', b'Z', b'z', 0x7f, 0x80, 0xff] {
                let bytes = [other, byte, other, byte, byte, other, other, byte];
                let lowered = lower(u64::from_le_bytes(bytes)).to_le_bytes();
                assert_eq!(lowered, bytes.map(|byte| byte.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn the_tail_is_what_whole_words_leave() {
        let bytes: Vec<u8> = (1..20).collect();
        for length in 0..bytes.len() {
            let mut expected = [0; 8];
            let whole = length / 8 * 8;
            expected[..length - whole].copy_from_slice(&bytes[whole..length]);
            assert_eq!(tail(&bytes[..length]), u64::from_le_bytes(expected));
        }
    }

    #[test]
    fn equal_are_those_that_differ_in_no_byte() {
        let bytes: Vec<u8> = (1..40).collect();
        for length in 0..bytes.len() {
            let whole = &bytes[..length];
            assert!(equal(whole, &bytes.clone()[..length]));
            assert!(!equal(whole, &bytes[..length + 1]), "{length}");
            for at in 0..length {
                let mut other = whole.to_vec();
                other[at] ^= 0x80;
                assert!(
                    !equal(whole, &other),
                    "{length} bytes, of which the one at {at} differs"
                );
            }
        }
    }
}
