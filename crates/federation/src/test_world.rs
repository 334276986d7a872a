//! A small world for tests: a federated ConfigMap `shop/settings` and ready members.

use crate::{
    input::{
        ClusterFacts, FederatedObject, FinalizerState, Host, NamespacePlacement, Options,
        PlanInput, Readiness, Scope, TargetType, Watched,
    },
    intent::{ClusterReference, Intent, Placement},
    live::{Live, ManagedLabel, Observed, Origin, OwnedFields},
    plan::plan,
    step::{Action, Plan, Write},
};
use model::{ClusterName, ObjectKey};
use serde_json::json;
use std::sync::Arc;

/// What a test's plan is made from.
pub(crate) struct World {
    pub(crate) input: PlanInput,
}

impl World {
    /// Ready members that hold nothing; the object is placed everywhere.
    pub(crate) fn new(clusters: &[&str]) -> Self {
        let ready = ClusterFacts {
            readiness: Readiness::Ready,
            ..ClusterFacts::default()
        };
        let facts = clusters.iter().map(|name| ((*name).into(), ready.clone()));
        let input = PlanInput {
            object: FederatedObject {
                kind: "FederatedConfigMap".to_owned(),
                uid: "object-uid".to_owned(),
                generation: 1,
                finalizer: FinalizerState::Present,
                ..FederatedObject::default()
            },
            target: TargetType {
                group: String::new(),
                version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                plural: "configmaps".to_owned(),
                scope: Scope::Namespaced,
                key: ObjectKey::new("shop", "settings"),
                watched: Watched::Metadata,
            },
            intent: Intent {
                template: json!({"data": {"colour": "blue"}}),
                placement: Placement {
                    clusters: None,
                    cluster_selector: Some(Default::default()),
                },
                overrides: Vec::new(),
                rollout: None,
            },
            options: Options::default(),
            host: Host {
                uid: "host-uid".to_owned(),
                ..Host::default()
            },
            clusters: Arc::new(facts.collect()),
            namespace: NamespacePlacement::NotNeeded,
            namespace_confirmed: Default::default(),
            namespace_awaited: Default::default(),
            occupied: Default::default(),
            division: None,
            observed: clusters
                .iter()
                .map(|name| ((*name).into(), Observed::Absent))
                .collect(),
            recorded: Default::default(),
            brake: Default::default(),
            rollout: None,
        };
        Self { input }
    }

    /// The same, with the object already held by every member exactly as rendered.
    pub(crate) fn settled(clusters: &[&str]) -> Self {
        let mut world = Self::new(clusters);
        world.settle();
        world
    }

    /// Applies the plan: what it writes is then there, owned exactly; what it deletes is gone.
    pub(crate) fn settle(&mut self) {
        let plan = self.plan();
        for (cluster, step) in &plan.steps {
            match &step.action {
                Action::Create(write) | Action::Apply(write) => {
                    let uid = self.live(cluster.as_str()).map(|live| live.uid.clone());
                    let live = self.written(write, uid);
                    self.observe(cluster.as_str(), Observed::Present(Box::new(live)));
                    self.input.recorded.insert(cluster.clone());
                }
                Action::Scale(scale) => {
                    let live = self.live_mut(cluster.as_str());
                    live.applied_hash = Some(scale.hash.clone());
                    if let Some(replicas) = &mut live.replicas {
                        replicas.value = scale.replicas;
                    }
                    live.owned = OwnedFields::Exact {
                        rendered_hash: scale.hash.clone(),
                    };
                }
                Action::Delete(_) => self.observe(cluster.as_str(), Observed::Absent),
                Action::Release(_) => {
                    let live = self.live_mut(cluster.as_str());
                    live.origin = None;
                    live.managed = ManagedLabel::Absent;
                    live.adopted = false;
                }
                Action::Nothing | Action::Hold | Action::Tombstone => {}
            }
        }
    }

    fn written(&self, write: &Write, uid: Option<String>) -> Live {
        let replicas = write.object["spec"]["replicas"].as_i64();
        Live {
            uid: uid.unwrap_or_else(|| "live-uid".to_owned()),
            resource_version: "10".to_owned(),
            origin: Some(Origin {
                host: self.input.host.uid.clone(),
                object: self.input.object.uid.clone(),
            }),
            managed: ManagedLabel::True,
            applied_hash: Some(write.hash.clone()),
            owned: OwnedFields::Exact {
                rendered_hash: write.hash.clone(),
            },
            adopted: write.object["metadata"]["annotations"]
                .get("meridian.dev/adopted")
                .is_some(),
            replicas: replicas.map(|value| crate::live::LiveReplicas {
                value,
                other_owner: None,
                unowned: false,
            }),
            ..Live::default()
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.input)
    }

    pub(crate) fn observe(&mut self, cluster: &str, observed: Observed) {
        self.input.observed.insert(cluster.into(), observed);
    }

    pub(crate) fn live(&self, cluster: &str) -> Option<&Live> {
        match self.input.observed.get(cluster) {
            Some(Observed::Present(live)) => Some(live),
            _ => None,
        }
    }

    pub(crate) fn live_mut(&mut self, cluster: &str) -> &mut Live {
        match self.input.observed.get_mut(cluster) {
            Some(Observed::Present(live)) => live,
            other => panic!("{cluster} holds {other:?}"),
        }
    }

    pub(crate) fn facts_mut(&mut self, cluster: &str) -> &mut ClusterFacts {
        Arc::make_mut(&mut self.input.clusters)
            .get_mut(cluster)
            .expect("the cluster is in this world")
    }

    /// Somebody else's object, without any mark of ours.
    pub(crate) fn foreign(&mut self, cluster: &str) {
        let live = Live {
            uid: "foreign-uid".to_owned(),
            resource_version: "5".to_owned(),
            ..Live::default()
        };
        self.observe(cluster, Observed::Present(Box::new(live)));
    }

    pub(crate) fn label(&mut self, cluster: &str, key: &str, value: &str) {
        self.facts_mut(cluster)
            .labels
            .insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.input
            .object
            .annotations
            .insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn place_named(&mut self, clusters: &[&str]) {
        self.input.intent.placement.clusters = Some(
            clusters
                .iter()
                .map(|name| ClusterReference {
                    name: ClusterName::from(*name),
                })
                .collect(),
        );
    }

    /// A federated Deployment instead, with these replicas in its template.
    pub(crate) fn deployment(&mut self, replicas: i64) {
        self.input.object.kind = "FederatedDeployment".to_owned();
        self.input.target.group = "apps".to_owned();
        self.input.target.kind = "Deployment".to_owned();
        self.input.target.plural = "deployments".to_owned();
        self.input.intent.template = json!({"spec": {"replicas": replicas}});
    }
}
