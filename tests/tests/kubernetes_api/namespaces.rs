//! Namespaces: what they begin with, and how they end.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{config_map, secret, widgets};
use crate::world::World;

cases! { Workloads:
    a_namespace_is_active_and_labelled_with_its_name,
    a_namespace_gets_a_service_account_and_the_cluster_certificate,
    the_cluster_has_its_own_namespaces,
    the_default_namespace_may_not_be_deleted,
    a_namespace_name_is_a_dns_label,
    a_namespace_keeps_its_name_label,
    deleting_a_namespace_deletes_all_in_it,
    a_namespace_ends_after_what_it_holds,
    nothing_is_created_in_a_namespace_that_ends,
    a_namespace_that_ends_can_still_be_emptied_and_read,
    a_namespace_that_is_gone_can_be_made_anew,
}

async fn end(world: &World) -> Value {
    world.delete(&this(world)).await.is(200)
}

fn this(world: &World) -> String {
    format!("/api/v1/namespaces/{}", world.namespace)
}

async fn a_namespace_is_active_and_labelled_with_its_name(world: World) {
    world.get(&this(&world)).await.is(200).has(json!({
        "metadata": {
            "namespace": null, "labels": {"kubernetes.io/metadata.name": world.namespace},
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }));
}

async fn a_namespace_gets_a_service_account_and_the_cluster_certificate(world: World) {
    world.until("serviceaccounts/default", |_| true).await;
    let bundle = world.until("configmaps/kube-root-ca.crt", |_| true).await;
    assert!(
        bundle["data"]
            .text("/ca.crt")
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

async fn the_cluster_has_its_own_namespaces(world: World) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let path = format!("/api/v1/namespaces/{name}");
        world
            .get(&path)
            .await
            .is(200)
            .has(json!({"status": {"phase": "Active"}}));
    }
    let service = world
        .get("/api/v1/namespaces/default/services/kubernetes")
        .await
        .is(200);
    service.has(json!({"spec": {"type": "ClusterIP", "ports": [{"port": 443, "name": "https"}]}}));
}

async fn the_default_namespace_may_not_be_deleted(world: World) {
    world.delete("/api/v1/namespaces/default").await.refused(
        403,
        "Forbidden",
        "namespaces \"default\" is forbidden: this namespace may not be deleted",
    );
}

async fn a_namespace_name_is_a_dns_label(world: World) {
    for name in ["a.b".to_owned(), "a".repeat(64), "A".to_owned()] {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let answer = world.post("/api/v1/namespaces", &body).await;
        answer.refused_saying(422, "Invalid", "metadata.name: Invalid value");
    }
}

async fn a_namespace_keeps_its_name_label(world: World) {
    let patch = json!({"metadata": {"labels": {"kubernetes.io/metadata.name": null, "k": "v"}}});
    world
        .merge_patch(&this(&world), &patch)
        .await
        .is(200)
        .has(json!({"metadata": {"labels": {
            "kubernetes.io/metadata.name": world.namespace, "k": "v",
        }}}));
}

async fn deleting_a_namespace_deletes_all_in_it(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(&widgets, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    world.post("configmaps", &config_map("a")).await.is(201);
    let ending = end(&world).await;
    ending.has(json!({"kind": "Namespace", "status": {"phase": "Terminating"}}));
    assert!(ending.at("/metadata/deletionTimestamp").is_string());
    world.until_gone(&this(&world)).await;
    world.get("configmaps/a").await.is(404);
    world.get(&format!("{widgets}/a")).await.is(404);
}

/// Leaves a namespace that cannot end, because of one secret.
async fn held(world: &World) {
    let mut body = secret("a");
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post("secrets", &body).await.is(201);
    world.post("configmaps", &config_map("a")).await.is(201);
    end(world).await;
}

async fn let_go(world: &World) {
    world
        .merge_patch("secrets/a", &json!({"metadata": {"finalizers": null}}))
        .await
        .is(200);
}

async fn a_namespace_ends_after_what_it_holds(world: World) {
    held(&world).await;
    let waits = |namespace: &Value| {
        namespace
            .condition("NamespaceFinalizersRemaining")
            .text("/status")
            == "True"
    };
    let namespace = world.until(&this(&world), waits).await;
    namespace.condition("NamespaceFinalizersRemaining").has(json!({
        "reason": "SomeFinalizersRemain",
        "message": "Some content in the namespace has finalizers remaining: example.com/hold in 1 \
                    resource instances",
    }));
    namespace.condition("NamespaceContentRemaining").has(json!({
        "status": "True", "reason": "SomeResourcesRemain",
        "message": "Some resources are remaining: secrets. has 1 resource instances",
    }));
    world.until_gone("configmaps/a").await;
    let_go(&world).await;
    world.until_gone(&this(&world)).await;
}

async fn nothing_is_created_in_a_namespace_that_ends(world: World) {
    held(&world).await;
    let message = format!(
        "configmaps \"b\" is forbidden: unable to create new content in namespace {0} because it is \
         being terminated",
        world.namespace,
    );
    let status =
        world
            .post("configmaps", &config_map("b"))
            .await
            .refused(403, "Forbidden", &message);
    status.has(json!({"details": {"causes": [{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {} is being terminated", world.namespace),
        "field": "metadata.namespace",
    }]}}));
    let_go(&world).await;
}

async fn a_namespace_that_ends_can_still_be_emptied_and_read(world: World) {
    held(&world).await;
    world.get("secrets/a").await.is(200);
    world
        .merge_patch("secrets/a", &json!({"metadata": {"labels": {"k": "v"}}}))
        .await
        .is(200);
    let_go(&world).await;
    world.until_gone("secrets/a").await;
}

async fn a_namespace_that_is_gone_can_be_made_anew(world: World) {
    end(&world).await;
    world.until_gone(&this(&world)).await;
    let body =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}});
    world.post("/api/v1/namespaces", &body).await.is(201);
    world.post("configmaps", &config_map("a")).await.is(201);
}
