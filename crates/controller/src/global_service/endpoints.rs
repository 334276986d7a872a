//! What a member's Service offers: addresses of its load balancer and ready replicas behind it.

use api::ClusterEndpoints;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use model::ClusterName;
use std::collections::BTreeSet;

/// Addresses of one cluster that are taken; the schema of the status has the same bound.
const ADDRESSES_MAX: usize = 16;

/// The label by which an EndpointSlice names its Service.
pub(crate) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// What a cluster's Service offers; nothing when it has no address to name.
pub(crate) fn offered(
    cluster: &ClusterName,
    service: &Service,
    slices: &[&EndpointSlice],
) -> Option<ClusterEndpoints> {
    let ingress = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.as_deref())
        .unwrap_or_default();
    let mut addresses: Vec<String> = ingress
        .iter()
        .filter_map(|ingress| ingress.ip.clone())
        .collect();
    let mut hostnames: Vec<String> = ingress
        .iter()
        .filter_map(|ingress| ingress.hostname.clone())
        .collect();
    for list in [&mut addresses, &mut hostnames] {
        list.sort();
        list.dedup();
        list.truncate(ADDRESSES_MAX);
    }
    if addresses.is_empty() && hostnames.is_empty() {
        return None;
    }
    let ready = addresses_behind(slices, Counted::Ready);
    let wanted = addresses_behind(slices, Counted::All);
    Some(ClusterEndpoints {
        cluster: cluster.to_string(),
        addresses,
        hostnames,
        ready_replicas: i32::try_from(ready).ok(),
        wanted_replicas: i32::try_from(wanted).ok(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Ready,
    All,
}

/// Addresses, or those that are ready, each counted once: dual-stack Services have a slice per family, so pods are
/// told apart by their target where it is known.
fn addresses_behind(slices: &[&EndpointSlice], counted: Counted) -> usize {
    let mut found = BTreeSet::new();
    for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
        // Absent means ready (EndpointConditions: "nil should be interpreted as true").
        let conditions = endpoint.conditions.as_ref();
        let is_ready = conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true);
        if !is_ready && counted == Counted::Ready {
            continue;
        }
        let target = endpoint
            .target_ref
            .as_ref()
            .and_then(|target| target.uid.clone());
        match target {
            Some(uid) => {
                found.insert(uid);
            }
            None => found.extend(endpoint.addresses.iter().cloned()),
        }
    }
    found.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn check(ingress: Value, slices: Value) -> Option<(Vec<String>, Vec<String>, Option<i32>)> {
        let service: Service =
            from_value(json!({"status": {"loadBalancer": {"ingress": ingress}}}))
                .expect("a service");
        let slices: Vec<EndpointSlice> = from_value(slices).expect("slices");
        let slices: Vec<&EndpointSlice> = slices.iter().collect();
        offered(&"a".into(), &service, &slices)
            .map(|found| (found.addresses, found.hostnames, found.ready_replicas))
    }

    fn slice(endpoints: Value) -> Value {
        json!({"addressType": "IPv4", "metadata": {}, "endpoints": endpoints})
    }

    #[test]
    fn a_service_without_an_address_offers_nothing() {
        assert_eq!(check(json!([]), json!([])), None);
    }

    #[test]
    fn addresses_and_hostnames_are_told_apart_and_sorted() {
        let ingress = json!([{"ip": "192.0.2.2"}, {"hostname": "lb.example"}, {"ip": "192.0.2.1"}]);
        let (addresses, hostnames, ready) = check(ingress, json!([])).expect("offered");
        assert_eq!(addresses, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(hostnames, ["lb.example"]);
        assert_eq!(ready, Some(0));
    }

    #[test]
    fn a_pod_of_two_families_is_one_ready_replica_and_an_unready_one_is_none() {
        let pod = |uid: &str, ready: bool, address: &str| {
            json!({"addresses": [address], "conditions": {"ready": ready},
                   "targetRef": {"kind": "Pod", "uid": uid}})
        };
        let slices = json!([
            slice(json!([
                pod("1", true, "10.0.0.1"),
                pod("2", false, "10.0.0.2")
            ])),
            slice(json!([pod("1", true, "fd00::1"), {"addresses": ["10.0.0.9"]}])),
        ]);
        let (_, _, ready) = check(json!([{"ip": "192.0.2.1"}]), slices).expect("offered");
        assert_eq!(ready, Some(2));
    }
}
