//! What a witness may do on the host is what `deploy/observer` says: it sees, tells what it sees, and can neither speak for
//! another observer nor read a Secret that matters.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{GSLB, ObjectRef, Run, SYSTEM, World, manifests};
use serde_json::{Value, json};
use std::path::Path;

scenarios! {
    alone: a_witness_with_the_shipped_rights_tells_what_it_sees_and_can_speak_for_nobody_else;
}

const WITNESS: &str = "observer-1";

async fn a_witness_with_the_shipped_rights_tells_what_it_sees_and_can_speak_for_nobody_else(
    world: &mut World,
    namespace: &str,
) {
    let host = world.host();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observer");
    for object in manifests(&shipped) {
        host.apply(object).await;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = folder.path().join("witness.kubeconfig");
    world
        .write_kubeconfig_of(SYSTEM, WITNESS, &kubeconfig)
        .await;
    let run = Run::with_roles(WITNESS, "observer", &["--failure-domain", "city-c"]);
    let witness = world.run(&run.coming_with(&kubeconfig, &["--v=4"])).await;

    let [nobody] = free_ports();
    let service = json!({
        "apiVersion": GSLB, "kind": "GlobalService",
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {"hosts": ["shop.witness.example.org"],
            "endpoints": {"static": [{"cluster": "berlin", "addresses": ["127.0.0.1"]}]},
            "healthCheck": {"tcp": {"port": nobody}, "interval": "1s", "timeout": "500ms"},
            "policy": {"nearest": {}}},
    });
    let service = ObjectRef::of(&host.apply(service).await);
    let own = ObjectRef::new(GSLB, "ProbeReport", SYSTEM, WITNESS);
    let sees = |report: &Value| {
        let verdicts = report["spec"]["verdicts"].as_array();
        let mut own = verdicts.into_iter().flatten();
        own.any(|it| it["service"] == format!("{namespace}/shop") && it["verdict"] == "Down")
    };
    host.until(&own, "it tells what it sees", sees).await;

    let other = json!({"apiVersion": GSLB, "kind": "ProbeReport",
        "metadata": {"namespace": SYSTEM, "name": "another"}, "spec": {"atMillis": 1}});
    let other = ObjectRef::of(&host.apply(other).await);
    let client = client(&kubeconfig).await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "gslb.meridian.dev",
        "v1alpha1",
        "ProbeReport",
    ));
    let reports = Api::<DynamicObject>::namespaced_with(client.clone(), SYSTEM, &kind);
    let forged = Patch::Merge(json!({"spec": {"abstains": true}}));
    let parameters = PatchParams::default();
    let allowed = reports.patch(WITNESS, &parameters, &forged).await;
    allowed.expect("its own it may write");
    let refused = reports.patch("another", &parameters, &forged).await;
    assert_eq!(code(refused.map(drop)), Some(403));
    let secrets = Api::<Secret>::namespaced(client, SYSTEM);
    let listed = secrets.list(&Default::default()).await;
    assert_eq!(code(listed.map(drop)), Some(403));
    let credential = secrets.get("meridian-dns-cookies").await;
    assert_eq!(code(credential.map(drop)), Some(403));

    let log = std::fs::read_to_string(witness.log()).expect("it has a log");
    let refused = log.lines().find(|line| line.contains("orbidden"));
    assert_eq!(refused, None);
    witness.stop();
    host.until_gone(&own).await;
    for at in [&other, &service] {
        host.delete(at).await;
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).expect("it was just written");
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a right one")).expect("a client")
}

/// What the API server refused it with.
fn code(answer: kube::Result<()>) -> Option<u16> {
    match answer {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}
