//! Fleets that keep what they hold in a folder.

use pocketkube::cluster::{DeleteOptions, WriteOptions};
use pocketkube::{
    Caller, Cluster, ClusterOptions, DataOptions, Error, Fleet, FleetOptions, object,
};
use serde_json::{Value, json};
use std::path::Path;

async fn fleet(folder: &Path, bytes_max: Option<u64>) -> Result<Fleet, Error> {
    let mut data = DataOptions::in_folder(folder);
    data.bytes_max = bytes_max.unwrap_or(data.bytes_max);
    Fleet::start(FleetOptions {
        clusters: vec![ClusterOptions {
            workloads: None,
            ..ClusterOptions::named("one")
        }],
        data: Some(data),
        ..FleetOptions::default()
    })
    .await
}

fn create(cluster: &Cluster, api_version: &str, kind: &str, object: Value) -> Result<u64, u16> {
    let resource = cluster
        .resource(api_version, kind)
        .expect("a kind that is served");
    let namespace = if resource.is_namespaced() {
        "default"
    } else {
        ""
    };
    let caller = Caller::system("tester");
    cluster
        .create(
            &caller,
            &resource,
            namespace,
            object,
            &WriteOptions::default(),
        )
        .map(|made| object::resource_version(&made))
        .map_err(|status| status.code)
}

fn listed(cluster: &Cluster, api_version: &str, kind: &str) -> Vec<String> {
    let resource = cluster
        .resource(api_version, kind)
        .expect("a kind that is served");
    let objects = cluster.list(&resource, None);
    objects
        .iter()
        .map(|object| object.value().to_string())
        .collect()
}

fn definition() -> Value {
    json!({
        "metadata": {"name": "wheels.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "wheels", "kind": "Wheel"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {
                        "type": "object",
                        "properties": {"spokes": {"type": "integer", "default": 32}},
                    }},
                }},
            }],
        },
    })
}

#[tokio::test]
async fn a_fleet_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let first = fleet(folder.path(), None).await.unwrap();
    let one = first.cluster("one");
    let kind = "CustomResourceDefinition";
    create(one, "apiextensions.k8s.io/v1", kind, definition()).unwrap();
    let wheel = json!({
        "apiVersion": "example.org/v1", "kind": "Wheel", "metadata": {"name": "w"}, "spec": {},
    });
    create(one, "example.org/v1", "Wheel", wheel).unwrap();
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    create(one, "v1", "Service", service).unwrap();
    let kinds = [
        ("v1", "Namespace"),
        ("v1", "Service"),
        ("apiextensions.k8s.io/v1", kind),
        ("example.org/v1", "Wheel"),
    ];
    let all = |cluster: &Cluster| kinds.map(|(version, kind)| listed(cluster, version, kind));
    let (objects, version) = (all(one), one.version());
    let credentials = (one.token().to_owned(), one.ca_pem().to_owned());
    let url = one.url().to_owned();
    let certificate = one.client_certificate("ann", &[]).unwrap();
    first.close().await;

    let again = fleet(folder.path(), None).await.unwrap();
    let one = again.cluster("one");
    assert_eq!(all(one), objects);
    assert_eq!(
        (one.token().to_owned(), one.ca_pem().to_owned()),
        credentials
    );
    if one.url() == url {
        assert_eq!(one.version(), version);
    }
    assert!(
        one.kubeconfig_with(&certificate)
            .contains("client-key-data")
    );
    let address = json!(listed(one, "v1", "Service")[1]);
    let taken: Value = serde_json::from_str(address.as_str().unwrap()).unwrap();
    let wanted = json!({
        "metadata": {"name": "t"},
        "spec": {"clusterIP": taken["spec"]["clusterIP"], "ports": [{"port": 80}]},
    });
    let refused = create(one, "v1", "Service", wanted);
    assert_eq!(refused, Err(422), "addresses of before are still taken");
    let next = create(one, "v1", "ConfigMap", json!({"metadata": {"name": "c"}})).unwrap();
    assert!(next > version);
}

#[tokio::test]
async fn a_folder_has_one_fleet_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = fleet(folder.path(), None).await.unwrap();
    let refused = fleet(folder.path(), None).await.unwrap_err();
    assert_eq!(refused.kind(), "data");
    assert!(refused.to_string().contains("another process"), "{refused}");
    first.close().await;
    fleet(folder.path(), None).await.unwrap();
}

#[tokio::test]
async fn a_cluster_without_room_takes_deletions_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = fleet(folder.path(), Some(200_000)).await.unwrap();
    let one = fleet.cluster("one");
    let note = |number: usize| {
        json!({
            "metadata": {"name": format!("n{number}")},
            "data": {"text": "x".repeat(10_000)},
        })
    };
    let mut made = 0;
    let refused = loop {
        match create(one, "v1", "ConfigMap", note(made)) {
            Ok(_) => made += 1,
            Err(code) => break code,
        }
    };
    assert_eq!(refused, 500);
    let resource = one.resource("v1", "ConfigMap").unwrap();
    let caller = Caller::system("tester");
    for number in 0..made {
        let name = format!("n{number}");
        let options = DeleteOptions::default();
        one.delete(&caller, &resource, "default", &name, &options)
            .unwrap();
    }
    create(one, "v1", "ConfigMap", note(0)).unwrap();
}
