//! The reconciler of scheduling preferences: read → plan → division, events, status.
//!
//! # Guarantees
//! One task owns the [`PreferenceBook`] and plans; a preference is planned again whenever something
//! that it depends on changes, and when its plan said that time alone would change it. Statuses are
//! written by others, so that a slow host delays no plan.
//! # Assumptions
//! Standbys plan too: their divisions are warm, and nothing of theirs is written.
//! # Caveats
//! Health, reports and the fleet concern every preference: then all are planned, once each.

use super::heard::Heard;
use super::unschedulable::{Again, LOOKERS, Unschedulable};
use super::{
    Clocks, ClusterView, FreeNodes, PlannedPreference, PreferenceBook, PreferenceFacts,
    SteeredService, TargetView,
};
use crate::cluster_health::Health;
use crate::context::Context;
use crate::divisions::{Changed, Division};
use crate::events::{About, Tone};
use crate::facts;
use crate::fleet;
use crate::host::TypeCache;
use crate::queue::Queue;
use crate::read;
use crate::status::Written;
use crate::wake::{News, PROGRESS_WAIT, target_key};
use api::{ReplicaSchedulingPreference, ReplicaSchedulingPreferenceStatus, read_spec};
use federation::{
    ANNOTATION_FAILOVER_RELEASED, Intent, NamespacePlacement, PreferenceEvent, PreferenceEventKind,
    Running,
};
use kube::ResourceExt;
use model::{ClusterName, ObjectKey};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Statuses that are written at once.
const STATUS_WRITERS: usize = 8;
/// How long a status waits at most while members are written, and how long until it looks again.
const STATUS_WAIT_MAX: Duration = Duration::from_secs(3);
const STATUS_WAIT: Duration = Duration::from_millis(200);
/// Until something that could not be read, or a status that was not written, is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Plans every preference until `stop`.
pub(crate) async fn run_preferences(
    context: Arc<Context>,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    let reconciler = Arc::new(Reconciler::new(context, health));
    for _ in 0..STATUS_WRITERS {
        let (reconciler, stop) = (Arc::clone(&reconciler), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = reconciler.write_statuses() => {}
            }
        });
    }
    for _ in 0..LOOKERS {
        let (reconciler, stop) = (Arc::clone(&reconciler), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = reconciler.look_for_capacity() => {}
            }
        });
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = reconciler.listen() => {}
        () = reconciler.plan_all() => {}
    }
}

/// Plans one preference as one that is new to this process, and leaves its division for the plan
/// of its target. Nothing, when the preference or its target is not there.
///
/// What members run that cannot be asked, the leader remembers and this process does not: there the
/// status is the best witness.
pub(crate) async fn plan_once(
    context: &Arc<Context>,
    health: &Arc<Health>,
    key: &ObjectKey,
) -> Option<PlannedPreference> {
    let reconciler = Reconciler::new(Arc::clone(context), Arc::clone(health));
    let preference = context.host.preference(key)?;
    let target = reconciler.target(&preference, key).await.ok().flatten()?;
    let mut clusters = reconciler.clusters(key, Some(&target));
    recall(&mut clusters, &preference);
    let desk = &mut Desk::default();
    let planned = reconciler.plan_now(desk, &preference, Some(&target), &clusters);
    context.divisions.set(key, Some(planned.plan.division()));
    Some(planned)
}

fn recall(
    clusters: &mut BTreeMap<ClusterName, ClusterView>,
    preference: &ReplicaSchedulingPreference,
) {
    let status = preference.status.iter();
    for told in status.flat_map(|status| &status.clusters) {
        let Some(view) = clusters.get_mut(told.name.as_str()) else {
            continue;
        };
        if view.running == Running::Unknown && told.phase.is_empty() {
            view.running = Running::Known {
                replicas: told.replicas,
                ready: told.replicas,
            };
        }
    }
}

struct Reconciler {
    context: Arc<Context>,
    health: Arc<Health>,
    keys: Queue<ObjectKey>,
    statuses: Queue<ObjectKey>,
    unschedulable: Unschedulable,
    /// The newest status of each preference.
    wanted: Mutex<HashMap<ObjectKey, Wanted>>,
}

impl Reconciler {
    fn new(context: Arc<Context>, health: Arc<Health>) -> Self {
        Self {
            context,
            health,
            keys: Queue::new(),
            statuses: Queue::new(),
            unschedulable: Unschedulable::new(),
            wanted: Mutex::default(),
        }
    }

    /// Turns news into keys.
    async fn listen(&self) {
        let mut news = self.context.wake.listen();
        let mut health = self.health.changes();
        self.look_at_all();
        loop {
            let told = tokio::select! {
                biased;
                changed = health.changed() => match changed {
                    Ok(()) => Ok(News::Report),
                    Err(_) => return,
                },
                told = news.recv() => told,
            };
            match told {
                Ok(News::Preference(key)) => self.keys.add(key),
                Ok(News::Federated(key) | News::MemberObject(key)) => {
                    if self.context.host.preference(&key.object).is_some() {
                        self.keys.add(key.object);
                    }
                }
                Ok(News::MemberProgress(key)) => {
                    if self.context.host.preference(&key.object).is_some() {
                        self.keys.add_at(key.object, Instant::now() + PROGRESS_WAIT);
                    }
                }
                Ok(
                    News::Fleet
                    | News::Report
                    | News::GlobalService(_)
                    | News::LaneSynced(_)
                    | News::FederatedNamespace(_),
                )
                | Err(RecvError::Lagged(_)) => self.look_at_all(),
                Ok(
                    News::MemberNamespace(_)
                    | News::LaneDenied(_)
                    | News::Zone(_)
                    | News::Override(_)
                    | News::ClusterOverride(_)
                    | News::ServiceRecord(_)
                    | News::IngressRecord(_)
                    | News::DnsEndpoint(_)
                    | News::Domain
                    | News::Tombstone,
                ) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn look_at_all(&self) {
        for preference in self.context.host.preferences() {
            self.keys.add(api::key_of(&preference.metadata));
        }
    }

    async fn plan_all(&self) {
        let mut desk = Desk::default();
        loop {
            let key = self.keys.next().await;
            let again = self.plan(&mut desk, &key).await;
            self.keys.done(&key);
            if let Some(again) = again {
                self.keys.add_at(key, again);
            }
        }
    }

    /// Plans one preference; when to do so again.
    async fn plan(&self, desk: &mut Desk, key: &ObjectKey) -> Option<Instant> {
        let context = &self.context;
        let preference = context
            .host
            .preference(key)
            .filter(|preference| preference.metadata.deletion_timestamp.is_none())
            .filter(|_| context.settings().divides);
        let Some(preference) = preference else {
            desk.book.forget(key);
            self.unschedulable.forget(key);
            context.metrics.failover_braked(key, false);
            self.set_division(key, None);
            return None;
        };
        let target = match self.target(&preference, key).await {
            Ok(target) => target,
            Err(why) => {
                tracing::debug!(preference = %key, why, "not planned yet");
                return Some(Instant::now() + RETRY);
            }
        };
        let clusters = self.clusters(key, target.as_ref());
        for (name, view) in &clusters {
            self.unschedulable.note(key, name, view.running);
        }
        let planned = self.plan_now(desk, &preference, target.as_ref(), &clusters);
        let is_braked = planned.plan.braked.is_some();
        context.metrics.failover_braked(key, is_braked);
        let division = target.is_some().then(|| planned.plan.division());
        self.set_division(key, division);
        for event in &planned.plan.events {
            self.tell(&preference, event);
        }
        self.want(key, planned.status);
        let wake = planned.plan.wake_at_millis?;
        let wait = wake.saturating_sub(self.health.now_millis());
        Some(Instant::now() + Duration::from_millis(wait))
    }

    fn plan_now(
        &self,
        desk: &mut Desk,
        preference: &ReplicaSchedulingPreference,
        target: Option<&Target>,
        clusters: &BTreeMap<ClusterName, ClusterView>,
    ) -> PlannedPreference {
        let context = &self.context;
        let now = self.health.now_millis();
        let settings = context.settings();
        let config = context.host.config();
        let namespace = preference.metadata.namespace.as_deref();
        let facts = PreferenceFacts {
            preference,
            target: target.map(Target::view),
            clusters,
            reports: desk.heard.reports(context, now),
            services: &self.services(namespace.unwrap_or_default()),
            host_domain: host_domain(clusters),
            released: config
                .as_ref()
                .and_then(|config| config.annotations().get(ANNOTATION_FAILOVER_RELEASED))
                .map(String::as_str),
        };
        let clocks = Clocks {
            monotonic_millis: now,
            wall_secs: context.clock.now().as_second(),
        };
        desk.book.plan(&facts, &settings, clocks)
    }

    /// Looks at Pods that may have no place, one workload and member after another.
    async fn look_for_capacity(&self) {
        loop {
            let place = self.unschedulable.next().await;
            let again = self.look(&place).await;
            self.unschedulable
                .done(&place, self.health.now_millis(), again);
        }
    }

    async fn look(&self, place: &(ObjectKey, ClusterName)) -> Again {
        let (key, name) = place;
        if !self.context.leadership.leads() {
            return Again::WhenItEnds;
        }
        let Some(preference) = self.context.host.preference(key) else {
            return Again::WhenItEnds;
        };
        let Ok(Some(target)) = self.target(&preference, key).await else {
            return Again::WhenItEnds;
        };
        let now = self.health.now_millis();
        let again = self
            .unschedulable
            .look(&self.context, &target, place, now)
            .await;
        tracing::trace!(preference = %key, member = %name, ?again, "looked for Pods without a place");
        // What was learned, or has ended, changes the division.
        self.keys.add(key.clone());
        again
    }

    /// The federated object whose replicas are divided, unless there is none.
    async fn target(
        &self,
        preference: &ReplicaSchedulingPreference,
        key: &ObjectKey,
    ) -> Result<Option<Target>, &'static str> {
        let context = &self.context;
        let Some(cache) = context.type_of_kind(&preference.spec.target_kind) else {
            return Ok(None);
        };
        if !cache.is_ready().await {
            return Err("its target's kind is not listed yet");
        }
        let Some(object) = cache.get(key) else {
            return Ok(None);
        };
        let Ok(spec) = read_spec(&object.data["spec"]) else {
            return Ok(None);
        };
        let settings = context.settings();
        let namespace = read::namespace(context, &settings, &cache, key).await?;
        Ok(Some(Target {
            annotations: object.annotations().clone(),
            intent: spec.intent,
            namespace,
            key: target_key(&cache.named.federated, key),
            cache,
        }))
    }

    /// Every member, with what it runs of the target.
    fn clusters(
        &self,
        key: &ObjectKey,
        target: Option<&Target>,
    ) -> BTreeMap<ClusterName, ClusterView> {
        let context = &self.context;
        let now = self.health.now_millis();
        let type_name = target.map(|target| Arc::clone(&target.cache.named.name));
        let host_uid = context
            .host_uid
            .get()
            .map(String::as_str)
            .unwrap_or_default();
        let facts = facts::all(context, type_name.as_deref().unwrap_or_default(), host_uid);
        let registered = context.host.clusters.state();
        let draining: BTreeSet<ClusterName> = registered
            .iter()
            .filter(|cluster| cluster.spec.drain)
            .map(|cluster| cluster.name_any().into())
            .collect();
        Arc::unwrap_or_clone(facts)
            .into_iter()
            .map(|(name, facts)| {
                let running = target
                    .and_then(|target| {
                        let lane = context.members.get(&name)?.lane(&target.cache.named.name)?;
                        Some(lane.cache.running(&target.key))
                    })
                    .unwrap_or(Running::Unknown);
                let view = ClusterView {
                    draining: draining.contains(&name),
                    failure_domain: failure_domain(&name, &facts),
                    api: self.health.api(&name),
                    running,
                    capacity: self.unschedulable.capacity(key, &name, now),
                    nodes: self.free_nodes(&name),
                    facts,
                };
                (name, view)
            })
            .collect()
    }

    fn free_nodes(&self, name: &ClusterName) -> Option<FreeNodes> {
        let capacity = self.context.members.get(name)?.capacity()?;
        let free = Arc::clone(capacity.free.as_ref()?);
        let look = capacity.look;
        Some(FreeNodes { look, free })
    }

    /// A namespace's GlobalServices with the selector of the FederatedService that they steer.
    fn services(&self, namespace: &str) -> Vec<SteeredService> {
        let Some(cache) = self.context.type_of_kind("FederatedService") else {
            return Vec::new();
        };
        let services = self.context.host.global_services();
        let of_namespace = services
            .iter()
            .filter(|service| service.metadata.namespace.as_deref() == Some(namespace));
        let steered = of_namespace.filter_map(|service| {
            let key = api::key_of(&service.metadata);
            let source = service.spec.endpoints.service.as_ref()?;
            let federated = cache.get(&ObjectKey::new(&key.namespace, &source.name))?;
            let selector = federated.data.pointer("/spec/template/spec/selector")?;
            let selector = serde_json::from_value(selector.clone()).ok()?;
            Some(SteeredService { key, selector })
        });
        steered.collect()
    }

    /// Gives a division to who applies it; the federated object is planned anew when it changed.
    fn set_division(&self, key: &ObjectKey, division: Option<Division>) {
        if self.context.divisions.set(key, division) == Changed::Yes {
            fleet::wake_target(&self.context, key);
        }
    }

    fn tell(&self, preference: &ReplicaSchedulingPreference, event: &PreferenceEvent) {
        let about = About::of(preference);
        let tone = match event.kind {
            PreferenceEventKind::FailbackStarted
            | PreferenceEventKind::FailbackDone
            | PreferenceEventKind::FailoverReleased => Tone::Normal,
            PreferenceEventKind::Failover
            | PreferenceEventKind::FailoverWithheld
            | PreferenceEventKind::FailoverBraked => Tone::Warning,
        };
        tracing::info!(preference = %preference.name_any(), kind = ?event.kind, "{}", event.message);
        self.context
            .events
            .tell(&about, tone, &format!("{:?}", event.kind), &event.message);
    }

    fn want(&self, key: &ObjectKey, status: ReplicaSchedulingPreferenceStatus) {
        let mut wanted = self.wanted();
        let before = wanted.get(key).and_then(|wanted| wanted.since);
        let since = Some(before.unwrap_or_else(Instant::now));
        wanted.insert(key.clone(), Wanted { status, since });
        drop(wanted);
        self.statuses.add(key.clone());
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<ObjectKey, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_statuses(&self) {
        loop {
            let key = self.statuses.next().await;
            let again = self.write_status(&key).await;
            self.statuses.done(&key);
            if let Some(again) = again {
                self.statuses.add_at(key, again);
            }
        }
    }

    /// Writes the newest status of a preference; when to try again.
    async fn write_status(&self, key: &ObjectKey) -> Option<Instant> {
        let newest = self.wanted().get(key).cloned();
        let (wanted, preference) = (newest?, self.context.host.preference(key));
        // Members first: what is decided is done before it is told.
        let (now, since) = (Instant::now(), wanted.since?);
        if self.context.wake.objects.is_busy() && now < since + STATUS_WAIT_MAX {
            return Some(now + STATUS_WAIT);
        }
        let Some(preference) = preference else {
            self.wanted().remove(key);
            return None;
        };
        match self
            .context
            .statuses
            .write_typed(preference.as_ref(), &wanted.status)
            .await
        {
            Ok(Written::Current) => {
                // Unless another one is wanted meanwhile.
                if let Some(now) = self.wanted().get_mut(key)
                    && now.status == wanted.status
                {
                    now.since = None;
                }
                None
            }
            Ok(Written::Later(at)) => Some(at),
            Err(error) => {
                tracing::debug!(preference = %key, %error, "status not written");
                Some(Instant::now() + RETRY)
            }
        }
    }
}

/// A status as it should be.
#[derive(Clone)]
struct Wanted {
    status: ReplicaSchedulingPreferenceStatus,
    /// Since when the host may say something else; nothing: it does not.
    since: Option<Instant>,
}

/// The federated object, read.
pub(super) struct Target {
    pub(super) cache: Arc<TypeCache>,
    /// Namespace and name in the members.
    pub(super) key: ObjectKey,
    pub(super) intent: Intent,
    annotations: BTreeMap<String, String>,
    namespace: NamespacePlacement,
}

impl Target {
    fn view(&self) -> TargetView<'_> {
        let target = &self.cache.named.federated.target;
        TargetView {
            group: &target.group,
            kind: &target.kind,
            intent: &self.intent,
            annotations: &self.annotations,
            namespace: &self.namespace,
        }
    }
}

/// What the planning task keeps.
#[derive(Default)]
struct Desk {
    book: PreferenceBook,
    heard: Heard,
}

/// The domain of the member that is the host itself, where there is one.
fn host_domain(clusters: &BTreeMap<ClusterName, ClusterView>) -> Option<&str> {
    let host = clusters.values().find(|view| view.facts.is_host)?;
    Some(&host.failure_domain)
}

/// City, else region, else the member by itself.
fn failure_domain(name: &ClusterName, facts: &federation::ClusterFacts) -> String {
    let place = model::ClusterPlace {
        name: name.clone(),
        labels: BTreeMap::new(),
        region: facts.region.clone(),
        city: facts.city.clone(),
        zones: Vec::new(),
        location: None,
        networks: vec![],
    };
    place.failure_domain()
}
