//! Why each cluster holds the object, or does not.

use crate::{
    input::{DividedReplicas, PlanInput},
    place::place,
    plan::plan,
    status::PropagationStatus,
    step::{Action, Problem},
};
use model::ClusterName;
use serde::Serialize;

/// The answer of `meridian explain TYPE NAME`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Every registered cluster, by name.
    pub clusters: Vec<ClusterExplanation>,
    /// What stands in the way.
    pub problems: Vec<Problem>,
}

/// Why one cluster holds the object, or does not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterExplanation {
    /// The cluster.
    pub name: ClusterName,
    /// Whether the placement chooses it.
    pub chosen: bool,
    /// Why it was or was not chosen.
    pub placement: String,
    /// What a scheduling preference divides to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<DividedReplicas>,
    /// What happens there now: `create`, `apply`, `nothing` …
    pub action: &'static str,
    /// What the status says of it.
    pub status: PropagationStatus,
    /// Why that happens.
    pub reason: String,
}

/// Explains placement, division and plan of every registered cluster.
pub fn explain(input: &PlanInput) -> Explanation {
    let placing = place(input);
    let plan = plan(input);
    let clusters = placing
        .clusters
        .iter()
        .map(|(name, choice)| {
            let step = plan.steps.get(name);
            ClusterExplanation {
                name: name.clone(),
                chosen: choice.is_chosen(),
                placement: choice.to_string(),
                replicas: input.division.as_ref().and_then(|d| d.get(name).copied()),
                action: step.map_or(&Action::Nothing, |step| &step.action).verb(),
                status: step.map(|step| step.status).unwrap_or_default(),
                reason: step.map_or_else(
                    || "it holds nothing of this object".to_owned(),
                    |step| step.reason.clone(),
                ),
            }
        })
        .collect();
    Explanation {
        clusters,
        problems: plan.report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;

    #[test]
    fn each_cluster_is_told_whether_it_was_chosen_and_what_follows() {
        let mut world = World::settled(&["a", "b", "c"]);
        world.place_named(&["a", "b"]);
        world.live_mut("b").managed = crate::ManagedLabel::False;
        let explanation = explain(&world.input);
        let lines: Vec<String> = explanation
            .clusters
            .iter()
            .map(|c| format!("{} {} {} ({})", c.name, c.chosen, c.action, c.placement))
            .collect();
        assert_eq!(
            lines,
            [
                "a true nothing (placement.clusters names it)",
                "b true hold (placement.clusters names it)",
                "c false delete (placement.clusters does not name it)",
            ]
        );
        assert_eq!(explanation.problems.len(), 1);
    }

    #[test]
    fn a_cluster_that_is_not_chosen_and_holds_nothing_says_so() {
        let mut world = World::new(&["a"]);
        world.place_named(&[]);
        let explanation = explain(&world.input);
        assert_eq!(
            explanation.clusters[0].reason,
            "it holds nothing of this object"
        );
    }
}
