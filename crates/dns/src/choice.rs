//! Steered names, compiled: from a view to the one answer of this query.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use crate::address::Address;
use crate::encoded::{Encoded, Encoder, Owner, Section, TooLong};
use crate::name::Name;
use crate::record::RecordType;
use crate::steered::{
    ANSWER_RECORDS_MAX, Answer, Choice, Content, Freshness, SHARES_MAX, Share, Steered,
    SteeredRecords,
};
use crate::view::ViewTable;
use crate::zone::{Alias, compile_alias};

/// A steered name.
#[derive(Debug)]
pub(crate) struct Steering {
    pub(crate) views: Arc<ViewTable>,
    pub(crate) sets: SmallVec<[(RecordType, Set); 2]>,
    pub(crate) freshness: Freshness,
    /// Whether some answer is an alias, which then answers for all types.
    pub(crate) may_alias: bool,
    /// When it was asked for last, in seconds and about a minute late; 0 is never. Beside what every query reads
    /// anyway, and written once a minute.
    pub(crate) asked_secs: AtomicU32,
}

/// How exactly it is known when a name was asked for.
const ASKED_GRAIN_SECS: u32 = 60;

impl Steering {
    /// Notes that it is asked for.
    #[inline]
    pub(crate) fn note_asked(&self, now_secs: u32) {
        if now_secs.wrapping_sub(self.asked_secs.load(Ordering::Relaxed)) >= ASKED_GRAIN_SECS {
            self.asked_secs.store(now_secs, Ordering::Relaxed);
        }
    }
}

/// One record type of it.
#[derive(Debug)]
pub(crate) struct Set {
    by_view: Arc<[u16]>,
    choices: Box<[Compiled]>,
}

#[derive(Debug)]
enum Compiled {
    One(Pick),
    Weighted {
        total: u64,
        picks: Box<[(u64, Pick)]>,
    },
    ByPrefix {
        bits_v4: u8,
        bits_v6: u8,
        candidates: Box<[Candidate]>,
    },
}

/// One answer between which a prefix chooses.
#[derive(Debug)]
struct Candidate {
    /// What it says, as a number: the same on every replica.
    key: u64,
    weight: f64,
    pick: Pick,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) enum Pick {
    Records(Arc<Encoded>),
    Alias(Arc<Alias>),
    NoData { ttl_secs: u32 },
    NothingHealthy { ttl_secs: u32 },
}

impl Set {
    /// The answer for a client of `view`, and the least prefix length it is good for.
    #[inline]
    pub(crate) fn pick(&self, view: u16, address: Address, entropy: u64) -> (&Pick, u8) {
        match &self.choices[usize::from(self.by_view[usize::from(view)])] {
            Compiled::One(pick) => (pick, 0),
            Compiled::Weighted { total, picks } => {
                let point = scale(entropy, *total);
                let found = picks.iter().find(|(upto, _)| point < *upto);
                (&found.unwrap_or(&picks[picks.len() - 1]).1, 0)
            }
            Compiled::ByPrefix {
                bits_v4,
                bits_v6,
                candidates,
            } => {
                let bits = if address.is_v4 { *bits_v4 } else { *bits_v6 };
                (rendezvous(candidates, address.bits, bits), bits)
            }
        }
    }

    /// Every alias that some client may get.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = &Alias> {
        let picks = self.choices.iter().flat_map(|choice| -> Vec<&Pick> {
            match choice {
                Compiled::One(pick) => vec![pick],
                Compiled::Weighted { picks, .. } => picks.iter().map(|(_, pick)| pick).collect(),
                Compiled::ByPrefix { candidates, .. } => {
                    candidates.iter().map(|candidate| &candidate.pick).collect()
                }
            }
        });
        picks.filter_map(|pick| match pick {
            Pick::Alias(alias) => Some(alias.as_ref()),
            _ => None,
        })
    }
}

/// `entropy` as a number below `total`, evenly.
fn scale(entropy: u64, total: u64) -> u64 {
    ((u128::from(entropy) * u128::from(total)) >> 64) as u64
}

/// Weighted rendezvous hashing: the candidate with the greatest `weight / -ln(hash)`.
fn rendezvous(candidates: &[Candidate], prefix: u128, bits: u8) -> &Pick {
    let masked = prefix & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    let seed = mix((masked >> 64) as u64 ^ mix(masked as u64));
    let mut best = (f64::NEG_INFINITY, 0);
    for (index, candidate) in candidates.iter().enumerate() {
        let score = candidate.weight / minus_log2(mix(seed ^ candidate.key));
        if score > best.0 {
            best = (score, index);
        }
    }
    &candidates[best.1].pick
}

/// A bijection that spreads every bit (the finalizer of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 30;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 27;
    bits = bits.wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// `-log2((bits + ½) / 2⁶⁴)`, from additions and multiplications only, so that replicas on
/// different machines agree to the last bit. Off by less than 0.00002.
fn minus_log2(bits: u64) -> f64 {
    // 53 bits, made odd so that the result is never 0.
    let odd = bits >> 11 | 1;
    let exponent = 63 - odd.leading_zeros();
    // The mantissa, between 1 and 2.
    let mantissa = odd as f64 / (1u64 << exponent) as f64;
    let x = mantissa - 1.0;
    // A fit of log2(1 + x) that is exact at both ends.
    let log = x + x * (1.0 - x) * (0.441_836 + x * (-0.266_536 + x * (0.147_019 - 0.044_244 * x)));
    f64::from(53 - exponent) - log
}

/// What many names have alike is kept once: in the cache for all of them, when one is asked for.
#[derive(Default)]
pub(crate) struct Interned {
    /// Encoded answers by their bytes.
    answers: HashMap<SmallVec<[u8; 48]>, Arc<Encoded>>,
    /// Which view has which choice.
    by_view: HashSet<Arc<[u16]>>,
}

/// Compiles a steered name in the zone at `origin`; says what is wrong with it otherwise.
pub(crate) fn compile(
    steered: &Steered,
    origin: &Name,
    interned: &mut Interned,
) -> Result<Steering, String> {
    let mut sets: BTreeMap<RecordType, Set> = BTreeMap::new();
    for records in &steered.records {
        let record_type = records.record_type;
        let set = compile_set(records, steered.views.view_count(), origin, interned)
            .map_err(|problem| format!("{record_type}: {problem}"))?;
        if sets.insert(record_type, set).is_some() {
            return Err(format!("{record_type} is given twice"));
        }
    }
    if sets.is_empty() {
        return Err("it has no record type: give A or AAAA".to_owned());
    }
    let may_alias = sets.values().any(|set| set.aliases().next().is_some());
    Ok(Steering {
        views: Arc::clone(&steered.views),
        sets: sets.into_iter().collect(),
        freshness: steered.freshness,
        may_alias,
        asked_secs: AtomicU32::new(0),
    })
}

fn compile_set(
    records: &SteeredRecords,
    view_count: usize,
    origin: &Name,
    interned: &mut Interned,
) -> Result<Set, String> {
    let record_type = records.record_type;
    if !record_type.is_data()
        || matches!(
            record_type,
            RecordType::CNAME | RecordType::SOA | RecordType::NS | RecordType::DNAME
        )
    {
        return Err("this type cannot be steered".to_owned());
    }
    if records.by_view.len() < view_count {
        let given = records.by_view.len();
        return Err(format!("{given} choices for {view_count} views"));
    }
    if records
        .by_view
        .iter()
        .any(|index| usize::from(*index) >= records.choices.len())
    {
        return Err("a view's choice does not exist".to_owned());
    }
    let choices = records
        .choices
        .iter()
        .map(|choice| compile_choice(choice, record_type, origin, interned))
        .collect::<Result<_, _>>()?;
    if !interned.by_view.contains(&records.by_view) {
        interned.by_view.insert(Arc::clone(&records.by_view));
    }
    let by_view = interned.by_view.get(&records.by_view);
    let by_view = Arc::clone(by_view.unwrap_or(&records.by_view));
    Ok(Set { by_view, choices })
}

fn compile_choice(
    choice: &Choice,
    record_type: RecordType,
    origin: &Name,
    interned: &mut Interned,
) -> Result<Compiled, String> {
    let mut pick = |answer: &Answer| compile_answer(answer, record_type, origin, interned);
    match choice {
        Choice::One(answer) => Ok(Compiled::One(pick(answer)?)),
        Choice::Weighted(shares) => {
            let mut total = 0;
            let mut picks = Vec::new();
            for share in live(shares)? {
                total += u64::from(share.weight);
                picks.push((total, pick(&share.answer)?));
            }
            Ok(Compiled::Weighted {
                total,
                picks: picks.into(),
            })
        }
        Choice::ByPrefix {
            bits_v4,
            bits_v6,
            shares,
        } => {
            if *bits_v4 > 32 || *bits_v6 > 128 {
                return Err("a prefix length is longer than an address".to_owned());
            }
            let candidates = live(shares)?
                .into_iter()
                .map(|share| {
                    let key = key(&share.answer.content);
                    let weight = f64::from(share.weight);
                    Ok(Candidate {
                        key,
                        weight,
                        pick: pick(&share.answer)?,
                    })
                })
                .collect::<Result<_, String>>()?;
            Ok(Compiled::ByPrefix {
                bits_v4: *bits_v4,
                bits_v6: *bits_v6,
                candidates,
            })
        }
    }
}

/// The shares that can be chosen.
fn live(shares: &[Share]) -> Result<Vec<&Share>, String> {
    if shares.len() > SHARES_MAX {
        return Err(format!("more than {SHARES_MAX} answers to choose from"));
    }
    let live: Vec<_> = shares.iter().filter(|share| share.weight > 0).collect();
    if live.is_empty() {
        return Err("no answer with a weight above 0".to_owned());
    }
    Ok(live)
}

/// What an answer says, as a number; its TTL does not count.
fn key(content: &Content) -> u64 {
    let fold = |state: u64, bytes: &[u8]| {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let state = chunks
            .iter()
            .fold(state, |s, chunk| mix(s ^ u64::from_be_bytes(*chunk)));
        let mut tail = [0; 8];
        tail[..rest.len()].copy_from_slice(rest);
        mix(state ^ u64::from_be_bytes(tail) ^ (bytes.len() as u64) << 56)
    };
    match content {
        Content::Addresses(addresses) => addresses.iter().fold(1, |state, address| match address {
            IpAddr::V4(v4) => fold(state, &v4.octets()),
            IpAddr::V6(v6) => fold(state, &v6.octets()),
        }),
        Content::Records(records) => records.iter().fold(2, |state, data| fold(state, data)),
        Content::Alias(target) => fold(3, target.wire()),
        Content::NoData => 4,
        Content::NothingHealthy => 5,
    }
}

fn compile_answer(
    answer: &Answer,
    record_type: RecordType,
    origin: &Name,
    interned: &mut Interned,
) -> Result<Pick, String> {
    let ttl_secs = answer.ttl_secs;
    let long = |TooLong| "an answer is too long".to_owned();
    let data: Vec<Box<[u8]>> = match &answer.content {
        Content::NoData => return Ok(Pick::NoData { ttl_secs }),
        Content::NothingHealthy => return Ok(Pick::NothingHealthy { ttl_secs }),
        Content::Alias(target) => {
            let alias = compile_alias(origin, ttl_secs, target.wire()).map_err(long)?;
            return Ok(Pick::Alias(Arc::new(alias)));
        }
        Content::Records(records) => records.clone(),
        Content::Addresses(addresses) => addresses
            .iter()
            .map(|address| match (address, record_type) {
                (IpAddr::V4(v4), RecordType::A) => Ok(v4.octets().into()),
                (IpAddr::V6(v6), RecordType::AAAA) => Ok(v6.octets().into()),
                _ => Err(format!("{address} is no address of this type")),
            })
            .collect::<Result<_, _>>()?,
    };
    if data.is_empty() || data.len() > ANSWER_RECORDS_MAX {
        let count = data.len();
        return Err(format!(
            "an answer with {count} records: 1 to {ANSWER_RECORDS_MAX} can be"
        ));
    }
    let mut encoder = Encoder::new(origin);
    for data in &data {
        encoder
            .record(Section::Answer, Owner::Asked, record_type, ttl_secs, data)
            .map_err(long)?;
    }
    let encoded = encoder.finish();
    // Only encodings without pointers of their own are the same for every zone.
    if !encoded.pointers.is_empty() {
        return Ok(Pick::Records(Arc::new(encoded)));
    }
    let known = interned
        .answers
        .entry(encoded.bytes.clone())
        .or_insert_with(|| Arc::new(encoded));
    Ok(Pick::Records(Arc::clone(known)))
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
