//! What a cluster keeps in a folder, so that it survives a restart.
//!
//! | file | what it holds |
//! |---|---|
//! | `identity.json` | the certificate authority, the keys of tokens, the port |
//! | `journal` | all objects and their versions: a snapshot, then changes |
//! | `lock` | nothing; locked by the process that has the folder |
//!
//! Versions, uids, certificates and tokens are the same after a restart. Watches resume from
//! versions that the journal holds changes from; from older ones they get 410.

use crate::certificates::{Authority, AuthorityPem};
use crate::chance::Chance;
use crate::error::Error;
use crate::store::{Durability, Settings, Store};
use crate::tokens::Tokens;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Version of the format of `identity.json`.
const FORMAT: u32 = 1;

/// As etcd has it by default (`--quota-backend-bytes`).
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Where a fleet keeps what survives a restart.
#[derive(Debug, Clone)]
pub struct DataOptions {
    /// The folder; each cluster has one of its name in it.
    pub folder: PathBuf,
    /// What a write survives.
    pub durability: Durability,
    /// Bytes that each cluster may keep: from there on only deletions are taken, and other writes
    /// are answered as when etcd has no space.
    pub bytes_max: u64,
}

impl DataOptions {
    /// A folder, with the bound that etcd has and writes that survive the process.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            durability: Durability::default(),
            bytes_max: BYTES_MAX,
        }
    }
}

/// What a cluster on a socket starts from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) authority: Authority,
    pub(crate) tokens: Tokens,
    pub(crate) store: Store,
    pub(crate) chance: Chance,
    /// Held as long as the cluster lives.
    pub(crate) lock: Option<File>,
}

/// A cluster's folder, locked.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    settings: Settings,
    identity: Option<Identity>,
    lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    format: u32,
    port: u16,
    authority: AuthorityPem,
    admin_token: String,
    token_key: String,
}

impl Origin {
    /// Of a cluster that begins anew and keeps nothing.
    pub(crate) fn new(name: &str, seed: Option<u64>, events_kept: usize) -> Result<Self, Error> {
        let chance = Chance::new(seed);
        Ok(Self {
            authority: Authority::new(name)?,
            tokens: Tokens::new(&chance),
            store: Store::new(events_kept),
            chance,
            lock: None,
        })
    }
}

impl Home {
    /// Takes a cluster's folder, made when absent.
    pub(crate) fn open(options: &DataOptions, cluster: &str) -> Result<Self, Error> {
        let folder = options.folder.join(cluster);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| Error::Write { path, cause }
        };
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = "another process has it".to_owned();
                return Err(Error::Data { path: folder, why });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(&path)(cause)),
        }
        Ok(Self {
            identity: Identity::read(&folder.join("identity.json"))?,
            settings: Settings {
                path: folder.join("journal"),
                durability: options.durability,
                bytes_max: options.bytes_max,
            },
            folder,
            lock,
        })
    }

    /// The port that the cluster had; 0 when it has had none.
    pub(crate) fn port(&self) -> u16 {
        self.identity.as_ref().map_or(0, |identity| identity.port)
    }

    /// What the cluster starts from, which from now on is the same at every start.
    pub(crate) fn origin(
        self,
        name: &str,
        (seed, events_kept): (Option<u64>, usize),
        port: u16,
    ) -> Result<Origin, Error> {
        let store = Store::open(&self.settings, events_kept)?;
        // A seed must not draw the uids again that it drew before.
        let passed = store.version() - Store::new(1).version();
        let chance = Chance::new(seed.map(|seed| seed.wrapping_add(passed)));
        let path = self.folder.join("identity.json");
        let (authority, tokens) = match &self.identity {
            Some(identity) => identity.restored(name, &path)?,
            None => (Authority::new(name)?, Tokens::new(&chance)),
        };
        Identity::of(&authority, &tokens, port).write(&path)?;
        Ok(Origin {
            authority,
            tokens,
            store,
            chance,
            lock: Some(self.lock),
        })
    }
}

impl Identity {
    fn of(authority: &Authority, tokens: &Tokens, port: u16) -> Self {
        Self {
            format: FORMAT,
            port,
            authority: authority.to_pem(),
            admin_token: tokens.admin().to_owned(),
            token_key: STANDARD.encode(tokens.key()),
        }
    }

    fn read(path: &Path) -> Result<Option<Self>, Error> {
        let damaged = |why: String| Error::Data {
            path: path.to_owned(),
            why,
        };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(damaged(cause.to_string())),
        };
        let identity: Self =
            serde_json::from_slice(&text).map_err(|cause| damaged(cause.to_string()))?;
        match identity.format {
            FORMAT => Ok(Some(identity)),
            other => Err(damaged(format!(
                "its format is {other}, and this version reads {FORMAT}"
            ))),
        }
    }

    fn restored(&self, name: &str, path: &Path) -> Result<(Authority, Tokens), Error> {
        let key = STANDARD.decode(&self.token_key).ok();
        let Some(key) = key.and_then(|key| key.try_into().ok()) else {
            return Err(Error::Data {
                path: path.to_owned(),
                why: "tokenKey is not 32 bytes in base64".to_owned(),
            });
        };
        let authority = Authority::restored(name, &self.authority)?;
        Ok((authority, Tokens::restored(&self.admin_token, key)))
    }

    /// Writes it whole or not at all.
    fn write(&self, path: &Path) -> Result<(), Error> {
        let beside = path.with_extension("new");
        let text = serde_json::to_string_pretty(self).expect("plain texts and numbers encode");
        crate::fleet::write_private(&beside, &text)?;
        std::fs::rename(&beside, path).map_err(|cause| Error::Write {
            path: path.to_owned(),
            cause,
        })
    }
}
