//! Server cookies that all replicas with the same secret make and accept (RFC 9018).

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::client::{Client, Origin, Secrets};

/// How old a cookie may be (RFC 9018 § 4.3).
const AGE_SECS_MAX: u32 = 3600;
/// From which age on a client gets a new one.
const AGE_SECS_RENEW: u32 = 1800;
/// How far in the future it may be.
const AHEAD_SECS_MAX: u32 = 300;

/// Both parts of a cookie for a reply, and what the query's cookie proved.
pub(crate) struct Cookie {
    pub(crate) mine: [u8; 8],
    pub(crate) server: [u8; 16],
    pub(crate) origin: Origin,
}

/// What a client that sent `cookie` gets: its own again while that is valid and young, a new
/// server's part otherwise.
pub(crate) fn reply(cookie: &[u8], client: &Client, secrets: &Secrets) -> Option<Cookie> {
    let (mine, sent) = cookie.split_first_chunk::<8>()?;
    let sent = <&[u8; 16]>::try_from(sent).ok();
    let age = sent.and_then(|sent| valid_age(mine, sent, client, secrets));
    let server = match (sent, age) {
        (Some(sent), Some(..=AGE_SECS_RENEW)) => *sent,
        _ => make(mine, client.now_secs, client.source, &secrets.current),
    };
    let origin = age.map_or(Origin::Claimed, |_| Origin::Proven);
    Some(Cookie {
        mine: *mine,
        server,
        origin,
    })
}

/// How many seconds ago we (or another replica) made `server` for this client, if we did and it
/// is still good; 0 for one from the near future.
fn valid_age(mine: &[u8; 8], server: &[u8; 16], client: &Client, secrets: &Secrets) -> Option<u32> {
    let [1, 0, 0, 0, made @ .., _, _, _, _, _, _, _, _] = *server else {
        return None;
    };
    let made = u32::from_be_bytes(made);
    // Serial number arithmetic: the clock may wrap (RFC 1982).
    let age = match client.now_secs.wrapping_sub(made) {
        age @ ..=AGE_SECS_MAX => age,
        ahead if ahead >= AHEAD_SECS_MAX.wrapping_neg() => 0,
        _ => return None,
    };
    let keys = std::iter::once(&secrets.current).chain(&secrets.other);
    let is_ours = keys.fold(false, |found, key| {
        found | (make(mine, made, client.source, key) == *server)
    });
    is_ours.then_some(age)
}

/// Version 1, three reserved bytes, the time, and SipHash-2-4 over all of it and the address
/// (RFC 9018 § 4.4).
fn make(mine: &[u8; 8], made: u32, source: IpAddr, key: &[u8; 16]) -> [u8; 16] {
    let mut cookie = [0; 16];
    cookie[0] = 1;
    cookie[4..8].copy_from_slice(&made.to_be_bytes());
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(mine);
    hasher.write(&cookie[..8]);
    match source {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    cookie[8..].copy_from_slice(&hasher.finish().to_le_bytes());
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Transport;

    fn client(source: &str, now_secs: u32) -> Client {
        let source = source.parse().unwrap();
        Client {
            source,
            transport: Transport::Udp,
            now_secs,
            entropy: 0,
        }
    }

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let digits: Vec<u8> = hex
            .chars()
            .map(|digit| digit.to_digit(16).unwrap() as u8)
            .collect();
        std::array::from_fn(|index| digits[2 * index] << 4 | digits[2 * index + 1])
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    /// RFC 9018 appendix A.1 and A.3.
    #[test]
    fn cookies_are_those_of_the_rfc() {
        let key = bytes::<16>(SECRET);
        for (mine, made, source, expected) in [
            (
                "2464c4abcf10c957",
                1_559_731_985,
                "198.51.100.100",
                "010000005cf79f111f8130c3eee29480",
            ),
            (
                "fc93fc62807ddb86",
                1_559_734_700,
                "203.0.113.203",
                "010000005cf7a9acf73a7810aca2381e",
            ),
        ] {
            let made_cookie = make(&bytes(mine), made, source.parse().unwrap(), &key);
            assert_eq!(made_cookie, bytes::<16>(expected), "{source}");
        }
    }

    #[test]
    fn a_valid_cookie_is_given_back_and_an_old_one_renewed() {
        let secrets = Secrets {
            current: bytes(SECRET),
            other: None,
        };
        let given = reply(&[7; 8], &client("192.0.2.1", 1000), &secrets).unwrap();
        assert_eq!(given.origin, Origin::Claimed);
        let first = given.server;
        let whole = [&given.mine[..], &first].concat();
        let at = |source, now| {
            let given = reply(&whole, &client(source, now), &secrets).unwrap();
            (given.server, given.origin)
        };
        let proven = (first, Origin::Proven);
        assert_eq!(at("192.0.2.1", 1000 + AGE_SECS_RENEW), proven);
        assert_eq!(at("192.0.2.1", 1000 - AHEAD_SECS_MAX), proven);
        let renewed = at("192.0.2.1", 1001 + AGE_SECS_RENEW);
        assert_ne!(renewed.0, first);
        assert_eq!(renewed.1, Origin::Proven, "an older one still proves");
        assert_eq!(at("192.0.2.1", 1000 + AGE_SECS_MAX).1, Origin::Proven);
        for (source, now) in [
            ("192.0.2.1", 1001 + AGE_SECS_MAX),
            ("192.0.2.1", 999 - AHEAD_SECS_MAX),
            ("192.0.2.2", 1000),
        ] {
            let (server, origin) = at(source, now);
            assert_ne!(server, first, "{source} {now}");
            assert_eq!(origin, Origin::Claimed, "{source} {now}");
        }
    }

    #[test]
    fn a_cookie_of_the_secret_before_is_accepted_during_a_rollover() {
        let old = Secrets {
            current: [1; 16],
            other: None,
        };
        let new = Secrets {
            current: [2; 16],
            other: Some([1; 16]),
        };
        let client = client("2001:db8::1", 5);
        let Cookie { mine, server, .. } = reply(&[7; 8], &client, &old).unwrap();
        let whole = [&mine[..], &server].concat();
        assert_eq!(reply(&whole, &client, &new).unwrap().server, server);
        let gone = Secrets {
            current: [2; 16],
            other: None,
        };
        assert_ne!(reply(&whole, &client, &gone).unwrap().server, server);
    }
}
