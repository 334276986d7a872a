//! ACME challenges, as the host keeps them: one Secret that every replica reads, and that a replica
//! writes when somebody with a key asks for it (RFC 2136).
//!
//! # Guarantees
//! What was written is in the host when `write` says so, and never over what somebody else wrote
//! meanwhile: versions are compared. Which replica is asked does not matter, nor who leads.
//! # Assumptions
//! Nobody else writes the Secret; who does, with a greater `revision`, is believed.
//! # Caveats
//! It is a Secret because a Role lets replicas write these already; what is in it anybody may know.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::watcher::{self, Config};
use kube::{Api, Client, ResourceExt};
use steering::{ChallengeSpec, Challenges, Event};
use tokio::time::timeout;

use super::feed::{Said, SaidStream};
use super::watched::objects;
use crate::Error;

/// The Secret's name, in the system namespace.
pub const CHALLENGES_SECRET_NAME: &str = "meridian-dns-challenges";
const SECRET_TYPE: &str = "gslb.meridian.dev/dns-challenges";
/// The entry that counts changes; no challenge has this name.
const REVISION: &str = "revision";
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// The host's challenges, for who changes them.
#[derive(Clone)]
pub struct ChallengeStore {
    secrets: Api<Secret>,
}

/// What the host holds, as it was read.
pub struct Kept {
    /// The challenges.
    pub challenges: Challenges,
    /// The Secret that holds them, if there is one.
    secret: Option<Secret>,
}

/// Whether it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the host.
    Written,
    /// Somebody else wrote first: read again.
    Conflict,
}

impl ChallengeStore {
    /// Those of this host.
    pub fn new(client: Client, system_namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client, system_namespace),
        }
    }

    /// What the host holds now.
    ///
    /// # Errors
    /// When the host does not answer in time, or refuses.
    pub async fn read(&self) -> Result<Kept, Error> {
        let found = timeout(DEADLINE, self.secrets.get_opt(CHALLENGES_SECRET_NAME)).await;
        let secret = found.map_err(|_| Error::HostTimedOut)??;
        Ok(Kept {
            challenges: secret.as_ref().map(read).unwrap_or_default(),
            secret,
        })
    }

    /// Has the host hold these in place of what was read.
    ///
    /// # Errors
    /// When the host does not answer in time, or refuses.
    pub async fn write(&self, kept: Kept, challenges: &Challenges) -> Result<Outcome, Error> {
        let parameters = PostParams::default();
        let mut secret = Secret {
            metadata: ObjectMeta {
                name: Some(CHALLENGES_SECRET_NAME.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(data(challenges)),
            ..Secret::default()
        };
        let written = match kept.secret {
            Some(found) => {
                // With its version: the host compares.
                secret.metadata = found.metadata;
                secret.type_ = found.type_;
                let name = secret.name_any();
                timeout(DEADLINE, self.secrets.replace(&name, &parameters, &secret)).await
            }
            None => timeout(DEADLINE, self.secrets.create(&parameters, &secret)).await,
        };
        match written.map_err(|_| Error::HostTimedOut)? {
            Ok(_) => Ok(Outcome::Written),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Outcome::Conflict),
            Err(why) => Err(why.into()),
        }
    }
}

/// The challenges that the host keeps; none when it has no such Secret.
pub(super) fn challenges(client: Client, system_namespace: &str) -> SaidStream {
    let api = Api::<Secret>::namespaced(client, system_namespace);
    let one = Config::default().fields(&format!("metadata.name={CHALLENGES_SECRET_NAME}"));
    let mut listed = Challenges::default();
    let said = objects(api, one).flat_map(move |event| {
        let tell = |challenges| Said::Event(Event::Challenges(challenges));
        let said = match event {
            watcher::Event::Init => {
                listed = Challenges::default();
                Vec::new()
            }
            watcher::Event::InitApply(secret) => {
                listed = read(&secret);
                Vec::new()
            }
            watcher::Event::InitDone => vec![tell(std::mem::take(&mut listed)), Said::Listed],
            watcher::Event::Apply(secret) => vec![tell(read(&secret))],
            watcher::Event::Delete(_) => vec![tell(Challenges::default())],
        };
        stream::iter(said)
    });
    Box::pin(said)
}

/// What a Secret holds; lines that do not read are left out.
pub(crate) fn read(secret: &Secret) -> Challenges {
    let mut challenges = Challenges::default();
    for (name, value) in secret.data.iter().flatten() {
        let Ok(text) = std::str::from_utf8(&value.0) else {
            continue;
        };
        if name == REVISION {
            challenges.revision = text.trim().parse().unwrap_or(0);
            continue;
        }
        let mut spec = ChallengeSpec::default();
        for (ttl_secs, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            if let Ok(ttl_secs) = ttl_secs.parse() {
                spec.ttl_secs = ttl_secs;
                spec.values.insert(value.to_owned());
            }
        }
        if !spec.values.is_empty() {
            challenges.names.insert(name.clone(), spec);
        }
    }
    challenges
}

/// By name, a line for each record: its TTL and its text.
fn data(challenges: &Challenges) -> BTreeMap<String, ByteString> {
    let lines = |spec: &ChallengeSpec| {
        let lines = spec.values.iter();
        let lines = lines.map(|value| format!("{} {value}\n", spec.ttl_secs));
        ByteString(lines.collect::<String>().into_bytes())
    };
    let names = challenges.names.iter();
    let mut data: BTreeMap<_, _> = names.map(|(name, it)| (name.clone(), lines(it))).collect();
    let revision = challenges.revision.to_string();
    data.insert(REVISION.to_owned(), ByteString(revision.into_bytes()));
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_they_were_written_and_what_is_no_challenge_is_not() {
        let spec = ChallengeSpec {
            ttl_secs: 60,
            values: ["a".to_owned(), "b".to_owned()].into(),
        };
        let name = "_acme-challenge.shop.example.org".to_owned();
        let challenges = Challenges {
            revision: 7,
            names: BTreeMap::from([(name, spec)]),
        };
        let mut secret = Secret {
            data: Some(data(&challenges)),
            ..Secret::default()
        };
        assert_eq!(read(&secret), challenges);
        let data = secret.data.as_mut().unwrap();
        data.insert("other".to_owned(), ByteString(b"text\n".to_vec()));
        assert_eq!(read(&secret), challenges);
        assert_eq!(read(&Secret::default()), Challenges::default());
    }
}
