//! An Ingress in a member, with what its controller would have written into its status.

use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use meridian_tests::world::Cluster;
use serde_json::{Value, json};

/// Its name.
pub(crate) const FRONT: &str = "front";

/// Makes it, reached at these of `{"ip": …}` and `{"hostname": …}`.
pub(crate) async fn offer_front(member: &Cluster, namespace: &str, reached_at: Value) {
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"namespace": namespace, "name": FRONT},
        "spec": {"defaultBackend": backend},
    });
    member.apply(ingress).await;
    let api = Api::<Ingress>::namespaced(member.client().clone(), namespace);
    let status = json!({"status": {"loadBalancer": {"ingress": reached_at}}});
    let patched = api
        .patch_status(FRONT, &PatchParams::default(), &Patch::Merge(status))
        .await;
    patched.expect("its controller writes its status");
}
