//! What a leader reads from reports: data planes, and when traffic has left.

use crate::harness::*;
use meridian_steering::*;
use model::Verdict;

fn reports_of(replicas: &mut [Replica]) -> Vec<ProbeReportValue> {
    replicas
        .iter()
        .filter_map(|replica| replica.report.clone())
        .collect()
}

fn observers(names: &[&str]) -> Vec<Observer> {
    let of = |name: &&str| Observer {
        name: (*name).into(),
        domain: (*name).into(),
        contact: None,
    };
    names.iter().map(of).collect()
}

#[test]
fn a_data_plane_is_down_when_all_its_known_endpoints_are() {
    let mut of = three();
    of.push(endpoint("frankfurt", "192.0.2.4", 3));
    let mut replicas = [Replica::with(service(), of)];
    let registered = observers(&["replica-1"]);
    let cluster = "frankfurt".into();
    replicas[0].rounds(3, &[F]);
    let reports = reports_of(&mut replicas);
    let traffic = Traffic::read(&registered, &reports, replicas[0].now);
    assert_eq!(traffic.cluster(&cluster).verdict, Verdict::Up);
    replicas[0].rounds(3, &[F, "192.0.2.4"]);
    let reports = reports_of(&mut replicas);
    let traffic = Traffic::read(&registered, &reports, replicas[0].now);
    assert_eq!(traffic.cluster(&cluster).verdict, Verdict::Down);
    assert_eq!(traffic.cluster(&cluster).since_millis, replicas[0].now);
    assert_eq!(
        traffic.service(&key("shop"), &cluster).verdict,
        Verdict::Down
    );
    assert_eq!(
        traffic.service(&key("other"), &cluster).verdict,
        Verdict::Unknown
    );
    let later = Traffic::read(&registered, &reports, replicas[0].now + 30_000);
    assert_eq!(
        later.cluster(&cluster).verdict,
        Verdict::Unknown,
        "nobody is heard"
    );
}

#[test]
fn traffic_has_left_when_every_replicas_last_answer_has_outlived_its_ttl() {
    let mut replicas = [Replica::with(service(), three())];
    let registered = observers(&["replica-1"]);
    let drained = |replica: &Replica, registered: &[Observer], cluster: &str| {
        let reports: Vec<_> = replica.report.iter().cloned().collect();
        Traffic::read(registered, &reports, replica.now).drained_millis(&cluster.into())
    };
    let replica = &mut replicas[0];
    assert_eq!(drained(replica, &registered, "frankfurt"), None);
    assert_eq!(drained(replica, &registered, "never-heard-of"), Some(0));
    replica.tell([override_on(
        OverrideScope::Cluster("frankfurt".into()),
        Force::Draining,
        900_000,
    )]);
    assert_eq!(
        drained(replica, &registered, "frankfurt"),
        Some(replica.now + 15_000)
    );
    let two = observers(&["replica-1", "replica-2"]);
    assert_eq!(
        drained(replica, &two, "frankfurt"),
        None,
        "the other replica is not heard"
    );
}
