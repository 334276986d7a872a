//! What a member's HTTPRoute offers: the addresses of the Gateways that accept it, and the replicas behind it.
//!
//! | of a route | read as |
//! |---|---|
//! | `parentRefs` | Gateways of the route's own namespace; others are of somebody else's, and are left out |
//! | `status.parents` | a Gateway counts when its controller says `Accepted` |
//! | `rules[].backendRefs` | Services of the route's own namespace |

use super::endpoints;
use api::ClusterEndpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::DynamicObject;
use model::ClusterName;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The group that references have when they name none.
const GROUP: &str = "gateway.networking.k8s.io";

/// What a cluster's route offers; nothing when no Gateway with an address accepts it.
pub(crate) fn offered(
    cluster: &ClusterName,
    route: &DynamicObject,
    gateways: &BTreeMap<String, DynamicObject>,
    slices: &[&EndpointSlice],
) -> Option<ClusterEndpoints> {
    let namespace = route.namespace().unwrap_or_default();
    let accepting = route.data["status"]["parents"].as_array();
    let names: BTreeSet<&str> = accepting
        .into_iter()
        .flatten()
        .filter(|parent| is_accepted(parent))
        .filter_map(|parent| named(&parent["parentRef"], (GROUP, "Gateway"), &namespace))
        .collect();
    let gateways: Vec<_> = names
        .iter()
        .filter_map(|name| gateways.get(*name))
        .collect();
    endpoints::of_gateways(cluster, &gateways, slices)
}

/// The Services that a route leads to.
pub(crate) fn backends(route: &DynamicObject) -> BTreeSet<String> {
    let namespace = route.namespace().unwrap_or_default();
    let rules = route.data["spec"]["rules"].as_array();
    let backends = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["backendRefs"].as_array())
        .flatten();
    backends
        .filter_map(|backend| named(backend, ("", "Service"), &namespace))
        .map(str::to_owned)
        .collect()
}

/// The name in a reference, if it is of this kind and in this namespace.
fn named<'a>(
    reference: &'a Value,
    (group, kind): (&str, &str),
    namespace: &str,
) -> Option<&'a str> {
    let is = |field: &str, usual: &str| reference[field].as_str().unwrap_or(usual) == usual;
    let fits = is("group", group) && is("kind", kind) && is("namespace", namespace);
    reference["name"].as_str().filter(|_| fits)
}

fn is_accepted(parent: &Value) -> bool {
    let conditions = parent["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| it["type"] == "Accepted" && it["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn gateway(name: &str, address: &str) -> (String, DynamicObject) {
        let gateway = json!({"metadata": {"namespace": "shop", "name": name},
            "status": {"addresses": [{"value": address}]}});
        (name.to_owned(), from_value(gateway).expect("a gateway"))
    }

    fn route(parents: Value) -> DynamicObject {
        from_value(json!({
            "metadata": {"namespace": "shop", "name": "front"},
            "spec": {"rules": [{"backendRefs": [
                {"name": "shop", "port": 80},
                {"name": "other", "namespace": "elsewhere", "port": 80},
                {"name": "bucket", "group": "example.org", "kind": "Bucket"}]}, {}]},
            "status": {"parents": parents},
        }))
        .expect("a route")
    }

    #[test]
    fn a_route_offers_the_addresses_of_the_gateways_that_accept_it() {
        let gateways = BTreeMap::from([gateway("a", "192.0.2.1"), gateway("b", "192.0.2.2")]);
        let parent = |reference: Value, accepted: &str| json!({"parentRef": reference, "conditions": [{"type": "Accepted", "status": accepted}]});
        let slices: EndpointSlice = from_value(json!({"addressType": "IPv4", "metadata": {},
            "endpoints": [{"addresses": ["10.0.0.1"]}]}))
        .expect("a slice");
        let found = |parents: Value| offered(&"c".into(), &route(parents), &gateways, &[&slices]);
        let both = found(json!([
            parent(json!({"name": "a"}), "True"),
            parent(
                json!({"name": "b", "namespace": "shop", "kind": "Gateway"}),
                "True"
            )
        ]))
        .expect("offered");
        assert_eq!(both.addresses, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(both.ready_replicas, Some(1));
        for refused in [
            json!([parent(json!({"name": "a"}), "False")]),
            json!([parent(json!({"name": "a", "namespace": "infra"}), "True")]),
            json!([parent(
                json!({"name": "shop", "kind": "Service", "group": ""}),
                "True"
            )]),
            json!([]),
        ] {
            assert_eq!(found(refused.clone()), None, "{refused}");
        }
    }

    #[test]
    fn a_route_leads_to_services_of_its_own_namespace() {
        assert_eq!(Vec::from_iter(backends(&route(json!([])))), ["shop"]);
    }
}
