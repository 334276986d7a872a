//! Signed queries and replies (RFC 8945). The codes are hickory-proto's; this is their place in
//! messages.
//!
//! | what is wrong | reply (§ 5.2) |
//! |---|---|
//! | there are several, or one stands elsewhere than last, or its code is too long or too short | FORMERR |
//! | nobody knows the key, or its algorithm | NOTAUTH, BADKEY, unsigned |
//! | the code is another | NOTAUTH, BADSIG, unsigned |
//! | the clocks differ by more than the fudge | NOTAUTH, BADTIME, signed, with our time |
//! | the code is right but cut, which this server does not take | NOTAUTH, BADTRUNC, signed |
//!
//! In this order: who does not have the key learns nothing of clocks and policies.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;

use crate::error::Error;
use crate::name::Name;
use crate::query::{HEADER_BYTES, skip_name};
use crate::record::name_length;

/// How far clocks may differ (RFC 8945 § 10).
const FUDGE_SECS: u16 = 300;
/// The type and class of a signature.
pub(crate) const TYPE_TSIG: u16 = 250;
const CLASS_ANY: u16 = 255;
/// The longest signature besides its two names: fixed fields, a code of SHA-512, our time.
const FIXED_BYTES_MAX: usize = 10 + 16 + 64 + 6;
/// The longest name of a key: a datagram has room for it beside a question.
const NAME_BYTES_MAX: usize = 64;
/// The shortest secret that is taken: half of what RFC 8945 § 8 recommends.
const SECRET_BYTES_MIN: usize = 16;

/// A secret that two hosts share.
#[derive(Clone)]
pub struct Key {
    name: Name,
    algorithm: Name,
    signer: TSigner,
    /// How long its codes are.
    mac_bytes: usize,
}

impl Key {
    /// Reads `algorithm:secret`, as `kdig -y` takes it: the algorithm is `hmac-sha256`,
    /// `hmac-sha384` or `hmac-sha512`, the secret is in base64.
    ///
    /// # Errors
    /// `Error::Key` with what is wrong; never with the secret.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let refuse = |problem| Error::Key {
            name: name.to_owned(),
            problem,
        };
        let own = Name::parse(name)?;
        if own.wire().len() > NAME_BYTES_MAX {
            return Err(refuse(
                "its name is longer than 64 bytes: signatures would leave no room",
            ));
        }
        let (algorithm, secret) = text
            .trim()
            .split_once(':')
            .ok_or_else(|| refuse("write it as hmac-sha256:SECRET, the secret in base64"))?;
        let lower = algorithm.trim().to_ascii_lowercase();
        let (known, mac_bytes) = match lower.as_str() {
            "hmac-sha256" => (TsigAlgorithm::HmacSha256, 32),
            "hmac-sha384" => (TsigAlgorithm::HmacSha384, 48),
            "hmac-sha512" => (TsigAlgorithm::HmacSha512, 64),
            _ => {
                return Err(refuse(
                    "its algorithm is not hmac-sha256, -sha384 or -sha512",
                ));
            }
        };
        let secret = STANDARD
            .decode(secret.trim())
            .map_err(|_| refuse("its secret is not in base64"))?;
        if secret.len() < SECRET_BYTES_MIN {
            return Err(refuse(
                "its secret has less than 16 bytes: make one with keymgr -t",
            ));
        }
        let theirs = hickory_proto::rr::Name::from_str(&own.to_string())
            .map_err(|_| refuse("its name is no domain name"))?;
        let signer = TSigner::new(secret, known, theirs, FUDGE_SECS)
            .map_err(|_| refuse("its algorithm is not supported"))?;
        Ok(Self {
            name: own,
            algorithm: Name::parse(&lower)?,
            signer,
            mac_bytes,
        })
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether `mac` is the code of `covered`, or its first bytes (RFC 8945 § 5.2.2). How long it takes does not tell
    /// where it differs.
    fn holds(&self, covered: &[u8], mac: &[u8]) -> bool {
        if mac.len() == self.mac_bytes {
            return self.signer.verify(covered, mac).is_ok();
        }
        let Ok(whole) = self.signer.sign(covered) else {
            return false;
        };
        let pairs = mac.iter().zip(&whole);
        pairs.fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
    }

    /// How many bytes a signature takes at most.
    pub(crate) fn bytes_max(&self) -> usize {
        self.name.wire().len() + self.algorithm.wire().len() + FIXED_BYTES_MAX
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Key({})", self.name)
    }
}

/// The keys that a server knows.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// These.
    pub fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// The key of a name.
    pub fn get(&self, name: &Name) -> Option<&Key> {
        self.0.iter().find(|key| key.name == *name)
    }
}

/// A signed query whose signature holds.
pub(crate) struct Verified {
    pub(crate) key: Name,
    /// The query without its signature.
    pub(crate) query: Vec<u8>,
    /// Replies are signed after this.
    pub(crate) signing: Signing,
}

/// Why a signature does not hold.
pub(crate) enum Refusal {
    /// It is not where a signature stands, or not one.
    Malformed,
    /// The last record is said to be one, but is not.
    Unsigned(Box<Unsigned>),
    /// It is of who has the key, but the clocks differ.
    Late(Box<Signing>),
    /// It is of who has the key, but cut.
    Cut(Box<Signing>),
}

/// A reply to what cannot be believed.
pub(crate) struct Unsigned {
    key: Name,
    algorithm: Name,
    id: [u8; 2],
    error: u16,
}

const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
const BADTRUNC: u16 = 22;
/// No code is cut to less (RFC 8945 § 5.2.2.1).
const MAC_BYTES_MIN: usize = 10;

/// Looks at the signature that ends a query.
pub(crate) fn verify(query: &[u8], keys: &Keys, now_secs: u32) -> Result<Verified, Refusal> {
    let signature = find(query).ok_or(Refusal::Malformed)?;
    let unsigned = |error| {
        Refusal::Unsigned(Box::new(Unsigned {
            key: signature.key.clone(),
            algorithm: signature.algorithm.clone(),
            id: [query[0], query[1]],
            error,
        }))
    };
    let key = keys
        .get(&signature.key)
        .filter(|key| key.algorithm == signature.algorithm)
        .ok_or_else(|| unsigned(BADKEY))?;
    let whole = key.mac_bytes;
    let length = signature.mac.len();
    if length > whole || length < MAC_BYTES_MIN.max(whole / 2) {
        return Err(Refusal::Malformed);
    }
    // What the records say does not matter here: a signature may hold for a message that is malformed.
    let covered = signature.covered(query);
    if !key.holds(&covered, signature.mac) {
        return Err(unsigned(BADSIG));
    }
    let signing = Signing {
        key: key.clone(),
        before: signature.mac.to_vec(),
        first: true,
        id: [query[0], query[1]],
        asked: signature.time,
    };
    let apart = u64::from(now_secs).abs_diff(signature.time);
    if apart > u64::from(signature.fudge) {
        return Err(Refusal::Late(Box::new(signing)));
    }
    if length < whole {
        return Err(Refusal::Cut(Box::new(signing)));
    }
    Ok(Verified {
        key: key.name.clone(),
        query: signature.without(query),
        signing,
    })
}

/// Where a signature stands and whose it is.
struct Signature<'q> {
    start: usize,
    key: Name,
    algorithm: Name,
    time: u64,
    fudge: u16,
    mac: &'q [u8],
    /// The identifier that was signed; forwarders change the message's.
    id: [u8; 2],
    error: [u8; 2],
    other: &'q [u8],
}

impl<'q> Signature<'q> {
    /// Its fields, which fill the data (RFC 8945 § 4.2).
    fn read(start: usize, key: Name, data: &'q [u8]) -> Option<Self> {
        let (algorithm, rest) = data.split_at_checked(name_length(data)?)?;
        let (time, rest) = rest.split_first_chunk::<6>()?;
        let (fudge, rest) = rest.split_first_chunk::<2>()?;
        let (size, rest) = rest.split_first_chunk::<2>()?;
        let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        let (id, rest) = rest.split_first_chunk::<2>()?;
        let (error, rest) = rest.split_first_chunk::<2>()?;
        let (size, other) = rest.split_first_chunk::<2>()?;
        let whole = other.len() == usize::from(u16::from_be_bytes(*size));
        whole.then_some(Self {
            start,
            key,
            algorithm: Name::from_wire(algorithm).ok()?,
            time: time
                .iter()
                .fold(0, |time, byte| time << 8 | u64::from(*byte)),
            fudge: u16::from_be_bytes(*fudge),
            mac,
            id: *id,
            error: *error,
            other,
        })
    }

    /// The message as it was before the signature was added.
    fn without(&self, message: &[u8]) -> Vec<u8> {
        let mut bare = message[..self.start].to_vec();
        let additional = u16::from_be_bytes([message[10], message[11]]) - 1;
        bare[10..12].copy_from_slice(&additional.to_be_bytes());
        bare
    }

    /// What it is the code of (RFC 8945 § 4.3).
    fn covered(&self, message: &[u8]) -> Vec<u8> {
        let mut covered = self.without(message);
        covered[..2].copy_from_slice(&self.id);
        covered.extend(self.key.wire());
        covered.extend(CLASS_ANY.to_be_bytes());
        covered.extend([0; 4]);
        covered.extend(self.algorithm.wire());
        covered.extend(&self.time.to_be_bytes()[2..]);
        covered.extend(self.fudge.to_be_bytes());
        covered.extend(self.error);
        covered.extend((self.other.len() as u16).to_be_bytes());
        covered.extend(self.other);
        covered
    }
}

/// The last record of a message, which is a signature.
fn find(message: &[u8]) -> Option<Signature<'_>> {
    let count = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let mut at = HEADER_BYTES;
    for _ in 0..count(4)? {
        at += skip_name(message.get(at..)?)? + 4;
    }
    // It is one of the additional records (RFC 8945 § 5.1), so there is one.
    let additional = count(10).filter(|count| *count > 0)?;
    let records = u32::from(count(6)?) + u32::from(count(8)?) + u32::from(additional);
    for index in 1..=records {
        let start = at;
        let rest = message.get(at..)?;
        let owner = skip_name(rest)?;
        let fixed: &[u8; 10] = rest.get(owner..)?.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = rest.get(owner + 10..owner + 10 + length)?;
        at += owner + 10 + length;
        // One, and the last (RFC 8945 § 5.1).
        let is_signature = u16::from_be_bytes([fixed[0], fixed[1]]) == TYPE_TSIG;
        if is_signature != (index == records) {
            return None;
        }
        if is_signature {
            if at != message.len() {
                return None;
            }
            // One that is compressed is no name that we know.
            let key = Name::from_wire(&rest[..owner]).unwrap_or_else(|_| Name::root());
            return Signature::read(start, key, data);
        }
    }
    None
}

/// Signs the messages of one exchange, each after the one before (RFC 8945 § 5.3).
#[derive(Debug, Clone)]
pub(crate) struct Signing {
    key: Key,
    before: Vec<u8>,
    first: bool,
    id: [u8; 2],
    /// The time of the query.
    asked: u64,
}

impl Signing {
    /// For a query that we make ourselves.
    pub(crate) fn query(key: &Key, id: [u8; 2]) -> Self {
        Self {
            key: key.clone(),
            before: Vec::new(),
            first: true,
            id,
            asked: 0,
        }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.key.bytes_max()
    }

    /// Appends the signature of the message that is the first `len` bytes of `out`; the new length.
    pub(crate) fn sign(&mut self, out: &mut [u8], len: usize, now_secs: u32) -> usize {
        self.append(out, len, u64::from(now_secs), 0, &[])
    }

    /// The same with the error that the query's code is cut.
    pub(crate) fn sign_cut(&mut self, out: &mut [u8], len: usize, now_secs: u32) -> usize {
        self.append(out, len, u64::from(now_secs), BADTRUNC, &[])
    }

    /// The same with the error that the clocks differ: at the query's time, and with ours.
    pub(crate) fn sign_late(&mut self, out: &mut [u8], len: usize, now_secs: u32) -> usize {
        let ours = u64::from(now_secs).to_be_bytes();
        self.append(out, len, self.asked, BADTIME, &ours[2..])
    }

    fn append(&mut self, out: &mut [u8], len: usize, time: u64, error: u16, other: &[u8]) -> usize {
        let mut covered = Vec::with_capacity(self.before.len() + len + self.bytes_max());
        if !self.before.is_empty() {
            covered.extend((self.before.len() as u16).to_be_bytes());
            covered.extend(&self.before);
        }
        covered.extend(&out[..len]);
        let timers = [&time.to_be_bytes()[2..], &FUDGE_SECS.to_be_bytes()].concat();
        if self.first {
            covered.extend(self.key.name.wire());
            covered.extend(CLASS_ANY.to_be_bytes());
            covered.extend([0; 4]);
            covered.extend(self.key.algorithm.wire());
            covered.extend(&timers);
            covered.extend(error.to_be_bytes());
            covered.extend((other.len() as u16).to_be_bytes());
            covered.extend(other);
        } else {
            covered.extend(&timers);
        }
        let mac = self.key.signer.sign(&covered);
        let mac = mac.expect("the algorithm was checked with the key");
        let signature = Fields {
            key: &self.key.name,
            algorithm: &self.key.algorithm,
            timers: &timers,
            mac: &mac,
            id: self.id,
            error,
            other,
        };
        let len = signature.append(out, len);
        self.before = mac;
        self.first = false;
        len
    }
}

impl Unsigned {
    pub(crate) fn bytes_max(&self) -> usize {
        self.key.wire().len() + self.algorithm.wire().len() + FIXED_BYTES_MAX
    }

    /// Appends a signature without a code, which says what is wrong (RFC 8945 § 5.3.2).
    pub(crate) fn append(&self, out: &mut [u8], len: usize, now_secs: u32) -> usize {
        let time = u64::from(now_secs).to_be_bytes();
        let timers = [&time[2..], &FUDGE_SECS.to_be_bytes()].concat();
        let signature = Fields {
            key: &self.key,
            algorithm: &self.algorithm,
            timers: &timers,
            mac: &[],
            id: self.id,
            error: self.error,
            other: &[],
        };
        signature.append(out, len)
    }
}

/// A signature's parts (RFC 8945 § 4.2).
struct Fields<'f> {
    key: &'f Name,
    algorithm: &'f Name,
    timers: &'f [u8],
    mac: &'f [u8],
    id: [u8; 2],
    error: u16,
    other: &'f [u8],
}

impl Fields<'_> {
    /// Appends the record and counts it.
    fn append(&self, out: &mut [u8], len: usize) -> usize {
        let mut data = self.algorithm.wire().to_vec();
        data.extend(self.timers);
        data.extend((self.mac.len() as u16).to_be_bytes());
        data.extend(self.mac);
        data.extend(self.id);
        data.extend(self.error.to_be_bytes());
        data.extend((self.other.len() as u16).to_be_bytes());
        data.extend(self.other);
        let mut record = self.key.wire().to_vec();
        record.extend(TYPE_TSIG.to_be_bytes());
        record.extend(CLASS_ANY.to_be_bytes());
        record.extend([0; 4]);
        record.extend((data.len() as u16).to_be_bytes());
        record.extend(data);
        out[len..len + record.len()].copy_from_slice(&record);
        let additional = u16::from_be_bytes([out[10], out[11]]) + 1;
        out[10..12].copy_from_slice(&additional.to_be_bytes());
        len + record.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_kdig_takes_it_and_never_printed() {
        let key = Key::parse("k.example", "HMAC-SHA256:AAAAAAAAAAAAAAAAAAAAAA==").unwrap();
        assert_eq!(format!("{key:?}"), "Key(k.example.)");
        for (text, problem) in [
            ("AAAA", "write it as"),
            ("hmac-md5:AAAA", "algorithm"),
            ("hmac-sha256:???", "base64"),
            ("hmac-sha256:AAAA", "16 bytes"),
        ] {
            let error = Key::parse("k", text).unwrap_err().to_string();
            assert!(
                error.contains(problem) && !error.contains("AAAA"),
                "{error}"
            );
        }
    }
}
