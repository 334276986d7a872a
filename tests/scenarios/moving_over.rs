//! A federation that KubeFed ran is moved over, and back.
//!
//! What KubeFed made in members it made by updates, and owns so. After the move meridian owns it: a
//! field that leaves a template leaves the members. Nothing is changed by the move itself, and
//! nothing is moved while the other controller runs.

use meridian_tests::world::{Kind, ObjectRef, SYSTEM, TYPES, World};
use serde_json::{Value, json};

scenarios! {
    alone: what_kubefed_made_is_moved_over_without_a_change_and_can_go_back;
}

/// What KubeFed's controller calls itself when it updates.
const KUBEFED: &str = "controller-manager";
const ORIGIN: &str = "meridian.dev/origin";
const LEASE: &str = "coordination.k8s.io/v1";

async fn what_kubefed_made_is_moved_over_without_a_change_and_can_go_back(
    world: &mut World,
    namespace: &str,
) {
    let controller = world.take_controller();
    world.command(&["enable", "serviceaccounts"]).await;
    controller.stop();
    kubefed_was_here(world, namespace).await;
    let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    let hooks = ObjectRef::new(HOOKS, "ValidatingWebhookConfiguration", "", HOOKS_NAME);
    let command = ["migrate", "--from", "kubefed"];
    it_is_refused_while_kubefed_runs(world, &command).await;

    // The plan: it says what becomes of everything, and touches nothing.
    let before = world.member("berlin").get(&deployment).await;
    let plan = world.ended_command(&command).await;
    // A world of its own holds nothing that others left half made.
    let alone = world.kind() == Kind::Pocketkube;
    assert!(
        plan.0 == Some(0) || (!alone && plan.0 == Some(2)),
        "{plan:?}"
    );
    let plan = plan.1;
    let clear = "No spec changes in any member, and no Pod is restarted.";
    assert!(plan.contains(clear) || !alone, "{plan}");
    for words in [
        "handed over",
        "fields of controller-manager",
        "spec.clusterHealthCheck.period",
        HOOKS_NAME,
    ] {
        assert!(plan.contains(words), "{words}: {plan}");
    }
    let after = world.member("berlin").get(&deployment).await;
    let written = |object: &Value| object["metadata"]["managedFields"][0].clone();
    assert_eq!(
        (&after["spec"], written(&after)),
        (&before["spec"], written(&before))
    );

    let moved = world
        .ended_command(&[command.as_slice(), &["--apply", "--accept-changes"]].concat())
        .await;
    assert_eq!(moved.0, Some(0), "{moved:?}");
    assert!(moved.2.contains("15 objects in 3 clusters"), "{moved:?}");
    assert_eq!(world.host().find(&hooks).await, None);
    let kept = kept(world, namespace).await;
    for member in world.members() {
        let held = member.get(&deployment).await;
        assert_eq!(managers(&held), ["Apply meridian"], "{held:#}");
        assert_eq!(held["spec"], before["spec"]);
    }
    let again = world.ended_command(&command).await.1;
    assert!(!again.contains("handed over"), "{again}");
    assert!(again.contains("meridian's already"), "{again}");

    let controller = world.lead("moved").await;
    nothing_was_restarted(world, namespace, &before["spec"]).await;
    what_members_and_others_gave_stays(world, namespace, kept).await;
    a_field_that_leaves_a_template_leaves_the_members(world, namespace).await;
    let undo = [command.as_slice(), &["--undo"]].concat();
    let refused = world.failing_command(&undo).await;
    assert!(refused.contains("meridian runs"), "{refused}");
    controller.stop();
    world.command(&undo).await;
    everything_is_kubefeds_again(world, namespace).await;
}

/// meridian has written every object, and no member runs anything else than before.
async fn nothing_was_restarted(world: &World, namespace: &str, spec: &Value) {
    let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    for (kind, name) in [
        ("FederatedDeployment", "web"),
        ("FederatedConfigMap", "settings"),
        ("FederatedService", "front"),
        ("FederatedServiceAccount", "robot"),
        ("FederatedDeployment", "elastic"),
    ] {
        world.until_propagated(kind, namespace, name).await;
    }
    for member in world.members() {
        assert_eq!(member.get(&deployment).await["spec"], *spec);
        let sets = member.list("apps/v1", "ReplicaSet", namespace).await;
        assert_eq!(sets.len(), 2, "a rollout makes another one: {sets:#?}");
    }
}

/// What each member gave its Service, and others its ServiceAccount and its replicas: what KubeFed
/// took care to keep (`retain.go`).
async fn kept(world: &World, namespace: &str) -> Vec<Value> {
    let mut kept = Vec::new();
    for member in world.members() {
        let at = |version, kind, name| ObjectRef::new(version, kind, namespace, name);
        let front = member.get(&at("v1", "Service", "front")).await;
        let robot = member.get(&at("v1", "ServiceAccount", "robot")).await;
        let elastic = member.get(&at("apps/v1", "Deployment", "elastic")).await;
        let (address, port) = (
            &front["spec"]["clusterIP"],
            &front["spec"]["ports"][0]["nodePort"],
        );
        assert!(address.is_string() && port.is_u64(), "{front:#}");
        assert_eq!(robot["secrets"][0]["name"], "robot-token", "{robot:#}");
        assert_eq!(elastic["spec"]["replicas"], 3, "{elastic:#}");
        kept.push(json!([address, port, robot["secrets"], 3]));
    }
    kept
}

/// Nor does a change of their templates take it.
async fn what_members_and_others_gave_stays(world: &World, namespace: &str, before: Vec<Value>) {
    assert_eq!(kept(world, namespace).await, before);
    federate_kept(world, namespace, "green").await;
    for member in world.members() {
        for (version, kind, name) in KEPT {
            let at = ObjectRef::new(version, kind, namespace, name);
            let green = |held: &Value| held["metadata"]["labels"]["colour"] == "green";
            member.until(&at, "it is green", green).await;
        }
    }
    assert_eq!(kept(world, namespace).await, before);
}

const KEPT: [(&str, &str, &str); 3] = [
    ("v1", "Service", "front"),
    ("v1", "ServiceAccount", "robot"),
    ("apps/v1", "Deployment", "elastic"),
];

/// Federates them, with a label that tells one template from another; what is in the templates.
async fn federate_kept(world: &World, namespace: &str, colour: &str) -> Vec<Value> {
    let app = json!({"app": "elastic"});
    let container = json!({"name": "web", "image": "web:1"});
    let specs = [
        json!({"type": "NodePort", "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}),
        Value::Null,
        json!({"replicas": 1, "selector": {"matchLabels": app}, "template": {
            "metadata": {"labels": app}, "spec": {"containers": [container]}}}),
    ];
    let mut templates = Vec::new();
    for ((_, kind, name), spec) in KEPT.into_iter().zip(specs) {
        let mut template = json!({"metadata": {"labels": {"colour": colour}}});
        if !spec.is_null() {
            template["spec"] = spec;
        }
        let mut federated = json!({"template": template, "placement": {"clusterSelector": {}}});
        if kind == "Deployment" {
            federated["retainReplicas"] = json!(true);
        }
        let kind = format!("Federated{kind}");
        with_finalizer(world, namespace, &kind, name, federated).await;
        templates.push(template);
    }
    templates
}

/// As KubeFed made and kept them: its updates repeat what it found in the member.
async fn kubefed_made_them(world: &World, namespace: &str) {
    let templates = federate_kept(world, namespace, "blue").await;
    for member in world.members() {
        for ((version, kind, name), template) in KEPT.into_iter().zip(&templates) {
            let mut object = template.clone();
            object["apiVersion"] = json!(version);
            object["kind"] = json!(kind);
            object["metadata"] = json!({"namespace": namespace, "name": name,
                "labels": {"colour": "blue", "kubefed.io/managed": "true"}});
            let made = member.create_as(KUBEFED, object.clone()).await;
            if kind == "Service" {
                // Once it was deleted by somebody, and made again with what it had.
                member.delete(&ObjectRef::of(&object)).await;
                member.until_gone(&ObjectRef::of(&object)).await;
                object["spec"]["clusterIP"] = made["spec"]["clusterIP"].clone();
                object["spec"]["ports"] = made["spec"]["ports"].clone();
                member.create_as(KUBEFED, object).await;
            }
        }
        let robot = ObjectRef::new("v1", "ServiceAccount", namespace, "robot");
        let token = json!({"secrets": [{"name": "robot-token"}]});
        member
            .patch_as("kube-controller-manager", &robot, token)
            .await;
        let elastic = ObjectRef::new("apps/v1", "Deployment", namespace, "elastic");
        member.scale("horizontal-pod-autoscaler", &elastic, 3).await;
        let runs = |held: &Value| held["status"]["readyReplicas"] == 3;
        member.until(&elastic, "it runs", runs).await;
    }
}

async fn a_field_that_leaves_a_template_leaves_the_members(world: &World, namespace: &str) {
    let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    let settings = ObjectRef::new("v1", "ConfigMap", namespace, "settings");
    let spec = json!({"template": {"data": {"kept": "1"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "settings", spec)
        .await;
    world
        .federate(
            "FederatedDeployment",
            namespace,
            "web",
            federated_deployment(&[]),
        )
        .await;
    for member in world.members() {
        let gone = |held: &Value| held["data"] == json!({"kept": "1"});
        member.until(&settings, "the other key is gone", gone).await;
        let container = "/spec/template/spec/containers/0/env";
        let gone = |held: &Value| held.pointer(container).is_none();
        member
            .until(&deployment, "its environment is gone", gone)
            .await;
    }
}

async fn everything_is_kubefeds_again(world: &World, namespace: &str) {
    let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    let hooks = ObjectRef::new(HOOKS, "ValidatingWebhookConfiguration", "", HOOKS_NAME);
    for member in world.members() {
        let held = member.get(&deployment).await;
        let metadata = &held["metadata"];
        assert_eq!(metadata["labels"]["kubefed.io/managed"], "true");
        assert!(metadata["annotations"][ORIGIN].is_null(), "{held:#}");
        assert_eq!(managers(&held), ["Update controller-manager"], "{held:#}");
    }
    world.host().get(&hooks).await;
    world.host().delete(&hooks).await;
}

async fn it_is_refused_while_kubefed_runs(world: &World, command: &[&str]) {
    let refused = world.failing_command(command).await;
    assert!(
        refused.contains("scale deployment kubefed-controller-manager"),
        "{refused}"
    );
    let kubefed = ObjectRef::new(
        "apps/v1",
        "Deployment",
        SYSTEM,
        "kubefed-controller-manager",
    );
    world
        .host()
        .patch(&kubefed, json!({"spec": {"replicas": 0}}))
        .await;
    let stopped = |held: &Value| held["status"]["replicas"].as_i64().unwrap_or(0) == 0;
    world
        .host()
        .until(&kubefed, "its Pods are gone", stopped)
        .await;
    // Somebody may run it elsewhere: then its lock is renewed.
    let lock = ObjectRef::new(LEASE, "Lease", SYSTEM, "kubefed-controller-manager");
    let held = |second: u32| {
        json!({"apiVersion": LEASE, "kind": "Lease",
            "metadata": {"namespace": SYSTEM, "name": "kubefed-controller-manager"},
            "spec": {"holderIdentity": "laptop_1", "leaseDurationSeconds": 2,
                "renewTime": format!("2026-01-01T00:00:{second:02}.000000Z")}})
    };
    world.host().apply(held(0)).await;
    let renewing = async {
        for second in 1.. {
            world.host().apply(held(second % 60)).await;
        }
    };
    let refused = tokio::select! {
        refused = world.failing_command(command) => refused,
        () = renewing => unreachable!("it renews for ever"),
    };
    assert!(refused.contains("laptop_1 renews its lock"), "{refused}");
    world
        .host()
        .patch(&lock, json!({"spec": {"leaseDurationSeconds": 1}}))
        .await;
    its_default_lock_is_watched_too(world, command).await;
}

/// KubeFed's chart has it lock an annotation of a ConfigMap.
async fn its_default_lock_is_watched_too(world: &World, command: &[&str]) {
    let held = |second: u32, lasting: u32| {
        let record = json!({"holderIdentity": "laptop_2", "leaseDurationSeconds": lasting,
            "renewTime": format!("2026-01-01T00:00:{second:02}Z")});
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": SYSTEM, "name": "kubefed-controller-manager",
                "annotations": {"control-plane.alpha.kubernetes.io/leader": record.to_string()}}})
    };
    world.host().apply(held(0, 2)).await;
    let renewing = async {
        for second in 1.. {
            world.host().apply(held(second % 60, 2)).await;
        }
    };
    let refused = tokio::select! {
        refused = world.failing_command(command) => refused,
        () = renewing => unreachable!("it renews for ever"),
    };
    let words = "laptop_2 renews its lock, ConfigMap";
    assert!(refused.contains(words), "{refused}");
    let lock = ObjectRef::of(&held(0, 2));
    world.host().delete(&lock).await;
}

/// A KubeFed that has propagated a Deployment and a ConfigMap, and runs.
async fn kubefed_was_here(world: &World, namespace: &str) {
    let labels = json!({"kubefed-control-plane": "controller-manager"});
    world
        .host()
        .apply(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": SYSTEM, "name": "kubefed-controller-manager"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers":
                    [{"name": "controller-manager", "image": "kubefed:canary"}]}}}}))
        .await;
    world
        .host()
        .apply(
            json!({"apiVersion": HOOKS, "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": HOOKS_NAME},
            "webhooks": [{"name": "kubefedconfigs.core.kubefed.io",
                "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {"service": {"namespace": SYSTEM,
                    "name": "kubefed-admission-webhook", "path": "/validate-kubefedconfig"}},
                "rules": [{"operations": ["CREATE"], "apiGroups": ["core.kubefed.io"],
                    "apiVersions": ["v1beta1"], "resources": ["kubefedconfigs"]}]}]}),
        )
        .await;
    let data = json!({"kept": "1", "dropped": "2"});
    let spec = json!({"template": {"data": data}, "placement": {"clusterSelector": {}}});
    with_finalizer(world, namespace, "FederatedConfigMap", "settings", spec).await;
    let web = federated_deployment(&["COLOUR"]);
    let template = web["template"].clone();
    with_finalizer(world, namespace, "FederatedDeployment", "web", web).await;
    kubefed_made_them(world, namespace).await;
    let managed = json!({"kubefed.io/managed": "true"});
    for member in world.members() {
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": namespace, "name": "settings", "labels": managed},
            "data": data});
        member.create_as(KUBEFED, settings).await;
        let mut deployment = template.clone();
        deployment["apiVersion"] = json!("apps/v1");
        deployment["kind"] = json!("Deployment");
        deployment["metadata"] = json!({"namespace": namespace, "name": "web", "labels": managed});
        let at = ObjectRef::of(&deployment);
        member.create_as(KUBEFED, deployment).await;
        let runs = |held: &Value| held["status"]["readyReplicas"] == 1;
        member.until(&at, "it runs", runs).await;
    }
}

/// A federated object as KubeFed leaves it.
async fn with_finalizer(world: &World, namespace: &str, kind: &str, name: &str, spec: Value) {
    world.federate(kind, namespace, name, spec).await;
    let at = ObjectRef::new(TYPES, kind, namespace, name);
    let finalizers = json!({"metadata": {"finalizers": ["kubefed.io/sync-controller"]}});
    world.host().patch_as(KUBEFED, &at, finalizers).await;
}

fn federated_deployment(environment: &[&str]) -> Value {
    let labels = json!({"app": "web"});
    let env: Vec<Value> = environment
        .iter()
        .map(|name| json!({"name": name, "value": "red"}))
        .collect();
    let mut container = json!({"name": "web", "image": "web:1"});
    if !env.is_empty() {
        container["env"] = json!(env);
    }
    json!({
        "template": {"spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        }},
        "placement": {"clusterSelector": {}},
    })
}

/// Who owns fields of the spec, and how.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let entries = entries.into_iter().flatten();
    let of_spec = entries.filter(|entry| !entry["fieldsV1"]["f:spec"].is_null());
    let words = of_spec.map(|entry| {
        let word = |field: &str| entry[field].as_str().unwrap_or_default();
        format!("{} {}", word("operation"), word("manager"))
    });
    words.collect()
}

const HOOKS: &str = "admissionregistration.k8s.io/v1";
const HOOKS_NAME: &str = "validations.core.kubefed.io";
