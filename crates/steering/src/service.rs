//! One global service: its endpoints' standing, its branches, and the answers that follow.

use crate::{
    answers,
    branches::{self, Motion, NodeState, Situation},
    engine::COLD_START_MILLIS_MAX,
    geography::{Geography, Site, Table},
    health::{self, Probed, Readiness, Track},
    quorum::Vote,
    spec::{EndpointStatus, Force, ServiceSpec, WhenAllDown},
    status::{EndpointHealth, Standing},
    tree::{Entry, Pick, Scene, Tree},
    world::World,
};
use dns::SteeredRecords;
use model::{ClusterName, EndpointId, Probe, ProbeSchedule, Region, Target, Verdict};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A service and all that is known of it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) spec: ServiceSpec,
    pub(crate) tree: Tree,
    /// Whether the spec is right; one that is wrong from the beginning is never served.
    pub(crate) valid: bool,
    /// Why the newest spec is not served.
    pub(crate) problem: Option<String>,
    pub(crate) endpoints: BTreeMap<(ClusterName, Target), Member>,
    pub(crate) nodes: BTreeMap<String, NodeState>,
    pub(crate) table: Option<Arc<Table>>,
    pub(crate) outcome: Option<Outcome>,
    /// Counts the outcomes that differed.
    pub(crate) revision: u64,
}

/// An endpoint and its health.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) status: EndpointStatus,
    pub(crate) track: Track,
    /// The observers' verdict; what was known holds while they cannot say.
    pub(crate) probed: Verdict,
    pub(crate) standing: Standing,
    pub(crate) since_millis: u64,
    pub(crate) reason: String,
    pub(crate) votes: Vec<Vote>,
    /// Until when it was good, if it ever was; `u64::MAX` while it is.
    pub(crate) good_millis: Option<u64>,
    pub(crate) born_millis: u64,
}

/// What a service answers.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) rung: Rung,
    pub(crate) ttl_secs: u32,
    pub(crate) records: Vec<SteeredRecords>,
    pub(crate) table: Arc<Table>,
    /// The clusters that some view's answer names.
    pub(crate) named: BTreeSet<ClusterName>,
}

/// Which rung of the ladder answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// Endpoints that are healthy, or not known to be otherwise.
    Healthy,
    /// Those that are draining, without ready replicas, or about to be probed.
    Degraded,
    /// Those that were healthy last.
    LastKnownGood,
    /// All of them.
    All,
    /// The addresses of `whenAllDown`.
    LastResort,
    /// NODATA.
    Nothing,
}

impl Rung {
    /// What it is called.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::LastKnownGood => "last known good",
            Self::All => "all",
            Self::LastResort => "last resort",
            Self::Nothing => "nothing",
        }
    }
}

impl Service {
    /// A service that was just created.
    pub(crate) fn new(spec: ServiceSpec) -> Self {
        Self {
            tree: Tree::new(&spec.policy),
            spec,
            valid: true,
            problem: None,
            endpoints: BTreeMap::new(),
            nodes: BTreeMap::new(),
            table: None,
            outcome: None,
            revision: 0,
        }
    }

    /// Takes a newer spec. Counts go on where the check stays the same.
    pub(crate) fn replace(&mut self, spec: ServiceSpec) {
        if spec.health_check.probe != self.spec.health_check.probe {
            // Another question: its first answer decides, and until then the old verdict holds.
            self.endpoints
                .values_mut()
                .for_each(|member| member.track = Track::default());
        }
        self.tree = Tree::new(&spec.policy);
        let ids: BTreeSet<_> = self
            .tree
            .failovers()
            .iter()
            .map(|(id, _)| (*id).to_owned())
            .collect();
        self.nodes.retain(|id, _| ids.contains(id));
        self.spec = spec;
        self.valid = true;
        self.problem = None;
    }

    /// Takes the endpoints, all of them; those that stay keep their health.
    pub(crate) fn set_endpoints(&mut self, endpoints: Vec<EndpointStatus>, now: u64) {
        let mut before = std::mem::take(&mut self.endpoints);
        for status in endpoints {
            let key = (status.cluster.clone(), status.target.clone());
            let member = match before.remove(&key) {
                Some(member) => Member { status, ..member },
                None => Member::new(status, now),
            };
            self.endpoints.insert(key, member);
        }
    }

    pub(crate) fn endpoint_id(&self, member: &Member) -> EndpointId {
        EndpointId {
            service: self.spec.key.clone(),
            cluster: member.status.cluster.clone(),
            target: member.status.target.clone(),
        }
    }

    /// How long unprobed endpoints are waited for, from their birth: a round of probes.
    fn patience_millis(&self) -> u64 {
        let check = &self.spec.health_check;
        match check.probe {
            Some(_) => (check.interval_millis + check.timeout_millis).min(COLD_START_MILLIS_MAX),
            None => 0,
        }
    }

    /// Whether an endpoint is so new that its first probe is awaited, and until when.
    fn awaits(&self, member: &Member, now: u64) -> Option<u64> {
        let until = member.born_millis.saturating_add(self.patience_millis());
        (member.standing == Standing::Unknown && now < until).then_some(until)
    }

    /// Until when the name is held back: its first round of probes is not in.
    pub(crate) fn pending_millis(&self, now: u64) -> Option<u64> {
        if self.outcome.is_some() {
            return None;
        }
        self.endpoints
            .values()
            .filter_map(|member| self.awaits(member, now))
            .max()
    }

    /// The next time at which something changes by itself.
    pub(crate) fn deadline(&self, now: u64) -> Option<u64> {
        self.endpoints
            .values()
            .filter_map(|member| self.awaits(member, now))
            .min()
    }

    /// Judges every endpoint anew.
    pub(crate) fn judge(&mut self, world: &World<'_>) {
        let never = self.spec.health_check.probe.is_none();
        let mut members = std::mem::take(&mut self.endpoints);
        for member in members.values_mut() {
            let id = self.endpoint_id(member);
            member.votes = world.votes(&id, member.track.verdict);
            let said = world.verdict(&member.votes);
            if said != Verdict::Unknown {
                member.probed = said;
            }
            let probed = if never {
                Probed::Never
            } else {
                Probed::Says(member.probed)
            };
            let region = world.region_of(&member.status);
            let force = world.force(&id, region);
            let readiness = readiness(&member.status, world);
            let (standing, reason) = health::standing(force, probed, readiness);
            member.settle(standing, reason, world.now);
        }
        self.endpoints = members;
    }

    /// Decides every failover node anew; gives the time to decide again.
    pub(crate) fn decide(&mut self, world: &World<'_>, motion: Motion) -> Option<u64> {
        let (nodes, wake) = self.decisions(world, motion);
        self.nodes = nodes;
        wake
    }

    fn decisions(
        &self,
        world: &World<'_>,
        motion: Motion,
    ) -> (BTreeMap<String, NodeState>, Option<u64>) {
        let regions = self.regions(world);
        let entries = self.entries(world, &regions, |member| self.is_healthy(member, world.now));
        let forced: BTreeMap<String, Force> = world.branch_forces(&self.spec.key);
        let mut nodes = BTreeMap::new();
        let mut wake: Option<u64> = None;
        for (id, branches) in self.tree.failovers() {
            let count = |branch: &crate::tree::Branch| {
                let clusters = branch.node.usable_clusters(&entries).len();
                (
                    branch.name.clone(),
                    u32::try_from(clusters).unwrap_or(u32::MAX),
                )
            };
            let healthy = branches.iter().map(count).collect();
            let situation = Situation {
                now: world.now,
                motion,
                healthy: &healthy,
                forced: &forced,
            };
            let decision = branches::decide(branches, self.nodes.get(id), situation);
            wake = [wake, decision.wake_millis].into_iter().flatten().min();
            nodes.insert(id.to_owned(), decision.state);
        }
        (nodes, wake)
    }

    /// As if `down` were down and all delays over: the same service, for `explain`.
    pub(crate) fn supposing(&self, down: &[ClusterName], world: &World<'_>) -> Self {
        let mut other = Self {
            spec: self.spec.clone(),
            tree: self.tree.clone(),
            valid: self.valid,
            problem: None,
            endpoints: self.endpoints.clone(),
            nodes: self.nodes.clone(),
            table: self.table.clone(),
            outcome: None,
            revision: 0,
        };
        for member in other.endpoints.values_mut() {
            if down.contains(&member.status.cluster) && member.standing != Standing::Excluded {
                member.settle(Standing::Down, "supposed to be down", world.now);
            }
        }
        let _ = other.decide(world, Motion::Settled);
        other
    }

    /// Makes sure that the table fits the policy and the endpoints' places.
    pub(crate) fn place(&mut self, world: &World<'_>, geography: &mut Geography) {
        let regions = self.regions(world);
        let mut sites: BTreeMap<ClusterName, Site<'_>> = BTreeMap::new();
        for (member, region) in self.endpoints.values().zip(&regions) {
            let cluster = &member.status.cluster;
            let place = world.clusters.get(cluster).map(|state| &state.place);
            let labels = place.map(|place| &place.labels);
            sites.entry(cluster.clone()).or_insert_with(|| Site {
                region: region.cloned(),
                place,
                labels,
            });
        }
        let rankings = geography.rankings(&self.tree, &sites);
        self.table = Some(geography.table(rankings));
    }

    /// Computes the answers; whether they differ from those before.
    pub(crate) fn evaluate(&mut self, world: &World<'_>, motion: Motion) -> Changed {
        let Some(table) = self.table.clone() else {
            return Changed::No;
        };
        let outcome = self.outcome_of(world, motion, table);
        let same = self.outcome.as_ref().is_some_and(|before| {
            before.records == outcome.records
                && Arc::ptr_eq(&before.table.views, &outcome.table.views)
        });
        self.outcome = Some(outcome);
        if same {
            return Changed::No;
        }
        self.revision += 1;
        Changed::Yes
    }

    /// The answers as they are now; nothing before the first place was found.
    pub(crate) fn outcome_now(&self, world: &World<'_>, motion: Motion) -> Option<Outcome> {
        Some(self.outcome_of(world, motion, self.table.clone()?))
    }

    fn outcome_of(&self, world: &World<'_>, motion: Motion, table: Arc<Table>) -> Outcome {
        let rung = self.rung(world, motion, &table);
        let ttl_secs = self.ttl_secs(rung, world.now);
        let endpoints: Vec<_> = self
            .endpoints
            .values()
            .map(|member| &member.status)
            .collect();
        let views = table.stored.table.views();
        let picks: Vec<Vec<Pick>> = views
            .iter()
            .map(|view| self.choose(rung, view, world, &table, &mut |_| {}))
            .collect();
        let records = answers::TYPES.iter().map(|&record_type| {
            let choice = |picks: &Vec<Pick>| match (rung, &self.spec.when_all_down) {
                (Rung::LastResort, WhenAllDown::Address(addresses)) => {
                    answers::last_resort(addresses, record_type, ttl_secs)
                }
                (Rung::Nothing, _) => answers::nothing(ttl_secs),
                _ => answers::choice(picks, &endpoints, record_type, ttl_secs),
            };
            SteeredRecords::per_view(record_type, picks.iter().map(choice))
        });
        let records = records.collect();
        let named = picks
            .into_iter()
            .flatten()
            .map(|pick| pick.cluster)
            .collect();
        Outcome {
            rung,
            ttl_secs,
            records,
            table,
            named,
        }
    }

    /// The shares for one view on one rung.
    pub(crate) fn choose(
        &self,
        rung: Rung,
        view: &geo::View,
        world: &World<'_>,
        table: &Table,
        say: &mut dyn FnMut(String),
    ) -> Vec<Pick> {
        let regions = self.regions(world);
        let usable = self.usable(rung, world.now);
        let entries = self.entries(world, &regions, |member| usable(member));
        let active = self
            .nodes
            .iter()
            .map(|(id, node)| (id.clone(), node.active.clone()))
            .collect();
        let scene = Scene {
            entries: &entries,
            view,
            rankings: &table.stored.rankings,
            active: &active,
        };
        self.tree.root.choose(scene, say)
    }

    /// The first rung on which something may answer. It is the same for every view: a view orders
    /// clusters and leaves none out.
    pub(crate) fn rung(&self, world: &World<'_>, motion: Motion, table: &Table) -> Rung {
        let Some(view) = table.stored.table.views().first() else {
            return Rung::Nothing;
        };
        let ladder = self.ladder(motion);
        let answers = |rung: &Rung| match rung {
            Rung::LastResort | Rung::Nothing => true,
            _ => !self
                .choose(*rung, view, world, table, &mut |_| {})
                .is_empty(),
        };
        ladder
            .iter()
            .copied()
            .find(answers)
            .unwrap_or(Rung::Nothing)
    }

    /// The rungs to try. With too few observers heard, the last endpoint of the active branch is
    /// never withdrawn, whatever `whenAllDown` says.
    fn ladder(&self, motion: Motion) -> &'static [Rung] {
        use Rung::{All, Degraded, Healthy, LastKnownGood, LastResort, Nothing};
        match &self.spec.when_all_down {
            _ if motion == Motion::Frozen => &[Healthy, Degraded, LastKnownGood, All, Nothing],
            WhenAllDown::LastKnownGood => &[Healthy, Degraded, LastKnownGood, All, Nothing],
            WhenAllDown::All => &[Healthy, Degraded, All, Nothing],
            WhenAllDown::Address(_) => &[Healthy, Degraded, LastResort],
            WhenAllDown::NoData => &[Healthy, Degraded, Nothing],
        }
    }

    fn is_healthy(&self, member: &Member, now: u64) -> bool {
        match member.standing {
            Standing::Healthy => true,
            Standing::Unknown => self.awaits(member, now).is_none(),
            _ => false,
        }
    }

    fn usable(&self, rung: Rung, now: u64) -> impl Fn(&Member) -> bool + '_ {
        let allowed = |member: &&Member| member.standing != Standing::Excluded;
        // Those that are still good are behind an edge that nobody took.
        let gone = |member: &Member| member.good_millis.filter(|&until| until != u64::MAX);
        let last = self
            .endpoints
            .values()
            .filter(allowed)
            .filter_map(gone)
            .max();
        // Endpoints of one fault are found dead one after the other, as their probes come round.
        let check = &self.spec.health_check;
        let one_fault = check.interval_millis * u64::from(check.down) + check.timeout_millis;
        move |member| match (rung, member.standing) {
            (_, Standing::Excluded) => false,
            (Rung::Healthy, _) => self.is_healthy(member, now),
            (Rung::Degraded, standing) => standing != Standing::Down,
            (Rung::LastKnownGood, _) => last
                .zip(member.good_millis)
                .is_some_and(|(last, good)| last.saturating_sub(good) <= one_fault),
            _ => true,
        }
    }

    /// The time until an involved endpoint could change, within the service's bounds; the least
    /// while anything is degraded, draining or new.
    fn ttl_secs(&self, rung: Rung, now: u64) -> u32 {
        let (least, most) = (self.spec.ttl.min_secs, self.spec.ttl.max_secs);
        let unsettled = |member: &Member| {
            member.standing == Standing::Degraded || self.awaits(member, now).is_some()
        };
        if rung != Rung::Healthy || self.endpoints.values().any(unsettled) {
            return least;
        }
        if self.spec.health_check.probe.is_none() {
            return most;
        }
        let involved = self
            .endpoints
            .values()
            .filter(|it| it.standing != Standing::Excluded);
        let certain = involved
            .map(|it| it.track.certain_millis(&self.spec.health_check))
            .min();
        let secs = certain.map_or(u64::from(most), |millis| millis / 1_000);
        u32::try_from(secs)
            .unwrap_or(most)
            .clamp(least, most.max(least))
    }

    fn regions<'a>(&'a self, world: &World<'a>) -> Vec<Option<&'a Region>> {
        self.endpoints
            .values()
            .map(|member| world.region_of(&member.status))
            .collect()
    }

    fn entries<'a>(
        &'a self,
        world: &World<'a>,
        regions: &[Option<&'a Region>],
        usable: impl Fn(&Member) -> bool,
    ) -> Vec<Entry<'a>> {
        let entry = |(member, region): (&'a Member, &Option<&'a Region>)| Entry {
            cluster: &member.status.cluster,
            region: *region,
            labels: world.labels_of(&member.status.cluster),
            weight: member.status.weight,
            ready: member.status.ready_replicas,
            usable: usable(member),
        };
        self.endpoints.values().zip(regions).map(entry).collect()
    }

    /// What to probe.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        let check = &self.spec.health_check;
        let Some(kind) = check.probe.as_ref().filter(|_| self.valid) else {
            return Vec::new();
        };
        let probe = |member: &Member| Probe {
            endpoint: self.endpoint_id(member),
            target: member.status.target.clone(),
            kind: kind.clone(),
            schedule: ProbeSchedule {
                interval_millis: check.interval_millis,
                timeout_millis: check.timeout_millis,
            },
        };
        self.endpoints.values().map(probe).collect()
    }

    /// The health of every endpoint, for statuses and explanations.
    pub(crate) fn endpoint_healths(&self) -> Vec<EndpointHealth> {
        let health = |member: &Member| EndpointHealth {
            endpoint: self.endpoint_id(member),
            standing: member.standing,
            since_millis: member.since_millis,
            reason: member.reason.clone(),
            probes: member.probed,
            observers: member
                .votes
                .iter()
                .map(|it| (it.observer.clone(), it.verdict))
                .collect(),
            ready_replicas: member.status.ready_replicas,
        };
        self.endpoints.values().map(health).collect()
    }
}

/// Whether something is other than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Yes,
    No,
}

impl Member {
    pub(crate) fn new(status: EndpointStatus, now: u64) -> Self {
        Self {
            status,
            track: Track::default(),
            probed: Verdict::Unknown,
            standing: Standing::Unknown,
            since_millis: now,
            reason: "new".to_owned(),
            votes: Vec::new(),
            good_millis: None,
            born_millis: now,
        }
    }

    fn settle(&mut self, standing: Standing, reason: &str, now: u64) {
        let was_good = self.good_millis == Some(u64::MAX);
        match standing {
            Standing::Healthy => self.good_millis = Some(u64::MAX),
            _ if was_good => self.good_millis = Some(now),
            _ => {}
        }
        let failure = self
            .track
            .reason
            .as_deref()
            .filter(|_| standing == Standing::Down);
        self.reason = match failure {
            Some(failure) => format!("{reason}: {failure}"),
            None => reason.to_owned(),
        };
        if standing != self.standing {
            self.standing = standing;
            self.since_millis = now;
        }
    }
}

fn readiness(status: &EndpointStatus, world: &World<'_>) -> Readiness {
    match status.ready_replicas {
        _ if !world.is_believed(&status.cluster) => Readiness::Unheard,
        None => Readiness::Unheard,
        Some(0) => Readiness::None,
        Some(_) => Readiness::Some,
    }
}
