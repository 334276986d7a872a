//! StatefulSets, told as worlds that looks change.

use super::*;
use crate::workloads::replay::Replay;
use serde_json::json;

const NOW: &str = "2026-01-01T00:10:00Z";

fn set(replicas: i64, policy: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "n", "uid": "s", "generation": 1},
        "spec": {"replicas": replicas, "podManagementPolicy": policy, "serviceName": "db",
            "revisionHistoryLimit": 10, "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "c", "image": "db:1"}]}}},
        "status": {}})
}

fn with_claims(mut set: Value, scaled: &str, deleted: &str) -> Value {
    set["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]);
    set["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenScaled": scaled, "whenDeleted": deleted});
    set
}

/// One look; what it created and deleted.
fn look(world: &mut Replay) -> Vec<String> {
    let set = world.one("StatefulSet", "db");
    let claims = world.all("PersistentVolumeClaim");
    let claims: BTreeMap<&str, &Value> = claims.into_iter().map(|one| (name(one), one)).collect();
    let step = step(View {
        set: &set,
        pods: &world.all("Pod"),
        revisions: &world.all("ControllerRevision"),
        claims: &claims,
        now: NOW.parse().unwrap(),
    });
    world.apply(&step)
}

fn make_ready(world: &mut Replay) {
    world.each("Pod", |pod| {
        pod["status"] = json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    });
}

/// Looks, and Pods that become ready, until nothing happens; all that was done.
fn settle(world: &mut Replay) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        make_ready(world);
        let done = look(world);
        if done.is_empty() {
            return all;
        }
        all.extend(done);
    }
}

fn edit(world: &mut Replay, edit: impl Fn(&mut Value)) {
    world.each("StatefulSet", |set| {
        edit(&mut set["spec"]);
        set["metadata"]["generation"] = json!(2);
    });
}

#[test]
fn pods_come_one_after_the_other_and_go_from_the_last() {
    let mut world = Replay::of(set(2, "OrderedReady"));
    let first = look(&mut world);
    assert_eq!(first.len(), 2, "a revision and one pod: {first:?}");
    assert_eq!(look(&mut world), Vec::<String>::new(), "db-0 is not ready");
    settle(&mut world);
    assert_eq!(world.names("Pod"), ["db-0", "db-1"]);
    edit(&mut world, |spec| spec["replicas"] = json!(0));
    assert_eq!(settle(&mut world), ["delete db-1", "delete db-0"]);
}

#[test]
fn parallel_pods_come_and_go_at_once() {
    let mut world = Replay::of(set(3, "Parallel"));
    assert_eq!(
        look(&mut world)[1..],
        ["create db-0", "create db-1", "create db-2"]
    );
    edit(&mut world, |spec| spec["replicas"] = json!(1));
    assert_eq!(look(&mut world), ["delete db-2", "delete db-1"]);
}

#[test]
fn a_pod_keeps_its_name_and_says_whose_it_is() {
    let mut world = Replay::of(set(1, "OrderedReady"));
    settle(&mut world);
    let pod = world.one("Pod", "db-0");
    let revision = world.names("ControllerRevision").remove(0);
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"app": "db", "statefulset.kubernetes.io/pod-name": "db-0",
            "apps.kubernetes.io/pod-index": "0", "controller-revision-hash": revision})
    );
    assert_eq!(
        (&pod["spec"]["hostname"], &pod["spec"]["subdomain"]),
        (&json!("db-0"), &json!("db"))
    );
    let status = world.one("StatefulSet", "db")["status"].clone();
    assert_eq!(
        (&status["currentRevision"], &status["readyReplicas"]),
        (&json!(revision), &json!(1))
    );
}

#[test]
fn an_update_replaces_pods_from_the_last_to_the_partition() {
    let mut world = Replay::of(set(3, "OrderedReady"));
    settle(&mut world);
    edit(&mut world, |spec| {
        spec["template"]["spec"]["containers"][0]["image"] = json!("db:2");
        spec["updateStrategy"]["rollingUpdate"]["partition"] = json!(1);
    });
    let done = settle(&mut world);
    assert_eq!(
        done[1..],
        ["delete db-2", "create db-2", "delete db-1", "create db-1"]
    );
    let status = world.one("StatefulSet", "db")["status"].clone();
    assert_eq!(
        (&status["currentReplicas"], &status["updatedReplicas"]),
        (&json!(1), &json!(2))
    );
    assert_ne!(status["currentRevision"], status["updateRevision"]);
    // A Pod before the partition comes back as it was.
    let lost = world.one("Pod", "db-0");
    world.apply(&Step {
        writes: vec![Write::Delete(Deletion::of(pod::TABLE, &lost))],
        wake_at: None,
    });
    settle(&mut world);
    assert_eq!(
        world.one("Pod", "db-0")["spec"]["containers"][0]["image"],
        "db:1"
    );
    edit(&mut world, |spec| {
        spec["updateStrategy"]["rollingUpdate"]["partition"] = json!(0)
    });
    settle(&mut world);
    let status = world.one("StatefulSet", "db")["status"].clone();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_eq!(status["currentReplicas"], 3);
}

#[test]
fn on_delete_leaves_old_pods_alone() {
    let mut world = Replay::of(set(1, "OrderedReady"));
    settle(&mut world);
    edit(&mut world, |spec| {
        spec["template"]["spec"]["containers"][0]["image"] = json!("db:2");
        spec["updateStrategy"] = json!({"type": "OnDelete"});
    });
    assert_eq!(settle(&mut world).len(), 1, "only a revision");
    let old = world.one("Pod", "db-0");
    world.apply(&Step {
        writes: vec![Write::Delete(Deletion::of(pod::TABLE, &old))],
        wake_at: None,
    });
    settle(&mut world);
    assert_eq!(
        world.one("Pod", "db-0")["spec"]["containers"][0]["image"],
        "db:2"
    );
}

#[test]
fn claims_are_made_and_go_with_whom_the_policy_says() {
    let mut world = Replay::of(with_claims(set(2, "OrderedReady"), "Delete", "Delete"));
    settle(&mut world);
    assert_eq!(
        world.names("PersistentVolumeClaim"),
        ["data-db-0", "data-db-1"]
    );
    let pod = world.one("Pod", "db-1");
    assert_eq!(
        pod["spec"]["volumes"],
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}}])
    );
    let owner = |world: &Replay, claim: &str| {
        let owners = &world.one("PersistentVolumeClaim", claim)["metadata"]["ownerReferences"];
        owners[0]["kind"].as_str().map(str::to_owned)
    };
    assert_eq!(owner(&world, "data-db-1").as_deref(), Some("StatefulSet"));
    edit(&mut world, |spec| spec["replicas"] = json!(1));
    assert_eq!(look(&mut world), ["delete db-1"]);
    assert_eq!(owner(&world, "data-db-1").as_deref(), Some("Pod"));
    edit(&mut world, |spec| {
        spec["persistentVolumeClaimRetentionPolicy"] =
            json!({"whenScaled": "Retain", "whenDeleted": "Retain"});
    });
    settle(&mut world);
    assert_eq!(owner(&world, "data-db-0"), None);
}

#[test]
fn a_pod_that_failed_is_replaced_and_ordinals_may_start_later() {
    let mut own = set(1, "OrderedReady");
    own["spec"]["ordinals"] = json!({"start": 5});
    let mut world = Replay::of(own);
    settle(&mut world);
    assert_eq!(world.names("Pod"), ["db-5"]);
    world.each("Pod", |pod| pod["status"]["phase"] = json!("Failed"));
    assert_eq!(look(&mut world), ["delete db-5"]);
    assert_eq!(look(&mut world), ["create db-5"]);
}
