//! `Override.status` and `ClusterOverride.status`: whether it has its force, and why not.

use super::Names;
use crate::Error;
use crate::context::Context;
use crate::events::{About, Tone};
use crate::host::in_order;
use crate::status::Written;
use api::{Condition, OverrideStatus};
use kube::Resource;
use kube::core::object::HasStatus;
use kube::runtime::reflector::ObjectRef;
use model::ObjectKey;
use serde::Serialize;
use std::time::Duration;
use steering::{Force, OnExpiry, OverrideScope, OverrideSpec, ServiceStatus};
use tokio::time::Instant;

pub(super) async fn write(
    context: &Context,
    names: &Names,
    key: &ObjectKey,
) -> Result<Written, Error> {
    let Some(it) = context.host.override_of(key) else {
        return Ok(Written::Current);
    };
    tell(context, names, &*it, it.read()).await
}

pub(super) async fn write_of_cluster(
    context: &Context,
    names: &Names,
    key: &ObjectKey,
) -> Result<Written, Error> {
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let Some(it) = context.host.cluster_overrides.get(&reference) else {
        return Ok(Written::Current);
    };
    tell(context, names, &*it, it.read()).await
}

/// Writes one's status.
async fn tell<K>(
    context: &Context,
    names: &Names,
    it: &K,
    read: Result<OverrideSpec, api::Error>,
) -> Result<Written, Error>
where
    K: Resource<DynamicType = ()> + HasStatus<Status: Serialize>,
{
    let now = context.clock.millis();
    let (condition, again) = judge(read, &all(context), names, now);
    count_outlived(context);
    if condition.reason.as_deref() == Some(PAST_END) {
        let message = condition.message.as_deref().unwrap_or_default();
        let about = About::of(it);
        context
            .events
            .tell(&about, Tone::Warning, PAST_END, message);
    }
    let status = OverrideStatus {
        observed_generation: it.meta().generation.unwrap_or_default(),
        conditions: vec![condition],
    };
    let written = context.statuses.write_typed(it, &status).await?;
    Ok(later(written, again, now))
}

/// What raises an alarm until somebody deletes it: an Event, and the metric.
const PAST_END: &str = "KeptPastItsEnd";

/// Counts those that have outlived their time.
pub(super) fn count_outlived(context: &Context) {
    let now = context.clock.millis();
    let outlived =
        |it: &OverrideSpec| now >= it.expires_at_millis && it.on_expiry == OnExpiry::Keep;
    let all = all(context);
    let count = all.iter().filter(|it| outlived(it)).count();
    context.metrics.outlived(count);
}

/// All that read.
fn all(context: &Context) -> Vec<OverrideSpec> {
    let of_services = context.host.overrides();
    let of_services = of_services.iter().map(|it| it.read());
    let of_clusters = in_order(&context.host.cluster_overrides);
    let of_clusters = of_clusters.iter().map(|it| it.read());
    of_services.chain(of_clusters).flatten().collect()
}

/// When to look again: at its end at the latest.
fn later(written: Written, again: Option<u64>, now: u64) -> Written {
    match (written, again) {
        (Written::Current, Some(at)) => {
            Written::Later(Instant::now() + Duration::from_millis(at.saturating_sub(now)))
        }
        (written, _) => written,
    }
}

fn judge(
    read: Result<OverrideSpec, api::Error>,
    all: &[OverrideSpec],
    names: &Names,
    now: u64,
) -> (Condition, Option<u64>) {
    match read {
        Ok(spec) => {
            let told = names.told();
            let services: Vec<_> = told.services.values().collect();
            // What outweighs it may end before.
            let ends = all.iter().chain([&spec]).map(|it| it.expires_at_millis);
            let ends = ends.filter(|end| *end > now).min();
            (in_force(&spec, all, &services, now), ends)
        }
        Err(why) => (condition("False", "DoesNotRead", why.to_string()), None),
    }
}

fn in_force(
    spec: &OverrideSpec,
    all: &[OverrideSpec],
    services: &[&ServiceStatus],
    now: u64,
) -> Condition {
    let over = now >= spec.expires_at_millis;
    let refused: Vec<_> = services
        .iter()
        .filter(|service| service.refused.contains(&spec.key))
        .map(|service| service.service.to_string())
        .collect();
    if over && spec.on_expiry == OnExpiry::Release {
        return condition("False", "Expired", "its time is over".into());
    }
    if !refused.is_empty() {
        let names = refused.join(", ");
        let message = format!("it would leave no endpoint of {names}, and has no force there");
        return condition("False", "WouldLeaveNothing", message);
    }
    if let Some(other) = spec.outweighed_by(all, now) {
        let message = format!("{} forces it {:?}, and counts", other.key, other.force);
        return condition("False", "Outweighed", message);
    }
    if let Some(missing) = missing(spec, services) {
        return condition("False", "NothingToForce", missing);
    }
    if over {
        let message = "its time is over, and it keeps its force until it is deleted";
        return condition("True", PAST_END, message.into());
    }
    condition("True", "InForce", format!("{:?}", spec.force))
}

/// What it is about and is not there; or a branch that does not take over.
fn missing(spec: &OverrideSpec, services: &[&ServiceStatus]) -> Option<String> {
    let find = |key: &ObjectKey| services.iter().find(|it| it.service == *key);
    match &spec.scope {
        OverrideScope::Cluster(_) | OverrideScope::Region(_) => None,
        OverrideScope::Service { service, cluster } => {
            let Some(found) = find(service) else {
                return Some(format!("no GlobalService is called {service}"));
            };
            let cluster = cluster.as_ref()?;
            let there = |it: &steering::EndpointHealth| it.endpoint.cluster == *cluster;
            let gone = !found.endpoints.iter().any(there);
            gone.then(|| format!("{service} has no endpoint in {cluster}"))
        }
        OverrideScope::Branch { service, branch } => {
            let Some(found) = find(service) else {
                return Some(format!("no GlobalService is called {service}"));
            };
            let Some(of) = found.branches.iter().find(|it| it.name == *branch) else {
                return Some(format!("{service} has no branch {branch}"));
            };
            let waits = spec.force == Force::Up && of.state != steering::BranchState::Active;
            let active = found.branches.iter();
            let mut active = active.filter(|it| it.state == steering::BranchState::Active);
            waits
                .then(|| active.next().map(|it| it.reason.clone()))
                .flatten()
        }
    }
}

fn condition(status: &str, reason: &str, message: String) -> Condition {
    Condition {
        r#type: "InForce".to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        ..Condition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scope: OverrideScope, on_expiry: OnExpiry, now: u64, expected: (&str, &str)) {
        let spec = OverrideSpec {
            key: ObjectKey::new("shop", "o"),
            scope,
            force: Force::Down,
            reason: "r".into(),
            owner: "o".into(),
            expires_at_millis: 1_000,
            on_expiry,
            created_millis: 0,
        };
        let shop = ServiceStatus {
            service: ObjectKey::new("shop", "shop"),
            generation: 1,
            hosts: vec![],
            endpoints: vec![],
            branches: vec![],
            misfits: vec![],
            refused: match &spec.scope {
                OverrideScope::Region(_) => vec![spec.key.clone()],
                _ => vec![],
            },
            observers_too_few: None,
            unresolved: None,
        };
        let found = in_force(&spec, &[], &[&shop], now);
        let reason = found.reason.as_deref().unwrap_or_default();
        assert_eq!((found.status.as_str(), reason), expected);
    }

    #[test]
    fn an_override_says_whether_it_has_its_force_and_why_not() {
        let cluster = || OverrideScope::Cluster("a".into());
        check(cluster(), OnExpiry::Release, 999, ("True", "InForce"));
        check(cluster(), OnExpiry::Release, 1_000, ("False", "Expired"));
        check(cluster(), OnExpiry::Keep, 1_000, ("True", "KeptPastItsEnd"));
        let region = OverrideScope::Region("r".into());
        check(region, OnExpiry::Keep, 0, ("False", "WouldLeaveNothing"));
        let other = OverrideScope::Service {
            service: ObjectKey::new("shop", "other"),
            cluster: None,
        };
        check(other, OnExpiry::Keep, 0, ("False", "NothingToForce"));
        let elsewhere = OverrideScope::Service {
            service: ObjectKey::new("shop", "shop"),
            cluster: Some("x".into()),
        };
        check(elsewhere, OnExpiry::Keep, 0, ("False", "NothingToForce"));
    }
}
