//! StatefulSets: Pods with names that stay, their order, their updates and their claims.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::stateful_set;
use crate::world::World;

cases! { Workloads:
    a_stateful_set_names_its_pods_by_ordinal,
    a_stateful_set_reports_its_replicas_and_revisions,
    a_stateful_set_waits_for_each_pod_to_be_ready,
    a_parallel_stateful_set_waits_for_none,
    a_stateful_set_scales_down_from_the_last,
    a_deleted_pod_comes_back_under_its_name,
    an_update_replaces_all_pods_and_completes,
    an_update_stops_at_its_partition,
    on_delete_updates_only_what_is_deleted,
    a_revision_keeps_the_template_and_comes_back,
    claims_are_made_from_templates_and_stay,
    pods_mount_the_claims_of_their_set,
    a_set_deleted_in_the_foreground_goes_after_its_pods,
    a_claim_that_nobody_could_make_is_refused,
    claims_go_with_their_pods_when_told_to,
    a_claim_is_owned_by_its_set_when_told_to,
    ordinals_may_start_later,
    a_stateful_set_tells_what_it_does,
}

const SET: &str = "apps/v1:statefulsets/a";
const SETS: &str = "apps/v1:statefulsets";
const PODS: &str = "pods?labelSelector=app%3Da";
const REVISIONS: &str = "apps/v1:controllerrevisions?labelSelector=app%3Da";

/// With claims of a class that nobody makes volumes for.
fn with_claims(replicas: u32) -> Value {
    let mut set = stateful_set(replicas);
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "nobody",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }]);
    set
}

fn ready(replicas: u64) -> impl Fn(&Value) -> bool {
    move |set| {
        let status = &set["status"];
        let is = |field: &str| status[field].as_u64().unwrap_or(0) == replicas;
        status["observedGeneration"] == set["metadata"]["generation"]
            && [
                "replicas",
                "readyReplicas",
                "availableReplicas",
                "currentReplicas",
            ]
            .iter()
            .all(|field| is(field))
            && status["currentRevision"] == status["updateRevision"]
    }
}

async fn create(world: &World, set: &Value) -> Value {
    world.takes_pods().await;
    world.post(SETS, set).await.is(201)
}

async fn running(world: &World, replicas: u32) -> Value {
    create(world, &stateful_set(replicas)).await;
    world.until(SET, ready(replicas.into())).await
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

/// Whether there is a pod of this name, and not the old one.
fn is_another(pods: &[Value], name: &str, old: &Value) -> bool {
    pods.iter().any(|pod| {
        pod.text("/metadata/name") == name && pod["metadata"]["uid"] != old["metadata"]["uid"]
    })
}

fn names(objects: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = objects.iter().map(|o| o.text("/metadata/name")).collect();
    names.sort_unstable();
    names
}

async fn a_stateful_set_names_its_pods_by_ordinal(world: World) {
    let set = running(&world, 2).await;
    let pod = world.get("pods/a-1").await.is(200);
    pod.has(json!({
        "metadata": {
            "generateName": "a-",
            "labels": {
                "app": "a",
                "apps.kubernetes.io/pod-index": "1",
                "controller-revision-hash": set["status"]["currentRevision"],
                "statefulset.kubernetes.io/pod-name": "a-1",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a",
                "uid": set["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {"hostname": "a-1", "subdomain": "a"},
    }));
}

async fn a_stateful_set_reports_its_replicas_and_revisions(world: World) {
    let set = running(&world, 2).await;
    let revision = set["status"]["currentRevision"].clone();
    assert!(revision.as_str().unwrap().starts_with("a-"));
    assert_eq!(
        set["status"],
        json!({
            "observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "currentReplicas": 2, "updatedReplicas": 2, "collisionCount": 0,
            "currentRevision": revision, "updateRevision": revision,
        })
    );
}

async fn a_stateful_set_waits_for_each_pod_to_be_ready(world: World) {
    let mut set = stateful_set(2);
    set["spec"]["template"]["metadata"]["annotations"] =
        json!({"pocketkube.dev/ready-after": "never"});
    create(&world, &set).await;
    let one =
        |set: &Value| set["status"]["replicas"] == 1 && set["status"]["observedGeneration"] == 1;
    world.until(SET, one).await;
    world
        .until("pods/a-0", |pod| pod["spec"]["nodeName"].is_string())
        .await;
    assert_eq!(names(world.get(PODS).await.is(200).list("/items")), ["a-0"]);
}

async fn a_parallel_stateful_set_waits_for_none(world: World) {
    let mut set = stateful_set(3);
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set["spec"]["template"]["metadata"]["annotations"] =
        json!({"pocketkube.dev/ready-after": "never"});
    create(&world, &set).await;
    let pods = world.until_list(PODS, |pods| pods.len() == 3).await;
    assert_eq!(names(&pods), ["a-0", "a-1", "a-2"]);
}

async fn a_stateful_set_scales_down_from_the_last(world: World) {
    running(&world, 3).await;
    let list = world.get(PODS).await.is(200);
    let since = list.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!("{PODS}&resourceVersion={since}"))
        .await;
    world
        .merge_patch(SET, &json!({"spec": {"replicas": 1}}))
        .await
        .is(200);
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let event = watch.next_change().await;
        if event.kind == "DELETED" {
            gone.push(event.object.text("/metadata/name").to_owned());
        }
    }
    assert_eq!(gone, ["a-2", "a-1"]);
    world.until(SET, ready(1)).await;
}

async fn a_deleted_pod_comes_back_under_its_name(world: World) {
    running(&world, 2).await;
    let old = world.get("pods/a-0").await.is(200);
    world.delete("pods/a-0").await.is(200);
    let back = |pods: &[Value]| is_another(pods, "a-0", &old);
    world.until_list(PODS, back).await;
}

async fn an_update_replaces_all_pods_and_completes(world: World) {
    let before = running(&world, 2).await;
    world.strategic_patch(SET, &image("app:2")).await.is(200);
    let after = world.until(SET, ready(2)).await;
    assert_ne!(
        after["status"]["currentRevision"],
        before["status"]["currentRevision"]
    );
    let pods = world.get(PODS).await.is(200);
    for pod in pods.list("/items") {
        assert_eq!(pod.text("/spec/containers/0/image"), "app:2");
        assert_eq!(
            pod["metadata"]["labels"]["controller-revision-hash"],
            after["status"]["currentRevision"]
        );
    }
}

async fn an_update_stops_at_its_partition(world: World) {
    running(&world, 3).await;
    let mut patch = image("app:2");
    patch["spec"]["updateStrategy"] = json!({"rollingUpdate": {"partition": 2}});
    world.strategic_patch(SET, &patch).await.is(200);
    let done = |set: &Value| {
        let status = &set["status"];
        status["updatedReplicas"] == 1 && status["readyReplicas"] == 3 && status["replicas"] == 3
    };
    let set = world.until(SET, done).await;
    assert_ne!(
        set["status"]["currentRevision"],
        set["status"]["updateRevision"]
    );
    assert_eq!(set["status"]["currentReplicas"], 2);
    let image = |pod: Value| pod.text("/spec/containers/0/image").to_owned();
    assert_eq!(image(world.get("pods/a-2").await.is(200)), "app:2");
    assert_eq!(image(world.get("pods/a-1").await.is(200)), "app:1");
    // Before the partition, a pod comes back as it was.
    let old = world.get("pods/a-0").await.is(200);
    world.delete("pods/a-0").await.is(200);
    let back = |pods: &[Value]| is_another(pods, "a-0", &old);
    let pods = world.until_list(PODS, back).await;
    let pod = pods
        .iter()
        .find(|pod| pod.text("/metadata/name") == "a-0")
        .unwrap();
    assert_eq!(pod.text("/spec/containers/0/image"), "app:1");
}

async fn on_delete_updates_only_what_is_deleted(world: World) {
    let mut set = stateful_set(2);
    set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    create(&world, &set).await;
    let full = |set: &Value| set["status"]["availableReplicas"] == 2;
    world.until(SET, full).await;
    world.strategic_patch(SET, &image("app:2")).await.is(200);
    let seen = |set: &Value| set["status"]["observedGeneration"] == 2;
    world.until(SET, seen).await;
    world.delete("pods/a-1").await.is(200);
    let new = |pods: &[Value]| {
        pods.iter()
            .any(|pod| pod.text("/spec/containers/0/image") == "app:2")
    };
    world.until_list(PODS, new).await;
    let old = world.get("pods/a-0").await.is(200);
    assert_eq!(old.text("/spec/containers/0/image"), "app:1");
}

async fn a_revision_keeps_the_template_and_comes_back(world: World) {
    let set = running(&world, 1).await;
    let first = set["status"]["currentRevision"].clone();
    let path = format!("apps/v1:controllerrevisions/{}", first.as_str().unwrap());
    let revision = world.get(&path).await.is(200);
    revision.has(json!({
        "metadata": {
            "labels": {"app": "a"},
            "ownerReferences": [{"kind": "StatefulSet", "name": "a", "controller": true}],
        },
        "data": {"spec": {"template": {
            "$patch": "replace",
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "main", "image": "app:1"}]},
        }}},
        "revision": 1,
    }));
    world.strategic_patch(SET, &image("app:2")).await.is(200);
    world.until(SET, ready(1)).await;
    world.strategic_patch(SET, &image("app:1")).await.is(200);
    let back = |set: &Value| ready(1)(set) && set["status"]["currentRevision"] == first;
    world.until(SET, back).await;
    let revisions = world.get(REVISIONS).await.is(200);
    let mut numbers: Vec<i64> = revisions
        .list("/items")
        .iter()
        .filter_map(|revision| revision["revision"].as_i64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

async fn claims_are_made_from_templates_and_stay(world: World) {
    create(&world, &with_claims(2)).await;
    let claims = world
        .until_list("persistentvolumeclaims", |claims| claims.len() == 2)
        .await;
    assert_eq!(names(&claims), ["data-a-0", "data-a-1"]);
    let claim = claims
        .iter()
        .find(|claim| claim.text("/metadata/name") == "data-a-1")
        .unwrap();
    claim.has(json!({
        "metadata": {"labels": {"app": "a"}, "ownerReferences": null},
        "spec": {"storageClassName": "nobody", "volumeMode": "Filesystem"},
        "status": {"phase": "Pending"},
    }));
    let pods = world.until_list(PODS, |pods| pods.len() == 2).await;
    let pod = pods
        .iter()
        .find(|pod| pod.text("/metadata/name") == "a-1")
        .unwrap();
    pod["spec"]["volumes"][0].has(json!({
        "name": "data", "persistentVolumeClaim": {"claimName": "data-a-1"},
    }));
    world
        .merge_patch(SET, &json!({"spec": {"replicas": 0}}))
        .await
        .is(200);
    world.until_list(PODS, <[Value]>::is_empty).await;
    let claims = world.get("persistentvolumeclaims").await.is(200);
    assert_eq!(claims.names().len(), 2);
}

/// With one container that mounts `volume`.
fn mounting(volume: &str) -> Value {
    let mut set = with_claims(1);
    let container = &mut set["spec"]["template"]["spec"]["containers"][0];
    container["volumeMounts"] = json!([{"name": volume, "mountPath": "/data"}]);
    set
}

async fn pods_mount_the_claims_of_their_set(world: World) {
    let mut set = mounting("data");
    // A claim stands before a volume of its name.
    set["spec"]["template"]["spec"]["volumes"] = json!([
        {"name": "data", "emptyDir": {}}, {"name": "other", "emptyDir": {}},
    ]);
    create(&world, &set).await;
    let pods = world.until_list(PODS, |pods| !pods.is_empty()).await;
    let volumes = pods[0]["spec"]["volumes"].as_array().unwrap();
    let data: Vec<&Value> = volumes.iter().filter(|v| v["name"] == "data").collect();
    assert_eq!(data.len(), 1);
    data[0].has(json!({"persistentVolumeClaim": {"claimName": "data-a-0"}, "emptyDir": null}));
    assert!(volumes.iter().any(|volume| volume["name"] == "other"));
}

async fn a_set_deleted_in_the_foreground_goes_after_its_pods(world: World) {
    running(&world, 2).await;
    let foreground = json!({"propagationPolicy": "Foreground"});
    let answer = world.delete_with(SET, &foreground).await;
    assert_eq!(answer.status, 200);
    world.until_gone(SET).await;
    let left = world.get(PODS).await.is(200);
    assert!(left.list("/items").is_empty());
    // Nothing is made anew.
    world.until_list(REVISIONS, <[Value]>::is_empty).await;
}

async fn a_claim_that_nobody_could_make_is_refused(world: World) {
    let mut set = mounting("elsewhere");
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "Data"}, "spec": {}}]);
    let answer = world.post(SETS, &set).await;
    assert_eq!(answer.status, 422);
    let message = answer.body.text("/message");
    for cause in [
        "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is \
         required",
        "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
        "spec.template.spec.volumes[0].name: Invalid value: \"Data\": a lowercase RFC 1123 label",
        "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"elsewhere\"",
    ] {
        assert!(message.contains(cause), "{cause}: {message}");
    }
}

async fn claims_go_with_their_pods_when_told_to(world: World) {
    let mut set = with_claims(2);
    set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Delete"});
    create(&world, &set).await;
    world
        .until_list("persistentvolumeclaims", |claims| claims.len() == 2)
        .await;
    world.until_list(PODS, |pods| pods.len() == 2).await;
    world
        .merge_patch(SET, &json!({"spec": {"replicas": 1}}))
        .await
        .is(200);
    let claims = world
        .until_list("persistentvolumeclaims", |claims| claims.len() == 1)
        .await;
    assert_eq!(names(&claims), ["data-a-0"]);
}

async fn a_claim_is_owned_by_its_set_when_told_to(world: World) {
    let mut set = with_claims(1);
    set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    let set = create(&world, &set).await;
    let owned = |claims: &[Value]| {
        let owner = claims
            .first()
            .map(|claim| &claim["metadata"]["ownerReferences"][0]["uid"]);
        owner == Some(&set["metadata"]["uid"])
    };
    world.until_list("persistentvolumeclaims", owned).await;
    world.delete(SET).await.is(200);
    world
        .until_list("persistentvolumeclaims", <[Value]>::is_empty)
        .await;
}

async fn ordinals_may_start_later(world: World) {
    let mut set = stateful_set(2);
    set["spec"]["ordinals"] = json!({"start": 5});
    create(&world, &set).await;
    world.until(SET, ready(2)).await;
    let pods = world.get(PODS).await.is(200);
    assert_eq!(names(pods.list("/items")), ["a-5", "a-6"]);
}

async fn a_stateful_set_tells_what_it_does(world: World) {
    running(&world, 1).await;
    world
        .merge_patch(SET, &json!({"spec": {"replicas": 0}}))
        .await
        .is(200);
    for (reason, verb) in [
        ("SuccessfulCreate", "Create"),
        ("SuccessfulDelete", "Delete"),
    ] {
        let told = |events: &[Value]| {
            events.iter().any(|event| {
                event["reason"] == reason
                    && event["message"] == format!("{verb} Pod a-0 in StatefulSet a successful")
                    && event["source"]["component"] == "statefulset-controller"
            })
        };
        world.until_list("events", told).await;
    }
}
