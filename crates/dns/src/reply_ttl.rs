//! For how long a reply may be kept: HTTP caches are told so (RFC 8484 § 5.1).

use crate::query::{HEADER_BYTES, skip_name};
use crate::record::RecordType;

/// The least TTL of a reply's records, in seconds; `None` without records, and for what is no
/// message. The SOA of a negative reply has the negative TTL here, so it counts as any other.
pub fn reply_ttl_secs(reply: &[u8]) -> Option<u32> {
    let (head, mut rest) = reply.split_first_chunk::<HEADER_BYTES>()?;
    let count = |at: usize| u32::from(u16::from_be_bytes([head[at], head[at + 1]]));
    for _ in 0..count(4) {
        rest = rest.get(skip_name(rest)? + 4..)?;
    }
    let mut least = None;
    for _ in 0..count(6) + count(8) + count(10) {
        let (fixed, tail) = rest.get(skip_name(rest)?..)?.split_first_chunk::<10>()?;
        if fixed[..2] != RecordType::OPT.0.to_be_bytes() {
            let ttl_secs = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            least = Some(least.unwrap_or(u32::MAX).min(ttl_secs));
        }
        rest = tail.get(usize::from(u16::from_be_bytes([fixed[8], fixed[9]]))..)?;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a. A` with two addresses, for 300 and 20 seconds, and an OPT record.
    const REPLY: &[u8] = b"\0\x01\x84\0\0\x01\0\x02\0\0\0\x01\x01a\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x14\0\x04\xc0\0\x02\x02\
        \0\0\x29\x04\xd0\0\0\0\0\0\0";

    #[test]
    fn it_is_the_least_of_all_records_and_not_what_opt_has_in_its_place() {
        assert_eq!(reply_ttl_secs(REPLY), Some(20));
    }

    #[test]
    fn a_reply_without_records_has_none_and_a_cut_one_neither() {
        let mut none = REPLY[..19].to_vec();
        none[7] = 0;
        none[11] = 0;
        assert_eq!(reply_ttl_secs(&none), None);
        for len in 0..REPLY.len() {
            assert_eq!(reply_ttl_secs(&REPLY[..len]), None, "{len} bytes");
        }
    }
}
