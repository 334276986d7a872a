//! What is asked of the cluster before it takes a Pod: its account and its priority
//! (`plugin/pkg/admission/serviceaccount`, `…/priority`).

use super::Cluster;
use super::options::Admission;
use crate::object;
use crate::resource::Resource;
use crate::status::Status;
use serde_json::{Value, json};

impl Cluster {
    /// Refuses a client's Pod of an account or a priority class that there is not, and gives every
    /// Pod the priority of its class. The account `default` is taken for granted: it comes with the
    /// namespace, a moment later.
    pub(super) fn admit_pod(
        &self,
        resource: &Resource,
        namespace: &str,
        pod: &mut Value,
        admission: Admission,
    ) -> Result<(), Status> {
        if resource.qualified() != "pods" {
            return Ok(());
        }
        let refuse = |why: String| match admission {
            Admission::Asked => Err(Status::forbidden(resource, object::name(pod), &why)),
            Admission::Inside => Ok(()),
        };
        let text = |field: &str| pod["spec"][field].as_str().unwrap_or_default();
        let account = text("serviceAccountName");
        let is_granted = matches!(account, "" | "default");
        if !is_granted && self.kept("serviceaccounts", namespace, account).is_none() {
            refuse(format!(
                "error looking up service account {namespace}/{account}: serviceaccount \
                 {account:?} not found"
            ))?;
        }
        let class = text("priorityClassName").to_owned();
        if class.is_empty() {
            return Ok(());
        }
        let Some(found) = self.kept("priorityclasses.scheduling.k8s.io", "", &class) else {
            return refuse(format!("no PriorityClass with name {class} was found"));
        };
        pod["spec"]["priority"] = found["value"].clone();
        let policy = &found["preemptionPolicy"];
        if policy.is_string() && pod["spec"]["preemptionPolicy"].is_null() {
            pod["spec"]["preemptionPolicy"] = json!(policy);
        }
        Ok(())
    }
}
