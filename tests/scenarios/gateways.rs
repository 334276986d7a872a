//! Endpoints from the Gateway API: Gateways, and the HTTPRoutes that they accept, of members that have those kinds.
//!
//! | member | the kinds | what is there |
//! |---|---|---|
//! | lisbon | from the beginning | a Gateway in the service's namespace |
//! | berlin | later | the same, and a route to a Gateway of another namespace |
//! | osaka | never | an Ingress, which is found all the same |

use crate::front::{FRONT, offer_front};
use crate::resolver::until_answered;
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{Cluster, GSLB, ObjectRef, Run, SYSTEM, World, condition};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

scenarios! {
    alone: gateways_and_accepted_routes_are_endpoints_where_a_member_has_the_kinds;
}

const GROUP: &str = "gateway.networking.k8s.io";
const API: &str = "gateway.networking.k8s.io/v1";
const DOMAIN: &str = "gateways.example.com";
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(141, 20, 1, 31));
const LISBON: &str = "192.0.2.11";
const BERLIN: &str = "192.0.2.12";
const ELSEWHERE: &str = "192.0.2.13";
const OSAKA: &str = "192.0.2.14";

async fn gateways_and_accepted_routes_are_endpoints_where_a_member_has_the_kinds(
    world: &mut World,
    namespace: &str,
) {
    let [port] = free_ports();
    let dns = SocketAddr::from(([127, 0, 0, 1], port));
    let replica = world.run(&Run::dns("gateways", dns)).await;
    let zone = json!({
        "apiVersion": GSLB, "kind": "Zone", "metadata": {"namespace": SYSTEM, "name": "gateways"},
        "spec": {"domain": DOMAIN, "allowedNamespaces": [namespace],
            "nameServers": [{"name": format!("ns1.{DOMAIN}"), "addresses": ["127.0.0.1"]}]},
    });
    let zone = ObjectRef::of(&world.host().apply(zone).await);
    let names = Names {
        world,
        namespace,
        dns,
    };
    let (lisbon, berlin) = (world.member("lisbon"), world.member("berlin"));

    install(lisbon).await;
    names
        .serve("edge", json!({"gateway": {"name": FRONT}}))
        .await;
    gateway(lisbon, namespace, &[LISBON]).await;
    names.until("edge", &[("lisbon", LISBON)]).await;

    // A member that serves the kinds from now on is found without anybody's help.
    install(berlin).await;
    gateway(berlin, namespace, &[BERLIN]).await;
    let both = [("berlin", BERLIN), ("lisbon", LISBON)];
    names.until("edge", &both).await;
    // One that never does offers what else it has.
    names
        .serve("front", json!({"ingress": {"name": FRONT}}))
        .await;
    let osaka = world.member("osaka");
    offer_front(osaka, namespace, json!([{"ip": OSAKA}])).await;
    names.until("front", &[("osaka", OSAKA)]).await;

    gateway(lisbon, namespace, &[]).await;
    names.until("edge", &[("berlin", BERLIN)]).await;
    gateway(lisbon, namespace, &[LISBON]).await;
    names.until("edge", &both).await;

    follows_routes(&names).await;

    for member in [lisbon, berlin] {
        uninstall(member).await;
    }
    names.until("edge", &[]).await;
    world.host().delete(&zone).await;
    replica.stop();
}

/// A route in Berlin asks for a Gateway of its own namespace, and for one of another.
async fn follows_routes(names: &Names<'_>) {
    let (world, namespace) = (names.world, names.namespace);
    let berlin = world.member("berlin");
    let infra = format!("{namespace}-infra");
    let there = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": infra}});
    let there = ObjectRef::of(&berlin.apply(there).await);
    gateway(berlin, &infra, &[ELSEWHERE]).await;
    names
        .serve("routed", json!({"httpRoute": {"name": "shop"}}))
        .await;
    route(berlin, namespace, &infra, [true, true]).await;
    let address = format!("{BERLIN} {ELSEWHERE}");
    names.until("routed", &[("berlin", &address)]).await;
    let status = names.status("routed").await;
    assert_eq!(status["endpoints"][0]["readyReplicas"], 1, "{status:#}");

    // Whether a route may go through a Gateway, that says by accepting it.
    route(berlin, namespace, &infra, [false, true]).await;
    names.until("routed", &[("berlin", ELSEWHERE)]).await;
    route(berlin, namespace, &infra, [true, false]).await;
    names.until("routed", &[("berlin", BERLIN)]).await;
    route(berlin, namespace, &infra, [false, true]).await;
    gateway(berlin, &infra, &["192.0.2.15"]).await;
    names.until("routed", &[("berlin", "192.0.2.15")]).await;
    berlin
        .delete(&ObjectRef::new(API, "HTTPRoute", namespace, "shop"))
        .await;
    names.until("routed", &[]).await;
    berlin.delete(&there).await;
}

/// Names of one namespace, answered by one replica.
struct Names<'a> {
    world: &'a World,
    namespace: &'a str,
    dns: SocketAddr,
}

impl Names<'_> {
    fn at(&self, name: &str) -> ObjectRef {
        ObjectRef::new(GSLB, "GlobalService", self.namespace, name)
    }

    async fn serve(&self, name: &str, endpoints: Value) {
        let service = json!({
            "apiVersion": GSLB, "kind": "GlobalService",
            "metadata": {"namespace": self.namespace, "name": name},
            "spec": {"hosts": [format!("{name}.{DOMAIN}")], "endpoints": endpoints,
                "ttl": {"min": "1s", "max": "2s"}, "policy": {"all": {}}},
        });
        self.world.host().apply(service).await;
    }

    async fn status(&self, name: &str) -> Value {
        self.world.host().get(&self.at(name)).await["status"].clone()
    }

    /// Waits until these members offer these addresses, and no others do, and the name is answered with them.
    async fn until(&self, name: &str, wanted: &[(&str, &str)]) {
        let offered = |service: &Value| {
            let listed = service["status"]["endpoints"].as_array().cloned();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let of = |endpoint: Value| {
                let addresses = endpoint["addresses"].as_array().cloned();
                let addresses: Vec<_> = addresses.iter().flatten().map(text).collect();
                (text(&endpoint["cluster"]), addresses.join(" "))
            };
            let offered: Vec<_> = listed.into_iter().flatten().map(of).collect();
            let same = |((cluster, addresses), wanted): (&(String, String), &(&str, &str))| {
                (cluster.as_str(), addresses.as_str()) == *wanted
            };
            offered.len() == wanted.len() && offered.iter().zip(wanted).all(same)
        };
        let what = format!("its endpoints are {wanted:?}");
        self.world
            .host()
            .until(&self.at(name), &what, offered)
            .await;
        let addresses = wanted
            .iter()
            .flat_map(|(_, addresses)| addresses.split(' '));
        let addresses = addresses.map(|it| it.parse().expect("an address"));
        let addresses: BTreeSet<IpAddr> = addresses.collect();
        let host = format!("{name}.{DOMAIN}");
        let what = format!("it is {addresses:?}");
        let as_wanted = |answer: &[IpAddr]| answer.iter().eq(&addresses);
        until_answered(self.dns, (&host, CLIENT), &what, as_wanted).await;
    }
}

/// The kinds, of which nothing is looked at here but that they have a status of their own.
fn definitions() -> [Value; 2] {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    [
        ("gateways", "gateway", "Gateway"),
        ("httproutes", "httproute", "HTTPRoute"),
    ]
    .map(|(plural, singular, kind)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{GROUP}"), "annotations": {
                // What ends in k8s.io is protected (KEP-1111).
                "api-approved.kubernetes.io": "unapproved, a test's own"}},
            "spec": {
                "group": GROUP, "scope": "Namespaced",
                "names": {"plural": plural, "singular": singular, "kind": kind},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object",
                        "properties": {"spec": anything, "status": anything}}},
                }],
            },
        })
    })
}

async fn install(member: &Cluster) {
    for definition in definitions() {
        let at = ObjectRef::of(&member.apply(definition).await);
        let established = |it: &Value| condition(it, "Established")["status"] == "True";
        member.until(&at, "it is served", established).await;
    }
}

async fn uninstall(member: &Cluster) {
    for definition in definitions() {
        member.delete(&ObjectRef::of(&definition)).await;
    }
}

/// A Gateway, and what its controller says of its addresses.
async fn gateway(member: &Cluster, namespace: &str, addresses: &[&str]) {
    let gateway = json!({
        "apiVersion": API, "kind": "Gateway",
        "metadata": {"namespace": namespace, "name": FRONT},
        "spec": {"gatewayClassName": "a-test", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"}]},
    });
    let at = ObjectRef::of(&member.apply_once_served(gateway).await);
    let addresses = addresses
        .iter()
        .map(|it| json!({"type": "IPAddress", "value": it}));
    let addresses: Vec<_> = addresses.collect();
    let status = json!({"status": {"addresses": addresses}});
    member.patch_status(&at, status).await;
}

/// A route with one ready replica behind it, accepted by the Gateway of its namespace or that of the other, or not.
async fn route(member: &Cluster, namespace: &str, other: &str, accepted: [bool; 2]) {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": namespace, "name": "shop-1",
            "labels": {"kubernetes.io/service-name": "shop"}},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
        "ports": [{"port": 80}],
    });
    member.apply(slice).await;
    let parents = [
        json!({"name": FRONT}),
        json!({"name": FRONT, "namespace": other}),
    ];
    let route = json!({
        "apiVersion": API, "kind": "HTTPRoute",
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {"parentRefs": parents,
            "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}]},
    });
    let at = ObjectRef::of(&member.apply_once_served(route).await);
    let word = |accepted: bool| if accepted { "True" } else { "False" };
    let told = parents.iter().zip(accepted).map(|(parent, accepted)| {
        json!({"parentRef": parent, "controllerName": "example.org/a-test",
            "conditions": [{"type": "Accepted", "status": word(accepted)}]})
    });
    let told: Vec<_> = told.collect();
    let status = json!({"status": {"parents": told}});
    member.patch_status(&at, status).await;
}
