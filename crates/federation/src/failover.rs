//! When replicas leave a cluster that is lost, and when they return.
//!
//! Two signals decide: the member's API, and the data plane of this very workload.
//!
//! | API | data plane | replicas |
//! |---|---|---|
//! | up | up or unknown | stay |
//! | up | down | stay: the member's own controllers see it, traffic has left |
//! | down | up | stay; after `api_only_after_seconds` an event, and they move with mode `Auto` only |
//! | down | unknown | move after `unknown_after_seconds` |
//! | down | down | move after `after_seconds` |
//!
//! Times begin where the observer itself saw the change, so that a new leader acts only after its
//! own thresholds. The brake: when members of more than one failure domain are lost within a
//! minute, the host suspects itself, and only what observers outside it saw down may move.

use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// When replicas leave a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailoverSettings {
    /// Which workloads move by themselves.
    pub mode: FailoverMode,
    /// Seconds after API and data plane are both down.
    pub after_seconds: u64,
    /// Seconds after the API is down while nobody knows of the data plane.
    pub unknown_after_seconds: u64,
    /// Seconds after the API is down while the data plane is up.
    pub api_only_after_seconds: u64,
}

impl Default for FailoverSettings {
    fn default() -> Self {
        Self {
            mode: FailoverMode::Safe,
            after_seconds: 10,
            unknown_after_seconds: 60,
            api_only_after_seconds: 300,
        }
    }
}

/// Which workloads move by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailoverMode {
    /// Those that may run twice for a while.
    #[default]
    Safe,
    /// All, also while only the API is down.
    Auto,
    /// None.
    Off,
}

/// Whether a workload may run twice for a while: a Deployment or ReplicaSet with more than one
/// replica and a rolling strategy may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suitability {
    /// It may.
    #[default]
    Safe,
    /// An unreachable member may still run what is started elsewhere, and that may do harm.
    Unsafe,
}

/// How replicas return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailbackSettings {
    /// Who decides.
    pub mode: FailbackMode,
    /// Seconds of health before the first step.
    pub stable_seconds: u64,
    /// Percent of the cluster's share that returns in one step.
    pub step_percent: u32,
}

impl Default for FailbackSettings {
    fn default() -> Self {
        Self {
            mode: FailbackMode::Auto,
            stable_seconds: 120,
            step_percent: 25,
        }
    }
}

/// Who decides that replicas return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailbackMode {
    /// Health does.
    #[default]
    Auto,
    /// A person does (`meridian failback`).
    Manual,
}

/// When the loss of several failure domains at once is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrakeSettings {
    /// Domains that may be lost within the window.
    pub domains: usize,
    /// The window, in seconds.
    pub window_seconds: u64,
}

impl Default for BrakeSettings {
    fn default() -> Self {
        Self {
            domains: 1,
            window_seconds: 60,
        }
    }
}

/// A member's API, as this very process saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiSignal {
    /// Not enough probes yet.
    #[default]
    Unknown,
    /// Ready.
    #[serde(rename_all = "camelCase")]
    Up {
        /// Since when.
        since_millis: u64,
    },
    /// Not ready: its threshold of failures has passed.
    #[serde(rename_all = "camelCase")]
    Down {
        /// Since when.
        since_millis: u64,
    },
}

/// The data plane of a workload in a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DataPlane {
    /// Nobody looks, or nobody has looked yet.
    #[default]
    Unknown,
    /// It answers.
    #[serde(rename_all = "camelCase")]
    Up {
        /// Since when.
        since_millis: u64,
    },
    /// It does not.
    #[serde(rename_all = "camelCase")]
    Down {
        /// Since when.
        since_millis: u64,
        /// Who says so.
        seen_from: SeenFrom,
    },
}

/// Where those stand who see a data plane down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeenFrom {
    /// Only beside the host, which may be cut off itself.
    Host,
    /// An observer in another failure domain than the host's.
    Outside,
}

/// Where a cluster stands in failover. Absent from a state means serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It takes part.
    Serving,
    /// It was lost; its replicas are elsewhere.
    Evacuated,
    /// It is back and gets its share step by step.
    #[serde(rename_all = "camelCase")]
    Returning {
        /// The step, from 1.
        step: u32,
    },
    /// It was drained on purpose.
    Drained,
}

/// As a status keeps it: `Serving`, `Evacuated`, `Returning/2`, `Drained`.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("Serving"),
            Self::Evacuated => f.write_str("Evacuated"),
            Self::Returning { step } => write!(f, "Returning/{step}"),
            Self::Drained => f.write_str("Drained"),
        }
    }
}

impl Phase {
    /// Reads what a status kept; what it cannot read is serving, which moves nothing by itself.
    pub fn read(text: &str) -> Self {
        match (text, text.strip_prefix("Returning/").map(str::parse)) {
            ("Evacuated", _) => Self::Evacuated,
            ("Drained", _) => Self::Drained,
            (_, Some(Ok(step))) => Self::Returning { step },
            _ => Self::Serving,
        }
    }
}

/// A loss that may move replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) kind: LossKind,
    pub(crate) since_millis: u64,
    /// When replicas may move.
    pub(crate) due_millis: u64,
}

/// The rows of the table in which the API is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossKind {
    Both,
    ApiAndUnknown,
    ApiOnly,
}

impl LossKind {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Both => "API and data plane are down",
            Self::ApiAndUnknown => "the API is down and nobody knows of the data plane",
            Self::ApiOnly => "the API is down while the data plane is up",
        }
    }

    /// Whether a loss of this kind moves this workload, and else why not.
    pub(crate) fn moves(
        self,
        mode: FailoverMode,
        suitability: Suitability,
    ) -> Result<(), &'static str> {
        match (mode, suitability, self) {
            (FailoverMode::Off, _, _) => Err("failover.mode is Off"),
            (FailoverMode::Auto, _, _) => Ok(()),
            (FailoverMode::Safe, Suitability::Unsafe, _) => {
                Err("the workload may not run twice; failover.mode Auto would move it")
            }
            (FailoverMode::Safe, Suitability::Safe, Self::ApiOnly) => {
                Err("it still serves; failover.mode Auto would move it")
            }
            (FailoverMode::Safe, Suitability::Safe, _) => Ok(()),
        }
    }
}

pub(crate) fn loss(
    api: ApiSignal,
    data_plane: DataPlane,
    settings: &FailoverSettings,
) -> Option<Loss> {
    let ApiSignal::Down { since_millis: api } = api else {
        return None;
    };
    let (kind, since_millis, after) = match data_plane {
        DataPlane::Down { since_millis, .. } => (
            LossKind::Both,
            api.max(since_millis),
            settings.after_seconds,
        ),
        DataPlane::Unknown => (LossKind::ApiAndUnknown, api, settings.unknown_after_seconds),
        DataPlane::Up { .. } => (LossKind::ApiOnly, api, settings.api_only_after_seconds),
    };
    Some(Loss {
        kind,
        since_millis,
        due_millis: since_millis.saturating_add(after.saturating_mul(1000)),
    })
}

/// Since when a member is healthy for returning: API up and data plane not down.
pub(crate) fn healthy_since(api: ApiSignal, data_plane: DataPlane) -> Option<u64> {
    match (api, data_plane) {
        (ApiSignal::Up { since_millis }, DataPlane::Unknown) => Some(since_millis),
        (ApiSignal::Up { since_millis: api }, DataPlane::Up { since_millis }) => {
            Some(api.max(since_millis))
        }
        _ => None,
    }
}

/// What the brake looks at in each registered member.
pub(crate) struct BrakeView<'a> {
    pub(crate) name: &'a ClusterName,
    pub(crate) failure_domain: &'a str,
    pub(crate) api: ApiSignal,
    pub(crate) data_plane: DataPlane,
}

/// A shut brake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Brake {
    /// Members whose replicas do not move.
    pub(crate) held: BTreeSet<ClusterName>,
    /// Why, in words.
    pub(crate) reason: String,
}

/// Shut when members of more domains than allowed were lost within the window. A member whose data
/// plane is seen down from outside is believed, and not held.
pub(crate) fn brake<'a>(
    members: impl Iterator<Item = BrakeView<'a>>,
    settings: &BrakeSettings,
) -> Option<Brake> {
    let down: Vec<(BrakeView<'a>, u64)> = members
        .filter_map(|member| match member.api {
            ApiSignal::Down { since_millis } => Some((member, since_millis)),
            _ => None,
        })
        .collect();
    let mut lost: BTreeMap<&str, u64> = BTreeMap::new();
    for (member, since) in &down {
        let first = lost.entry(member.failure_domain).or_insert(*since);
        *first = (*first).min(*since);
    }
    let mut in_time: Vec<(u64, &str)> = lost.iter().map(|(domain, at)| (*at, *domain)).collect();
    in_time.sort_unstable();
    let window = settings.window_seconds.saturating_mul(1000);
    let suspect: BTreeSet<&str> = in_time
        .windows(settings.domains + 1)
        .filter(|together| together[settings.domains].0 - together[0].0 <= window)
        .flatten()
        .map(|(_, domain)| *domain)
        .collect();
    if suspect.is_empty() {
        return None;
    }
    let seen_outside = |data_plane: DataPlane| {
        matches!(
            data_plane,
            DataPlane::Down {
                seen_from: SeenFrom::Outside,
                ..
            }
        )
    };
    let held: BTreeSet<ClusterName> = down
        .iter()
        .filter(|(member, _)| suspect.contains(member.failure_domain))
        .filter(|(member, _)| !seen_outside(member.data_plane))
        .map(|(member, _)| member.name.clone())
        .collect();
    if held.is_empty() {
        return None;
    }
    let domains: Vec<&str> = suspect.into_iter().collect();
    Some(Brake {
        held,
        reason: format!(
            "members of {} failure domains ({}) were lost within {} s, so the host may be cut off \
             itself: nothing moves until observers outside confirm it, or meridian failover release",
            domains.len(),
            domains.join(", "),
            settings.window_seconds
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: DataPlane = DataPlane::Up { since_millis: 0 };

    fn down(since_millis: u64, seen_from: SeenFrom) -> DataPlane {
        DataPlane::Down {
            since_millis,
            seen_from,
        }
    }

    #[test]
    fn the_table_says_when_replicas_may_move() {
        let settings = FailoverSettings::default();
        let api_down = ApiSignal::Down {
            since_millis: 1_000,
        };
        let due = |api, data_plane| loss(api, data_plane, &settings).map(|loss| loss.due_millis);
        for data_plane in [DataPlane::Unknown, UP, down(0, SeenFrom::Outside)] {
            assert_eq!(due(ApiSignal::Up { since_millis: 0 }, data_plane), None);
            assert_eq!(due(ApiSignal::Unknown, data_plane), None);
        }
        assert_eq!(due(api_down, UP), Some(301_000));
        assert_eq!(due(api_down, DataPlane::Unknown), Some(61_000));
        assert_eq!(due(api_down, down(0, SeenFrom::Host)), Some(11_000));
        assert_eq!(due(api_down, down(5_000, SeenFrom::Host)), Some(15_000));
    }

    #[test]
    fn a_phase_survives_the_status() {
        for phase in [
            Phase::Serving,
            Phase::Evacuated,
            Phase::Returning { step: 3 },
            Phase::Drained,
        ] {
            assert_eq!(Phase::read(&phase.to_string()), phase);
        }
        assert_eq!(Phase::read("Returning/x"), Phase::Serving);
    }

    #[test]
    fn what_may_not_run_twice_moves_only_when_told_to() {
        use {FailoverMode as Mode, LossKind as Kind, Suitability as Fits};
        for (mode, suitability, kind, moves) in [
            (Mode::Safe, Fits::Safe, Kind::Both, true),
            (Mode::Safe, Fits::Safe, Kind::ApiAndUnknown, true),
            (Mode::Safe, Fits::Safe, Kind::ApiOnly, false),
            (Mode::Safe, Fits::Unsafe, Kind::Both, false),
            (Mode::Auto, Fits::Unsafe, Kind::Both, true),
            (Mode::Auto, Fits::Safe, Kind::ApiOnly, true),
            (Mode::Off, Fits::Safe, Kind::Both, false),
        ] {
            assert_eq!(
                kind.moves(mode, suitability).is_ok(),
                moves,
                "{mode:?} {kind:?}"
            );
        }
    }

    /// Who is held, of members given as name, domain, loss in seconds, and data plane.
    fn held(members: &[(&str, &str, Option<u64>, DataPlane)]) -> Vec<String> {
        let names: Vec<ClusterName> = members
            .iter()
            .map(|(name, ..)| ClusterName::from(*name))
            .collect();
        let views = members
            .iter()
            .zip(&names)
            .map(|((_, domain, lost, data_plane), name)| BrakeView {
                name,
                failure_domain: domain,
                api: match lost {
                    Some(secs) => ApiSignal::Down {
                        since_millis: secs * 1000,
                    },
                    None => ApiSignal::Up { since_millis: 0 },
                },
                data_plane: *data_plane,
            });
        brake(views, &BrakeSettings::default())
            .map(|brake| brake.held.iter().map(ToString::to_string).collect())
            .unwrap_or_default()
    }

    #[test]
    fn the_loss_of_one_domain_never_brakes() {
        let unknown = DataPlane::Unknown;
        assert!(
            held(&[
                ("a", "beijing", Some(0), unknown),
                ("b", "beijing", Some(1), unknown),
                ("c", "frankfurt", None, unknown),
            ])
            .is_empty()
        );
    }

    #[test]
    fn two_domains_within_a_minute_brake_and_later_ones_do_not() {
        let unknown = DataPlane::Unknown;
        let at = |second| {
            held(&[
                ("a", "beijing", Some(0), unknown),
                ("c", "frankfurt", Some(second), unknown),
            ])
        };
        assert_eq!(at(60), ["a", "c"]);
        assert!(at(61).is_empty());
    }

    #[test]
    fn what_is_seen_down_from_outside_is_not_held() {
        assert_eq!(
            held(&[
                ("a", "beijing", Some(0), down(0, SeenFrom::Outside)),
                ("c", "frankfurt", Some(1), down(0, SeenFrom::Host)),
            ]),
            ["c"]
        );
        assert!(
            held(&[
                ("a", "beijing", Some(0), down(0, SeenFrom::Outside)),
                ("c", "frankfurt", Some(1), down(0, SeenFrom::Outside)),
            ])
            .is_empty()
        );
    }
}
