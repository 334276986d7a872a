//! The keys of DNS cookies: one Secret that every DNS replica reads, rolled over by the leader.
//!
//! A cookie that one replica gave is good at all of them (RFC 9018 § 2), also behind one address,
//! and after a restart. Keys go round in steps, so that no client meets a replica that does not
//! know its key (§ 5):
//!
//! | stage | makes cookies with | accepts besides |
//! |---|---|---|
//! | serving, a week | A | the one before A |
//! | announced, an hour | A | B |
//! | serving, a week | B | A |

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use crate::Error;
use crate::context::Context;
use crate::kept_secret::{self, look_while_leading};

/// The Secret's name, in the system namespace.
pub const COOKIE_SECRET_NAME: &str = "meridian-dns-cookies";
const SECRET_TYPE: &str = "gslb.meridian.dev/dns-cookies";

/// How long one key makes the cookies. RFC 9018 § 5 asks for less than 36 days.
const SERVING_SECS: u64 = 7 * 24 * 3600;
/// How long a key is known before it makes cookies: every replica that is reached has it by then.
const ANNOUNCED_SECS: u64 = 3600;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Keys of server cookies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieKeys {
    /// Makes new cookies.
    pub current: [u8; 16],
    /// Is accepted as well: the one before, or the one to come.
    pub other: Option<[u8; 16]>,
}

/// Keys, and how far they are.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stage {
    keys: CookieKeys,
    step: Step,
    since_secs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Serving,
    Announced,
}

impl CookieKeys {
    /// The keys that a Secret holds; `None` when it is not one that the leader writes.
    pub fn read(secret: &Secret) -> Option<Self> {
        Stage::read(secret).map(|stage| stage.keys)
    }
}

impl Stage {
    fn first(key: [u8; 16], now_secs: u64) -> Self {
        Self {
            keys: CookieKeys {
                current: key,
                other: None,
            },
            step: Step::Serving,
            since_secs: now_secs,
        }
    }

    /// The stage that follows, once this one has lasted. A clock that went back waits.
    fn next(self, fresh: [u8; 16], now_secs: u64) -> Option<Self> {
        let lasted = now_secs.saturating_sub(self.since_secs);
        let CookieKeys { current, other } = self.keys;
        let (keys, step) = match self.step {
            Step::Serving if lasted >= SERVING_SECS => {
                let other = Some(fresh);
                (CookieKeys { current, other }, Step::Announced)
            }
            Step::Announced if lasted >= ANNOUNCED_SECS => {
                let rolled = CookieKeys {
                    current: other.unwrap_or(fresh),
                    other: Some(current),
                };
                (rolled, Step::Serving)
            }
            _ => return None,
        };
        Some(Self {
            keys,
            step,
            since_secs: now_secs,
        })
    }

    fn read(secret: &Secret) -> Option<Self> {
        let data = secret.data.as_ref()?;
        let key = |name: &str| <[u8; 16]>::try_from(data.get(name)?.0.as_slice()).ok();
        let text = |name: &str| std::str::from_utf8(&data.get(name)?.0).ok();
        Some(Self {
            keys: CookieKeys {
                current: key("current")?,
                other: key("other"),
            },
            step: match text("step")? {
                "announced" => Step::Announced,
                _ => Step::Serving,
            },
            since_secs: text("since")?.parse().ok()?,
        })
    }

    fn write(self) -> Secret {
        let step = match self.step {
            Step::Serving => "serving",
            Step::Announced => "announced",
        };
        let mut data = vec![
            ("current", self.keys.current.to_vec()),
            ("step", step.as_bytes().to_vec()),
            ("since", self.since_secs.to_string().into_bytes()),
        ];
        data.extend(self.keys.other.map(|other| ("other", other.to_vec())));
        let data = data
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), ByteString(bytes)));
        Secret {
            metadata: ObjectMeta {
                name: Some(COOKIE_SECRET_NAME.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(data.collect()),
            ..Secret::default()
        }
    }
}

/// Keeps the Secret while this process leads.
pub(crate) async fn run(context: Arc<Context>) {
    look_while_leading(&context, LOOK_EVERY, "the Secret of DNS cookies", look).await;
}

/// Makes the Secret, or takes its next step. What is not readable in it is replaced.
async fn look(context: &Context) -> Result<(), Error> {
    let found = kept_secret::find(context, COOKIE_SECRET_NAME).await?;
    let now_secs = context.clock.millis() / 1000;
    let fresh = rand::random();
    let stage = match found.as_ref().and_then(Stage::read) {
        Some(stage) => match stage.next(fresh, now_secs) {
            Some(next) => next,
            None => return Ok(()),
        },
        None => Stage::first(fresh, now_secs),
    };
    kept_secret::write(context, found.as_ref(), stage.write()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stages from the first on, over so many seconds, with keys 1, 2, 3 …
    fn stages(secs: u64) -> Vec<Stage> {
        let mut stages = vec![Stage::first([1; 16], 0)];
        let mut made = 1;
        for now in (0..secs).step_by(60) {
            let last = stages[stages.len() - 1];
            if let Some(next) = last.next([made + 1; 16], now) {
                made = made.max(next.keys.other.map_or(0, |key| key[0]));
                stages.push(next);
            }
        }
        stages
    }

    #[test]
    fn a_key_makes_cookies_only_after_it_was_announced_and_is_accepted_after_it_was_replaced() {
        let stages = stages(40 * 24 * 3600);
        assert!(stages.len() > 8);
        for pair in stages.windows(2) {
            let (before, after) = (pair[0].keys, pair[1].keys);
            if after.current != before.current {
                assert_eq!(before.other, Some(after.current), "it was announced");
                assert_eq!(after.other, Some(before.current), "the old one is accepted");
                assert!(pair[1].since_secs - pair[0].since_secs >= ANNOUNCED_SECS);
            }
        }
    }

    #[test]
    fn no_key_makes_cookies_for_longer_than_the_rfc_allows() {
        let stages = stages(40 * 24 * 3600);
        let current: Vec<u8> = stages.iter().map(|stage| stage.keys.current[0]).collect();
        let first_of = |key: u8| {
            let index = current.iter().position(|other| *other == key)?;
            Some(stages[index].since_secs)
        };
        for key in 1..5 {
            let lasted = first_of(key + 1).unwrap() - first_of(key).unwrap();
            assert!(
                lasted < 36 * 24 * 3600,
                "key {key} made cookies for {lasted} s"
            );
        }
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let stage = Stage::first([1; 16], 1_000_000_000);
        assert!(stage.next([2; 16], 5).is_none());
    }

    #[test]
    fn a_stage_is_read_as_it_was_written_and_something_else_is_not_read() {
        for stage in stages(10 * 24 * 3600) {
            assert!(Stage::read(&stage.write()) == Some(stage));
        }
        let mut secret = Stage::first([1; 16], 7).write();
        let data = secret.data.as_mut().unwrap();
        data.insert("current".to_owned(), ByteString(vec![1; 15]));
        assert!(CookieKeys::read(&secret).is_none());
        assert!(CookieKeys::read(&Secret::default()).is_none());
    }
}
