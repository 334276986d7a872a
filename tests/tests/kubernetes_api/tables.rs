//! Tables, as `kubectl get` asks for them.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{config_map, config_map_with, deployment, pod, secret, service};
use crate::world::World;

cases! { Workloads:
    a_table_of_config_maps_has_name_data_and_age,
    a_table_of_secrets_has_type_and_count,
    a_table_of_pods_shows_readiness_and_node,
    a_table_of_deployments_shows_replicas_and_images,
    a_table_of_services_shows_addresses_and_ports,
    a_table_of_namespaces_shows_their_status,
    a_table_of_nodes_shows_status_and_version,
    a_table_of_one_object_has_one_row,
    a_table_carries_metadata_alone_unless_asked,
    a_table_can_carry_whole_objects_or_none,
    a_table_of_nothing_has_columns_and_no_rows,
    a_table_is_paged_like_a_list,
    a_client_that_takes_either_gets_a_table,
    an_error_is_no_table,
}

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn columns(table: &Value) -> Vec<&str> {
    table
        .list("/columnDefinitions")
        .iter()
        .map(|column| column.text("/name"))
        .collect()
}

/// The cells of the row of `name`.
fn row<'a>(table: &'a Value, name: &str) -> &'a [Value] {
    let mut rows = table.list("/rows").iter().map(|row| row.list("/cells"));
    rows.find(|cells| cells[0] == name)
        .unwrap_or_else(|| panic!("no {name} in {table:#}"))
}

fn is_age(cell: &Value) -> bool {
    cell.as_str().is_some_and(|text| text.ends_with(['s', 'm']))
}

async fn a_table_of_config_maps_has_name_data_and_age(world: World) {
    world
        .post(
            "configmaps",
            &config_map_with("a", json!({"k": "v", "l": "w"})),
        )
        .await
        .is(201);
    let answer = world.get("configmaps").accept(TABLE).await;
    assert_eq!(answer.header("Content-Type"), "application/json");
    let table = answer.is(200);
    table.has(json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1"}));
    assert!(!table.text("/metadata/resourceVersion").is_empty());
    assert_eq!(columns(&table), ["Name", "Data", "Age"]);
    table["columnDefinitions"][0].has(json!({"type": "string", "format": "name", "priority": 0}));
    let cells = row(&table, "a");
    assert_eq!(cells[..2], [json!("a"), json!(2)]);
    assert!(is_age(&cells[2]), "{cells:?}");
}

async fn a_table_of_secrets_has_type_and_count(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let table = world.get("secrets").accept(TABLE).await.is(200);
    assert_eq!(columns(&table), ["Name", "Type", "Data", "Age"]);
    assert_eq!(
        row(&table, "a")[..3],
        [json!("a"), json!("Opaque"), json!(0)]
    );
}

async fn a_table_of_pods_shows_readiness_and_node(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod("a")).await.is(201);
    let ready = world
        .until("pods/a", |pod| {
            pod.condition("Ready").text("/status") == "True"
        })
        .await;
    let table = world.get("pods").accept(TABLE).await.is(200);
    let names = [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
        "IP",
        "Node",
        "Nominated Node",
        "Readiness Gates",
    ];
    assert_eq!(columns(&table), names);
    // What `-o wide` adds has a priority.
    assert!(
        table.list("/columnDefinitions")[5..]
            .iter()
            .all(|column| column["priority"] == 1)
    );
    let cells = row(&table, "a");
    assert_eq!(
        cells[..4],
        [json!("a"), json!("1/1"), json!("Running"), json!("0")]
    );
    assert_eq!(
        cells[5..7],
        [
            ready["status"]["podIP"].clone(),
            ready["spec"]["nodeName"].clone()
        ]
    );
    assert_eq!(cells[7..], [json!("<none>"), json!("<none>")]);
}

async fn a_table_of_deployments_shows_replicas_and_images(world: World) {
    world.takes_pods().await;
    world
        .post("apps/v1:deployments", &deployment("a", 1))
        .await
        .is(201);
    world
        .until("apps/v1:deployments/a", |object| {
            object["status"]["readyReplicas"] == 1
        })
        .await;
    let table = world.get("apps/v1:deployments").accept(TABLE).await.is(200);
    let names = [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    assert_eq!(columns(&table), names);
    let cells = row(&table, "a");
    assert_eq!(cells[..4], [json!("a"), json!("1/1"), json!(1), json!(1)]);
    assert_eq!(cells[5..], [json!("main"), json!("app:1"), json!("app=a")]);
}

async fn a_table_of_services_shows_addresses_and_ports(world: World) {
    let created = world.post("services", &service("a")).await.is(201);
    let table = world.get("services").accept(TABLE).await.is(200);
    let names = [
        "Name",
        "Type",
        "Cluster-IP",
        "External-IP",
        "Port(s)",
        "Age",
        "Selector",
    ];
    assert_eq!(columns(&table), names);
    let cells = row(&table, "a");
    let address = created["spec"]["clusterIP"].clone();
    let expected = [
        json!("a"),
        json!("ClusterIP"),
        address,
        json!("<none>"),
        json!("80/TCP"),
    ];
    assert_eq!(cells[..5], expected);
    assert_eq!(cells[6], "app=a");
}

async fn a_table_of_namespaces_shows_their_status(world: World) {
    let table = world.get("/api/v1/namespaces").accept(TABLE).await.is(200);
    assert_eq!(columns(&table), ["Name", "Status", "Age"]);
    assert_eq!(row(&table, &world.namespace)[1], "Active");
}

async fn a_table_of_nodes_shows_status_and_version(world: World) {
    let table = world.get("/api/v1/nodes").accept(TABLE).await.is(200);
    assert_eq!(
        columns(&table)[..5],
        ["Name", "Status", "Roles", "Age", "Version"]
    );
    assert_eq!(table.at("/rows/0/cells/1"), "Ready");
    assert_eq!(table.at("/rows/0/cells/2"), "<none>");
}

async fn a_table_of_one_object_has_one_row(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    world.post("configmaps", &config_map("b")).await.is(201);
    let table = world.get("configmaps/b").accept(TABLE).await.is(200);
    assert_eq!(table.list("/rows").len(), 1);
    assert_eq!(table.at("/rows/0/cells/0"), "b");
}

async fn a_table_carries_metadata_alone_unless_asked(world: World) {
    let created = world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let table = world.get("configmaps/a").accept(TABLE).await.is(200);
    table["rows"][0]["object"].has(json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "a", "uid": created["metadata"]["uid"]}, "data": null,
    }));
}

async fn a_table_can_carry_whole_objects_or_none(world: World) {
    let created = world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let request = world
        .get("configmaps/a")
        .accept(TABLE)
        .query("includeObject", "Object");
    assert_eq!(request.await.is(200)["rows"][0]["object"], created);
    let request = world
        .get("configmaps/a")
        .accept(TABLE)
        .query("includeObject", "None");
    assert_eq!(request.await.is(200)["rows"][0]["object"], Value::Null);
}

async fn a_table_of_nothing_has_columns_and_no_rows(world: World) {
    let table = world.get("secrets").accept(TABLE).await.is(200);
    assert_eq!(columns(&table), ["Name", "Type", "Data", "Age"]);
    assert_eq!(table["rows"], json!([]));
}

async fn a_table_is_paged_like_a_list(world: World) {
    for name in ["a", "b", "c"] {
        world.post("secrets", &secret(name)).await.is(201);
    }
    let table = world
        .get("secrets")
        .accept(TABLE)
        .query("limit", "2")
        .await
        .is(200);
    assert_eq!(table.list("/rows").len(), 2);
    assert_eq!(table["metadata"]["remainingItemCount"], 1);
    let token = table.text("/metadata/continue");
    let rest = world
        .get("secrets")
        .accept(TABLE)
        .query("continue", token)
        .await
        .is(200);
    assert_eq!(rest.at("/rows/0/cells/0"), "c");
}

async fn a_client_that_takes_either_gets_a_table(world: World) {
    let accept =
        format!("{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json");
    let table = world.get("secrets").accept(&accept).await.is(200);
    assert_eq!(table["kind"], "Table");
    // Discovery has no tables: the last choice holds.
    assert_eq!(
        world.get("/version").accept(&accept).await.is(200)["major"],
        "1"
    );
}

async fn an_error_is_no_table(world: World) {
    let answer = world.get("secrets/a").accept(TABLE).await;
    answer.refused(404, "NotFound", "secrets \"a\" not found");
}
