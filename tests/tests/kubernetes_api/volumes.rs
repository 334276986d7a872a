//! Volumes and claims: what is bound to what, and what waits.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{claim, pod};
use crate::world::World;

cases! { Workloads:
    a_claim_takes_the_smallest_volume_that_fits,
    a_bound_claim_and_its_volume_name_each_other,
    a_claim_without_a_volume_waits_for_one,
    a_claim_of_no_class_says_that_there_is_none,
    a_claim_of_an_unknown_class_says_so,
    a_claim_waits_for_its_first_consumer,
    a_claim_says_who_has_to_make_its_volume,
    a_volume_is_released_when_its_claim_goes,
    a_claim_that_loses_its_volume_says_so,
    a_volume_in_use_stays_until_its_claim_goes,
    a_claim_in_use_stays_until_its_pod_goes,
    a_pod_waits_for_its_claim,
    a_pod_waits_for_a_claim_that_is_not_there,
    a_pod_runs_when_its_claim_is_bound,
}

const CLAIM: &str = "persistentvolumeclaims/a";
const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";

/// A volume of this case's own class.
async fn volume(world: &World, name: &str, size: &str) -> String {
    let name = format!("{name}-{}", world.namespace);
    let body = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "capacity": {"storage": size},
            "hostPath": {"path": "/tmp/none"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": world.namespace,
        },
    });
    world.post(VOLUMES, &body).await.is(201);
    world.until(&format!("{VOLUMES}/{name}"), known).await;
    name
}

/// Whether the binder has seen a volume: it is free, or taken by a claim that waited for it.
fn known(volume: &Value) -> bool {
    ["Available", "Bound"].contains(&volume.text("/status/phase"))
}

/// A class of this case's own.
async fn class(world: &World, provisioner: &str, mode: &str) {
    let body = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": world.namespace},
        "provisioner": provisioner,
        "volumeBindingMode": mode,
    });
    world.post(CLASSES, &body).await.is(201);
}

fn bound(object: &Value) -> bool {
    object["status"]["phase"] == "Bound"
}

/// The claim, bound to a volume of 3 Gi, and that volume's name.
async fn bind(world: &World) -> (Value, String) {
    let name = volume(world, "fit", "3Gi").await;
    world.post(CLAIMS, &claim(&world.namespace)).await.is(201);
    (world.until(CLAIM, bound).await, name)
}

async fn told(world: &World, reason: &str, message: &str) {
    let told = |events: &[Value]| {
        events
            .iter()
            .any(|event| event["reason"] == reason && event["message"] == message)
    };
    world.until_list("events", told).await;
}

fn using(claim: &str) -> Value {
    let mut pod = pod("a");
    pod["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    pod
}

async fn a_claim_takes_the_smallest_volume_that_fits(world: World) {
    volume(&world, "large", "10Gi").await;
    volume(&world, "small", "1Gi").await;
    let (claim, fit) = bind(&world).await;
    assert_eq!(claim.text("/spec/volumeName"), fit);
    claim.has(json!({"status": {
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": "3Gi"},
    }}));
}

async fn a_bound_claim_and_its_volume_name_each_other(world: World) {
    let (claim, name) = bind(&world).await;
    claim.has(json!({"metadata": {"annotations": {
        "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
    }}}));
    let volume = world.until(&format!("{VOLUMES}/{name}"), bound).await;
    volume.has(json!({
        "metadata": {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}},
        "spec": {"claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "a",
            "namespace": world.namespace, "uid": claim["metadata"]["uid"],
        }},
    }));
    assert!(volume["status"]["lastPhaseTransitionTime"].is_string());
    let less = json!({"spec": {"resources": {"requests": {"storage": "1Mi"}}}});
    let answer = world.merge_patch(CLAIM, &less).await;
    let why =
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
    answer.refused_saying(422, "Invalid", why);
}

async fn a_claim_without_a_volume_waits_for_one(world: World) {
    class(&world, "kubernetes.io/no-provisioner", "Immediate").await;
    let made = world.post(CLAIMS, &claim(&world.namespace)).await.is(201);
    assert_eq!(made["status"], json!({"phase": "Pending"}));
    let free = volume(&world, "late", "2Gi").await;
    let claim = world.until(CLAIM, bound).await;
    assert_eq!(claim.text("/spec/volumeName"), free);
}

async fn a_claim_of_no_class_says_that_there_is_none(world: World) {
    world.post(CLAIMS, &claim("")).await.is(201);
    let message = "no persistent volumes available for this claim and no storage class is set";
    told(&world, "FailedBinding", message).await;
}

async fn a_claim_of_an_unknown_class_says_so(world: World) {
    world.post(CLAIMS, &claim("unknown")).await.is(201);
    let message = "storageclass.storage.k8s.io \"unknown\" not found";
    told(&world, "ProvisioningFailed", message).await;
}

async fn a_claim_waits_for_its_first_consumer(world: World) {
    class(&world, "example.com/disks", "WaitForFirstConsumer").await;
    world.post(CLAIMS, &claim(&world.namespace)).await.is(201);
    let message = "waiting for first consumer to be created before binding";
    told(&world, "WaitForFirstConsumer", message).await;
    world.takes_pods().await;
    world.post("pods", &using("a")).await.is(201);
    let chosen = |claim: &Value| {
        claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].is_string()
    };
    let claim = world.until(CLAIM, chosen).await;
    assert_eq!(claim["status"]["phase"], "Pending");
}

async fn a_claim_says_who_has_to_make_its_volume(world: World) {
    class(&world, "example.com/disks", "Immediate").await;
    world.post(CLAIMS, &claim(&world.namespace)).await.is(201);
    let key = "volume.kubernetes.io/storage-provisioner";
    let asked = |claim: &Value| claim["metadata"]["annotations"][key] == "example.com/disks";
    world.until(CLAIM, asked).await;
    let message = "Waiting for a volume to be created either by the external provisioner \
                   'example.com/disks' or manually by the system administrator. If volume creation \
                   is delayed, please verify that the provisioner is running and correctly \
                   registered.";
    told(&world, "ExternalProvisioning", message).await;
}

async fn a_volume_is_released_when_its_claim_goes(world: World) {
    let (_, name) = bind(&world).await;
    world.delete(CLAIM).await.is(200);
    let released = |volume: &Value| volume["status"]["phase"] == "Released";
    let volume = world.until(&format!("{VOLUMES}/{name}"), released).await;
    assert_eq!(volume.text("/spec/claimRef/name"), "a");
}

async fn a_claim_that_loses_its_volume_says_so(world: World) {
    let (_, name) = bind(&world).await;
    let volume = format!("{VOLUMES}/{name}");
    world.delete(&volume).await.is(200);
    let force = json!({"metadata": {"finalizers": null}});
    world.merge_patch(&volume, &force).await.is(200);
    world
        .until(CLAIM, |claim| claim["status"]["phase"] == "Lost")
        .await;
    let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
    told(&world, "ClaimLost", message).await;
}

async fn a_volume_in_use_stays_until_its_claim_goes(world: World) {
    let (_, name) = bind(&world).await;
    let path = format!("{VOLUMES}/{name}");
    world.delete(&path).await.is(200);
    let volume = world.get(&path).await.is(200);
    assert!(volume["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(
        volume["metadata"]["finalizers"],
        json!(["kubernetes.io/pv-protection"])
    );
    world.delete(CLAIM).await.is(200);
    world.until_gone(&path).await;
}

async fn a_claim_in_use_stays_until_its_pod_goes(world: World) {
    world.takes_pods().await;
    bind(&world).await;
    let mut body = using("a");
    body["spec"]["terminationGracePeriodSeconds"] = json!(1);
    world.post("pods", &body).await.is(201);
    world
        .until("pods/a", |pod| pod["status"]["phase"] == "Running")
        .await;
    world.delete(CLAIM).await.is(200);
    let claim = world.get(CLAIM).await.is(200);
    assert!(claim["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(
        claim["metadata"]["finalizers"],
        json!(["kubernetes.io/pvc-protection"])
    );
    world.delete("pods/a").await.is(200);
    world.until_gone(CLAIM).await;
}

fn unschedulable(pod: &Value) -> bool {
    pod.condition("PodScheduled").text("/reason") == "Unschedulable"
}

async fn a_pod_waits_for_its_claim(world: World) {
    world.takes_pods().await;
    world.post(CLAIMS, &claim("nobody")).await.is(201);
    world.post("pods", &using("a")).await.is(201);
    // A scheduler that has not heard of the claim yet says that it is not there.
    let expected = "pod has unbound immediate PersistentVolumeClaims";
    let says_so = |pod: &Value| {
        let message = pod.condition("PodScheduled").text("/message");
        unschedulable(pod) && message.contains(expected)
    };
    world.until("pods/a", says_so).await;
}

async fn a_pod_waits_for_a_claim_that_is_not_there(world: World) {
    world.takes_pods().await;
    world.post("pods", &using("a")).await.is(201);
    let pod = world.until("pods/a", unschedulable).await;
    let message = pod.condition("PodScheduled").text("/message");
    assert!(
        message.contains("persistentvolumeclaim \"a\" not found"),
        "{message}"
    );
}

async fn a_pod_runs_when_its_claim_is_bound(world: World) {
    world.takes_pods().await;
    class(
        &world,
        "kubernetes.io/no-provisioner",
        "WaitForFirstConsumer",
    )
    .await;
    volume(&world, "fit", "2Gi").await;
    world.post(CLAIMS, &claim(&world.namespace)).await.is(201);
    world.post("pods", &using("a")).await.is(201);
    world
        .until("pods/a", |pod| pod["status"]["phase"] == "Running")
        .await;
    world.until(CLAIM, bound).await;
}
