//! KubeFed's names: a ServiceDNSRecord and an IngressDNSRecord become DNSEndpoints, and are answered.

use crate::bank::{Bank, CLIENT};
use crate::front::{FRONT, offer_front};
use crate::resolver::until_answered;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use meridian_tests::world::{ApiFault, Cluster, ObjectRef, SYSTEM, World, condition};
use serde_json::{Value, json};
use std::net::IpAddr;

scenarios! {
    alone: kubefeds_names_follow_what_members_offer_and_lead_elsewhere_when_one_is_away;
}

/// Of KubeFed's DNS kinds.
pub(crate) const API: &str = "multiclusterdns.kubefed.io/v1alpha1";
/// The address of Berlin's Service.
pub(crate) const BERLIN: &str = "192.0.2.1";
const OSAKA: &str = "192.0.2.2";

async fn kubefeds_names_follow_what_members_offer_and_lead_elsewhere_when_one_is_away(
    world: &mut World,
    namespace: &str,
) {
    let bank = Bank::open(world, namespace, |_| json!({"mode": "Auto"}), json!({})).await;
    let domain = json!({
        "apiVersion": API, "kind": "Domain", "domain": "example.net",
        "metadata": {"namespace": SYSTEM, "name": "fed"},
    });
    world.host().apply(domain).await;
    for (member, address) in [("berlin", BERLIN), ("osaka", OSAKA)] {
        offer(world.member(member), namespace, address).await;
    }
    let record = |spec: Value| json!({"apiVersion": API, "kind": "ServiceDNSRecord", "metadata": {"namespace": namespace, "name": "shop"}, "spec": spec});
    let spec = json!({"domainRef": "fed", "recordTTL": 1, "dnsPrefix": "www"});
    world.host().apply(record(spec)).await;

    // Nothing is ready behind it yet.
    let at = ObjectRef::new(API, "ServiceDNSRecord", namespace, "shop");
    let nothing = |it: &Value| condition(it, "Published")["reason"] == "NothingOffered";
    world.host().until(&at, "nothing is offered", nothing).await;
    for (member, pod) in [("berlin", "10.0.0.1"), ("osaka", "10.0.0.2")] {
        ready(world.member(member), namespace, pod).await;
    }
    let published = |it: &Value| condition(it, "Published")["status"] == "True";
    world.host().until(&at, "it is published", published).await;
    let p = format!("shop.{namespace}.fed.svc");
    let ips = |all: &[&str]| -> Vec<IpAddr> {
        all.iter()
            .map(|ip| ip.parse().expect("an address"))
            .collect()
    };
    let served = async |name: &str, all: &[&str]| {
        let (name, wanted) = (format!("{name}.example.net"), ips(all));
        let what = format!("it is {wanted:?}");
        until_answered(bank.dns, (&name, CLIENT), &what, |answer| answer == wanted).await;
    };
    served(&p, &[BERLIN, OSAKA]).await;
    served("www", &[BERLIN, OSAKA]).await;
    served(&format!("{p}.eu-central"), &[BERLIN]).await;
    // Lisbon has no such Service: its region's name leads to the global one.
    served(&format!("{p}.eu-west"), &[BERLIN, OSAKA]).await;
    let told = world.host().get(&at).await;
    assert_eq!(told["status"]["domain"], "example.net");
    let clusters: Vec<_> = told["status"]["dns"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(clusters.len(), 3, "{told}");
    assert_eq!(clusters[0]["loadBalancer"]["ingress"][0]["ip"], BERLIN);
    assert_eq!(clusters[0]["region"], "eu-central");

    // A DNSEndpoint that somebody took away comes back.
    let endpoint = ObjectRef::new(API, "DNSEndpoint", namespace, "service-shop");
    let before = world.host().get(&endpoint).await["metadata"]["uid"].clone();
    world.host().delete(&endpoint).await;
    let again = |it: &Value| it["metadata"]["uid"] != before;
    world.host().until(&endpoint, "it is back", again).await;

    world.break_api("osaka", ApiFault::Down);
    served(&format!("{p}.ap-east"), &[BERLIN]).await;
    served(&p, &[BERLIN]).await;
    world.mend_api("osaka").await;
    served(&format!("{p}.ap-east"), &[OSAKA]).await;

    of_an_ingress(world, namespace, &served).await;
    what_is_somebody_elses_stays(world, namespace).await;

    world.host().delete(&at).await;
    world.host().until_gone(&endpoint).await;
    served(&p, &[]).await;
    bank.close(world).await;
}

async fn of_an_ingress(world: &World, namespace: &str, served: &impl AsyncFn(&str, &[&str])) {
    offer_front(
        world.member("lisbon"),
        namespace,
        json!([{"ip": "192.0.2.3"}]),
    )
    .await;
    let record = json!({"apiVersion": API, "kind": "IngressDNSRecord",
        "metadata": {"namespace": namespace, "name": FRONT},
        "spec": {"hosts": ["front.example.net"], "recordTTL": 1}});
    world.host().apply(record).await;
    served("front", &["192.0.2.3"]).await;
}

/// A DNSEndpoint that another controller has is left to it, and the record says so.
async fn what_is_somebody_elses_stays(world: &World, namespace: &str) {
    let metadata = |name: &str| json!({"namespace": namespace, "name": name});
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("owner")});
    let owner = world.host().apply(owner).await;
    let mut theirs = json!({"apiVersion": API, "kind": "DNSEndpoint",
        "metadata": metadata("ingress-mine"), "spec": {"endpoints": []}});
    theirs["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
        "name": "owner", "uid": owner["metadata"]["uid"], "controller": true}]);
    let before = world.host().apply(theirs).await;
    let record = json!({"apiVersion": API, "kind": "IngressDNSRecord",
        "metadata": metadata("mine"), "spec": {"hosts": ["mine.example.net"]}});
    let record = ObjectRef::of(&world.host().apply(record).await);
    let taken = |it: &Value| condition(it, "Published")["reason"] == "NameTaken";
    world
        .host()
        .until(&record, "it says whose it is", taken)
        .await;
    world.host().delete(&record).await;
    world.host().until_gone(&record).await;
    let after = world.host().get(&ObjectRef::of(&before)).await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(
        after["metadata"]["ownerReferences"],
        before["metadata"]["ownerReferences"]
    );
}

/// A Service whose load balancer, of a kind that no controller here serves, has this address.
pub(crate) async fn offer(member: &Cluster, namespace: &str, address: &str) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.org/none",
            "ports": [{"port": 80}]},
    });
    member.apply_once_served(service).await;
    let api = Api::<Service>::namespaced(member.client().clone(), namespace);
    let balancer = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
    let patched = api
        .patch_status("shop", &PatchParams::default(), &Patch::Merge(balancer))
        .await;
    patched.expect("its controller writes its status");
}

/// A Pod that is ready behind it.
pub(crate) async fn ready(member: &Cluster, namespace: &str, pod: &str) {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": namespace, "name": "shop-1",
            "labels": {"kubernetes.io/service-name": "shop"}},
        "endpoints": [{"addresses": [pod], "conditions": {"ready": true}}],
        "ports": [{"port": 80}],
    });
    member.apply(slice).await;
}
