//! What the observers' reports say of clusters' data planes: the leader's second signal, apart from
//! the members' APIs, and the proof that traffic has left.

use crate::{
    quorum::{self, Vote},
    report::{Observer, ProbeReportValue, REPORT_LIFE_MILLIS},
};
use model::{ClusterName, EndpointId, ObjectKey, ObserverName, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// A data plane, as the registered observers see it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPlane {
    /// Up while any endpoint is up; down when all that are known are down.
    pub verdict: Verdict,
    /// Since when, in milliseconds since 1970; 0 when unknown.
    pub since_millis: u64,
    /// The observers that were heard and know anything of it.
    pub observers: usize,
}

impl DataPlane {
    const UNKNOWN: Self = Self {
        verdict: Verdict::Unknown,
        since_millis: 0,
        observers: 0,
    };
}

/// The reports of the registered observers, read together.
#[derive(Debug)]
pub struct Traffic<'a> {
    registered: &'a [Observer],
    heard: BTreeMap<&'a ObserverName, &'a ProbeReportValue>,
    endpoints: BTreeMap<&'a EndpointId, Vec<(Vote, u64)>>,
}

impl<'a> Traffic<'a> {
    /// Reads the reports of those that are registered and were heard lately.
    pub fn read(registered: &'a [Observer], reports: &'a [ProbeReportValue], now: u64) -> Self {
        let known: BTreeSet<_> = registered.iter().map(|observer| &observer.name).collect();
        let fresh = reports.iter().filter(|report| {
            known.contains(&report.observer)
                && now < report.at_millis.saturating_add(REPORT_LIFE_MILLIS)
        });
        let heard: BTreeMap<_, _> = fresh.map(|report| (&report.observer, report)).collect();
        let mut endpoints: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for report in heard.values() {
            for said in report.verdicts.iter().filter(|it| !it.overdue) {
                let vote = Vote {
                    observer: report.observer.clone(),
                    domain: report.domain.clone(),
                    verdict: said.verdict,
                    late: said.late,
                    abstains: report.abstains,
                };
                endpoints
                    .entry(&said.endpoint)
                    .or_default()
                    .push((vote, said.since_millis));
            }
        }
        Self {
            registered,
            heard,
            endpoints,
        }
    }

    /// The data plane of a cluster, all services together.
    pub fn cluster(&self, cluster: &ClusterName) -> DataPlane {
        self.data_plane(|endpoint| endpoint.cluster == *cluster)
    }

    /// The data plane of one service in a cluster.
    pub fn service(&self, service: &ObjectKey, cluster: &ClusterName) -> DataPlane {
        self.data_plane(|it| it.cluster == *cluster && it.service == *service)
    }

    /// When the last answer that named the cluster has outlived its TTL, on every registered
    /// replica, in milliseconds since 1970. `None` while a replica names it or is not heard. A
    /// replica that never named it waits for nothing.
    pub fn drained_millis(&self, cluster: &ClusterName) -> Option<u64> {
        let mut latest = 0;
        for observer in self.registered {
            let report = self.heard.get(&observer.name)?;
            let named = report.named.iter().find(|named| named.cluster == *cluster);
            let Some(named) = named else { continue };
            let until = named.until_millis?;
            latest = latest.max(until.saturating_add(u64::from(named.ttl_secs_max) * 1_000));
        }
        Some(latest)
    }

    fn data_plane(&self, concerns: impl Fn(&EndpointId) -> bool) -> DataPlane {
        let mut best = DataPlane::UNKNOWN;
        let mut observers = BTreeSet::new();
        for (_, said) in self
            .endpoints
            .iter()
            .filter(|(endpoint, _)| concerns(endpoint))
        {
            let votes: Vec<Vote> = said.iter().map(|(vote, _)| vote.clone()).collect();
            observers.extend(votes.iter().map(|vote| vote.observer.clone()));
            let verdict = quorum::verdict(&votes, self.registered.len());
            let agreeing = said.iter().filter(|(vote, _)| vote.verdict == verdict);
            let since_millis = agreeing.map(|(_, since)| *since).max().unwrap_or(0);
            best = match (best.verdict, verdict) {
                // The first that came up says since when there is a way in.
                (Verdict::Up, Verdict::Up) => DataPlane {
                    since_millis: best.since_millis.min(since_millis),
                    ..best
                },
                // The last that went down says since when there is none.
                (Verdict::Down, Verdict::Down) => DataPlane {
                    since_millis: best.since_millis.max(since_millis),
                    ..best
                },
                (Verdict::Up, _) | (_, Verdict::Unknown) => best,
                (_, verdict) => DataPlane {
                    verdict,
                    since_millis,
                    ..best
                },
            };
        }
        DataPlane {
            observers: observers.len(),
            ..best
        }
    }
}
