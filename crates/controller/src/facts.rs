//! What plans know of the members: what their KubeFedClusters say, whether they serve a type, and
//! which of them is the host.
//!
//! # Guarantees
//! What is told is what was so when it was asked for: facts are shared by all that ask while nothing
//! of it changed.

use crate::context::Context;
use api::KubeFedCluster;
use federation::{ClusterFacts, Readiness, TypeServed};
use kube::ResourceExt;
use model::ClusterName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Every member by its name.
pub(crate) type AllFacts = BTreeMap<ClusterName, ClusterFacts>;

/// The facts of one federated type.
#[derive(Default)]
pub(crate) struct KnownFacts {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What they were made of.
    sources: Vec<Source>,
    facts: Arc<AllFacts>,
}

/// What the facts of one member are made of.
struct Source {
    name: ClusterName,
    /// The same in memory, as long as nobody changed it.
    cluster: Arc<KubeFedCluster>,
    ours: Ours,
}

/// What is known without its KubeFedCluster.
#[derive(PartialEq, Eq)]
struct Ours {
    is_host: bool,
    serves_type: TypeServed,
}

impl KnownFacts {
    /// Every registered member, as far as planning cares.
    pub(crate) fn get(&self, context: &Context, type_name: &str, host_uid: &str) -> Arc<AllFacts> {
        let clusters = context.host.clusters.state();
        let ours = ours(context, type_name, host_uid);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_of(&clusters, &ours) {
            *known = Known::of(clusters, &ours);
        }
        Arc::clone(&known.facts)
    }
}

/// The same for who asks rarely.
pub(crate) fn all(context: &Context, type_name: &str, host_uid: &str) -> Arc<AllFacts> {
    let clusters = context.host.clusters.state();
    Known::of(clusters, &ours(context, type_name, host_uid)).facts
}

impl Known {
    fn of(clusters: Vec<Arc<KubeFedCluster>>, ours: &impl Fn(&ClusterName) -> Ours) -> Self {
        let source = |cluster: Arc<KubeFedCluster>| {
            let name: ClusterName = cluster.name_any().into();
            Source {
                ours: ours(&name),
                name,
                cluster,
            }
        };
        let sources: Vec<Source> = clusters.into_iter().map(source).collect();
        let facts = sources.iter().map(|source| {
            let facts = ClusterFacts {
                is_host: source.ours.is_host,
                serves_type: source.ours.serves_type.clone(),
                ..standing(&source.cluster)
            };
            (source.name.clone(), facts)
        });
        Self {
            facts: Arc::new(facts.collect()),
            sources,
        }
    }

    fn is_of(
        &self,
        clusters: &[Arc<KubeFedCluster>],
        ours: &impl Fn(&ClusterName) -> Ours,
    ) -> bool {
        let mut pairs = self.sources.iter().zip(clusters);
        self.sources.len() == clusters.len()
            && pairs.all(|(source, cluster)| {
                Arc::ptr_eq(&source.cluster, cluster) && source.ours == ours(&source.name)
            })
    }
}

fn ours(context: &Context, type_name: &str, host_uid: &str) -> impl Fn(&ClusterName) -> Ours {
    |name| {
        let member = context.members.get(name);
        let lane = member.as_ref().and_then(|member| member.lane(type_name));
        let serves_type = lane.map(|lane| match lane.cache.denied() {
            Some(why) => TypeServed::Denied(why),
            None if lane.cache.is_not_served() => TypeServed::No,
            None => TypeServed::Yes,
        });
        Ours {
            is_host: member.is_some_and(|member| member.is(host_uid)),
            serves_type: serves_type.unwrap_or_default(),
        }
    }
}

/// What a KubeFedCluster says of its member.
pub(crate) fn standing(cluster: &KubeFedCluster) -> ClusterFacts {
    let place = cluster.place().ok();
    let conditions = cluster
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice());
    let conditions = conditions.unwrap_or_default();
    let unwell = conditions.iter().find(|condition| {
        matches!(condition.r#type.as_str(), "Offline" | "ConfigMalformed")
            && condition.status == "True"
    });
    let not_ready = api::find_condition(conditions, "Ready").filter(|ready| ready.status != "True");
    let readiness = match unwell.or(not_ready) {
        _ if cluster.is_ready() => Readiness::Ready,
        None => Readiness::Unknown,
        Some(condition) => Readiness::NotReady(condition.message.clone().unwrap_or_default()),
    };
    ClusterFacts {
        labels: cluster.metadata.labels.clone().unwrap_or_default(),
        region: place.as_ref().and_then(|place| place.region.clone()),
        city: place.as_ref().and_then(|place| place.city.clone()),
        zones: place.map(|place| place.zones).unwrap_or_default(),
        readiness,
        paused: cluster.spec.paused,
        ..ClusterFacts::default()
    }
}
