//! Scheduling preferences: how many replicas each cluster runs, now.
//!
//! The road is `facts → input → federation::plan_preference → division and status`. Everything here
//! but the order of calls is pure: what is read from caches comes as [`PreferenceFacts`], and the
//! clock as an argument. [`PreferenceBook`] has one owner, the preference reconciler; the division
//! it gives is taken into the plan of the federated object, whose spec is never rewritten.

mod data_plane;
mod heard;
mod reconcile;
mod signals;
mod status;
mod unschedulable;

pub use data_plane::{HeardReport, SteeredService, steered_by};
pub(crate) use reconcile::{plan_once, run_preferences};
pub use signals::{ClusterView, FreeNodes, PreferenceFacts, TargetView};

use crate::settings::Settings;
use api::{PastDivision, ReplicaSchedulingPreferenceStatus};
use data_plane::DataPlaneTrack;
use federation::{
    DividedReplicas, FailoverState, Phase, PreferencePlan, RoomTrack, plan_preference,
};
use model::{ClusterName, ObjectKey};
use std::collections::BTreeMap;

/// The clocks that a plan needs.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Milliseconds of this process's monotonic clock: what health signals are dated by.
    pub monotonic_millis: u64,
    /// Seconds since 1970: what requests in annotations are dated by.
    pub wall_secs: i64,
}

/// What failover remembers of every preference, between plans.
#[derive(Debug, Default)]
pub struct PreferenceBook {
    pages: BTreeMap<ObjectKey, Page>,
}

#[derive(Debug, Default)]
struct Page {
    state: FailoverState,
    data_planes: DataPlaneTrack,
    /// What members have room for.
    rooms: BTreeMap<ClusterName, RoomTrack>,
    division: BTreeMap<ClusterName, DividedReplicas>,
    /// The last divisions, newest first.
    history: Vec<PastDivision>,
}

/// One preference, planned.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPreference {
    /// Shares, reasons, events, and when to plan again.
    pub plan: PreferencePlan,
    /// What the status shall say, times apart.
    pub status: ReplicaSchedulingPreferenceStatus,
}

impl PreferenceBook {
    /// Plans one preference from what is known now, and remembers what the next plan needs.
    ///
    /// A preference that is new to this process takes its phases from its status: a cluster that
    /// another leader had evacuated stays so until it was healthy under this one's eyes.
    pub fn plan(
        &mut self,
        facts: &PreferenceFacts<'_>,
        settings: &Settings,
        clocks: Clocks,
    ) -> PlannedPreference {
        let key = facts.key();
        let page = self.pages.entry(key).or_insert_with(|| Page {
            state: restored(facts),
            history: past(facts),
            ..Page::default()
        });
        page.rooms = signals::rooms(facts, &page.rooms);
        let (planes, rooms) = (&mut page.data_planes, &page.rooms);
        let input = signals::input(facts, settings, planes, rooms, clocks);
        let plan = plan_preference(&input, &page.state, clocks.monotonic_millis);
        page.state = plan.state.clone();
        page.division = plan.division();
        let mut status = status::status(facts, &plan);
        let (past, shares) = (&mut page.history, &status.clusters);
        status::remember(past, facts.preference, shares, clocks.wall_secs);
        status.history.clone_from(&page.history);
        PlannedPreference { plan, status }
    }

    /// The division of a preference that was planned; the federated object's plan takes it.
    pub fn division(&self, key: &ObjectKey) -> Option<&BTreeMap<ClusterName, DividedReplicas>> {
        self.pages.get(key).map(|page| &page.division)
    }

    /// Forgets a preference that is gone.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.pages.remove(key);
    }
}

fn past(facts: &PreferenceFacts<'_>) -> Vec<PastDivision> {
    let status = facts.preference.status.as_ref();
    status
        .map(|status| status.history.clone())
        .unwrap_or_default()
}

fn restored(facts: &PreferenceFacts<'_>) -> FailoverState {
    let status = facts.preference.status.iter();
    let phases = status
        .flat_map(|status| &status.clusters)
        .map(|cluster| (cluster.name.as_str().into(), Phase::read(&cluster.phase)))
        .filter(|(_, phase)| *phase != Phase::Serving)
        .collect();
    FailoverState {
        phases,
        ..FailoverState::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{ReplicaSchedulingPreference, find_condition};
    use federation::{ApiSignal, ClusterFacts, Intent, NamespacePlacement, Running};
    use model::Resources;
    use serde_json::{Value, json};

    /// A preference `shop/web` of nine replicas, its FederatedDeployment, and two members.
    struct World {
        preference: ReplicaSchedulingPreference,
        intent: Intent,
        annotations: BTreeMap<String, String>,
        namespace: NamespacePlacement,
        clusters: BTreeMap<ClusterName, ClusterView>,
        reports: Vec<HeardReport>,
        services: Vec<SteeredService>,
        book: PreferenceBook,
        settings: Settings,
    }

    impl World {
        fn new() -> Self {
            let view = |domain: &str| ClusterView {
                facts: ClusterFacts::default(),
                failure_domain: domain.to_owned(),
                api: ApiSignal::Up { since_millis: 0 },
                running: Running::Known {
                    replicas: 0,
                    ready: 0,
                },
                capacity: None,
                nodes: None,
                draining: false,
            };
            Self {
                preference: preference(json!({"targetKind": "FederatedDeployment",
                    "totalReplicas": 9})),
                intent: serde_json::from_value(json!({"template": {"spec": {"template":
                    {"metadata": {"labels": {"app": "web"}}}}}}))
                .expect("an intent"),
                annotations: BTreeMap::new(),
                namespace: NamespacePlacement::NotNeeded,
                clusters: [("a".into(), view("city/a")), ("b".into(), view("city/b"))].into(),
                reports: Vec::new(),
                services: Vec::new(),
                book: PreferenceBook::default(),
                settings: Settings::default(),
            }
        }

        fn plan(&mut self, second: u64) -> PlannedPreference {
            let facts = PreferenceFacts {
                preference: &self.preference,
                target: Some(TargetView {
                    group: "apps",
                    kind: "Deployment",
                    intent: &self.intent,
                    annotations: &self.annotations,
                    namespace: &self.namespace,
                }),
                clusters: &self.clusters,
                reports: &self.reports,
                services: &self.services,
                host_domain: Some("city/host"),
                released: None,
            };
            let clocks = Clocks {
                monotonic_millis: second * 1000,
                wall_secs: 1_800_000_000,
            };
            self.book.plan(&facts, &self.settings, clocks)
        }

        fn shares(&mut self, second: u64) -> Vec<(String, i64)> {
            let status = self.plan(second).status;
            status
                .clusters
                .into_iter()
                .map(|cluster| (cluster.name, cluster.replicas))
                .collect()
        }

        fn replicas(&mut self, second: u64) -> Vec<i64> {
            let shares = self.shares(second).into_iter();
            shares.map(|(_, replicas)| replicas).collect()
        }

        fn running(&mut self, name: &str, replicas: i64) {
            self.view(name).running = Running::Known {
                replicas,
                ready: replicas,
            };
        }

        fn view(&mut self, name: &str) -> &mut ClusterView {
            self.clusters.get_mut(name).expect("a member of this world")
        }
    }

    fn preference(spec: Value) -> ReplicaSchedulingPreference {
        let mut preference: ReplicaSchedulingPreference = serde_json::from_value(json!({
            "apiVersion": "scheduling.kubefed.io/v1alpha1", "kind": "ReplicaSchedulingPreference",
            "metadata": {"namespace": "shop", "name": "web", "generation": 4}, "spec": spec}))
        .expect("a preference");
        preference.metadata.generation = Some(4);
        preference
    }

    fn shares(of: &[(&str, i64)]) -> Vec<(String, i64)> {
        of.iter()
            .map(|(name, replicas)| ((*name).to_owned(), *replicas))
            .collect()
    }

    #[test]
    fn replicas_go_where_nodes_have_room_for_them_and_a_look_offers_a_place_once() {
        let mut world = World::new();
        world.intent = serde_json::from_value(json!({"template": {"spec": {"template": {"spec":
            {"containers": [{"name": "web", "resources": {"requests": {"cpu": "500m"}}}]}}}}}))
        .expect("an intent");
        let nodes = |look: u64, cpus: &[i64]| {
            let free = cpus.iter().map(|cpus| Resources {
                cpu_millis: cpus * 1000,
                memory_bytes: 0,
                pods: 100,
            });
            let free = free.collect();
            Some(FreeNodes { look, free })
        };
        world.view("a").nodes = nodes(1, &[1]);
        world.view("b").nodes = nodes(1, &[9]);
        assert_eq!(world.replicas(1), [2, 7]);
        // What the look offered is taken; the same look offers no more.
        let runs = |replicas, ready| Running::Known { replicas, ready };
        world.view("a").running = runs(2, 2);
        world.view("b").running = runs(7, 7);
        assert_eq!(world.replicas(2), [2, 7]);
        // A node was added.
        world.view("a").nodes = nodes(2, &[0, 2]);
        world.preference.spec.rebalance = true;
        assert_eq!(world.replicas(3), [5, 7], "others first have to be ready");
        world.view("a").running = runs(5, 5);
        assert_eq!(world.replicas(4), [5, 4]);
    }

    #[test]
    fn replicas_are_divided_and_the_status_says_why() {
        let mut world = World::new();
        let planned = world.plan(1);
        assert_eq!(planned.status.observed_generation, 4);
        let scheduled = find_condition(&planned.status.conditions, "Scheduled").expect("told");
        assert_eq!(scheduled.status, "True");
        assert!(
            planned
                .status
                .clusters
                .iter()
                .all(|cluster| !cluster.reason.is_empty())
        );
        assert_eq!(
            planned
                .status
                .clusters
                .iter()
                .map(|c| c.replicas)
                .sum::<i64>(),
            9
        );
        let division = world
            .book
            .division(&ObjectKey::new("shop", "web"))
            .expect("planned");
        assert_eq!(division.len(), 2);
        world.book.forget(&ObjectKey::new("shop", "web"));
        assert!(
            world
                .book
                .division(&ObjectKey::new("shop", "web"))
                .is_none()
        );
    }

    #[test]
    fn without_its_target_nothing_is_divided() {
        let mut world = World::new();
        world.namespace = NamespacePlacement::NotFederated;
        let planned = world.plan(1);
        assert!(planned.plan.clusters.is_empty());
        let scheduled = find_condition(&planned.status.conditions, "Scheduled").expect("told");
        assert_eq!(scheduled.reason.as_deref(), Some("NoCandidates"));
    }

    #[test]
    fn the_selector_counts_only_where_the_preference_says_so() {
        let mut world = World::new();
        world
            .view("b")
            .facts
            .labels
            .insert("tier".to_owned(), "edge".to_owned());
        world.intent.placement =
            serde_json::from_value(json!({"clusterSelector": {"matchLabels": {"tier": "edge"}}}))
                .expect("a placement");
        assert_eq!(world.plan(1).plan.clusters.len(), 2);
        world.preference.spec.intersect_with_cluster_selector = true;
        assert_eq!(world.shares(2), shares(&[("b", 9)]));
    }

    #[test]
    fn a_placement_that_is_the_users_is_the_candidates() {
        let mut world = World::new();
        world.intent.placement =
            serde_json::from_value(json!({"clusters": [{"name": "a"}]})).expect("a placement");
        assert_eq!(world.plan(1).plan.clusters.len(), 2);
        world.annotations.insert(
            api::names::ANNOTATION_PLACEMENT.to_owned(),
            "user".to_owned(),
        );
        assert_eq!(world.shares(2), shares(&[("a", 9)]));
    }

    #[test]
    fn a_dead_member_gives_its_replicas_away_once_its_data_plane_is_seen_down() {
        let mut world = World::new();
        world.running("a", 4);
        world.running("b", 5);
        world.services = vec![SteeredService {
            key: ObjectKey::new("shop", "web"),
            selector: [("app".to_owned(), "web".to_owned())].into(),
        }];
        world.reports = vec![data_plane::tests::report(
            "city/x",
            0,
            &[("web", "a", true)],
        )];
        assert_eq!(world.shares(1), shares(&[("a", 4), ("b", 5)]));
        world.view("a").api = ApiSignal::Down {
            since_millis: 2_000,
        };
        world.reports = vec![data_plane::tests::report(
            "city/x",
            5,
            &[("web", "a", false)],
        )];
        assert_eq!(world.shares(5), shares(&[("a", 4), ("b", 5)]));
        assert_eq!(world.plan(6).plan.wake_at_millis, Some(15_000));
        assert_eq!(world.shares(15), shares(&[("a", 0), ("b", 9)]));
        let status = world.plan(16).status;
        assert_eq!(status.clusters[0].phase, "Evacuated");
        assert_eq!(status.clusters[1].phase, "");
    }

    #[test]
    fn a_new_leader_takes_phases_from_the_status() {
        let mut world = World::new();
        world.running("a", 4);
        world.running("b", 9);
        world.preference.status = serde_json::from_value(json!({"observedGeneration": 4,
            "conditions": [], "clusters": [{"name": "a", "replicas": 0, "phase": "Evacuated"}]}))
        .expect("a status");
        assert_eq!(world.shares(1), shares(&[("a", 0), ("b", 9)]));
    }

    #[test]
    fn what_cannot_be_scheduled_is_no_capacity() {
        let mut world = World::new();
        world.preference.spec.rebalance = true;
        world.running("b", 5);
        world.view("a").running = Running::Known {
            replicas: 4,
            ready: 1,
        };
        world.view("a").capacity = Some(1);
        assert_eq!(world.shares(1), shares(&[("a", 1), ("b", 8)]));
    }

    #[test]
    fn the_last_five_divisions_are_kept_and_a_pinned_one_counts_instead_of_the_spec() {
        let mut world = World::new();
        world.running("a", 0);
        for weight in 1..=7 {
            let clusters = json!({"a": {"weight": weight}, "b": {"weight": 10 - weight}});
            world.preference.spec.clusters = serde_json::from_value(clusters).expect("weights");
            world.preference.spec.rebalance = true;
            // Made before broken: what is new must be ready first.
            for step in 0..5 {
                for (name, replicas) in world.shares(10 * weight + step) {
                    world.running(&name, replicas);
                }
            }
        }
        let status = world.plan(80).status;
        assert_eq!(status.history.len(), 5);
        let now: BTreeMap<String, i64> = world.shares(81).into_iter().collect();
        assert_eq!(status.history[0].clusters, now);
        let before = status.history[1].clusters.clone();
        assert_ne!(before, now);
        let division = serde_json::to_string(&before).expect("JSON");
        let annotations = world
            .preference
            .metadata
            .annotations
            .get_or_insert_default();
        annotations.insert(federation::ANNOTATION_DIVISION.to_owned(), division);
        for second in 82..90 {
            for (name, replicas) in world.shares(second) {
                world.running(&name, replicas);
            }
        }
        let status = world.plan(90).status;
        let pinned = find_condition(&status.conditions, "Pinned").expect("told");
        assert_eq!(pinned.status, "True");
        let shares: BTreeMap<String, i64> = world.shares(91).into_iter().collect();
        assert_eq!(shares, before);
    }

    #[test]
    fn a_workload_that_may_not_run_twice_is_not_moved() {
        let mut world = World::new();
        world.running("a", 4);
        world.running("b", 5);
        world.intent.template = json!({"spec": {"strategy": {"type": "Recreate"}}});
        world.view("a").api = ApiSignal::Down { since_millis: 0 };
        assert_eq!(world.shares(1000), shares(&[("a", 4), ("b", 5)]));
        world.preference.spec.failover =
            serde_json::from_value(json!({"mode": "Auto"})).expect("failover");
        let planned = world.plan(1001);
        assert_eq!(planned.status.clusters[0].replicas, 0);
        let unsafe_ = find_condition(&planned.status.conditions, "FailoverUnsafe");
        assert!(unsafe_.is_some());
    }
}
