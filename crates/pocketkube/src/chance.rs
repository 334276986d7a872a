//! The only source of randomness: from the system, or from a seed so that a run replays.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// Letters and digits of generated names: no vowels, so that no word appears
/// (`k8s.io/apimachinery/pkg/util/rand`).
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Letters and digits of secrets.
const SECRET_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Makes uids, name suffixes and secrets.
#[derive(Debug)]
pub struct Chance {
    source: Mutex<StdRng>,
}

impl Chance {
    /// From a seed, or from the system's entropy without one.
    pub fn new(seed: Option<u64>) -> Self {
        let source = match seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => StdRng::from_seed(system_seed()),
        };
        Self {
            source: Mutex::new(source),
        }
    }

    /// A version 4 uid.
    pub fn uid(&self) -> String {
        uuid::Builder::from_random_bytes(self.bytes())
            .into_uuid()
            .to_string()
    }

    /// What the server appends to `generateName`: five characters.
    pub fn name_suffix(&self) -> String {
        self.text(NAME_ALPHABET, 5)
    }

    /// A secret of `length` characters.
    pub fn secret(&self, length: usize) -> String {
        self.text(SECRET_ALPHABET, length)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random_range(0..bound)
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(&mut bytes);
        bytes
    }

    fn text(&self, alphabet: &[u8], length: usize) -> String {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        (0..length)
            .map(|_| char::from(alphabet[source.random_range(0..alphabet.len())]))
            .collect()
    }
}

/// Two version 4 uuids: 244 bits of the system's entropy.
fn system_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    seed[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    seed
}
