//! What a member's Service, Ingress or Gateway offers: addresses, and ready replicas behind them.

use api::ClusterEndpoints;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::DynamicObject;
use model::ClusterName;
use std::collections::BTreeSet;

/// Addresses of one cluster that are taken; the schema of the status has the same bound.
const ADDRESSES_MAX: usize = 16;

/// The label by which an EndpointSlice names its Service.
pub(crate) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// On Nodes that balancers leave out (KEP-1143).
const EXCLUDED_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Addresses and host names of one source.
#[derive(Default)]
struct Found {
    addresses: Vec<String>,
    hostnames: Vec<String>,
}

/// What a cluster's Service offers; nothing when it has no address to name.
pub(crate) fn of_service(
    cluster: &ClusterName,
    service: &Service,
    slices: &[&EndpointSlice],
    nodes: &[&Node],
) -> Option<ClusterEndpoints> {
    let spec = service.spec.clone().unwrap_or_default();
    if spec.type_.as_deref() != Some("NodePort") {
        return of_balancer(cluster, service, slices);
    }
    let local = spec.external_traffic_policy.as_deref() == Some("Local");
    of_nodes(nodes, local.then(|| names_behind(slices))).offered(cluster, slices)
}

/// What the load balancer of a cluster's Service offers.
pub(crate) fn of_balancer(
    cluster: &ClusterName,
    service: &Service,
    slices: &[&EndpointSlice],
) -> Option<ClusterEndpoints> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    let ingress = balancer.ingress.as_deref().unwrap_or_default().iter();
    let each = ingress.map(|it| (it.ip.clone(), it.hostname.clone()));
    Found::of(each).offered(cluster, slices)
}

/// What a cluster's Ingress offers; `slices` are those of its backends.
pub(crate) fn of_ingress(
    cluster: &ClusterName,
    ingress: &Ingress,
    slices: &[&EndpointSlice],
) -> Option<ClusterEndpoints> {
    let balancer = ingress.status.as_ref()?.load_balancer.as_ref()?;
    let ingress = balancer.ingress.as_deref().unwrap_or_default().iter();
    let each = ingress.map(|it| (it.ip.clone(), it.hostname.clone()));
    Found::of(each).offered(cluster, slices)
}

/// The Services that an Ingress leads to.
pub(crate) fn backends(ingress: &Ingress) -> BTreeSet<String> {
    let spec = ingress.spec.clone().unwrap_or_default();
    let rules = spec.rules.unwrap_or_default().into_iter();
    let paths = rules
        .filter_map(|rule| rule.http)
        .flat_map(|http| http.paths);
    let backends = paths.map(|path| path.backend).chain(spec.default_backend);
    let services = backends.filter_map(|backend| backend.service);
    services.map(|service| service.name).collect()
}

/// What a cluster's Gateway offers. Which replicas are behind it only its routes say.
pub(crate) fn of_gateway(
    cluster: &ClusterName,
    gateway: &DynamicObject,
) -> Option<ClusterEndpoints> {
    let mut offered = of_gateways(cluster, &[gateway], &[])?;
    (offered.ready_replicas, offered.wanted_replicas) = (None, None);
    Some(offered)
}

/// What several Gateways offer together; `slices` are those of what is behind them.
pub(crate) fn of_gateways(
    cluster: &ClusterName,
    gateways: &[&DynamicObject],
    slices: &[&EndpointSlice],
) -> Option<ClusterEndpoints> {
    let of = |gateway: &&DynamicObject| gateway.data["status"]["addresses"].as_array().cloned();
    let listed = gateways.iter().filter_map(of);
    let each = listed.flatten().map(|address| {
        let value = address["value"].as_str().map(str::to_owned);
        // Absent, it is an address (Gateway API, GatewayStatusAddress).
        match address["type"].as_str() {
            Some("Hostname") => (None, value),
            Some("IPAddress") | None => (value, None),
            Some(_) => (None, None),
        }
    });
    Found::of(each).offered(cluster, slices)
}

/// The nodes that ready addresses are on.
fn names_behind(slices: &[&EndpointSlice]) -> BTreeSet<String> {
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready = endpoints.filter(|it| is_ready(it));
    ready
        .filter_map(|endpoint| endpoint.node_name.clone())
        .collect()
}

/// Addresses of nodes that are ready: those for the outside, where there are some.
fn of_nodes(nodes: &[&Node], only: Option<BTreeSet<String>>) -> Found {
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    for node in nodes {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let excluded = node.labels().contains_key(EXCLUDED_LABEL);
        let elsewhere = only.as_ref().is_some_and(|only| !only.contains(name));
        let status = node.status.clone().unwrap_or_default();
        let mut conditions = status.conditions.unwrap_or_default().into_iter();
        let ready = conditions.any(|it| it.type_ == "Ready" && it.status == "True");
        if excluded || elsewhere || !ready {
            continue;
        }
        for address in status.addresses.unwrap_or_default() {
            match address.type_.as_str() {
                "ExternalIP" => drop(found[0].insert(address.address)),
                "InternalIP" => drop(found[1].insert(address.address)),
                _ => {}
            }
        }
    }
    let [outside, inside] = found;
    let addresses = if outside.is_empty() { inside } else { outside };
    Found::of(addresses.into_iter().map(|address| (Some(address), None)))
}

impl Found {
    fn of(each: impl Iterator<Item = (Option<String>, Option<String>)>) -> Self {
        let mut found = Self::default();
        for (address, hostname) in each {
            found
                .addresses
                .extend(address.filter(|text| !text.is_empty()));
            found
                .hostnames
                .extend(hostname.filter(|text| !text.is_empty()));
        }
        for list in [&mut found.addresses, &mut found.hostnames] {
            list.sort();
            list.dedup();
            list.truncate(ADDRESSES_MAX);
        }
        found
    }

    fn offered(self, cluster: &ClusterName, slices: &[&EndpointSlice]) -> Option<ClusterEndpoints> {
        if self.addresses.is_empty() && self.hostnames.is_empty() {
            return None;
        }
        let ready = addresses_behind(slices, Counted::Ready);
        let wanted = addresses_behind(slices, Counted::All);
        Some(ClusterEndpoints {
            cluster: cluster.to_string(),
            addresses: self.addresses,
            hostnames: self.hostnames,
            ready_replicas: i32::try_from(ready).ok(),
            wanted_replicas: i32::try_from(wanted).ok(),
        })
    }
}

/// Absent means ready (EndpointConditions: "nil should be interpreted as true").
fn is_ready(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.and_then(|it| it.ready).unwrap_or(true)
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
        if !is_ready(endpoint) && counted == Counted::Ready {
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
        of_service(&"a".into(), &service, &slices, &[])
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

    #[test]
    fn a_node_port_is_at_the_nodes_that_are_ready_and_outside_addresses_go_before_inside_ones() {
        let node = |name: &str, ready: &str, labels: Value, addresses: Value| -> Node {
            from_value(
                json!({"metadata": {"name": name, "labels": labels}, "status": {
                "conditions": [{"type": "Ready", "status": ready}], "addresses": addresses}}),
            )
            .expect("a node")
        };
        let inside = |ip: &str| json!([{"type": "InternalIP", "address": ip}]);
        let excluded = json!({EXCLUDED_LABEL: ""});
        let nodes = [
            node("n1", "True", json!({}), inside("10.0.0.1")),
            node("n2", "False", json!({}), inside("10.0.0.2")),
            node("n3", "True", excluded, inside("10.0.0.3")),
            node("n4", "True", json!({}), inside("10.0.0.4")),
        ];
        let nodes: Vec<&Node> = nodes.iter().collect();
        let service = |policy: &str| -> Service {
            from_value(json!({"spec": {"type": "NodePort", "externalTrafficPolicy": policy}}))
                .expect("a service")
        };
        let slices: EndpointSlice = from_value(slice(json!([
            {"addresses": ["10.1.0.1"], "nodeName": "n4"}])))
        .expect("a slice");
        let found = |policy: &str, nodes: &[&Node]| {
            of_service(&"a".into(), &service(policy), &[&slices], nodes)
                .expect("offered")
                .addresses
        };
        assert_eq!(found("Cluster", &nodes), ["10.0.0.1", "10.0.0.4"]);
        assert_eq!(found("Local", &nodes), ["10.0.0.4"]);
        let both = json!([{"type": "InternalIP", "address": "10.0.0.5"},
            {"type": "ExternalIP", "address": "192.0.2.5"}]);
        let outside = node("n5", "True", json!({}), both);
        assert_eq!(found("Cluster", &[nodes[0], &outside]), ["192.0.2.5"]);
    }

    #[test]
    fn an_ingress_leads_to_its_backends_and_a_gateway_has_addresses_of_its_own() {
        let ingress: Ingress = from_value(json!({
            "spec": {"defaultBackend": {"service": {"name": "rest"}}, "rules": [{"http": {"paths": [
                {"pathType": "Prefix", "path": "/", "backend": {"service": {"name": "shop"}}}]}}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}}))
        .expect("an ingress");
        assert_eq!(Vec::from_iter(backends(&ingress)), ["rest", "shop"]);
        let offered = of_ingress(&"a".into(), &ingress, &[]).expect("offered");
        assert_eq!(offered.hostnames, ["lb.example"]);
        let gateway: DynamicObject = from_value(json!({"metadata": {}, "status": {"addresses": [
            {"value": "192.0.2.7"}, {"type": "Hostname", "value": "gw.example"},
            {"type": "NamedAddress", "value": "x"}]}}))
        .expect("a gateway");
        let offered = of_gateway(&"a".into(), &gateway).expect("offered");
        assert_eq!(
            (offered.addresses.as_slice(), offered.hostnames.as_slice()),
            (
                &["192.0.2.7".to_owned()][..],
                &["gw.example".to_owned()][..]
            )
        );
        assert_eq!(offered.ready_replicas, None);
    }
}
