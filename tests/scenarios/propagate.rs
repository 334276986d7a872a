//! Templates reach members: placement and overrides decide who gets what, changes follow, drift is
//! repaired, and what leaves the template or the placement leaves the members.
//!
//! A user writes a federated object on the host, and reads in its status what became of it in every
//! member. Nobody writes into members but meridian, and where somebody does, meridian's fields come
//! back and all others stay.

use meridian_tests::world::{Cluster, ObjectRef, TYPES, World, in_cluster};
use serde_json::{Value, json};

scenarios! {
    shared:
    every_kind_reaches_the_members_that_its_placement_names_with_each_ones_override,
    a_change_follows_and_what_leaves_the_template_leaves_the_members,
    drift_is_repaired_and_what_others_add_stays,
    leaving_the_placement_deletes_and_so_does_deleting,
    overrides_by_selector_come_first_and_may_name_the_cluster,
    a_deletion_goes_as_its_user_wants_it;
}

async fn every_kind_reaches_the_members_that_its_placement_names_with_each_ones_override(
    world: &World,
    namespace: &str,
) {
    let two = json!({"clusters": [{"name": "berlin"}, {"name": "osaka"}]});
    let everywhere = json!({"clusterSelector": {}});
    let but_lisbon = json!({"clusterSelector": {"matchExpressions": [
        {"key": "site", "operator": "NotIn", "values": ["lisbon"]}]}});
    let configuration = json!({"template": {"data": {"currency": "EUR"}}, "placement": two,
        "overrides": [{"clusterName": "osaka", "clusterOverrides": [
            {"path": "/data/currency", "value": "JPY"},
            {"op": "add", "path": "/data/greeting", "value": "ようこそ"}]}]});
    let secret = json!({"template": {"type": "Opaque", "stringData": {"key": "s3cr3t"}},
        "placement": everywhere});
    let service = json!({"template": {"spec": {"selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
        "placement": but_lisbon});
    world
        .federate("FederatedConfigMap", namespace, "web", configuration)
        .await;
    world
        .federate("FederatedSecret", namespace, "web", secret)
        .await;
    world
        .federate("FederatedService", namespace, "web", service)
        .await;
    world
        .federate("FederatedDeployment", namespace, "web", deployment("osaka"))
        .await;

    let (berlin, lisbon, osaka) = members(world);
    let at = |api_version, kind| ObjectRef::new(api_version, kind, namespace, "web");
    for kind in ["ConfigMap", "Secret", "Service", "Deployment"] {
        let federated = format!("Federated{kind}");
        world.until_propagated(&federated, namespace, "web").await;
    }
    let held = berlin.get(&at("v1", "ConfigMap")).await;
    assert_eq!(held["data"], json!({"currency": "EUR"}));
    assert_eq!(held["metadata"]["labels"]["kubefed.io/managed"], "true");
    let held = osaka.get(&at("v1", "ConfigMap")).await;
    let expected = json!({"currency": "JPY", "greeting": "ようこそ"});
    assert_eq!(held["data"], expected);
    assert_eq!(lisbon.find(&at("v1", "ConfigMap")).await, None);
    for member in world.members() {
        let held = member.get(&at("v1", "Secret")).await;
        assert_eq!(
            held["data"]["key"], "czNjcjN0",
            "base64, as written by the API server"
        );
    }
    let held = osaka.get(&at("v1", "Service")).await;
    assert!(held["spec"]["clusterIP"].is_string(), "{held:#}");
    assert_eq!(lisbon.find(&at("v1", "Service")).await, None);
    let image = "/spec/template/spec/containers/0/image";
    let held = osaka.get(&at("apps/v1", "Deployment")).await;
    assert_eq!(held.pointer(image), Some(&json!("web:1-osaka")));
    let held = berlin.get(&at("apps/v1", "Deployment")).await;
    assert_eq!(held.pointer(image), Some(&json!("web:1")));

    let federated = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "web");
    let status = world.host().get(&federated).await;
    assert!(in_cluster(&status, "berlin").is_object(), "{status:#}");
    assert!(in_cluster(&status, "lisbon").is_null(), "{status:#}");
    // What the members' controllers made of the Deployment is collected into the status.
    let federated = ObjectRef::new(TYPES, "FederatedDeployment", namespace, "web");
    world
        .host()
        .until(&federated, "it runs in Osaka", |object| {
            in_cluster(object, "osaka")["remoteStatus"]["readyReplicas"] == 1
        })
        .await;
}

async fn a_change_follows_and_what_leaves_the_template_leaves_the_members(
    world: &World,
    namespace: &str,
) {
    let prices =
        |data: Value| json!({"template": {"data": data}, "placement": {"clusterSelector": {}}});
    let first = prices(json!({"bread": "3", "salt": "1"}));
    world
        .federate("FederatedConfigMap", namespace, "prices", first)
        .await;
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    for member in world.members() {
        member
            .until(&at, "the first prices", |held| held["data"]["salt"] == "1")
            .await;
    }
    let second = prices(json!({"bread": "4"}));
    let federated = world
        .federate("FederatedConfigMap", namespace, "prices", second)
        .await;
    for member in world.members() {
        member
            .until(&at, "the second prices", |held| {
                held["data"] == json!({"bread": "4"})
            })
            .await;
    }
    let generation = federated["metadata"]["generation"].clone();
    world
        .host()
        .until(&ObjectRef::of(&federated), "the status follows", |object| {
            object["status"]["observedGeneration"] == generation
        })
        .await;
}

async fn drift_is_repaired_and_what_others_add_stays(world: &World, namespace: &str) {
    let spec = json!({"template": {"data": {"currency": "EUR"}},
        "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "prices", spec)
        .await;
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    let (berlin, lisbon, osaka) = members(world);
    for member in world.members() {
        member.until(&at, "it is there", |_| true).await;
    }
    let drift = json!({"data": {"currency": "USD", "note": "mine"}});
    berlin.patch(&at, drift).await;
    berlin
        .until(&at, "it is repaired", |held| {
            held["data"] == json!({"currency": "EUR", "note": "mine"})
        })
        .await;
    lisbon.patch(&at, json!({"data": null})).await;
    lisbon
        .until(&at, "the field is back", |held| {
            held["data"]["currency"] == "EUR"
        })
        .await;
    let before = osaka.get(&at).await["metadata"]["uid"].clone();
    osaka.delete(&at).await;
    osaka
        .until(&at, "it is made anew", |held| {
            held["metadata"]["uid"] != before && held["data"]["currency"] == "EUR"
        })
        .await;
}

async fn leaving_the_placement_deletes_and_so_does_deleting(world: &World, namespace: &str) {
    let spec = |clusters: Value| json!({"template": {"data": {"x": "y"}}, "placement": {"clusters": clusters}});
    let both = json!([{"name": "berlin"}, {"name": "lisbon"}]);
    let federated = world
        .federate("FederatedConfigMap", namespace, "sale", spec(both))
        .await;
    let (berlin, lisbon, _) = members(world);
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "sale");
    berlin.until(&at, "it is there", |_| true).await;
    lisbon.until(&at, "it is there", |_| true).await;
    world
        .federate(
            "FederatedConfigMap",
            namespace,
            "sale",
            spec(json!([{"name": "berlin"}])),
        )
        .await;
    lisbon.until_gone(&at).await;
    assert!(berlin.find(&at).await.is_some());
    let federated = ObjectRef::of(&federated);
    world
        .host()
        .until(&federated, "the status forgets Lisbon", |object| {
            in_cluster(object, "lisbon").is_null()
        })
        .await;
    world.host().delete(&federated).await;
    world.host().until_gone(&federated).await;
    berlin.until_gone(&at).await;
}

async fn overrides_by_selector_come_first_and_may_name_the_cluster(world: &World, namespace: &str) {
    let add = |path: &str, value: &str, expand: bool| json!({"op": "add", "path": path, "value": value, "expand": expand});
    let not_osaka = json!({"matchExpressions": [
        {"key": "site", "operator": "NotIn", "values": ["osaka"]}]});
    let place = "${cluster.name} in ${cluster.region}, ${cluster.labels['site']}";
    // By name they come last, wherever they are written.
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}},
    "overrides": [
        {"clusterName": "lisbon", "clusterOverrides": [{"path": "/data/tier", "value": "own"}]},
        {"clusterSelector": not_osaka, "clusterOverrides": [
            add("/data/place", place, true), add("/data/plain", place, false),
            add("/data/tier", "shared", false)]},
    ]});
    world
        .federate("FederatedConfigMap", namespace, "here", spec)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "here")
        .await;
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "here");
    let expected = |name: &str, region: &str, tier: &str| {
        json!({"x": "y", "place": format!("{name} in {region}, {name}"), "plain": place,
            "tier": tier})
    };
    let (berlin, lisbon, osaka) = members(world);
    let held = berlin.get(&at).await;
    assert_eq!(held["data"], expected("berlin", "eu-central", "shared"));
    let held = lisbon.get(&at).await;
    assert_eq!(held["data"], expected("lisbon", "eu-west", "own"));
    assert_eq!(osaka.get(&at).await["data"], json!({"x": "y"}));
}

async fn a_deletion_goes_as_its_user_wants_it(world: &World, namespace: &str) {
    world.federate_deployment(namespace, "web").await;
    let federated = ObjectRef::new(TYPES, "FederatedDeployment", namespace, "web");
    let options = json!({"propagationPolicy": "Orphan"}).to_string();
    let annotate = json!({"metadata": {"annotations": {"kubefed.io/deleteoption": options}}});
    world.host().patch(&federated, annotate).await;
    let at = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    for member in world.members() {
        let runs = |held: &Value| held["status"]["readyReplicas"] == 1;
        member.until(&at, "it runs", runs).await;
    }
    world.host().delete(&federated).await;
    world.host().until_gone(&federated).await;
    for member in world.members() {
        member.until_gone(&at).await;
        // What a deletion of any other policy would have taken along.
        let sets = member.list("apps/v1", "ReplicaSet", namespace).await;
        let [set] = sets.as_slice() else {
            panic!("{}: one stays: {sets:#?}", member.name());
        };
        let metadata = &set["metadata"];
        assert!(metadata["ownerReferences"].is_null(), "{set:#}");
        assert!(metadata["deletionTimestamp"].is_null(), "{set:#}");
    }
}

fn members(world: &World) -> (&Cluster, &Cluster, &Cluster) {
    (
        world.member("berlin"),
        world.member("lisbon"),
        world.member("osaka"),
    )
}

/// A Deployment for all members, with an image of its own in one of them.
fn deployment(special: &str) -> Value {
    let labels = json!({"app": "web"});
    json!({
        "template": {"spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        }},
        "placement": {"clusterSelector": {}},
        "overrides": [{"clusterName": special, "clusterOverrides": [{
            "path": "/spec/template/spec/containers/0/image", "value": format!("web:1-{special}"),
        }]}],
    })
}
