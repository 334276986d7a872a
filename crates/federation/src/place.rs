//! Placement: which clusters an object goes to, and why each was or was not chosen.
//!
//! | `clusters` | `clusterSelector` | chosen |
//! |---|---|---|
//! | present, even empty | anything | exactly those named |
//! | absent | present | those it matches; `{}` matches all |
//! | absent | absent | none |
//!
//! What is chosen is cut down to registered clusters and, for a namespaced type, to where the
//! namespace itself is placed. These are KubeFed's rules; unlike there, names that are not
//! registered are reported.

use crate::{
    input::{ClusterFacts, DividedReplicas, NamespacePlacement, PlanInput},
    intent::Placement,
    names::ANNOTATION_PLACEMENT,
    step::{Problem, ProblemKind},
};
use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Where an object goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placing {
    /// Every registered cluster, with the reason.
    pub clusters: BTreeMap<ClusterName, Choice>,
    /// What was asked for and cannot be.
    pub problems: Vec<Problem>,
}

impl Placing {
    /// The chosen clusters.
    pub fn chosen(&self) -> BTreeSet<ClusterName> {
        self.clusters
            .iter()
            .filter(|(_, choice)| choice.is_chosen())
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// Why a cluster was or was not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// `placement.clusters` names it.
    Named,
    /// The selector matches its labels.
    Selected,
    /// A scheduling preference divides replicas to it.
    Divided,
    /// `placement.clusters` does not name it.
    NotNamed,
    /// The selector does not match its labels.
    NotSelected,
    /// There is neither a list nor a selector.
    NoPlacement,
    /// The scheduling preference does not divide to it.
    NotDivided,
    /// The namespace is not placed there any more, and the replicas leave first.
    Leaving,
    /// The namespace is not placed there.
    NamespaceElsewhere,
    /// The namespace is not federated.
    NamespaceNotFederated,
}

impl Choice {
    /// Whether the object goes there.
    pub fn is_chosen(self) -> bool {
        matches!(self, Self::Named | Self::Selected | Self::Divided)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "placement.clusters names it",
            Self::Selected => "placement.clusterSelector matches its labels",
            Self::Divided => "the scheduling preference divides replicas to it",
            Self::NotNamed => "placement.clusters does not name it",
            Self::NotSelected => "placement.clusterSelector does not match its labels",
            Self::NoPlacement => "the placement has neither clusters nor clusterSelector",
            Self::NotDivided => "the scheduling preference does not divide replicas to it",
            Self::Leaving => {
                "the FederatedNamespace is no longer placed there; its replicas leave first"
            }
            Self::NamespaceElsewhere => "the FederatedNamespace is not placed there",
            Self::NamespaceNotFederated => "the namespace has no FederatedNamespace",
        })
    }
}

/// Where the object of a [`PlanInput`] goes, were it not deleted.
pub fn place(input: &PlanInput) -> Placing {
    let mut problems = Vec::new();
    let user = input
        .object
        .annotations
        .get(ANNOTATION_PLACEMENT)
        .map(String::as_str);
    let own = match &input.division {
        Some(division) if user != Some("user") => {
            if input
                .intent
                .placement
                .clusters
                .as_ref()
                .is_some_and(|c| !c.is_empty())
            {
                problems.push(placement_ignored());
            }
            by_division(division, &input.clusters)
        }
        _ => {
            problems.extend(unknown_names(&input.intent.placement, &input.clusters));
            by_placement(&input.intent.placement, &input.clusters)
        }
    };
    let clusters = match &input.namespace {
        NamespacePlacement::NotNeeded => own,
        NamespacePlacement::NotFederated => {
            problems.push(Problem {
                cluster: None,
                kind: ProblemKind::NamespaceNotFederated,
                message: format!(
                    "namespace {:?} has no FederatedNamespace, so the object goes nowhere: \
                     create one with the same name",
                    input.target.key.namespace
                ),
            });
            intersect(own, |_| Choice::NamespaceNotFederated)
        }
        NamespacePlacement::Placed(placement) => {
            let namespace = by_placement(placement, &input.clusters);
            let is_placed =
                |name: &ClusterName| namespace.get(name).is_some_and(|choice| choice.is_chosen());
            // Make before break: while others can take them, replicas leave by the division.
            let others = own
                .iter()
                .any(|(name, choice)| *choice == Choice::Divided && is_placed(name));
            let own_choice = own.clone();
            intersect(own, |name| match own_choice.get(name) {
                _ if is_placed(name) => Choice::Named,
                Some(Choice::Divided) if others => Choice::Leaving,
                _ => Choice::NamespaceElsewhere,
            })
        }
    };
    Placing { clusters, problems }
}

/// The choice that one placement makes of registered clusters.
pub fn by_placement(
    placement: &Placement,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> BTreeMap<ClusterName, Choice> {
    let named: Option<BTreeSet<&ClusterName>> = placement
        .clusters
        .as_ref()
        .map(|list| list.iter().map(|reference| &reference.name).collect());
    clusters
        .iter()
        .map(|(name, facts)| {
            let choice = match (&named, &placement.cluster_selector) {
                (Some(named), _) if named.contains(name) => Choice::Named,
                (Some(_), _) => Choice::NotNamed,
                (None, Some(selector)) if selector.matches(&facts.labels) => Choice::Selected,
                (None, Some(_)) => Choice::NotSelected,
                (None, None) => Choice::NoPlacement,
            };
            (name.clone(), choice)
        })
        .collect()
}

fn by_division(
    division: &BTreeMap<ClusterName, DividedReplicas>,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> BTreeMap<ClusterName, Choice> {
    clusters
        .keys()
        .map(|name| {
            let choice = if division.contains_key(name) {
                Choice::Divided
            } else {
                Choice::NotDivided
            };
            (name.clone(), choice)
        })
        .collect()
}

/// Chosen stays only what the namespace's choice has chosen too.
fn intersect(
    own: BTreeMap<ClusterName, Choice>,
    namespace: impl Fn(&ClusterName) -> Choice,
) -> BTreeMap<ClusterName, Choice> {
    own.into_iter()
        .map(|(name, choice)| {
            let there = namespace(&name);
            if choice.is_chosen() && !there.is_chosen() {
                (name, there)
            } else {
                (name, choice)
            }
        })
        .collect()
}

fn unknown_names(
    placement: &Placement,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> Vec<Problem> {
    let unknown: BTreeSet<&ClusterName> = placement
        .clusters
        .iter()
        .flatten()
        .map(|reference| &reference.name)
        .filter(|name| !clusters.contains_key(*name))
        .collect();
    unknown
        .into_iter()
        .map(|name| Problem {
            cluster: Some(name.clone()),
            kind: ProblemKind::UnknownCluster,
            message: format!(
                "placement.clusters names {name}, but there is no KubeFedCluster of that name: \
                 join it, or take it out"
            ),
        })
        .collect()
}

fn placement_ignored() -> Problem {
    Problem {
        cluster: None,
        kind: ProblemKind::PlacementIgnored,
        message: format!(
            "a ReplicaSchedulingPreference decides, so placement.clusters is not read; \
             annotate the object {ANNOTATION_PLACEMENT}=user to keep it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;

    /// Two clusters as in KubeFed's own table: `cluster2` has the label `foo=bar`.
    fn check(placement: &str, expected: &[&str]) {
        let mut world = World::new(&["cluster1", "cluster2"]);
        world.label("cluster2", "foo", "bar");
        world.input.intent.placement = serde_json::from_str(placement).unwrap();
        let names: Vec<_> = place(&world.input)
            .chosen()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, expected, "{placement}");
    }

    #[test]
    fn named_clusters_win_over_the_selector() {
        check(
            r#"{"clusters":[{"name":"cluster1"}],"clusterSelector":{}}"#,
            &["cluster1"],
        );
        check(
            r#"{"clusters":[],"clusterSelector":{"matchLabels":{"foo":"bar"}}}"#,
            &[],
        );
    }

    #[test]
    fn without_names_the_selector_decides_and_an_empty_one_matches_all() {
        check("{}", &[]);
        check(r#"{"clusterSelector":{}}"#, &["cluster1", "cluster2"]);
        check(
            r#"{"clusterSelector":{"matchLabels":{"foo":"bar"}}}"#,
            &["cluster2"],
        );
    }

    #[test]
    fn a_name_that_is_not_registered_is_kept_out_and_reported() {
        let mut world = World::new(&["a"]);
        world.place_named(&["a", "b"]);
        let placing = place(&world.input);
        assert_eq!(placing.chosen().len(), 1);
        assert_eq!(placing.problems[0].kind, ProblemKind::UnknownCluster);
        assert_eq!(placing.problems[0].cluster, Some("b".into()));
    }

    #[test]
    fn a_namespaced_object_goes_only_where_its_namespace_goes() {
        let mut world = World::new(&["a", "b"]);
        world.place_named(&["a", "b"]);
        world.input.namespace = NamespacePlacement::Placed(
            serde_json::from_str(r#"{"clusters":[{"name":"b"},{"name":"c"}]}"#).unwrap(),
        );
        let placing = place(&world.input);
        assert_eq!(placing.chosen(), BTreeSet::from(["b".into()]));
        assert_eq!(placing.clusters["a"], Choice::NamespaceElsewhere);
    }

    #[test]
    fn without_a_federated_namespace_it_goes_nowhere_and_says_so() {
        let mut world = World::new(&["a"]);
        world.place_named(&["a"]);
        world.input.namespace = NamespacePlacement::NotFederated;
        let placing = place(&world.input);
        assert!(placing.chosen().is_empty());
        assert_eq!(placing.problems[0].kind, ProblemKind::NamespaceNotFederated);
    }

    #[test]
    fn a_division_is_the_placement_unless_the_target_says_user() {
        let mut world = World::new(&["a", "b"]);
        world.place_named(&["a"]);
        world.input.division = Some([("b".into(), DividedReplicas::Set(3))].into());
        let placing = place(&world.input);
        assert_eq!(placing.chosen(), BTreeSet::from(["b".into()]));
        assert_eq!(placing.problems[0].kind, ProblemKind::PlacementIgnored);
        world.annotate(ANNOTATION_PLACEMENT, "user");
        assert_eq!(place(&world.input).chosen(), BTreeSet::from(["a".into()]));
    }
}
