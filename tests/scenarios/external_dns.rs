//! ExternalDNS's DNSEndpoints on a host that has the kind: written beside KubeFed's, mended when somebody changes
//! or deletes one, and left alone where they are somebody else's.

use crate::federation_names::{API, BERLIN, offer, ready};
use meridian_tests::world::{ObjectRef, SYSTEM, World, condition};
use serde_json::{Value, json};

scenarios! {
    alone: what_somebody_changes_in_external_dns_endpoints_is_mended_and_what_is_theirs_stays;
}

const EXTERNAL: &str = "externaldns.k8s.io/v1alpha1";

async fn what_somebody_changes_in_external_dns_endpoints_is_mended_and_what_is_theirs_stays(
    world: &mut World,
    namespace: &str,
) {
    let host = world.host();
    let definition = host.apply(definition()).await;
    let at = ObjectRef::of(&definition);
    let established = |it: &Value| condition(it, "Established")["status"] == "True";
    host.until(&at, "it is served", established).await;
    // A controller asks for the kind when it begins, and then every minute.
    world.take_controller().stop();
    let controller = world.lead("external").await;

    let domain = json!({"apiVersion": API, "kind": "Domain", "domain": "external.example.net",
        "metadata": {"namespace": SYSTEM, "name": "external"}});
    let domain = ObjectRef::of(&host.apply(domain).await);
    let berlin = world.member("berlin");
    offer(berlin, namespace, BERLIN).await;
    ready(berlin, namespace, "10.0.0.1").await;
    let record = |name: &str| {
        json!({"apiVersion": API, "kind": "ServiceDNSRecord",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"domainRef": "external"}})
    };
    let record = |name: &str| host.apply(record(name));
    record("shop").await;

    let ours = ObjectRef::new(API, "DNSEndpoint", namespace, "service-shop");
    let theirs = ObjectRef::new(EXTERNAL, "DNSEndpoint", namespace, "service-shop");
    let named = |it: &Value| it["spec"].to_string().contains(BERLIN);
    let written = host.until(&theirs, "it is written", named).await["spec"].clone();
    let same = |it: &Value| it["spec"] == written;
    host.until(&ours, "both say the same", same).await;

    // Both kinds are watched: a target that somebody turns, a record that they add, and one that they delete.
    for at in [&theirs, &ours] {
        let turned = json!([{"dnsName": "shop.external.example.net", "recordType": "A",
            "recordTTL": 1, "targets": ["192.0.2.66"]}]);
        host.patch_as("meddler", at, json!({"spec": {"endpoints": turned}}))
            .await;
        host.until(at, "it is mended", same).await;
        let uid = host.get(at).await["metadata"]["uid"].clone();
        host.delete(at).await;
        let back = |it: &Value| it["metadata"]["uid"] != uid && same(it);
        host.until(at, "it is back", back).await;
    }

    // One that was there before, and belongs to nobody, is not taken over.
    let kept = json!({"apiVersion": EXTERNAL, "kind": "DNSEndpoint",
        "metadata": {"namespace": namespace, "name": "service-kept"},
        "spec": {"endpoints": [{"dnsName": "kept.example.net", "recordType": "A",
            "targets": ["192.0.2.67"]}]}});
    let kept = host.apply(kept).await;
    let kept_record = ObjectRef::of(&record("kept").await);
    let taken = |it: &Value| condition(it, "Published")["reason"] == "NameTaken";
    host.until(&kept_record, "it says whose it is", taken).await;
    host.delete(&kept_record).await;
    host.until_gone(&kept_record).await;
    let after = host.get(&ObjectRef::of(&kept)).await;
    assert_eq!(after["spec"], kept["spec"]);
    assert_eq!(after["metadata"]["uid"], kept["metadata"]["uid"]);

    host.delete(&ObjectRef::new(API, "ServiceDNSRecord", namespace, "shop"))
        .await;
    host.until_gone(&theirs).await;
    host.until_gone(&ours).await;
    host.delete(&domain).await;
    host.delete(&at).await;
    controller.stop();
}

/// The kind, of which nothing is looked at here but what an API server wants of it.
fn definition() -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "dnsendpoints.externaldns.k8s.io", "annotations": {
            // What ends in k8s.io is protected.
            "api-approved.kubernetes.io": "unapproved, a test's own"}},
        "spec": {
            "group": "externaldns.k8s.io", "scope": "Namespaced",
            "names": {"plural": "dnsendpoints", "singular": "dnsendpoint", "kind": "DNSEndpoint"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"spec": anything, "status": anything}}},
            }],
        },
    })
}
