//! How many replies of a kind a network gets in a second, so that a server is no use for attacks
//! on others (response rate limiting).
//!
//! # Guarantees
//! - Memory is fixed: a table of buckets, whatever comes.
//! - Who asks less often than the rate is never limited, whatever others do: a bucket that gives
//!   way to another network starts full again.
//! - Queries with a cookie that proves their source are not limited (RFC 7873 § 3).
//!
//! # Caveats
//! - With more networks over their rate at once than there are buckets, some get more than it.

use std::hash::Hasher;
use std::net::IpAddr;
use std::num::NonZeroU32;

use siphasher::sip::SipHasher13;

use crate::client::{Client, Origin, Reply, ReplyClass};

/// Sets of buckets; each is one cache line.
const SETS: usize = 8192;
const WAYS: usize = 4;
const SECOND_MICROS: u64 = 1_000_000;
/// How far a network may be ahead of its rate: a second's worth at once.
const BURST_MICROS: u64 = SECOND_MICROS;
/// What counts as one network, as most servers have it: /24 and /56.
const IPV4_BITS: u32 = 24;
const IPV6_BITS: u32 = 56;

/// Replies a second to one network; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Errors: REFUSED, NOTAUTH, FORMERR, NOTIMP, BADVERS, SERVFAIL.
    pub errors: Option<NonZeroU32>,
    /// NXDOMAIN: random names below a zone.
    pub nxdomain: Option<NonZeroU32>,
    /// All else: records, NODATA, referrals.
    pub answers: Option<NonZeroU32>,
    /// One in so many of what is over the rate is answered all the same, with TC or BADCOOKIE,
    /// so that an honest client gets through; the rest is dropped. 1 answers all so, 0 none.
    pub slip: u32,
}

impl Default for Rates {
    /// 200 errors and 200 NXDOMAIN, no limit for answers, and nothing is dropped.
    fn default() -> Self {
        Self {
            errors: NonZeroU32::new(200),
            nxdomain: NonZeroU32::new(200),
            answers: None,
            slip: 1,
        }
    }
}

/// What is to be done with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Send,
    /// Send what [`crate::answer_limited`] gives instead.
    Slip,
    /// Send nothing.
    Drop,
}

/// The buckets of one answering thread.
pub struct RateLimiter {
    rates: Rates,
    /// Unknown to clients, so that nobody can choose whose bucket to share.
    key: [u8; 16],
    sets: Box<[Set]>,
    over: u32,
}

#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Set([Bucket; WAYS]);

#[derive(Clone, Copy, Default)]
struct Bucket {
    /// A hash of the network and the kind of reply; 0 is nobody's.
    whose: u64,
    /// Until when the replies given so far use up the rate.
    used_until_micros: u64,
}

/// Kinds of replies that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    NxDomain,
    Answer,
}

impl RateLimiter {
    /// A limiter whose buckets are all full. With `threads` of them for one address, which get
    /// clients by chance, each has its part of the rates.
    pub fn new(rates: Rates, threads: NonZeroU32, key: [u8; 16]) -> Self {
        let part = |rate: Option<NonZeroU32>| {
            rate.map(|rate| {
                let part = rate.get().div_ceil(threads.get());
                NonZeroU32::new(part).unwrap_or(NonZeroU32::MIN)
            })
        };
        Self {
            rates: Rates {
                errors: part(rates.errors),
                nxdomain: part(rates.nxdomain),
                answers: part(rates.answers),
                slip: rates.slip,
            },
            key,
            sets: vec![Set::default(); SETS].into(),
            over: 0,
        }
    }

    /// Judges a reply to `client` at `now_micros`, counted from any moment.
    #[inline]
    pub fn judge(&mut self, client: &Client, reply: &Reply, now_micros: u64) -> Verdict {
        let Some(kind) = kind(reply.class) else {
            return Verdict::Send;
        };
        let rate = match kind {
            Kind::Error => self.rates.errors,
            Kind::NxDomain => self.rates.nxdomain,
            Kind::Answer => self.rates.answers,
        };
        match rate {
            Some(rate) if reply.origin == Origin::Claimed => {
                self.count(client.source, kind, rate, now_micros)
            }
            _ => Verdict::Send,
        }
    }

    fn count(&mut self, source: IpAddr, kind: Kind, rate: NonZeroU32, now: u64) -> Verdict {
        let whose = self.hash(source, kind);
        let set = &mut self.sets[whose as usize % SETS].0;
        let bucket = bucket(set, whose);
        // A clock that went back owes nobody more than a burst.
        let ahead = bucket.used_until_micros.saturating_sub(now);
        let ahead = ahead.min(BURST_MICROS) + SECOND_MICROS / u64::from(rate.get());
        if ahead <= BURST_MICROS.max(SECOND_MICROS / u64::from(rate.get())) {
            bucket.used_until_micros = now + ahead;
            return Verdict::Send;
        }
        self.over = self.over.wrapping_add(1);
        match self.rates.slip {
            0 => Verdict::Drop,
            slip if self.over.is_multiple_of(slip) => Verdict::Slip,
            _ => Verdict::Drop,
        }
    }

    fn hash(&self, source: IpAddr, kind: Kind) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        match source {
            IpAddr::V4(v4) => hasher.write_u32(v4.to_bits() >> (32 - IPV4_BITS)),
            IpAddr::V6(v6) => hasher.write_u64((v6.to_bits() >> (128 - IPV6_BITS)) as u64),
        }
        hasher.write_u8(kind as u8);
        hasher.finish().max(1)
    }
}

/// The bucket of `whose`: its own, or that of whoever has used least of his.
fn bucket(set: &mut [Bucket; WAYS], whose: u64) -> &mut Bucket {
    let mine = set.iter().position(|bucket| bucket.whose == whose);
    let index = mine.unwrap_or_else(|| {
        let least = (0..WAYS).min_by_key(|index| set[*index].used_until_micros);
        least.unwrap_or(0)
    });
    let bucket = &mut set[index];
    if bucket.whose != whose {
        *bucket = Bucket {
            whose,
            used_until_micros: 0,
        };
    }
    bucket
}

fn kind(class: ReplyClass) -> Option<Kind> {
    match class {
        ReplyClass::Refused
        | ReplyClass::NotAuth
        | ReplyClass::FormErr
        | ReplyClass::NotImp
        | ReplyClass::BadVersion
        | ReplyClass::ServFail => Some(Kind::Error),
        ReplyClass::NxDomain => Some(Kind::NxDomain),
        ReplyClass::Static
        | ReplyClass::Steered
        | ReplyClass::NoData
        | ReplyClass::Referral
        | ReplyClass::Truncated
        | ReplyClass::Identity => Some(Kind::Answer),
        ReplyClass::CookieOnly
        | ReplyClass::Transfer
        | ReplyClass::BadCookie
        | ReplyClass::Limited
        | ReplyClass::Update
        | ReplyClass::Dropped => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::Transport;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn client(source: &str) -> Client {
        Client {
            source: source.parse().unwrap(),
            transport: Transport::Udp,
            now_secs: 0,
            entropy: 0,
        }
    }

    fn reply(class: ReplyClass, origin: Origin) -> Reply {
        Reply {
            len: 12,
            class,
            origin,
            rcode: 0,
            zone: 0,
        }
    }

    fn limiter(rate: u32, slip: u32) -> RateLimiter {
        let rate = NonZeroU32::new(rate);
        let rates = Rates {
            errors: rate,
            nxdomain: rate,
            answers: None,
            slip,
        };
        RateLimiter::new(rates, ONE, [7; 16])
    }

    const NXDOMAIN: Reply = Reply {
        len: 12,
        class: ReplyClass::NxDomain,
        origin: Origin::Claimed,
        rcode: 0,
        zone: 0,
    };

    #[test]
    fn a_network_gets_a_seconds_worth_at_once_and_then_its_rate() {
        let mut limiter = limiter(10, 1);
        let mut sent = |source: &str, now| {
            (0..100)
                .filter(|_| limiter.judge(&client(source), &NXDOMAIN, now) == Verdict::Send)
                .count()
        };
        assert_eq!(sent("192.0.2.1", 0), 10);
        assert_eq!(sent("192.0.2.77", 0), 0, "the same network");
        assert_eq!(sent("192.0.3.1", 0), 10, "another");
        assert_eq!(sent("192.0.2.1", SECOND_MICROS / 2), 5);
        assert_eq!(sent("192.0.2.1", 100 * SECOND_MICROS), 10);
        assert_eq!(sent("2001:db8::1", 0), 10);
        assert_eq!(sent("2001:db8:0:ff::1", 0), 0, "the same 56 bits");
        assert_eq!(sent("2001:db8:0:100::1", 0), 10);
    }

    #[test]
    fn errors_and_nxdomain_have_buckets_of_their_own_and_answers_none() {
        let mut limiter = limiter(1, 1);
        let client = client("192.0.2.1");
        let mut judge = |class, origin| limiter.judge(&client, &reply(class, origin), 0);
        assert_eq!(judge(ReplyClass::NxDomain, Origin::Claimed), Verdict::Send);
        assert_eq!(judge(ReplyClass::NxDomain, Origin::Claimed), Verdict::Slip);
        assert_eq!(judge(ReplyClass::Refused, Origin::Claimed), Verdict::Send);
        assert_eq!(judge(ReplyClass::FormErr, Origin::Claimed), Verdict::Slip);
        assert_eq!(judge(ReplyClass::NxDomain, Origin::Proven), Verdict::Send);
        for _ in 0..10 {
            assert_eq!(judge(ReplyClass::Steered, Origin::Claimed), Verdict::Send);
        }
    }

    #[test]
    fn slip_says_how_many_of_the_rest_are_answered() {
        for (slip, expected) in [(0, 0), (1, 60), (2, 30), (3, 20)] {
            let mut limiter = limiter(1, slip);
            let client = client("192.0.2.1");
            limiter.judge(&client, &NXDOMAIN, 0);
            let slipped = (0..60)
                .filter(|_| limiter.judge(&client, &NXDOMAIN, 0) == Verdict::Slip)
                .count();
            assert_eq!(slipped, expected, "slip {slip}");
        }
    }

    #[test]
    fn threads_share_the_rate() {
        let rates = Rates {
            nxdomain: NonZeroU32::new(10),
            ..Rates::default()
        };
        let mut limiter = RateLimiter::new(rates, NonZeroU32::new(4).unwrap(), [7; 16]);
        let sent = (0..100)
            .filter(|_| limiter.judge(&client("192.0.2.1"), &NXDOMAIN, 0) == Verdict::Send)
            .count();
        assert_eq!(sent, 3);
    }

    #[test]
    fn a_clock_that_goes_back_holds_nobody_longer_than_a_burst() {
        let mut limiter = limiter(1, 0);
        let client = client("192.0.2.1");
        limiter.judge(&client, &NXDOMAIN, 1000 * SECOND_MICROS);
        assert_eq!(limiter.judge(&client, &NXDOMAIN, 0), Verdict::Drop);
        assert_eq!(
            limiter.judge(&client, &NXDOMAIN, 1000 * SECOND_MICROS + BURST_MICROS),
            Verdict::Send
        );
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_rate(
            gaps in prop::collection::vec(0u64..300_000, 1..400),
            rate in 1u32..50,
        ) {
            let mut limiter = limiter(rate, 1);
            let client = client("192.0.2.1");
            let mut now = 0;
            let mut sent = Vec::new();
            for gap in gaps {
                now += gap;
                if limiter.judge(&client, &NXDOMAIN, now) == Verdict::Send {
                    sent.push(now);
                }
            }
            for (first, start) in sent.iter().enumerate() {
                let within = sent[first..].iter().filter(|at| **at - start < SECOND_MICROS).count();
                prop_assert!(within <= 2 * rate as usize, "{within} in the second from {start}");
            }
        }

        #[test]
        fn who_asks_less_often_than_the_rate_is_never_limited(
            crowd in prop::collection::vec(any::<u32>(), 0..2000),
            rate in 1u32..50,
        ) {
            let mut limiter = limiter(rate, 0);
            let honest = client("2001:db8::1");
            let gap = SECOND_MICROS.div_ceil(u64::from(rate));
            let mut now = 0;
            for some in crowd.chunks(20) {
                for bits in some {
                    let source = IpAddr::V4((*bits).into());
                    limiter.judge(&Client { source, ..honest }, &NXDOMAIN, now);
                }
                prop_assert_eq!(limiter.judge(&honest, &NXDOMAIN, now), Verdict::Send);
                now += gap;
            }
        }
    }
}
