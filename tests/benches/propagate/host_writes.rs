//! How many mutating requests the host has answered, by its own count.

use crate::Result;
use crate::site::Site;

/// Verbs of `apiserver_request_total` that write.
const WRITES: [&str; 6] = [
    "POST",
    "PUT",
    "PATCH",
    "APPLY",
    "DELETE",
    "DELETECOLLECTION",
];
/// What is counted apart.
const APART: [&str; 2] = ["leases", "events"];

/// All mutating requests so far, Events and Leases apart: from pocketkube's request log, or from
/// the metric `apiserver_request_total`, which a kube-apiserver counts each answer in.
pub(crate) async fn host_writes(site: &Site) -> Result<f64> {
    if let Some(host) = site.clusters.pocketkube_host() {
        let counted = host
            .requests()
            .count(|kind| kind.is_write() && !APART.contains(&kind.resource.as_str()));
        return Ok(counted as f64);
    }
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let metrics = site.host.request_text(request).await?;
    let mut sum = 0.0;
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("apiserver_request_total{") else {
            continue;
        };
        let (labels, count) = rest.rsplit_once("} ").ok_or("a metric without a value")?;
        let has = |name: &str, values: &[&str]| {
            values
                .iter()
                .any(|value| labels.contains(&format!("{name}=\"{value}\"")))
        };
        if has("verb", &WRITES) && !has(",resource", &APART) {
            sum += count.trim().parse::<f64>()?;
        }
    }
    Ok(sum)
}
