//! `GlobalService.status`: what the listening engine says, and what members offer.

use api::{
    BranchStatusEntry, ClusterEndpoints, Condition, EndpointHealthStatus, GlobalService,
    GlobalServiceStatus, ServiceSummary,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use steering::{BranchState, ServiceStatus, Standing};

pub(super) fn summarize(
    service: &GlobalService,
    endpoints: Vec<ClusterEndpoints>,
    told: Option<&ServiceStatus>,
    before: &GlobalServiceStatus,
) -> GlobalServiceStatus {
    let Some(told) = told else {
        // The engine has not spoken yet: what it said before stands.
        return GlobalServiceStatus {
            endpoints,
            ..before.clone()
        };
    };
    let health = told.endpoints.iter().map(|endpoint| EndpointHealthStatus {
        cluster: endpoint.endpoint.cluster.to_string(),
        target: endpoint.endpoint.target.to_string(),
        standing: format!("{:?}", endpoint.standing),
        since: time(endpoint.since_millis),
        reason: endpoint.reason.clone(),
    });
    let branches = told.branches.iter().map(|branch| BranchStatusEntry {
        name: branch.name.clone(),
        state: format!("{:?}", branch.state),
        since: time(branch.since_millis),
        reason: branch.reason.clone(),
        unmet: branch.unmet.clone(),
    });
    GlobalServiceStatus {
        observed_generation: service.metadata.generation.unwrap_or_default(),
        summary: Some(in_one_line(told)),
        endpoints,
        health: health.collect(),
        branches: branches.collect(),
        conditions: [served(told), fits(told), too_few(told)]
            .into_iter()
            .chain(resolves(told))
            .collect(),
    }
}

fn in_one_line(told: &ServiceStatus) -> ServiceSummary {
    let healthy = told.endpoints.iter();
    let healthy = healthy.filter(|it| matches!(it.standing, Standing::Healthy | Standing::Unknown));
    let active = told.branches.iter();
    let active = active.filter(|branch| branch.state == BranchState::Active);
    let names: Vec<_> = active.map(|branch| branch.name.as_str()).collect();
    let of_endpoints = told.endpoints.iter().map(|it| it.since_millis);
    let since = of_endpoints.chain(told.branches.iter().map(|it| it.since_millis));
    ServiceSummary {
        healthy: format!("{}/{}", healthy.count(), told.endpoints.len()),
        active: names.join(","),
        since: since.max().map(time),
    }
}

fn served(told: &ServiceStatus) -> Condition {
    let hosts = told.hosts.iter();
    let problems: Vec<String> = hosts
        .filter_map(|host| {
            let why = host.problem.as_ref()?;
            Some(format!("{}: {why}", host.host))
        })
        .collect();
    condition("Served", ("HostsServed", "HostRefused"), problems)
}

/// Whether everything that the policy names is there. It is served all the same.
fn fits(told: &ServiceStatus) -> Condition {
    let misfits = told.misfits.iter();
    let problems = misfits.map(|it| format!("spec.{}: {}", it.field, it.message));
    condition(
        "PolicyFits",
        ("AllIsThere", "NamesWhatIsNotThere"),
        problems.collect(),
    )
}

/// Whether a branch that should take over by itself could not.
fn too_few(told: &ServiceStatus) -> Condition {
    let why = told.observers_too_few.clone();
    let (status, reason) = match why {
        Some(_) => ("True", "LostWithTheBranch"),
        None => ("False", "EnoughAreLeft"),
    };
    Condition {
        r#type: "ObserversTooFew".to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: why.map(|why| format!("spec.{why}")),
        ..Condition::default()
    }
}

/// Whether every observer knows the addresses of the hostnames that cannot be answered as aliases.
fn resolves(told: &ServiceStatus) -> Option<Condition> {
    let unresolved = told.unresolved.as_ref()?.iter();
    let problems =
        unresolved.map(|it| format!("{}: {}, says {}", it.hostname, it.why, it.observer));
    let reasons = ("AllResolve", "HostnameUnresolved");
    Some(condition("HostnamesResolve", reasons, problems.collect()))
}

fn condition(name: &str, (good, bad): (&str, &str), problems: Vec<String>) -> Condition {
    let (status, reason) = if problems.is_empty() {
        ("True", good)
    } else {
        ("False", bad)
    };
    Condition {
        r#type: name.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: (!problems.is_empty()).then(|| problems.join("; ")),
        ..Condition::default()
    }
}

fn time(millis: u64) -> Time {
    let millis = i64::try_from(millis).unwrap_or_default();
    let seconds = Timestamp::from_second(millis / 1_000);
    Time(seconds.unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{EndpointId, ObjectKey, Target, Verdict};
    use steering::{BranchStatus, EndpointHealth, SpecProblem, Unresolved};

    fn endpoint(cluster: &str, standing: Standing, since_millis: u64) -> EndpointHealth {
        EndpointHealth {
            endpoint: EndpointId {
                service: ObjectKey::new("shop", "shop"),
                cluster: cluster.into(),
                target: Target::Hostname(format!("{cluster}.example")),
            },
            standing,
            since_millis,
            reason: "probes".into(),
            probes: Verdict::Up,
            observers: vec![],
            ready_replicas: None,
        }
    }

    #[test]
    fn a_service_is_one_line_for_kubectl_and_what_does_not_fit_is_a_condition_with_its_path() {
        let branch = |name: &str, state, since_millis| BranchStatus {
            name: name.into(),
            state,
            since_millis,
            reason: String::new(),
            unmet: None,
        };
        let told = ServiceStatus {
            service: ObjectKey::new("shop", "shop"),
            generation: 1,
            hosts: vec![],
            endpoints: vec![
                endpoint("a", Standing::Healthy, 5_000),
                endpoint("b", Standing::Down, 9_000),
                endpoint("c", Standing::Unknown, 1_000),
            ],
            branches: vec![
                branch("city-a", BranchState::Active, 7_000),
                branch("city-b", BranchState::Standby, 0),
            ],
            misfits: vec![SpecProblem {
                field: "policy.pool.clusters[0]".into(),
                message: "no cluster is called x".into(),
            }],
            refused: vec![],
            observers_too_few: Some("policy.failover[1]: too few".into()),
            unresolved: Some(vec![Unresolved {
                hostname: "lb.example".into(),
                observer: "dns-1".into(),
                why: "SERVFAIL from 192.0.2.53:53".into(),
            }]),
        };
        let service = GlobalService::new("shop", api::GlobalServiceSpec::default());
        let status = summarize(
            &service,
            vec![],
            Some(&told),
            &GlobalServiceStatus::default(),
        );
        let summary = status.summary.expect("a line");
        assert_eq!(
            (summary.healthy.as_str(), summary.active.as_str()),
            ("2/3", "city-a")
        );
        assert_eq!(summary.since, Some(time(9_000)));
        let too_few = &status.conditions[2];
        assert_eq!(
            (too_few.r#type.as_str(), too_few.status.as_str()),
            ("ObserversTooFew", "True")
        );
        let resolves = &status.conditions[3];
        assert_eq!(
            (resolves.r#type.as_str(), resolves.message.as_deref()),
            (
                "HostnamesResolve",
                Some("lb.example: SERVFAIL from 192.0.2.53:53, says dns-1")
            )
        );
        let fits = &status.conditions[1];
        assert_eq!(
            (fits.r#type.as_str(), fits.status.as_str()),
            ("PolicyFits", "False")
        );
        let message = fits.message.as_deref().expect("a message");
        assert!(
            message.starts_with("spec.policy.pool.clusters[0]: no cluster"),
            "{message}"
        );
    }
}
