//! Faults of single requests and watch events, drawn from a seed.
//!
//! | `effect` | what clients see |
//! |---|---|
//! | `reset` | the connection breaks, no answer |
//! | `cut` | half of the answer, then the connection breaks; the request was done |
//! | `tooManyRequests` | 429 with `Retry-After: retryAfterSecs` |
//! | `error` | 500 |
//! | `garbage` | 200 with bytes that mean nothing; the request was not done |
//! | `conflict` | 409 as if the object had moved, for updates, patches and deletions |
//! | `slow` | the answer comes `delayMillis` later |
//! | `hung` | no answer, until the rules change |
//! | `dropEvents` | a watch misses the event |
//! | `duplicateEvents` | a watch sees the event twice |
//! | `staleEvents` | a watch sees the event, and all after it, `delayMillis` later |
//!
//! Guarantees: rules that are set with the same seed strike the same requests, when the same
//! requests come in the same order, as they do in the process under a paused clock; so do those of
//! one watch. Caveats: of requests that come over sockets at the same time, chance decides which is
//! first.

use crate::chance::Chance;
use serde::{Deserialize, Serialize};

/// Chance is drawn in parts of this many.
const PARTS: u64 = 1_000_000;

/// What strikes which requests, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// Verbs, for instance `create` or `watch`; none is all.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// Resources, for instance `configmaps` or `deployments.apps`; none is all.
    #[serde(default)]
    pub resources: Vec<String>,
    /// How often it strikes, from 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// What it does.
    pub effect: Effect,
}

/// What a rule does to a request or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Effect {
    /// The connection breaks.
    Reset,
    /// The answer breaks off in the middle.
    Cut,
    /// 429.
    TooManyRequests {
        /// Seconds that the client is asked to wait.
        retry_after_secs: u32,
    },
    /// 500.
    Error,
    /// An answer that means nothing.
    Garbage,
    /// 409.
    Conflict,
    /// A late answer.
    Slow {
        /// How late.
        delay_millis: u64,
    },
    /// No answer.
    Hung,
    /// A watch event is lost.
    DropEvents,
    /// A watch event comes twice.
    DuplicateEvents,
    /// A watch event comes late, and those after it.
    StaleEvents {
        /// How late.
        delay_millis: u64,
    },
}

/// The rules of a cluster, and the chance that they draw from.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) seed: u64,
    pub(super) list: Vec<FaultRule>,
    chance: Chance,
}

impl Effect {
    /// Whether it is about watch events and not about requests.
    fn is_of_events(self) -> bool {
        matches!(
            self,
            Self::DropEvents | Self::DuplicateEvents | Self::StaleEvents { .. }
        )
    }
}

impl Rules {
    pub(super) fn new(list: Vec<FaultRule>, seed: u64) -> Self {
        Self {
            seed,
            list,
            chance: Chance::new(Some(seed)),
        }
    }

    /// What strikes a request.
    pub(super) fn strike(&self, verb: &str, resource: &str) -> Option<Effect> {
        let is_request = |rule: &&FaultRule| !rule.effect.is_of_events();
        self.first(&self.chance, verb, resource, is_request)
    }

    /// What strikes an event of a watch, which brings its own chance.
    pub(super) fn strike_event(&self, chance: &Chance, resource: &str) -> Option<Effect> {
        let is_event = |rule: &&FaultRule| rule.effect.is_of_events();
        self.first(chance, "watch", resource, is_event)
    }

    fn first(
        &self,
        chance: &Chance,
        verb: &str,
        resource: &str,
        wanted: impl Fn(&&FaultRule) -> bool,
    ) -> Option<Effect> {
        let has = |list: &[String], own: &str| list.is_empty() || list.iter().any(|one| one == own);
        let mut concerned = self
            .list
            .iter()
            .filter(wanted)
            .filter(|rule| has(&rule.verbs, verb) && has(&rule.resources, resource));
        concerned
            .find(|rule| strikes(chance, rule.probability))
            .map(|rule| rule.effect)
    }
}

/// Whether something of a probability comes to pass.
fn strikes(chance: &Chance, probability: f64) -> bool {
    let parts = (probability.clamp(0.0, 1.0) * 1e6).round();
    // One draw for each question, whatever the probability, so that rules do not shift each other.
    let drawn = chance.below(PARTS);
    // Up to a million, which both types hold exactly.
    f64::from(u32::try_from(drawn).unwrap_or(u32::MAX)) < parts
}

fn always() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> FaultRule {
        serde_json::from_str(text).unwrap()
    }

    fn struck(seed: u64) -> Vec<bool> {
        let half = rule(r#"{"verbs":["get"],"probability":0.5,"effect":{"kind":"error"}}"#);
        let rules = Rules::new(vec![half], seed);
        (0..32)
            .map(|_| rules.strike("get", "pods").is_some())
            .collect()
    }

    #[test]
    fn a_seed_strikes_the_same_requests_again() {
        assert_eq!(struck(7), struck(7));
        assert_ne!(struck(7), struck(8));
        assert!(struck(7).contains(&true) && struck(7).contains(&false));
    }

    #[test]
    fn a_rule_strikes_what_it_is_about() {
        let text = r#"{"verbs":["create"],"resources":["configmaps"],
            "effect":{"kind":"tooManyRequests","retryAfterSecs":3}}"#;
        let rules = Rules::new(vec![rule(text)], 1);
        let effect = Effect::TooManyRequests {
            retry_after_secs: 3,
        };
        assert_eq!(rules.strike("create", "configmaps"), Some(effect));
        assert_eq!(rules.strike("update", "configmaps"), None);
        assert_eq!(rules.strike("create", "deployments.apps"), None);
        assert!(serde_json::from_str::<FaultRule>(r#"{"effect":{"kind":"other"}}"#).is_err());
    }
}
