//! How many replicas are ready of how many wanted, per cluster and in all, and the words for it.

use crate::{
    input::{DividedReplicas, PlanInput, Readiness, Watched},
    live::{Live, Observed},
    render::{Provenance, ReplicasRule, render},
    status::{ClusterStatus, Summary},
    step::{Action, Plan, Step, Write},
    summarize::name_of,
};
use model::ClusterName;
use serde_json::Value;
use std::collections::BTreeSet;

/// Clusters that a table names; who is not well comes first when there are more.
const NAMED_MAX: usize = 10;
/// What the API server makes of a template that says nothing of replicas.
const REPLICAS_DEFAULT: i64 = 1;

/// Replicas in one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) wanted: i64,
    pub(crate) ready: i64,
}

/// The replicas of a step's cluster; nothing for kinds that have none, or whose replicas nobody
/// sees.
pub(crate) fn counts(input: &PlanInput, name: &ClusterName, step: &Step) -> Option<Counts> {
    if input.target.watched == Watched::Metadata || !has_replicas(input) {
        return None;
    }
    let live = match input.observed.get(name) {
        Some(Observed::Present(live)) => Some(&**live),
        _ => None,
    };
    // What was last seen of a cluster that cannot be asked need not be so any more.
    let can_be_asked = input
        .clusters
        .get(name)
        .is_some_and(|facts| facts.readiness == Readiness::Ready);
    let ready = live.filter(|_| can_be_asked).map_or(0, ready_replicas);
    Some(Counts {
        wanted: wanted(input, name, step, live),
        ready,
    })
}

fn has_replicas(input: &PlanInput) -> bool {
    let mut seen = input
        .observed
        .values()
        .filter_map(|observed| match observed {
            Observed::Present(live) => Some(live.replicas.is_some()),
            _ => None,
        });
    match seen.next() {
        Some(first) => first || seen.any(|has| has),
        None => input.division.is_some() || template_replicas(&input.intent.template).is_some(),
    }
}

fn template_replicas(object: &Value) -> Option<i64> {
    object["spec"]["replicas"].as_i64()
}

fn ready_replicas(live: &Live) -> i64 {
    let status = live.remote_status.as_ref();
    status
        .and_then(|status| status["readyReplicas"].as_i64())
        .unwrap_or(0)
}

fn wanted(input: &PlanInput, name: &ClusterName, step: &Step, live: Option<&Live>) -> i64 {
    let runs = live
        .and_then(|live| live.replicas.as_ref())
        .map(|replicas| replicas.value);
    let sent = |write: &Write| template_replicas(&write.object);
    match &step.action {
        Action::Create(write) | Action::Apply(write) => {
            sent(write).or(runs).unwrap_or(REPLICAS_DEFAULT)
        }
        Action::Scale(scale) => scale.replicas,
        Action::Nothing => runs.unwrap_or(REPLICAS_DEFAULT),
        Action::Delete(_) | Action::Release(_) | Action::Tombstone => 0,
        Action::Hold => match input.division.as_ref().map(|division| division.get(name)) {
            Some(Some(DividedReplicas::Set(replicas))) => *replicas,
            Some(Some(DividedReplicas::Keep)) => runs.unwrap_or(0),
            Some(Some(DividedReplicas::Lost) | None) => 0,
            None => runs.unwrap_or_else(|| rendered(input, name)),
        },
    }
}

/// What a cluster would be asked to run that has not been asked yet.
fn rendered(input: &PlanInput, name: &ClusterName) -> i64 {
    let rendered = render(input, name, ReplicasRule::AsIs, Provenance::Ours).ok();
    rendered
        .and_then(|rendered| template_replicas(&rendered.object))
        .unwrap_or(REPLICAS_DEFAULT)
}

/// The words for a table.
pub(crate) fn summary(
    plan: &Plan,
    chosen: &BTreeSet<ClusterName>,
    clusters: &[ClusterStatus],
) -> Summary {
    let counted =
        |of: fn(&ClusterStatus) -> Option<i64>| -> i64 { clusters.iter().filter_map(of).sum() };
    let holds = |cluster: &&ClusterStatus| {
        let held = plan
            .steps
            .get(&cluster.name)
            .is_some_and(|step| step.action == Action::Hold);
        chosen.contains(&cluster.name) && cluster.status.is_ok() && !held
    };
    let ready = match clusters.iter().any(|cluster| cluster.replicas.is_some()) {
        true => {
            let ready = counted(|cluster| cluster.ready_replicas);
            format!("{ready}/{}", counted(|cluster| cluster.replicas))
        }
        false => {
            let holding = clusters.iter().filter(holds).count();
            format!("{holding}/{}", chosen.len())
        }
    };
    Summary {
        ready,
        clusters: cluster_words(clusters),
    }
}

fn cluster_words(clusters: &[ClusterStatus]) -> String {
    let mut in_order: Vec<&ClusterStatus> = clusters.iter().collect();
    if in_order.len() > NAMED_MAX {
        in_order.sort_by_key(|cluster| is_well(cluster));
    }
    let mut words: Vec<String> = in_order
        .iter()
        .take(NAMED_MAX)
        .map(|cluster| {
            let mut words = cluster.name.to_string();
            if let (Some(ready), Some(wanted)) = (cluster.ready_replicas, cluster.replicas) {
                words.push_str(&format!(" {ready}/{wanted}"));
            }
            if !cluster.status.is_ok() {
                words.push_str(&format!(" {}", name_of(&cluster.status)));
            }
            words
        })
        .collect();
    if let Some(more) = in_order
        .len()
        .checked_sub(NAMED_MAX)
        .filter(|more| *more > 0)
    {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

fn is_well(cluster: &ClusterStatus) -> bool {
    cluster.status.is_ok() && cluster.ready_replicas >= cluster.replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::LiveReplicas;
    use crate::outcome::Outcome;
    use crate::summarize::summarize;
    use crate::test_world::World;
    use serde_json::json;

    /// A Deployment of so many replicas that every cluster holds, of which so many are ready.
    fn deployment(replicas: i64, ready: &[(&str, i64)]) -> World {
        let names: Vec<&str> = ready.iter().map(|(name, _)| *name).collect();
        let mut world = World::new(&names);
        world.deployment(replicas);
        world.input.target.watched = Watched::Whole;
        world.settle();
        for (name, ready) in ready {
            world.live_mut(name).remote_status = Some(json!({"readyReplicas": ready}));
        }
        world
    }

    fn check(world: &World, ready: &str, clusters: &str) {
        let plan = world.plan();
        let status = summarize(&world.input, &plan, &Outcome::default());
        let summary = status.summary.unwrap();
        assert_eq!((&*summary.ready, &*summary.clusters), (ready, clusters));
        let totals = status.ready_replicas.zip(status.replicas);
        if let Some((ready, replicas)) = totals {
            assert_eq!(format!("{ready}/{replicas}"), summary.ready);
        }
    }

    #[test]
    fn ready_replicas_are_counted_per_cluster_and_in_all() {
        let mut world = deployment(3, &[("beijing-a", 3), ("frankfurt", 2)]);
        check(&world, "5/6", "beijing-a 3/3, frankfurt 2/3");
        // An autoscaler's word counts where it is kept.
        world.input.options.retain_replicas = true;
        for (name, value, ready) in [("beijing-a", 3, 3), ("frankfurt", 5, 2)] {
            let other_owner = Some("autoscaler".to_owned());
            world.live_mut(name).replicas = Some(LiveReplicas {
                value,
                other_owner,
                unowned: false,
            });
            world.settle();
            let other_owner = Some("autoscaler".to_owned());
            let live = world.live_mut(name);
            live.replicas = Some(LiveReplicas {
                value,
                other_owner,
                unowned: false,
            });
            live.remote_status = Some(json!({"readyReplicas": ready}));
        }
        let wanted = "beijing-a 3/3, frankfurt 2/5";
        check(&world, "5/8", wanted);
    }

    #[test]
    fn a_cluster_that_cannot_be_asked_has_none_ready_and_what_it_lost_is_not_wanted() {
        let mut world = deployment(3, &[("a", 3), ("b", 3)]);
        world.facts_mut("b").readiness = Readiness::NotReady("no route".to_owned());
        check(&world, "3/6", "a 3/3, b 0/3 ClusterNotReady");
        let division = |b: DividedReplicas| {
            let a = DividedReplicas::Set(3);
            Some([("a".into(), a), ("b".into(), b)].into())
        };
        world.input.division = division(DividedReplicas::Keep);
        check(&world, "3/6", "a 3/3, b 0/3 ClusterNotReady");
        world.input.division = division(DividedReplicas::Lost);
        check(&world, "3/3", "a 3/3, b 0/0 ClusterNotReady");
    }

    #[test]
    fn what_is_not_there_yet_is_wanted_already() {
        let mut world = World::new(&["a", "b"]);
        world.deployment(2);
        world.input.target.watched = Watched::Whole;
        world.facts_mut("b").readiness = Readiness::Unknown;
        let written = "a 0/2 ClientRetrievalFailed, b 0/2 ClusterNotReady";
        check(&world, "0/4", written);
    }

    #[test]
    fn of_kinds_without_replicas_clusters_are_counted() {
        let mut world = World::settled(&["a", "b", "c"]);
        check(&world, "3/3", "a, b, c");
        world.facts_mut("b").readiness = Readiness::NotReady("no route".to_owned());
        check(&world, "2/3", "a, b ClusterNotReady, c");
        world.place_named(&["a", "b"]);
        let leaving = "a, b ClusterNotReady, c ClientRetrievalFailed";
        check(&world, "1/2", leaving);
        world.place_named(&[]);
        world.input.observed.clear();
        world.input.recorded.clear();
        check(&world, "0/0", "");
    }

    #[test]
    fn of_many_clusters_those_are_named_that_are_not_well() {
        let names: Vec<String> = (0..30).map(|number| format!("c{number:02}")).collect();
        let ready: Vec<(&str, i64)> = names
            .iter()
            .map(|name| (name.as_str(), if name == "c17" { 0 } else { 1 }))
            .collect();
        let world = deployment(1, &ready);
        let words = "c17 0/1, c00 1/1, c01 1/1, c02 1/1, c03 1/1, c04 1/1, c05 1/1, c06 1/1, \
                     c07 1/1, c08 1/1, and 20 more";
        check(&world, "29/30", words);
    }
}
