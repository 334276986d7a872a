//! The data plane of a workload in a cluster, from what observers report.
//!
//! | endpoints of the cluster | asked first |
//! |---|---|
//! | of GlobalServices whose Service selects the workload's Pods | yes |
//! | any other that is probed | when there are none of the first kind |
//! | none | the data plane is unknown |
//!
//! What observers say together is steering's rule ([`Traffic`]): the data plane is up while one of
//! its endpoints is. Changes are dated by when this process saw them: what another clock says is no
//! evidence.

use federation::{DataPlane, SeenFrom};
use model::{ClusterName, ObjectKey, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use steering::{Observer, ProbeReportValue, REPORT_LIFE_MILLIS, Traffic};

/// A report, and when this process received it.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardReport {
    /// What the observer says.
    pub report: ProbeReportValue,
    /// When it was last written, by this process's monotonic clock.
    pub heard_at_millis: u64,
}

/// A GlobalService, and the Pods behind its Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteeredService {
    /// The GlobalService.
    pub key: ObjectKey,
    /// The selector of its Service, in the template of the FederatedService or on the host.
    pub selector: BTreeMap<String, String>,
}

/// The GlobalServices of a namespace whose Service selects Pods with these labels.
pub fn steered_by<'a>(
    services: &'a [SteeredService],
    namespace: &str,
    pod_labels: &BTreeMap<String, String>,
) -> BTreeSet<&'a ObjectKey> {
    services
        .iter()
        .filter(|service| service.key.namespace.as_ref() == namespace)
        // A Service without a selector selects nothing: its endpoints are somebody's own.
        .filter(|service| !service.selector.is_empty())
        .filter(|service| {
            service
                .selector
                .iter()
                .all(|(key, value)| pod_labels.get(key) == Some(value))
        })
        .map(|service| &service.key)
        .collect()
}

/// How long a replica of the DNS role that is silent, and named the cluster when it was heard last,
/// is waited for. It may answer all the same; it then sees for itself that the endpoints are gone.
const SILENT_MILLIS_MAX: u64 = 600_000;

/// Whether traffic has left a cluster: on every replica, the last answer that named it has outlived
/// its TTL. How long that is ago, a report says by its own clock, and this process's clock adds the
/// time since the report: no two clocks are compared.
pub(crate) fn has_drained(reports: &[HeardReport], cluster: &ClusterName, now_millis: u64) -> bool {
    reports.iter().all(|heard| {
        let named = &heard.report.named;
        let Some(named) = named.iter().find(|named| named.cluster == *cluster) else {
            return true;
        };
        let since_heard = now_millis.saturating_sub(heard.heard_at_millis);
        if since_heard > SILENT_MILLIS_MAX {
            return true;
        }
        let Some(until) = named.until_millis else {
            return false;
        };
        let since_named = heard.report.at_millis.saturating_sub(until) + since_heard;
        since_named >= u64::from(named.ttl_secs_max) * 1000
    })
}

/// Since when each cluster's data plane is as it is.
#[derive(Debug, Default)]
pub(crate) struct DataPlaneTrack {
    clusters: BTreeMap<ClusterName, DataPlane>,
}

impl DataPlaneTrack {
    /// Takes in what is seen of one cluster now.
    pub(crate) fn see(&mut self, cluster: &ClusterName, seen: Seen, now_millis: u64) -> DataPlane {
        let before = self.clusters.get(cluster).copied().unwrap_or_default();
        let now = match (seen, before) {
            (Seen::Unknown, _) => DataPlane::Unknown,
            (Seen::Up, DataPlane::Up { .. }) => before,
            (Seen::Up, _) => DataPlane::Up {
                since_millis: now_millis,
            },
            (Seen::Down(seen_from), DataPlane::Down { since_millis, .. }) => DataPlane::Down {
                since_millis,
                seen_from,
            },
            (Seen::Down(seen_from), _) => DataPlane::Down {
                since_millis: now_millis,
                seen_from,
            },
        };
        self.clusters.insert(cluster.clone(), now);
        now
    }

    /// Forgets clusters that are registered no more.
    pub(crate) fn keep(&mut self, registered: impl Fn(&ClusterName) -> bool) {
        self.clusters.retain(|cluster, _| registered(cluster));
    }
}

/// A data plane as it is seen at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Unknown,
    Up,
    Down(SeenFrom),
}

/// The observers that are heard, and what they say.
pub(crate) struct Observers {
    registered: Vec<Observer>,
    reports: Vec<ProbeReportValue>,
}

impl Observers {
    /// Those whose report is fresh by this process's clock.
    pub(crate) fn heard(reports: &[HeardReport], now_millis: u64) -> Self {
        let fresh = reports
            .iter()
            .filter(|heard| now_millis.saturating_sub(heard.heard_at_millis) <= REPORT_LIFE_MILLIS);
        let reports: Vec<ProbeReportValue> = fresh.map(|heard| heard.report.clone()).collect();
        let registered = reports
            .iter()
            .map(|report| Observer {
                name: report.observer.clone(),
                domain: report.domain.clone(),
                contact: None,
            })
            .collect();
        Self {
            registered,
            reports,
        }
    }

    /// What they say, read together. Freshness was judged already, so that no clock is compared.
    pub(crate) fn read(&self) -> Traffic<'_> {
        Traffic::read(&self.registered, &self.reports, 0)
    }

    /// What they see of a workload in one cluster.
    pub(crate) fn seen(
        &self,
        traffic: &Traffic<'_>,
        steered: &BTreeSet<&ObjectKey>,
        cluster: &ClusterName,
        host_domain: Option<&str>,
    ) -> Seen {
        let own: Vec<Verdict> = steered
            .iter()
            .map(|service| traffic.service(service, cluster))
            .filter(|plane| plane.observers > 0)
            .map(|plane| plane.verdict)
            .collect();
        let (verdict, asked) = match own.is_empty() {
            true => (traffic.cluster(cluster).verdict, None),
            false if own.contains(&Verdict::Up) => (Verdict::Up, Some(steered)),
            false if own.contains(&Verdict::Down) => (Verdict::Down, Some(steered)),
            false => (Verdict::Unknown, Some(steered)),
        };
        match verdict {
            Verdict::Up => Seen::Up,
            Verdict::Unknown => Seen::Unknown,
            Verdict::Down if self.seen_outside(cluster, asked, host_domain) => {
                Seen::Down(SeenFrom::Outside)
            }
            Verdict::Down => Seen::Down(SeenFrom::Host),
        }
    }

    /// Whether an observer in another domain than the host's says down.
    fn seen_outside(
        &self,
        cluster: &ClusterName,
        asked: Option<&BTreeSet<&ObjectKey>>,
        host_domain: Option<&str>,
    ) -> bool {
        let Some(host_domain) = host_domain else {
            return false;
        };
        self.reports
            .iter()
            .filter(|report| report.domain != host_domain && !report.abstains)
            .flat_map(|report| &report.verdicts)
            .filter(|said| said.endpoint.cluster == *cluster && said.verdict == Verdict::Down)
            .any(|said| asked.is_none_or(|asked| asked.contains(&said.endpoint.service)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use model::EndpointId;
    use steering::{NamedCluster, ReportedVerdict};

    /// A report from a domain, heard at a second, of endpoints as service, cluster, up.
    pub(crate) fn report(
        domain: &str,
        second: u64,
        verdicts: &[(&str, &str, bool)],
    ) -> HeardReport {
        HeardReport {
            report: ProbeReportValue {
                challenges: 0,
                unresolved: Default::default(),
                observer: domain.into(),
                domain: domain.to_owned(),
                at_millis: 0,
                abstains: false,
                verdicts: verdicts
                    .iter()
                    .map(|(service, cluster, up)| ReportedVerdict {
                        endpoint: EndpointId {
                            service: ObjectKey::new("shop", service),
                            cluster: (*cluster).into(),
                            target: model::Target::Hostname("lb.example".to_owned()),
                        },
                        verdict: if *up { Verdict::Up } else { Verdict::Down },
                        since_millis: 0,
                        reason: None,
                        late: false,
                        overdue: false,
                    })
                    .collect(),
                generations: BTreeMap::new(),
                named: Vec::new(),
            },
            heard_at_millis: second * 1000,
        }
    }

    fn look(reports: &[HeardReport], steered: &BTreeSet<&ObjectKey>, now_millis: u64) -> Seen {
        let observers = Observers::heard(reports, now_millis);
        observers.seen(&observers.read(), steered, &"a".into(), Some("city/host"))
    }

    fn check(reports: &[HeardReport], expected: Seen) {
        let own = ObjectKey::new("shop", "web");
        let steered = BTreeSet::from([&own]);
        assert_eq!(look(reports, &steered, 20_000), expected);
    }

    #[test]
    fn the_workloads_own_endpoints_go_before_any_other() {
        check(
            &[report(
                "d",
                20,
                &[("web", "a", false), ("other", "a", true)],
            )],
            DOWN_OUTSIDE,
        );
        check(
            &[report(
                "d",
                20,
                &[("web", "b", false), ("other", "a", true)],
            )],
            Seen::Up,
        );
        check(&[report("d", 20, &[("web", "b", true)])], Seen::Unknown);
        check(&[], Seen::Unknown);
    }

    const DOWN_OUTSIDE: Seen = Seen::Down(SeenFrom::Outside);

    #[test]
    fn observers_are_read_together() {
        let up = |domain| report(domain, 20, &[("web", "a", true)]);
        let down = |domain| report(domain, 20, &[("web", "a", false)]);
        check(&[up("1"), down("2"), down("3")], Seen::Up);
        check(&[up("1"), down("2"), down("3"), down("4")], DOWN_OUTSIDE);
    }

    #[test]
    fn who_stands_beside_the_host_is_not_outside() {
        check(
            &[report("city/host", 20, &[("web", "a", false)])],
            Seen::Down(SeenFrom::Host),
        );
    }

    #[test]
    fn who_is_silent_or_abstains_is_not_heard() {
        let late = HeardReport {
            heard_at_millis: 0,
            ..report("d", 0, &[("web", "a", false)])
        };
        let own = ObjectKey::new("shop", "web");
        let late = [late];
        let at = |millis| look(&late, &BTreeSet::from([&own]), millis);
        assert_eq!(at(REPORT_LIFE_MILLIS), DOWN_OUTSIDE);
        assert_eq!(at(REPORT_LIFE_MILLIS + 1), Seen::Unknown);
        let mut abstaining = report("d", 20, &[("web", "a", false)]);
        abstaining.report.abstains = true;
        check(&[abstaining], Seen::Unknown);
    }

    #[test]
    fn traffic_has_left_when_every_replica_s_last_answer_has_outlived_its_ttl() {
        let naming = |domain: &str, until_millis: Option<u64>| {
            let mut heard = report(domain, 100, &[]);
            heard.report.at_millis = 5_000;
            heard.report.named = vec![NamedCluster {
                cluster: "a".into(),
                services: Vec::new(),
                until_millis,
                ttl_secs_max: 30,
            }];
            heard
        };
        let drained = |reports: &[HeardReport], now| has_drained(reports, &"a".into(), now);
        assert!(drained(&[], 0), "nobody answers");
        assert!(
            drained(&[report("1", 100, &[])], 100_000),
            "it was never named"
        );
        // One second before the report by its own clock, whatever ours says.
        let left = naming("1", Some(4_000));
        assert!(!drained(std::slice::from_ref(&left), 128_999));
        assert!(drained(std::slice::from_ref(&left), 129_000));
        let names_it = naming("2", None);
        let both = [left, names_it];
        assert!(!drained(&both, 100_000 + SILENT_MILLIS_MAX));
        assert!(
            drained(&both, 100_001 + SILENT_MILLIS_MAX),
            "silent for too long"
        );
    }

    #[test]
    fn a_change_is_dated_when_it_is_seen_and_the_observer_does_not_change_the_date() {
        let mut track = DataPlaneTrack::default();
        let cluster = ClusterName::from("a");
        track.see(&cluster, Seen::Up, 1);
        assert_eq!(
            track.see(&cluster, Seen::Up, 5),
            DataPlane::Up { since_millis: 1 }
        );
        track.see(&cluster, Seen::Down(SeenFrom::Host), 7);
        assert_eq!(
            track.see(&cluster, DOWN_OUTSIDE, 9),
            DataPlane::Down {
                since_millis: 7,
                seen_from: SeenFrom::Outside
            }
        );
        assert_eq!(track.see(&cluster, Seen::Unknown, 10), DataPlane::Unknown);
        track.keep(|_| false);
        assert!(track.clusters.is_empty());
    }

    #[test]
    fn a_service_steers_what_its_selector_selects_in_its_namespace() {
        let service = |name: &str, selector: &[(&str, &str)]| SteeredService {
            key: ObjectKey::new("shop", name),
            selector: selector
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let services = [
            service("web", &[("app", "web")]),
            service("api", &[("app", "api")]),
            service("all", &[]),
        ];
        let labels: BTreeMap<String, String> = [("app", "web"), ("tier", "front")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let names: Vec<&str> = steered_by(&services, "shop", &labels)
            .into_iter()
            .map(|key| key.name.as_ref())
            .collect();
        assert_eq!(names, ["web"]);
        assert!(steered_by(&services, "other", &labels).is_empty());
    }
}
