//! Kinds that schedulers, drivers of volumes and drivers of devices read and write: what is stored
//! of them, and what may not change.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::world::World;

cases! { ApiServer:
    a_storage_driver_gets_its_defaults,
    a_node_lists_its_storage_drivers,
    a_storage_capacity_is_stored,
    an_attachment_starts_without_status,
    an_attachments_status_is_a_part_of_its_own,
    what_an_attachment_attaches_cannot_change,
    a_volume_attributes_class_cannot_change,
    a_runtime_class_keeps_its_handler,
    a_device_class_counts_its_generation,
    a_device_claim_gets_its_defaults,
    a_device_claims_spec_cannot_change,
    a_device_claims_template_is_defaulted_inside,
    a_resource_slice_is_stored,
    they_have_tables,
}

const STORAGE: &str = "/apis/storage.k8s.io/v1";
const DEVICES: &str = "/apis/resource.k8s.io/v1";

/// An object of the cluster under a name that no other case takes.
fn named(world: &World, api_version: &str, kind: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": world.namespace},
    });
    let fields = object.as_object_mut().unwrap();
    for (key, value) in rest.as_object().unwrap() {
        fields.insert(key.clone(), value.clone());
    }
    object
}

async fn created(world: &World, plural: &str, kind: &str, rest: Value) -> Value {
    let body = named(world, "storage.k8s.io/v1", kind, rest);
    let path = format!("{STORAGE}/{plural}");
    world.post(&path, &body).await.is(201)
}

async fn a_storage_driver_gets_its_defaults(world: World) {
    let driver = created(&world, "csidrivers", "CSIDriver", json!({"spec": {}})).await;
    driver.has(json!({"spec": {
        "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false,
        "requiresRepublish": false, "seLinuxMount": false,
        "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
    }}));
}

async fn a_node_lists_its_storage_drivers(world: World) {
    let drivers = json!([{"name": "a.example", "nodeID": "n"}]);
    let node = created(
        &world,
        "csinodes",
        "CSINode",
        json!({"spec": {"drivers": drivers}}),
    )
    .await;
    node.has(json!({"spec": {"drivers": [{"name": "a.example", "nodeID": "n"}]}}));
}

async fn a_storage_capacity_is_stored(world: World) {
    let body = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity", "metadata": {"name": "a"},
        "storageClassName": "fast", "capacity": "1000M",
    });
    let collection = "storage.k8s.io/v1:csistoragecapacities";
    let stored = world.post(collection, &body).await.is(201);
    stored.has(json!({"storageClassName": "fast", "capacity": "1G"}));
    let other = json!({"storageClassName": "slow"});
    let answer = world.merge_patch(&format!("{collection}/a"), &other).await;
    answer.refused_saying(
        422,
        "Invalid",
        "storageClassName: Invalid value: \"slow\": field is immutable",
    );
}

async fn attachment(world: &World) -> Value {
    let spec = json!({
        "attacher": "a.example", "nodeName": "n", "source": {"persistentVolumeName": "v"},
    });
    let rest = json!({"spec": spec, "status": {"attached": true}});
    created(world, "volumeattachments", "VolumeAttachment", rest).await
}

async fn an_attachment_starts_without_status(world: World) {
    let attachment = attachment(&world).await;
    attachment.has(json!({"status": {"attached": false}}));
}

async fn an_attachments_status_is_a_part_of_its_own(world: World) {
    attachment(&world).await;
    let path = format!("{STORAGE}/volumeattachments/{}", world.namespace);
    let done = json!({"status": {"attached": true}});
    let whole = world.merge_patch(&path, &done).await.is(200);
    whole.has(json!({"status": {"attached": false}}));
    let status = format!("{path}/status");
    let patched = world.merge_patch(&status, &done).await.is(200);
    patched.has(json!({"status": {"attached": true}}));
}

async fn what_an_attachment_attaches_cannot_change(world: World) {
    attachment(&world).await;
    let path = format!("{STORAGE}/volumeattachments/{}", world.namespace);
    let moved = json!({"spec": {"nodeName": "elsewhere"}});
    let answer = world.merge_patch(&path, &moved).await;
    answer.refused_saying(422, "Invalid", "field is immutable");
}

async fn a_volume_attributes_class_cannot_change(world: World) {
    let rest = json!({"driverName": "a.example", "parameters": {"speed": "high"}});
    let plural = "volumeattributesclasses";
    created(&world, plural, "VolumeAttributesClass", rest).await;
    let path = format!("{STORAGE}/{plural}/{}", world.namespace);
    let answer = world
        .merge_patch(&path, &json!({"driverName": "b.example"}))
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "driverName: Forbidden: updates to driverName are forbidden.",
    );
}

async fn a_runtime_class_keeps_its_handler(world: World) {
    let rest = json!({"handler": "runc"});
    let body = named(&world, "node.k8s.io/v1", "RuntimeClass", rest);
    let collection = "/apis/node.k8s.io/v1/runtimeclasses";
    world.post(collection, &body).await.is(201);
    let path = format!("{collection}/{}", world.namespace);
    let answer = world.merge_patch(&path, &json!({"handler": "other"})).await;
    answer.refused_saying(
        422,
        "Invalid",
        "handler: Invalid value: \"other\": field is immutable",
    );
}

async fn a_device_class_counts_its_generation(world: World) {
    let spec =
        |expression: &str| json!({"spec": {"selectors": [{"cel": {"expression": expression}}]}});
    let body = named(&world, "resource.k8s.io/v1", "DeviceClass", spec("true"));
    let collection = format!("{DEVICES}/deviceclasses");
    let class = world.post(&collection, &body).await.is(201);
    assert_eq!(class["metadata"]["generation"], 1);
    let path = format!("{collection}/{}", world.namespace);
    let changed = world.merge_patch(&path, &spec("false")).await.is(200);
    assert_eq!(changed["metadata"]["generation"], 2);
}

fn device_claim(kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec,
    })
}

fn request() -> Value {
    json!({"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "gpu"}}]}})
}

async fn a_device_claim_gets_its_defaults(world: World) {
    let body = device_claim("ResourceClaim", request());
    let collection = "resource.k8s.io/v1:resourceclaims";
    let claim = world.post(collection, &body).await.is(201);
    claim.has(json!({
        "spec": {"devices": {"requests": [{
            "name": "one",
            "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1},
        }]}},
        "status": {},
    }));
}

async fn a_device_claims_spec_cannot_change(world: World) {
    let body = device_claim("ResourceClaim", request());
    let collection = "resource.k8s.io/v1:resourceclaims";
    world.post(collection, &body).await.is(201);
    let none = json!({"spec": {"devices": {"requests": []}}});
    let answer = world.merge_patch(&format!("{collection}/a"), &none).await;
    answer.refused_saying(422, "Invalid", "field is immutable");
}

async fn a_device_claims_template_is_defaulted_inside(world: World) {
    let body = device_claim("ResourceClaimTemplate", json!({"spec": request()}));
    let collection = "resource.k8s.io/v1:resourceclaimtemplates";
    let template = world.post(collection, &body).await.is(201);
    template.has(
        json!({"spec": {"metadata": {}, "spec": {"devices": {"requests": [{
            "exactly": {"allocationMode": "ExactCount", "count": 1},
        }]}}}}),
    );
}

async fn a_resource_slice_is_stored(world: World) {
    let rest = json!({"spec": {
        "driver": "a.example", "nodeName": "n", "devices": [{"name": "d"}],
        "pool": {"name": "p", "generation": 0, "resourceSliceCount": 1},
    }});
    let body = named(&world, "resource.k8s.io/v1", "ResourceSlice", rest);
    let collection = format!("{DEVICES}/resourceslices");
    let slice = world.post(&collection, &body).await.is(201);
    slice.has(json!({
        "metadata": {"generation": 1},
        "spec": {"pool": {"name": "p", "generation": 0, "resourceSliceCount": 1}},
    }));
}

/// The table of the one object that the case has made of a kind.
async fn table(world: &World, collection: &str) -> (Vec<String>, Vec<Value>) {
    let field = format!("metadata.name={}", world.namespace);
    let table = world
        .get(collection)
        .query("fieldSelector", &field)
        .accept("application/json;as=Table;v=v1;g=meta.k8s.io")
        .await
        .is(200);
    let names = table.list("/columnDefinitions").iter();
    let names = names
        .map(|column| column.text("/name").to_owned())
        .collect();
    (names, table.list("/rows/0/cells").to_vec())
}

async fn they_have_tables(world: World) {
    created(&world, "csidrivers", "CSIDriver", json!({"spec": {}})).await;
    let (names, cells) = table(&world, &format!("{STORAGE}/csidrivers")).await;
    assert_eq!(
        names[1..7],
        [
            "AttachRequired",
            "PodInfoOnMount",
            "StorageCapacity",
            "TokenRequests",
            "RequiresRepublish",
            "Modes",
        ]
    );
    let wanted = json!([true, false, false, "<unset>", false, "Persistent"]);
    assert_eq!(json!(cells[1..7]), wanted);
    attachment(&world).await;
    let (names, cells) = table(&world, &format!("{STORAGE}/volumeattachments")).await;
    assert_eq!(names[1..5], ["Attacher", "PV", "Node", "Attached"]);
    assert_eq!(json!(cells[1..5]), json!(["a.example", "v", "n", false]));
}
