//! What is wrong is said: what, where, and what to do. Everything else goes on.
//!
//! The host's API server refuses what a schema can tell. What passes it and cannot work, such as an
//! override of a field that is not there, becomes the status of one cluster with the member's own
//! words where it has some; the other clusters are served.

use meridian_tests::webhook::{Say, Webhook, allowed};
use meridian_tests::world::{Cluster, ObjectRef, PATIENCE, TYPES, World, condition, in_cluster};
use serde_json::{Value, json};

scenarios! {
    shared:
    the_host_refuses_what_cannot_be_meant_and_names_the_field,
    an_override_of_a_field_that_is_not_there_fails_in_its_own_cluster_only,
    a_field_that_no_member_knows_is_named,
    a_template_that_members_refuse_is_told_in_their_words,
    what_one_members_admission_refuses_is_told_in_its_words,
    a_cluster_that_nobody_registered_and_a_namespace_that_nobody_federated_are_named;
}

async fn the_host_refuses_what_cannot_be_meant_and_names_the_field(world: &World, namespace: &str) {
    let everywhere = json!({"clusterSelector": {}});
    for (spec, words) in [
        (
            json!({"placement": {"clusters": [{}]}}),
            "spec.placement.clusters[0].name",
        ),
        (
            json!({"placement": everywhere, "overrides": [{"clusterName": "berlin",
                "clusterOverrides": [{"op": "frobnicate", "path": "/data/x"}]}]}),
            "clusterOverrides[0].op",
        ),
        (
            json!({"placement": everywhere, "overrides": [{"clusterName": "berlin",
                "clusterOverrides": [{"path": "/metadata/name", "value": "x"}]}]}),
            "/metadata/name",
        ),
        (
            json!({"placement": everywhere, "overrides": [
                {"clusterName": "berlin", "clusterOverrides": []},
                {"clusterName": "lisbon", "clusterOverrides": []},
                {"clusterName": "berlin", "clusterOverrides": []}]}),
            "a clusterName appears in two overrides",
        ),
        (
            json!({"placement": everywhere, "overrides": [{"clusterName": "berlin",
                "clusterSelector": {}, "clusterOverrides": []}]}),
            "give either clusterName or clusterSelector",
        ),
        (
            json!({"placement": {"clusterSelector": {"matchExpressions": [
                {"key": "site", "operator": "Near"}]}}}),
            "operator",
        ),
    ] {
        let object = json!({"apiVersion": TYPES, "kind": "FederatedConfigMap",
            "metadata": {"namespace": namespace, "name": "wrong"}, "spec": spec});
        let refusal = world.host().try_apply(object).await.expect_err(words);
        assert_eq!(refusal.code, 422, "{refusal:?}");
        assert!(refusal.message.contains(words), "{refusal:?}");
    }
}

async fn an_override_of_a_field_that_is_not_there_fails_in_its_own_cluster_only(
    world: &World,
    namespace: &str,
) {
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}},
        "overrides": [{"clusterName": "lisbon", "clusterOverrides": [
            {"op": "remove", "path": "/data/none"}]}]});
    let told = until_told(world, namespace, "ConfigMap", spec, "lisbon").await;
    assert_eq!(told["status"], "ApplyOverridesFailed", "{told:#}");
    says(&told, "/data/none");
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "web");
    for name in ["berlin", "osaka"] {
        world
            .member(name)
            .until(&at, "it is served", |_| true)
            .await;
    }
    assert_eq!(world.member("lisbon").find(&at).await, None);
}

async fn a_field_that_no_member_knows_is_named(world: &World, namespace: &str) {
    let labels = json!({"app": "web"});
    let spec = json!({
        "template": {"spec": {
            "replcias": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                {"name": "web", "image": "web:1"}]}},
        }},
        "placement": {"clusterSelector": {}},
    });
    let told = until_told(world, namespace, "Deployment", spec, "berlin").await;
    assert_eq!(told["status"], "CreationFailed", "{told:#}");
    says(&told, "replcias");
}

async fn a_template_that_members_refuse_is_told_in_their_words(world: &World, namespace: &str) {
    let spec = json!({"template": {"data": {"not a key": "y"}},
        "placement": {"clusterSelector": {}}});
    let told = until_told(world, namespace, "ConfigMap", spec, "berlin").await;
    assert_eq!(told["status"], "CreationFailed", "{told:#}");
    says(&told, "not a key");
    // What is corrected is served, without a word more.
    let spec = json!({"template": {"data": {"a-key": "y"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "web", spec)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "web")
        .await;
}

async fn what_one_members_admission_refuses_is_told_in_its_words(world: &World, namespace: &str) {
    let osaka = world.member("osaka");
    let there = ObjectRef::new("v1", "Namespace", "", namespace);
    osaka
        .until(&there, "the namespace is there", |_| true)
        .await;
    let webhook = Webhook::start(|request| match request["name"] == "sale" {
        true => Say::Response(json!({"allowed": false,
            "status": {"code": 403, "message": "no sale before Friday"}})),
        false => allowed(),
    })
    .await;
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration", "metadata": {"name": namespace},
        "webhooks": [webhook.entry(namespace, "calendar.example.com")]});
    let hook = osaka.create(configuration).await;
    // As a quota refuses: 403 Forbidden.
    let [policy, binding] = quota(namespace);
    let (policy, binding) = (osaka.create(policy).await, osaka.create(binding).await);
    for (name, words) in [
        ("sale", "no sale before Friday"),
        ("stock", "exceeded quota: at most 0 of these"),
    ] {
        let trial = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": namespace, "name": name}});
        until_refused(osaka, &trial).await;
        let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
        let made = world
            .federate("FederatedConfigMap", namespace, name, spec)
            .await;
        let told = world
            .host()
            .until(&ObjectRef::of(&made), "the status says so", |object| {
                in_cluster(object, "osaka")["status"] == "CreationFailed"
                    && object["status"]["summary"]["ready"] == "2/3"
            })
            .await;
        says(in_cluster(&told, "osaka"), words);
        let stalled = condition(&told, "Stalled");
        assert_eq!(stalled["reason"], "Forbidden", "{told:#}");
        says(stalled, words);
        let at = ObjectRef::new("v1", "ConfigMap", namespace, name);
        for name in ["berlin", "lisbon"] {
            world.member(name).get(&at).await;
        }
    }
    for object in [hook, policy, binding] {
        osaka.delete(&ObjectRef::of(&object)).await;
    }
}

/// A policy that refuses the ConfigMap `stock` of a namespace, and what binds it.
fn quota(namespace: &str) -> [Value; 2] {
    let group = "admissionregistration.k8s.io/v1";
    let policy = json!({"apiVersion": group, "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": [{"operations": ["CREATE"], "apiGroups": [""],
                "apiVersions": ["v1"], "resources": ["configmaps"]}]},
            "validations": [{"expression": "object.metadata.name != 'stock'",
                "reason": "Forbidden", "message": "exceeded quota: at most 0 of these"}]}});
    let binding = json!({"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": namespace}}}}});
    [policy, binding]
}

/// Servers follow their configuration with a delay, and nothing tells when they have.
async fn until_refused(cluster: &Cluster, trial: &Value) {
    let refused = async { while cluster.try_on_trial(trial.clone()).await.is_ok() {} };
    let ended = tokio::time::timeout(PATIENCE, refused).await;
    ended.expect("what is configured is obeyed");
}

async fn a_cluster_that_nobody_registered_and_a_namespace_that_nobody_federated_are_named(
    world: &World,
    namespace: &str,
) {
    let spec = json!({"template": {"data": {"x": "y"}},
        "placement": {"clusters": [{"name": "berlin"}, {"name": "atlantis"}]}});
    world
        .federate("FederatedConfigMap", namespace, "web", spec)
        .await;
    let federated = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "web");
    world
        .host()
        .until(&federated, "the status names it", |object| {
            object["status"].to_string().contains("atlantis")
        })
        .await;
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "web");
    world
        .member("berlin")
        .until(&at, "the others are served", |_| true)
        .await;

    let alone = format!("{namespace}-alone");
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": alone}});
    world.host().apply(object).await;
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
    let made = world
        .federate("FederatedConfigMap", &alone, "web", spec)
        .await;
    world
        .host()
        .until(&ObjectRef::of(&made), "the reason is told", |object| {
            condition(object, "Propagation")["reason"] == "NamespaceNotFederated"
        })
        .await;
}

/// Federates an object that goes wrong in one cluster; what its status says of that.
async fn until_told(
    world: &World,
    namespace: &str,
    kind: &str,
    spec: Value,
    cluster: &str,
) -> Value {
    let kind = format!("Federated{kind}");
    let made = world.federate(&kind, namespace, "web", spec).await;
    let told = world
        .host()
        .until(&ObjectRef::of(&made), "the status says so", |object| {
            !in_cluster(object, cluster)["status"].is_null()
        })
        .await;
    assert_eq!(condition(&told, "Propagation")["status"], "False");
    in_cluster(&told, cluster).clone()
}

fn says(told: &Value, words: &str) {
    let message = told["message"].as_str().unwrap_or_default();
    assert!(message.contains(words), "{told:#} does not say {words:?}");
}
