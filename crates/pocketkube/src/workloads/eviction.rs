//! What the `eviction` subresource asks before it deletes a Pod.

use super::disruption::{Verdict, judge};
use super::pod;
use crate::cluster::{Caller, Cluster, DryRun};
use crate::object::{is_deleting, namespace};
use crate::status::Status;
use serde_json::Value;

/// Evictions that collide at one budget are tried again so often.
const RETRIES_MAX: usize = 5;

/// Takes one disruption from the budget that covers a Pod, if any does.
///
/// # Errors
///
/// 429 when the budget allows none now, and 500 when several budgets cover the Pod.
pub(crate) fn permit(cluster: &Cluster, pod: &Value, dry_run: DryRun) -> Result<(), Status> {
    let resource = cluster.resource("policy/v1", "PodDisruptionBudget")?;
    for _ in 0..RETRIES_MAX {
        let budgets = cluster.list(&resource, Some(namespace(pod)));
        let budgets: Vec<&Value> = budgets.iter().map(|budget| budget.value()).collect();
        let counted = match judge(pod, &budgets, cluster.clock().now()) {
            Verdict::Free => return mark(cluster, pod, dry_run),
            Verdict::Refused(status) => return Err(status),
            Verdict::Counted(_) if dry_run == DryRun::All => return Ok(()),
            Verdict::Counted(budget) => budget,
        };
        let caller = Caller::system("kube-apiserver");
        match cluster.update_status(&caller, &resource, counted) {
            Err(status) if super::writes::is_conflict(&status) => {}
            Ok(_) => return mark(cluster, pod, dry_run),
            Err(status) => return Err(status),
        }
    }
    Err(Status::too_many_requests(1))
}

/// Has the Pod say that it was evicted; one that moved meanwhile goes without saying so.
fn mark(cluster: &Cluster, pod: &Value, dry_run: DryRun) -> Result<(), Status> {
    if dry_run == DryRun::All || pod::is_terminal(pod) || is_deleting(pod) {
        return Ok(());
    }
    let resource = cluster.resource("v1", "Pod")?;
    let why = ("EvictionByEvictionAPI", "Eviction API: evicting");
    let marked = pod::disrupted(pod, why, cluster.clock().now());
    let caller = Caller::system("kube-apiserver");
    match cluster.update_status(&caller, &resource, marked) {
        Err(status) if super::writes::is_conflict(&status) || status.code == 404 => Ok(()),
        done => done.map(drop),
    }
}
