//! Claims, volumes and classes over a world of values.

use super::*;

const NOW: &str = "2026-01-01T00:00:00Z";

fn claim(class: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "n", "uid": "c", "resourceVersion": "1",
            "finalizers": [CLAIM_PROTECTION]},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "volumeMode": "Filesystem", "resources": {"requests": {"storage": "2Gi"}}},
        "status": {"phase": "Pending"}})
}

fn volume(name: &str, size: &str) -> Value {
    json!({"metadata": {"name": name, "finalizers": [VOLUME_PROTECTION]},
        "spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": size},
            "storageClassName": "hand", "volumeMode": "Filesystem"}})
}

fn class(name: &str, provisioner: &str, mode: &str) -> Value {
    json!({"metadata": {"name": name}, "provisioner": provisioner, "reclaimPolicy": "Delete",
        "volumeBindingMode": mode})
}

fn look(claim: &Value, volumes: &[Value], classes: &[Value]) -> Step {
    let volumes: Vec<&Value> = volumes.iter().collect();
    let classes: Vec<&Value> = classes.iter().collect();
    let view = View {
        volumes: &volumes,
        classes: &classes,
        now: NOW.parse().unwrap(),
    };
    claim_step(claim, Use::Free, view)
}

fn written(step: &Step) -> Value {
    let found = step.writes.iter().find_map(|write| match write {
        Write::Update(_, object) | Write::UpdateStatus(_, object) => Some(object.clone()),
        Write::Create(creation) => Some(creation.object.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{step:?}"))
}

#[test]
fn a_claim_takes_the_smallest_volume_that_fits() {
    let volumes = [
        volume("large", "10Gi"),
        volume("small", "1Gi"),
        volume("fit", "3Gi"),
    ];
    let taken = written(&look(&claim(json!("hand")), &volumes, &[]));
    assert_eq!(name(&taken), "fit");
    assert_eq!(taken["spec"]["claimRef"]["uid"], "c");
    let bound = written(&look(
        &claim(json!("hand")),
        std::slice::from_ref(&taken),
        &[],
    ));
    assert_eq!(bound["spec"]["volumeName"], "fit");
    assert!(!is_bound(&bound));
    let told = written(&look(&bound, &[taken], &[]));
    assert_eq!(told["status"]["phase"], "Bound");
    assert_eq!(told["status"]["capacity"], json!({"storage": "3Gi"}));
    assert!(is_bound(&told));
}

#[test]
fn a_volume_is_made_when_the_class_says_so_and_a_pod_was_placed() {
    let mut own = claim(Value::Null);
    let classes = [default_class()];
    own = written(&look(&own, &[], &classes));
    assert_eq!(own["spec"]["storageClassName"], "standard");
    let waits = look(&own, &[], &classes);
    assert!(
        matches!(&waits.writes[..], [Write::Event(note)] if note.reason == "WaitForFirstConsumer")
    );
    own["metadata"]["annotations"] = json!({SELECTED_NODE: "node-1"});
    own = written(&look(&own, &[], &classes));
    assert_eq!(annotation(&own, WANTED_PROVISIONERS[1]), Some(PROVISIONER));
    let made = written(&look(&own, &[], &classes));
    assert_eq!(name(&made), "pvc-c");
    assert_eq!(made["spec"]["capacity"]["storage"], "2Gi");
}

#[test]
fn a_claim_without_a_volume_says_why() {
    let reason = |step: Step| match &step.writes[..] {
        [Write::Event(note)] => note.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(look(&claim(json!("")), &[], &[])), "FailedBinding");
    assert_eq!(
        reason(look(&claim(json!("gone")), &[], &[])),
        "ProvisioningFailed"
    );
    let other = class("other", "example.com/disks", "Immediate");
    let mut own = claim(json!("other"));
    own = written(&look(&own, &[], std::slice::from_ref(&other)));
    assert_eq!(reason(look(&own, &[], &[other])), "ExternalProvisioning");
}

#[test]
fn a_volume_follows_its_claim() {
    let view = View {
        volumes: &[],
        classes: &[],
        now: NOW.parse().unwrap(),
    };
    let mut own = volume("v", "1Gi");
    let phase = |step: &Step| written(step)["status"]["phase"].clone();
    assert_eq!(phase(&volume_step(&own, None, view)), "Available");
    let mut user = claim(json!("hand"));
    user["spec"]["volumeName"] = json!("v");
    own["spec"]["claimRef"] = reference(&user);
    assert_eq!(phase(&volume_step(&own, Some(&user), view)), "Bound");
    assert_eq!(phase(&volume_step(&own, None, view)), "Released");
    own["spec"]["persistentVolumeReclaimPolicy"] = json!("Delete");
    own["metadata"]["annotations"] = json!({PROVISIONED_BY: PROVISIONER});
    assert!(matches!(
        volume_step(&own, None, view).writes[..],
        [Write::Delete(_)]
    ));
}

#[test]
fn what_is_in_use_is_held_until_it_is_free() {
    let view = View {
        volumes: &[],
        classes: &[],
        now: NOW.parse().unwrap(),
    };
    let mut own = claim(json!("hand"));
    own["metadata"]["finalizers"] = Value::Null;
    let mut held = written(&claim_step(&own, Use::Free, view));
    assert_eq!(held["metadata"]["finalizers"], json!([CLAIM_PROTECTION]));
    held["metadata"]["deletionTimestamp"] = json!(NOW);
    assert_eq!(claim_step(&held, Use::Mounted, view).writes, []);
    let free = written(&claim_step(&held, Use::Free, view));
    assert_eq!(free["metadata"]["finalizers"], json!([]));
}
