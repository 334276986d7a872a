//! This replica as an observer: its Lease, by which it is registered, and its ProbeReport.
//!
//! # Guarantees
//! A report is written when the engine gives one, never once per probe; the newest wins.
//! # Assumptions
//! The name is this replica's alone.
//! # Caveats
//! The Lease stays when the process is killed: silent is unknown, not absent. It goes on a clean stop.

use super::contact_of::annotations;
use super::feed::DOMAIN_LABEL;
use api::{ProbeReport, ProbeReportSpec};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use model::ObserverName;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::fmt::Debug;
use std::time::Duration;
use steering::{Contact, ProbeReportValue};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How long a Lease says that its holder is heard.
const LEASE_SECS: i32 = 10;
/// Between renewals: three in the life of a Lease.
const RENEWAL: Duration = Duration::from_secs(3);
/// A host that takes longer gets the next, newer report instead.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Field manager of reports and observers' Leases.
const MANAGER: &str = "meridian-observer";

/// Who observes.
#[derive(Clone)]
pub struct ObserverOptions {
    /// A client of the host.
    pub client: Client,
    /// Where Leases and reports live.
    pub system_namespace: String,
    /// This replica.
    pub identity: ObserverName,
    /// Its failure domain.
    pub domain: String,
    /// How others know it on direct lines.
    pub contact: Contact,
    /// Cancelled when another process goes on under this name: then nothing is taken away.
    pub replaced: CancellationToken,
}

/// Keeps Lease and report until `stop`, then takes both away, unless a successor keeps them.
pub async fn run_observer(
    options: ObserverOptions,
    mut reports: watch::Receiver<Option<ProbeReportValue>>,
    stop: CancellationToken,
) {
    let mut renew = interval(RENEWAL);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written = true;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = renew.tick() => log("lease", timeout(WRITE_TIMEOUT, lease(&options)).await),
            changed = reports.changed() => {
                if changed.is_err() {
                    break;
                }
                written = false;
            }
        }
        if !written {
            let newest = reports.borrow_and_update().clone();
            if let Some(newest) = newest {
                let outcome = timeout(WRITE_TIMEOUT, report(&options, &newest)).await;
                written = matches!(outcome, Ok(Ok(())));
                log("report", outcome);
            }
        }
    }
    if options.replaced.is_cancelled() {
        return;
    }
    // Best effort: what stays behind counts as silent, which is the safe side.
    log("leaving", timeout(WRITE_TIMEOUT, leave(&options)).await);
}

async fn lease(options: &ObserverOptions) -> kube::Result<()> {
    let leases = Api::<Lease>::namespaced(options.client.clone(), &options.system_namespace);
    let name = options.identity.as_str();
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(
        k8s_openapi::jiff::Timestamp::now(),
    );
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {(DOMAIN_LABEL): label_value(&options.domain)},
            "annotations": annotations(&options.contact)},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECS, "renewTime": now},
    });
    apply(&leases, name, &body).await
}

async fn report(options: &ObserverOptions, value: &ProbeReportValue) -> kube::Result<()> {
    let reports = Api::<ProbeReport>::namespaced(options.client.clone(), &options.system_namespace);
    let name = options.identity.as_str();
    let object = ProbeReport::new(name, ProbeReportSpec::from(value));
    apply(&reports, name, &object).await
}

async fn apply<K, B>(api: &Api<K>, name: &str, body: &B) -> kube::Result<()>
where
    K: Clone + DeserializeOwned + Debug,
    B: Serialize + Debug,
{
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(name, &parameters, &Patch::Apply(body))
        .await
        .map(|_| ())
}

async fn leave(options: &ObserverOptions) -> kube::Result<()> {
    let name = options.identity.as_str();
    let parameters = DeleteParams::default();
    let leases = Api::<Lease>::namespaced(options.client.clone(), &options.system_namespace);
    leases.delete(name, &parameters).await?;
    let reports = Api::<ProbeReport>::namespaced(options.client.clone(), &options.system_namespace);
    reports.delete(name, &parameters).await.map(|_| ())
}

/// A failure domain as a label's value: `city/beijing` becomes `city.beijing`.
fn label_value(domain: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = domain
        .chars()
        .map(|c| if fine(c) { c } else { '.' })
        .take(63)
        .collect();
    // A label's value begins and ends with a letter or a digit.
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if text.is_empty() {
        "unnamed".to_owned()
    } else {
        text.to_owned()
    }
}

fn log(what: &str, outcome: Result<kube::Result<()>, tokio::time::error::Elapsed>) {
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(why)) => tracing::debug!(what, %why, "observer's write to the host"),
        Err(_) => tracing::debug!(what, "observer's write to the host timed out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_domain_becomes_a_valid_label() {
        assert_eq!(label_value("city/beijing"), "city.beijing");
        assert_eq!(label_value("区域"), "unnamed");
        assert_eq!(label_value("eu-1."), "eu-1");
    }
}
