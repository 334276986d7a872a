//! What a service answers: the rung of the ladder, the shares of each view, the records.

use crate::{
    answers::{self, Wanted},
    bindings::{self, Binding},
    branches::Motion,
    choose::{Active, Pick, Say, Scene},
    geography::Table,
    resolve::Hostnames,
    service::{Changed, Member, Service},
    spec::WhenAllDown,
    status::Standing,
    world::World,
    zones::Prefixed,
};
use dns::{Freshness, Steered, SteeredRecords};
use model::ClusterName;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a service answers.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Per view, the rung that answers.
    pub(crate) rungs: Vec<Rung>,
    pub(crate) ttl_secs: u32,
    pub(crate) records: Vec<SteeredRecords>,
    /// The same where no alias can be; nothing where it is the same.
    pub(crate) flat: Option<Flat>,
    /// By prefix, what is said there.
    pub(crate) bindings: Vec<(String, SteeredRecords)>,
    pub(crate) table: Arc<Table>,
    /// The clusters that some view's answer names.
    pub(crate) named: BTreeSet<ClusterName>,
}

/// The answers of one form.
struct Answers {
    rungs: Vec<Rung>,
    ttl_secs: u32,
    records: Vec<SteeredRecords>,
    bindings: Vec<(String, SteeredRecords)>,
    freshness: Freshness,
    named: BTreeSet<ClusterName>,
}

/// What is answered at hosts that cannot be aliases.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flat {
    pub(crate) ttl_secs: u32,
    pub(crate) records: Vec<SteeredRecords>,
    /// Stale while a hostname's addresses are.
    pub(crate) freshness: Freshness,
}

impl Outcome {
    /// The answers as `dns` takes them, of a host that can be an alias or cannot.
    pub(crate) fn steered(&self, is_flat: bool) -> Steered {
        let flat = self.flat.as_ref().filter(|_| is_flat);
        Steered {
            views: Arc::clone(&self.table.views),
            records: flat.map_or(&self.records, |it| &it.records).clone(),
            freshness: flat.map_or(Freshness::Fresh, |it| it.freshness),
        }
    }

    /// What is said at a prefix of a host.
    pub(crate) fn binding(&self, prefixed: &Prefixed) -> Option<Steered> {
        let records = self.records_at(&prefixed.prefix)?;
        Some(Steered {
            views: Arc::clone(&self.table.views),
            records: vec![bindings::for_host(records, &prefixed.host)],
            freshness: Freshness::Fresh,
        })
    }

    /// The same, of any host.
    pub(crate) fn records_at(&self, prefix: &str) -> Option<&SteeredRecords> {
        let mut bindings = self.bindings.iter();
        let found = bindings.find(|(known, _)| known == prefix);
        found.map(|(_, records)| records)
    }
}

/// Which rung of the ladder answers, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Computes the answers; whether they differ from those before.
    pub(crate) fn evaluate(&mut self, world: &World<'_>, motion: Motion) -> Changed {
        let Some(table) = self.table.clone() else {
            return Changed::No;
        };
        if self.keeps_answers(world) {
            return Changed::No;
        }
        let outcome = self.outcome_of(world, motion, table);
        let same = self.outcome.as_ref().is_some_and(|before| {
            before.records == outcome.records
                && before.flat == outcome.flat
                && before.bindings == outcome.bindings
                && Arc::ptr_eq(&before.table.views, &outcome.table.views)
        });
        self.outcome = Some(outcome);
        if same {
            return Changed::No;
        }
        self.revision += 1;
        Changed::Yes
    }

    /// Whether what was answered last stays: a policy that holds no endpoint at all, while there are some, is a
    /// mistake, and told as one. What it named must still be there, and nobody have forced it away.
    fn keeps_answers(&self, world: &World<'_>) -> bool {
        let Some(outcome) = &self.outcome else {
            return false;
        };
        let regions = self.regions(world);
        let entries = self.entries(world, &regions, |_| true);
        let held = self.tree.root.has_members(&entries);
        let there = |cluster: &ClusterName| {
            let mut members = self.endpoints.values();
            members.any(|it| it.status.cluster == *cluster && it.standing != Standing::Excluded)
        };
        self.spec.when_all_down == WhenAllDown::LastKnownGood
            && !held
            && !outcome.named.is_empty()
            && outcome.named.iter().all(there)
    }

    /// The answers as they are now; nothing before the first place was found.
    pub(crate) fn outcome_now(&self, world: &World<'_>, motion: Motion) -> Option<Outcome> {
        if self.keeps_answers(world) {
            return self.outcome.clone();
        }
        Some(self.outcome_of(world, motion, self.table.clone()?))
    }

    fn outcome_of(&self, world: &World<'_>, motion: Motion, table: Arc<Table>) -> Outcome {
        let plain = self.answers(world, motion, &table, Hostnames::Aliases);
        let flat = self.flattens().then(|| {
            let hostnames = Hostnames::Flat(world.resolutions);
            self.answers(world, motion, &table, hostnames)
        });
        let mut named = plain.named;
        let flat = flat.map(|answers| {
            named.extend(answers.named);
            Flat {
                ttl_secs: answers.ttl_secs,
                records: answers.records,
                freshness: answers.freshness,
            }
        });
        Outcome {
            rungs: plain.rungs,
            ttl_secs: plain.ttl_secs,
            records: plain.records,
            flat,
            bindings: plain.bindings,
            table,
            named,
        }
    }

    fn answers(
        &self,
        world: &World<'_>,
        motion: Motion,
        table: &Table,
        hostnames: Hostnames<'_>,
    ) -> Answers {
        let views = self.by_view(world, motion, table, hostnames);
        let rung = views.iter().map(|(rung, _)| *rung).max();
        let rung = rung.unwrap_or(Rung::Nothing);
        let targets = self.endpoints.keys().map(|(_, target)| target);
        let (ttl_secs_max, stale) = hostnames.bounds(targets);
        let ttl_secs = self.ttl_secs(rung, world.now).min(ttl_secs_max);
        let endpoints: Vec<_> = self.endpoints.values().map(|it| &it.status).collect();
        let records_of = |wanted: Wanted<'_>| {
            let choice = |(rung, picks): &(Rung, Vec<Pick>)| match (rung, &self.spec.when_all_down)
            {
                (Rung::LastResort, WhenAllDown::Address(addresses)) => {
                    answers::last_resort(addresses, wanted, ttl_secs)
                }
                (Rung::Nothing, _) => answers::nothing(ttl_secs),
                _ => answers::choice(picks, &endpoints, wanted, hostnames, ttl_secs),
            };
            SteeredRecords::per_view(wanted.record_type(), views.iter().map(choice))
        };
        let https = self.spec.https.as_ref().map(Binding::of_host);
        let wanted = answers::ALWAYS
            .into_iter()
            .chain(https.map(Wanted::Binding));
        let records = wanted.map(records_of).collect();
        // At a prefix no address stands in a hostname's way: it is a target, never an alias.
        let svcb = self.spec.svcb.iter().filter(|_| hostnames.are_aliases());
        let bindings = svcb.map(|svcb| {
            let wanted = Wanted::Binding(Binding::prefixed(svcb));
            (svcb.prefix.clone(), records_of(wanted))
        });
        let bindings = bindings.collect();
        let rungs = views.iter().map(|(rung, _)| *rung).collect();
        let picks = views.into_iter().flat_map(|(_, picks)| picks);
        Answers {
            rungs,
            ttl_secs,
            records,
            bindings,
            freshness: if stale {
                Freshness::Stale
            } else {
                Freshness::Fresh
            },
            named: picks.flat_map(|pick| pick.clusters).collect(),
        }
    }

    /// Per view, the first rung on which something may answer, and the shares there.
    pub(crate) fn by_view(
        &self,
        world: &World<'_>,
        motion: Motion,
        table: &Table,
        hostnames: Hostnames<'_>,
    ) -> Vec<(Rung, Vec<Pick>)> {
        let views = table.stored.table.views();
        let mut found: Vec<Option<(Rung, Vec<Pick>)>> = vec![None; views.len()];
        for &rung in self.ladder(motion) {
            if found.iter().all(Option::is_some) {
                break;
            }
            let regions = self.regions(world);
            let usable = self.usable(rung, world.now);
            let entries = self.entries(world, &regions, |member| {
                usable(member) && hostnames.answers(&member.status.target)
            });
            let active = self.active(world.now);
            for (view, found) in views.iter().zip(&mut found).filter(|(_, it)| it.is_none()) {
                let scene = Scene {
                    entries: &entries,
                    view,
                    rankings: &table.stored.rankings,
                    active: &active,
                };
                let picks = match rung {
                    Rung::LastResort | Rung::Nothing => Vec::new(),
                    _ => self.tree.root.answer(scene, &mut |_| {}),
                };
                let answers = !picks.is_empty() || rung >= Rung::LastResort;
                *found = answers.then_some((rung, picks));
            }
        }
        let nothing = || (Rung::Nothing, Vec::new());
        found
            .into_iter()
            .map(|it| it.unwrap_or_else(nothing))
            .collect()
    }

    /// The shares for one view on one rung.
    pub(crate) fn choose(
        &self,
        rung: Rung,
        view: &geo::View,
        world: &World<'_>,
        table: &Table,
        say: Say<'_>,
    ) -> Vec<Pick> {
        let regions = self.regions(world);
        let usable = self.usable(rung, world.now);
        let entries = self.entries(world, &regions, |member| usable(member));
        let active = self.active(world.now);
        let scene = Scene {
            entries: &entries,
            view,
            rankings: &table.stored.rankings,
            active: &active,
        };
        self.tree.root.answer(scene, say)
    }

    fn active(&self, now: u64) -> BTreeMap<String, Active> {
        let of = |node: &crate::branches::NodeState| Active {
            branch: node.active.clone(),
            ramp: node
                .ramp_step(now)
                .map(|(part, _)| (node.ramp_from().to_owned(), part)),
        };
        self.nodes
            .iter()
            .map(|(id, node)| (id.clone(), of(node)))
            .collect()
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

    pub(crate) fn is_healthy(&self, member: &Member, now: u64) -> bool {
        match member.standing {
            Standing::Healthy => true,
            Standing::Unknown => self.awaits(member, now).is_none(),
            // It keeps its own clients.
            Standing::Degraded => member.excused_millis.is_some(),
            Standing::Down | Standing::Excluded => false,
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
    /// while anything is degraded, draining, returning or new.
    fn ttl_secs(&self, rung: Rung, now: u64) -> u32 {
        let (least, most) = (self.spec.ttl.min_secs, self.spec.ttl.max_secs);
        let unsettled = |member: &Member| {
            member.standing == Standing::Degraded
                || self.awaits(member, now).is_some()
                || self.ramp(member, now).is_some()
        };
        let ramps = self
            .nodes
            .values()
            .any(|node| node.ramp_step(now).is_some());
        if rung != Rung::Healthy || ramps || self.endpoints.values().any(unsettled) {
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
}
