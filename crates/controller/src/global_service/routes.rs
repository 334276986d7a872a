//! What a member's HTTPRoute offers: the addresses of the Gateways that accept it, and the replicas behind it.
//!
//! | of a route | read as |
//! |---|---|
//! | `parentRefs` | Gateways of any namespace: whether a route may, its Gateway says by accepting it |
//! | `status.parents` | a Gateway counts when its controller says `Accepted` |
//! | `rules[].backendRefs` | Services of the route's own namespace |

use super::endpoints;
use api::ClusterEndpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::DynamicObject;
use model::ClusterName;
use serde_json::Value;
use std::collections::BTreeSet;

/// The group that references have when they name none.
const GROUP: &str = "gateway.networking.k8s.io";

/// What a cluster's route offers; nothing when no Gateway with an address accepts it.
pub(crate) fn offered<'a>(
    cluster: &ClusterName,
    route: &DynamicObject,
    gateways: impl Fn(&str, &str) -> Option<&'a DynamicObject>,
    slices: &[&EndpointSlice],
) -> Option<ClusterEndpoints> {
    let namespace = route.namespace().unwrap_or_default();
    let accepting = route.data["status"]["parents"].as_array();
    let parents: BTreeSet<(&str, &str)> = accepting
        .into_iter()
        .flatten()
        .filter(|parent| is_accepted(parent))
        .filter_map(|parent| {
            let of = &parent["parentRef"];
            let within = of["namespace"].as_str().unwrap_or(&namespace);
            Some((within, named(of, (GROUP, "Gateway"), within)?))
        })
        .collect();
    let gateways: Vec<_> = parents
        .iter()
        .filter_map(|(namespace, name)| gateways(namespace, name))
        .collect();
    endpoints::of_gateways(cluster, &gateways, slices)
}

/// Whether it asks for Gateways of other namespaces.
pub(crate) fn leads_elsewhere(route: &DynamicObject) -> bool {
    let namespace = route.namespace().unwrap_or_default();
    let parents = route.data["spec"]["parentRefs"].as_array();
    let mut named = parents.into_iter().flatten();
    named.any(|it| {
        it["namespace"]
            .as_str()
            .is_some_and(|other| other != namespace)
    })
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
    use std::collections::BTreeMap;

    fn gateway(namespace: &str, name: &str, address: &str) -> (String, DynamicObject) {
        let gateway = json!({"metadata": {"namespace": namespace, "name": name},
            "status": {"addresses": [{"value": address}]}});
        let key = format!("{namespace}/{name}");
        (key, from_value(gateway).expect("a gateway"))
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
        let gateways = BTreeMap::from([
            gateway("shop", "a", "192.0.2.1"),
            gateway("shop", "b", "192.0.2.2"),
            gateway("infra", "a", "192.0.2.3"),
        ]);
        let find = |namespace: &str, name: &str| gateways.get(&format!("{namespace}/{name}"));
        let parent = |reference: Value, accepted: &str| json!({"parentRef": reference, "conditions": [{"type": "Accepted", "status": accepted}]});
        let slices: EndpointSlice = from_value(json!({"addressType": "IPv4", "metadata": {},
            "endpoints": [{"addresses": ["10.0.0.1"]}]}))
        .expect("a slice");
        let found = |parents: Value| offered(&"c".into(), &route(parents), find, &[&slices]);
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
        let elsewhere = found(json!([parent(
            json!({"name": "a", "namespace": "infra"}),
            "True"
        )]));
        assert_eq!(elsewhere.expect("offered").addresses, ["192.0.2.3"]);
        for refused in [
            json!([parent(json!({"name": "a"}), "False")]),
            json!([parent(json!({"name": "b", "namespace": "infra"}), "True")]),
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
    fn a_route_leads_elsewhere_when_a_parent_is_of_another_namespace() {
        let of = |namespaces: &[&str]| -> DynamicObject {
            let parents = namespaces
                .iter()
                .map(|it| json!({"name": "a", "namespace": it}));
            let parents: Vec<_> = parents.chain([json!({"name": "b"})]).collect();
            from_value(json!({"metadata": {"namespace": "shop", "name": "front"},
                "spec": {"parentRefs": parents}}))
            .expect("a route")
        };
        assert!(!leads_elsewhere(&of(&["shop"])));
        assert!(leads_elsewhere(&of(&["shop", "infra"])));
    }

    #[test]
    fn a_route_leads_to_services_of_its_own_namespace() {
        assert_eq!(Vec::from_iter(backends(&route(json!([])))), ["shop"]);
    }
}
