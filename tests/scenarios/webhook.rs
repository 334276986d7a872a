//! Who applies what cannot be used is told at once, with the field, by the webhook.
//!
//! meridian makes the webhook's certificate and writes its authority where the API server looks. It
//! renews both without a moment in which the API server does not believe it: here nothing could be
//! written then, since the failure policy is Fail.

use k8s_openapi::ByteString;
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{
    CORE, GSLB, ObjectRef, PATIENCE, Run, SYSTEM, TYPES, World, manifests,
};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

scenarios! {
    alone: what_cannot_be_used_is_refused_while_certificate_and_authority_are_renewed;
}

async fn what_cannot_be_used_is_refused_while_certificate_and_authority_are_renewed(
    world: &mut World,
    namespace: &str,
) {
    world.take_controller().stop();
    let [port] = free_ports();
    let address = format!("127.0.0.1:{port}");
    let listen = ["--webhook-listen", &address];
    let run = Run::with_roles("asked", "controller,webhook", &listen);
    let meridian = world.run(&run).await;
    world.until_leads("asked").await;
    world.host().apply(configuration(&address)).await;

    let began = Instant::now();
    while !is_refused(world, namespace).await {
        assert!(began.elapsed() < PATIENCE, "nobody is asked");
        tokio::task::yield_now().await;
    }
    the_same_path_twice_is_refused(world, namespace).await;
    // What can be used is let in, and so is a cost, with a warning that kubectl shows.
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "good", spec)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "good")
        .await;
    let osaka = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, "osaka");
    let member = world.host().get(&osaka).await;
    let broken = json!({"apiVersion": CORE, "kind": "KubeFedCluster",
        "metadata": {"namespace": SYSTEM, "name": "osaka"},
        "spec": {"apiEndpoint": member["spec"]["apiEndpoint"],
            "secretRef": member["spec"]["secretRef"], "caBundle": "bm8="}});
    let refused = world.host().try_on_trial(broken).await;
    let refused = refused.expect_err("it holds no certificate");
    assert!(refused.message.contains("spec.caBundle"), "{refused:?}");

    let before = kept(world).await;
    let mut ending = before.clone();
    ending["leaf"]["ends_secs"] = json!(0);
    ending["authority"]["ends_secs"] = json!(before["leaf"]["made_secs"]);
    let secret = ObjectRef::new("v1", "Secret", SYSTEM, "meridian-webhook");
    let bytes = ByteString(ending.to_string().into_bytes());
    world
        .host()
        .patch(&secret, json!({"data": {"kept": bytes}}))
        .await;
    let began = Instant::now();
    loop {
        let refused = is_refused(world, namespace).await;
        assert!(
            refused,
            "the API server does not believe the webhook any more"
        );
        let now = kept(world).await;
        let renewed = now["authority"]["certificate"] != before["authority"]["certificate"];
        if renewed && now["leaf"]["by"] != before["leaf"]["by"] {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "not renewed: {now:#}");
    }
    for _ in 0..20 {
        assert!(is_refused(world, namespace).await);
    }
    let hooks = ObjectRef::new(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "",
        "meridian",
    );
    world.host().delete(&hooks).await;
    meridian.stop();
}

/// What CEL cannot say, but for a high price.
async fn the_same_path_twice_is_refused(world: &World, namespace: &str) {
    let twice = json!([{"path": "/data/x", "value": "1"}, {"path": "/data/x", "value": "2"}]);
    let object = json!({"apiVersion": TYPES, "kind": "FederatedConfigMap",
        "metadata": {"namespace": namespace, "name": "twice"},
        "spec": {"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}},
            "overrides": [{"clusterName": "berlin", "clusterOverrides": twice}]}});
    let refused = world.host().try_on_trial(object).await;
    let refused = refused.expect_err("which of the two is meant?").message;
    let words = "overrides[0].clusterOverrides[1].path: /data/x appears more than once";
    assert!(refused.contains(words), "{refused}");
}

/// As `deploy/webhook` has it, at an address of this machine, and strict.
fn configuration(address: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/webhook");
    let shipped = manifests(&folder);
    let mut shipped = shipped.into_iter();
    let found = shipped.find(|object| object["kind"] == "ValidatingWebhookConfiguration");
    let mut configuration = found.expect("it is shipped");
    let webhook = &mut configuration["webhooks"][0];
    webhook["clientConfig"] = json!({"url": format!("https://{address}/validate")});
    webhook["failurePolicy"] = json!("Fail");
    configuration
}

/// Whether a service whose address is none is refused for that.
async fn is_refused(world: &World, namespace: &str) -> bool {
    let service = json!({"apiVersion": GSLB, "kind": "GlobalService",
        "metadata": {"namespace": namespace, "name": "bad"},
        "spec": {"hosts": ["shop.example"], "endpoints": {"static": [
            {"cluster": "a", "addresses": ["192.0.2.300"]}]}}});
    let refused = world.host().try_on_trial(service).await;
    refused.is_err_and(|refusal| refusal.message.contains("spec.endpoints.static[0]"))
}

/// What the Secret holds.
async fn kept(world: &World) -> Value {
    let secret = ObjectRef::new("v1", "Secret", SYSTEM, "meridian-webhook");
    let secret = world.host().get(&secret).await;
    let bytes: ByteString = serde_json::from_value(secret["data"]["kept"].clone()).expect("bytes");
    serde_json::from_slice(&bytes.0).expect("JSON")
}
