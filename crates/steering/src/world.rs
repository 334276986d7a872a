//! What all services share: members, overrides, observers.

use crate::{
    engine::Part,
    event::{ClusterState, MemberApi},
    health::Said,
    quorum::{self, Abstaining, Vote},
    report::{Observer, ProbeReportValue, REPORT_LIFE_MILLIS},
    resolve::Resolutions,
    spec::{EndpointStatus, Force, OverrideScope, OverrideSpec},
};
use model::{ClusterName, EndpointId, ObjectKey, ObserverName, Region, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Another observer's last report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    /// When it was heard, by this replica's clock.
    pub(crate) heard_millis: u64,
    pub(crate) report: ProbeReportValue,
    verdicts: BTreeMap<EndpointId, Said>,
    /// The failures of those that are down, in words.
    reasons: BTreeMap<EndpointId, String>,
}

impl Heard {
    /// A report, heard now. One that is the first of its observer may be old already, and clocks
    /// differ: it is as old as it says, and never from the future.
    pub(crate) fn new(report: ProbeReportValue, before: Option<&Self>, now: u64) -> Self {
        let heard_millis = match before {
            Some(before) if before.report.at_millis == report.at_millis => before.heard_millis,
            Some(_) => now,
            None => report.at_millis.min(now),
        };
        let verdicts = report
            .verdicts
            .iter()
            .map(|it| {
                let said = Said {
                    verdict: it.verdict,
                    late: it.late,
                    overdue: it.overdue,
                };
                (it.endpoint.clone(), said)
            })
            .collect();
        let down = report
            .verdicts
            .iter()
            .filter(|it| it.verdict == Verdict::Down);
        let reasons = down.filter_map(|it| Some((it.endpoint.clone(), it.reason.clone()?)));
        Self {
            heard_millis,
            reasons: reasons.collect(),
            report,
            verdicts,
        }
    }

    /// Whether it is fresh, and was made after another report of the same observer.
    pub(crate) fn is_newer(&self, other: &ProbeReportValue, now: u64) -> bool {
        self.is_fresh(now) && other.at_millis < self.report.at_millis
    }

    /// Whether most of what its observer probes is overdue there.
    fn is_blind(&self) -> bool {
        let all = &self.report.verdicts;
        let overdue = all.iter().filter(|it| it.overdue).count();
        overdue * 2 > all.len()
    }

    fn is_fresh(&self, now: u64) -> bool {
        now < self.heard_millis.saturating_add(REPORT_LIFE_MILLIS)
    }
}

impl OverrideScope {
    /// Whether it is about an endpoint.
    fn concerns(&self, endpoint: &EndpointId, region: Option<&Region>) -> bool {
        match self {
            Self::Service { service, cluster } => {
                let here = cluster.as_ref();
                *service == endpoint.service && here.is_none_or(|it| *it == endpoint.cluster)
            }
            Self::Cluster(cluster) => *cluster == endpoint.cluster,
            Self::Region(wanted) => region == Some(wanted),
            Self::Branch { .. } => false,
        }
    }
}

/// Everything that judging a service needs besides the service.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) now: u64,
    pub(crate) clusters: &'a BTreeMap<ClusterName, ClusterState>,
    pub(crate) overrides: &'a BTreeMap<ObjectKey, OverrideSpec>,
    pub(crate) own: &'a Observer,
    pub(crate) part: Part,
    pub(crate) abstaining: Abstaining,
    /// Whether this observer's own probes are overdue.
    pub(crate) blind: bool,
    /// Everyone registered besides this observer.
    pub(crate) others: &'a BTreeMap<ObserverName, Observer>,
    pub(crate) reports: &'a BTreeMap<ObserverName, Heard>,
    /// Addresses of hostnames, as this observer knows them.
    pub(crate) resolutions: &'a Resolutions,
}

impl<'a> World<'a> {
    /// How many observers are registered, this one always among them if it observes.
    pub(crate) fn registered(&self) -> usize {
        self.itself() + self.others.len()
    }

    /// How many of them are heard, and see.
    pub(crate) fn heard(&self) -> usize {
        let itself = self.itself() * usize::from(!self.blind);
        itself + self.fresh().filter(|(_, heard)| !heard.is_blind()).count()
    }

    fn itself(&self) -> usize {
        usize::from(self.part.observes())
    }

    /// Whether more than half of the registered are heard, as moving branches needs.
    pub(crate) fn has_majority(&self) -> bool {
        self.heard() * 2 > self.registered()
    }

    /// How many observers are left, of how many, when these failure domains of clusters are lost. An observer says its
    /// domain as a city or a region is called.
    pub(crate) fn left_without(&self, lost: &BTreeSet<String>) -> (usize, usize) {
        let names: BTreeSet<&str> = lost
            .iter()
            .filter_map(|domain| domain.split_once('/').map(|(_, name)| name))
            .collect();
        let own = self.part.observes().then_some(self.own.domain.as_str());
        let others = self.others.values().map(|it| it.domain.as_str());
        let domains: Vec<&str> = own.into_iter().chain(others).collect();
        let left = domains.iter().filter(|domain| !names.contains(**domain));
        (left.count(), domains.len())
    }

    fn fresh(&self) -> impl Iterator<Item = (&ObserverName, &Heard)> {
        let registered = |name: &ObserverName| self.others.contains_key(name);
        self.reports
            .iter()
            .filter(move |(name, heard)| registered(name) && heard.is_fresh(self.now))
    }

    /// The least revision of challenges that the others who are heard serve.
    pub(crate) fn challenges_heard(&self) -> Option<u64> {
        self.fresh().map(|(_, heard)| heard.report.challenges).min()
    }

    /// The reports of the others who are heard.
    pub(crate) fn heard_reports(&self) -> impl Iterator<Item = (&ObserverName, &ProbeReportValue)> {
        self.fresh().map(|(name, heard)| (name, &heard.report))
    }

    /// The words of all that are heard on an endpoint and whose probes of it end, this observer's first.
    pub(crate) fn votes(&self, endpoint: &EndpointId, own: Said) -> Vec<Vote> {
        let counts = self.part.observes() && !own.overdue;
        let own = Vote {
            observer: self.own.name.clone(),
            domain: self.own.domain.clone(),
            verdict: own.verdict,
            late: own.late,
            abstains: self.abstaining == Abstaining::Yes,
        };
        let mut votes = Vec::with_capacity(self.reports.len() + 1);
        votes.extend(counts.then_some(own));
        votes.extend(self.fresh().filter_map(|(name, heard)| {
            let said = heard.verdicts.get(endpoint);
            said.is_none_or(|said| !said.overdue).then(|| Vote {
                observer: name.clone(),
                domain: heard.report.domain.clone(),
                verdict: said.map_or(Verdict::Unknown, |said| said.verdict),
                late: said.is_some_and(|said| said.late),
                abstains: heard.report.abstains,
            })
        }));
        votes
    }

    /// The failure that another observer tells of an endpoint, for who has seen none.
    pub(crate) fn failure(&self, endpoint: &EndpointId) -> Option<&str> {
        let mut told = self
            .fresh()
            .filter_map(|(_, heard)| heard.reasons.get(endpoint));
        told.next().map(String::as_str)
    }

    /// Their verdict.
    pub(crate) fn verdict(&self, votes: &[Vote]) -> Verdict {
        quorum::verdict(votes, self.registered())
    }

    /// The region of an endpoint: its own word, else its cluster's.
    pub(crate) fn region_of<'b>(&self, status: &'b EndpointStatus) -> Option<&'b Region>
    where
        'a: 'b,
    {
        let of_cluster = || self.clusters.get(&status.cluster)?.place.region.as_ref();
        status.region.as_ref().or_else(of_cluster)
    }

    /// The failure domain of an endpoint: its cluster's, else its region, else itself.
    pub(crate) fn domain_of(&self, status: &EndpointStatus) -> String {
        match (self.clusters.get(&status.cluster), &status.region) {
            (Some(state), _) => state.place.failure_domain(),
            (None, Some(region)) => format!("region/{region}"),
            (None, None) => format!("cluster/{}", status.cluster),
        }
    }

    /// The labels of a cluster.
    pub(crate) fn labels_of(&self, cluster: &ClusterName) -> Option<&'a BTreeMap<String, String>> {
        self.clusters.get(cluster).map(|state| &state.place.labels)
    }

    /// Whether what a member told of readiness is of today. A static endpoint's cluster need not be
    /// a member.
    pub(crate) fn is_believed(&self, cluster: &ClusterName) -> bool {
        self.clusters
            .get(cluster)
            .is_none_or(|state| state.api == MemberApi::Ready)
    }

    /// The overrides that would leave a service without any endpoint that may answer: of those that
    /// force down, the newest. They have no force on it.
    pub(crate) fn refused(&self, endpoints: &[(EndpointId, Option<&Region>)]) -> Vec<ObjectKey> {
        let mut downs: Vec<_> = self
            .in_force()
            .filter(|it| it.force == Force::Down)
            .collect();
        downs.sort_by_key(|it| (it.created_millis, &it.key));
        let mut left: Vec<_> = endpoints.iter().collect();
        let mut refused = Vec::new();
        for down in downs {
            let stays = |it: &&&(EndpointId, Option<&Region>)| !down.scope.concerns(&it.0, it.1);
            let after: Vec<_> = left.iter().filter(stays).copied().collect();
            match after.is_empty() && !left.is_empty() {
                true => refused.push(down.key.clone()),
                false => left = after,
            }
        }
        refused
    }

    /// What overrides say of an endpoint, and its cluster. Of several, the most cautious wins.
    pub(crate) fn force(
        &self,
        endpoint: &EndpointId,
        region: Option<&Region>,
        refused: &[ObjectKey],
    ) -> Option<Force> {
        let forces = self
            .in_force()
            .filter(|it| it.scope.concerns(endpoint, region) && !refused.contains(&it.key))
            .map(|it| it.force);
        let draining = self.clusters.get(&endpoint.cluster);
        let draining = draining.is_some_and(|state| state.draining);
        let forces = forces.chain(draining.then_some(Force::Draining));
        forces.min_by_key(|force| force.rank())
    }

    /// What overrides say of a service's branches, and when they were created; the newest counts.
    pub(crate) fn branch_forces(&self, wanted: &ObjectKey) -> BTreeMap<String, (Force, u64)> {
        let mut overrides: Vec<_> = self.in_force().collect();
        overrides.sort_by_key(|it| it.created_millis);
        let of = |it: &OverrideSpec| match &it.scope {
            OverrideScope::Branch { service, branch } if service == wanted => {
                Some((branch.clone(), (it.force, it.created_millis)))
            }
            _ => None,
        };
        overrides.into_iter().filter_map(of).collect()
    }

    fn in_force(&self) -> impl Iterator<Item = &'a OverrideSpec> {
        let now = self.now;
        self.overrides.values().filter(move |it| it.is_in_time(now))
    }

    /// The next time at which something here changes by itself.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let overrides = self.overrides.values().map(|it| it.expires_at_millis);
        let reports = self
            .fresh()
            .map(|(_, heard)| heard.heard_millis.saturating_add(REPORT_LIFE_MILLIS));
        overrides.chain(reports).filter(|at| *at > self.now).min()
    }
}
