//! One global service: its endpoints' standing, its branches, and the answers that follow.

use crate::{
    branches::{self, Motion, NodeState, Situation},
    cascade::Cascade,
    choose::Entry,
    doubt::Tally,
    engine::COLD_START_MILLIS_MAX,
    geography::{Geography, Site, Table},
    health::{self, Probed, Readiness, Track},
    outcome::Outcome,
    quorum::Vote,
    requires::Requirements,
    resolve::Unresolved,
    returning,
    spec::{EndpointStatus, Force, HealthCheck, ServiceSpec, SpecProblem},
    status::{EndpointHealth, Standing},
    takeover,
    tree::Tree,
    world::World,
};
use model::{ClusterName, EndpointId, ObjectKey, Probe, ProbeSchedule, Region, Target, Verdict};
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
    /// What must succeed before branches take over.
    pub(crate) requirements: Requirements,
    /// Failure domains that left lately.
    pub(crate) cascade: Cascade,
    pub(crate) table: Option<Arc<Table>>,
    pub(crate) outcome: Option<Outcome>,
    /// What the policy names and the world does not have.
    pub(crate) misfits: Vec<SpecProblem>,
    /// Overrides that have no force on it: they would leave it nothing.
    pub(crate) refused: Vec<ObjectKey>,
    /// Why a branch would not take over by itself.
    pub(crate) too_few: Option<String>,
    /// Whether one of its hosts cannot be an alias.
    pub(crate) flat: bool,
    /// Until when the first words on its hostnames are waited for.
    pub(crate) names_awaited_millis: Option<u64>,
    /// Its hostnames that some observer cannot resolve.
    pub(crate) unresolved: Option<Vec<Unresolved>>,
    /// Counts the outcomes that differed.
    pub(crate) revision: u64,
    /// When its names were asked for last, as far as it was told.
    pub(crate) asked_millis: Option<u64>,
    /// When it goes, its object being gone already.
    pub(crate) leaves_millis: Option<u64>,
    /// What of it this observer counted last.
    pub(crate) tally: Tally,
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
    /// Since when it comes back in a ramp.
    pub(crate) returned_millis: Option<u64>,
    /// Whether it was away because somebody wanted it so.
    pub(crate) drained: bool,
    /// Until when it counts as overloaded, though it does not answer in time.
    pub(crate) excused_millis: Option<u64>,
    /// The ready replicas that shares are made from.
    pub(crate) counted: Option<u32>,
}

impl Service {
    /// A service that was just created.
    pub(crate) fn new(spec: ServiceSpec) -> Self {
        Self {
            tree: Tree::new(&spec.policy),
            requirements: Requirements::of(&spec.policy),
            spec,
            valid: true,
            problem: None,
            endpoints: BTreeMap::new(),
            nodes: BTreeMap::new(),
            cascade: Cascade::default(),
            table: None,
            outcome: None,
            misfits: Vec::new(),
            refused: Vec::new(),
            too_few: None,
            flat: false,
            names_awaited_millis: None,
            unresolved: None,
            revision: 0,
            asked_millis: None,
            leaves_millis: None,
            tally: Tally::default(),
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
        self.requirements.replace(&spec.policy);
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
    pub(crate) fn awaits(&self, member: &Member, now: u64) -> Option<u64> {
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
            .chain(self.names_awaited_millis)
            .max()
    }

    /// The next time at which something changes by itself.
    pub(crate) fn deadline(&self, now: u64) -> Option<u64> {
        let members = self.endpoints.values();
        let times = members.flat_map(|member| {
            let step = self.ramp(member, now).map(|(_, next)| next);
            let excuse = member.excused_millis.filter(|until| *until > now);
            [self.awaits(member, now), step, excuse]
        });
        let ramps = self.nodes.values().map(|node| node.ramp_step(now));
        let ramps = ramps.map(|step| step.map(|(_, next)| next));
        let names = [self.names_awaited_millis];
        times.chain(ramps).chain(names).flatten().min()
    }

    /// A member's ramp that is under way: the part that is back, and when the next step is due.
    pub(crate) fn ramp(&self, member: &Member, now: u64) -> Option<(f64, u64)> {
        returning::step(member.returned_millis?, self.spec.ramp_millis, now)
    }

    /// Judges every endpoint anew.
    pub(crate) fn judge(&mut self, world: &World<'_>) {
        let by_capacity = self.tree.has_capacity();
        let regions = self.regions(world);
        let ids = self
            .endpoints
            .values()
            .map(|member| self.endpoint_id(member));
        let refused = world.refused(&ids.zip(regions).collect::<Vec<_>>());
        let mut members = std::mem::take(&mut self.endpoints);
        let mut alive: BTreeMap<String, bool> = BTreeMap::new();
        for member in members.values_mut() {
            let id = self.endpoint_id(member);
            member.votes = world.votes(&id, member.track.vote());
            let said = world.verdict(&member.votes);
            if said != Verdict::Unknown {
                member.probed = said;
            }
            member.counted = returning::counted(member.counted, member.status.ready_replicas);
            let force = world.force(&id, world.region_of(&member.status), &refused);
            let domain = world.domain_of(&member.status);
            let excuse = member
                .is_late()
                .then(|| self.cascade.excuses(&domain, world.now));
            member.excused_millis = excuse.flatten().filter(|_| force.is_none());
            let (standing, reason) = self.standing(member, force, world);
            let drained = matches!(force, Some(Force::Down | Force::Draining));
            if returning::returns(member.standing, standing, member.drained, by_capacity) {
                member.returned_millis = Some(world.now);
            }
            member.drained = drained || (member.drained && standing != Standing::Healthy);
            member.settle(standing, reason, world.now);
            member.tell_failure(world.failure(&id));
            let answers = !(standing == Standing::Down && member.probed == Verdict::Down);
            *alive.entry(domain).or_insert(false) |= answers;
        }
        self.endpoints = members;
        self.refused = refused;
        self.too_few = takeover::too_few(self, world);
        self.unresolved = world.unresolved(self);
        self.cascade.note(&alive, world.now);
        self.requirements.judge(&self.spec.key, world);
    }

    fn standing(
        &self,
        member: &Member,
        force: Option<Force>,
        world: &World<'_>,
    ) -> (Standing, &'static str) {
        if member.excused_millis.is_some() {
            return (Standing::Degraded, "late after taking over: overloaded");
        }
        let probed = match self.spec.health_check.probe {
            None => Probed::Never,
            Some(_) => Probed::Says(member.probed),
        };
        health::standing(force, probed, readiness(&member.status, world))
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
        let forces = world.branch_forces(&self.spec.key);
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
            let forced = branches::latest(branches, &forces);
            let situation = Situation {
                now: world.now,
                motion,
                healthy: &healthy,
                forced: &forced,
                unmet: self.requirements.unmet(),
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
            requirements: self.requirements.clone(),
            cascade: self.cascade.clone(),
            table: self.table.clone(),
            outcome: None,
            misfits: Vec::new(),
            refused: Vec::new(),
            too_few: None,
            flat: self.flat,
            names_awaited_millis: None,
            unresolved: None,
            revision: 0,
            asked_millis: self.asked_millis,
            leaves_millis: self.leaves_millis,
            tally: Tally::default(),
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
        let divisions = geography.divisions(&self.tree);
        self.table = Some(geography.table(rankings, divisions));
        self.misfits = self.misfits(world, geography);
    }

    pub(crate) fn regions<'a>(&'a self, world: &World<'a>) -> Vec<Option<&'a Region>> {
        self.endpoints
            .values()
            .map(|member| world.region_of(&member.status))
            .collect()
    }

    pub(crate) fn entries<'a>(
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
            ready: member.counted,
            wanted: member.status.wanted_replicas,
            factor: self.ramp(member, world.now).map_or(1.0, |(part, _)| part),
            overloaded: member.excused_millis.is_some(),
            usable: usable(member),
        };
        self.endpoints.values().zip(regions).map(entry).collect()
    }

    /// What to probe.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        let check = &self.spec.health_check;
        if !self.valid {
            return Vec::new();
        }
        let requirements = self.requirements.probes(&self.spec.key, check);
        let Some(kind) = check.probe.as_ref() else {
            return requirements.collect();
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
        self.endpoints
            .values()
            .map(probe)
            .chain(requirements)
            .collect()
    }

    /// What is counted of all that is probed, and how it is probed.
    pub(crate) fn probed_tracks(&mut self) -> impl Iterator<Item = (&HealthCheck, &mut Track)> {
        let check = &self.spec.health_check;
        let probed = self.valid && check.probe.is_some();
        let members = self.endpoints.values_mut().filter(move |_| probed);
        let members = members.map(move |member| (check, &mut member.track));
        let requirements = self.requirements.probed_tracks();
        members.chain(requirements.filter(|_| self.valid))
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
            returned_millis: None,
            drained: false,
            excused_millis: None,
            counted: None,
        }
    }

    /// Whether all who say that it is down got no answer in time, rather than a refusal.
    fn is_late(&self) -> bool {
        let mut downs = self
            .votes
            .iter()
            .filter(|vote| vote.verdict == Verdict::Down);
        self.probed == Verdict::Down
            && downs.clone().next().is_some()
            && downs.all(|vote| vote.late)
    }

    /// Adds what another observer tells to a reason that has no words of its own.
    fn tell_failure(&mut self, failure: Option<&str>) {
        let silent = self.track.reason.is_none() && self.probed == Verdict::Down;
        if let Some(failure) = failure.filter(|_| silent && self.standing == Standing::Down) {
            self.reason = format!("{}: {failure}", self.reason);
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
            _ if self.track.overdue => format!("{reason}, when last heard of: its probes hang"),
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
