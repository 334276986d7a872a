//! A controller that restarts writes nothing, since nothing has changed.
//!
//! No bookkeeping survives the process: the new one reads what the members hold, and finds that it
//! is what it would write. Members see no write, so no rollout, no audit entry, no load.

use meridian_tests::world::{ObjectRef, TYPES, World};
use serde_json::{Value, json};

scenarios! {
    alone: a_restart_writes_nothing_to_members_that_hold_what_they_should;
}

/// Federated kinds whose objects are reconciled after a start.
const KINDS: [&str; 5] = [
    "FederatedNamespace",
    "FederatedConfigMap",
    "FederatedSecret",
    "FederatedService",
    "FederatedDeployment",
];

async fn a_restart_writes_nothing_to_members_that_hold_what_they_should(
    world: &mut World,
    namespace: &str,
) {
    let kinds = [
        ("v1", "ConfigMap", json!({"data": {"currency": "EUR"}})),
        ("v1", "Secret", json!({"stringData": {"key": "s3cr3t"}})),
        ("v1", "Service", service()),
        ("apps/v1", "Deployment", deployment()),
    ];
    for (_, kind, template) in &kinds {
        let spec = json!({"template": template, "placement": {"clusterSelector": {}}});
        let federated = format!("Federated{kind}");
        world.federate(&federated, namespace, "web", spec).await;
    }
    for (_, kind, _) in &kinds {
        let federated = format!("Federated{kind}");
        world.until_propagated(&federated, namespace, "web").await;
    }
    let running = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    for member in world.members() {
        member
            .until(&running, "it runs", |held| {
                held["status"]["readyReplicas"] == 2
            })
            .await;
    }
    world.take_controller().stop();
    let mut before = Vec::new();
    for member in world.members() {
        for (api_version, kind, _) in &kinds {
            let at = ObjectRef::new(api_version, kind, namespace, "web");
            let held = member.get(&at).await;
            before.push((member, at, ours(&held)));
        }
    }

    let second = world.lead("second").await;
    let mut objects = 0;
    for kind in KINDS {
        objects += world.host().list(TYPES, kind, "").await.len();
    }
    let all = |settled: f64| settled >= objects as f64;
    second
        .until_metric("meridian_reconciliations_total", &["Settled"], all)
        .await;
    // What is written after all of them are seen shows that writing works.
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "news", spec)
        .await;
    let news = ObjectRef::new("v1", "ConfigMap", namespace, "news");
    for member in world.members() {
        member.until(&news, "it is there", |_| true).await;
    }
    let writes = second
        .until_metric("meridian_member_writes_total", &["Done"], |done| {
            done >= 3.0
        })
        .await;
    assert!(
        (writes - 3.0).abs() < 0.5,
        "{:?}",
        second.member_writes().await
    );
    for (member, at, held) in before {
        let now = ours(&member.get(&at).await);
        assert_eq!(now, held, "{}: {at}", member.name());
    }
}

/// What a write of ours would change: our entry with its time, and what an object wants.
fn ours(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let entry = entries
        .into_iter()
        .flatten()
        .find(|entry| entry["manager"] == "meridian");
    json!({"generation": object["metadata"]["generation"], "entry": entry})
}

fn service() -> Value {
    json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
}

/// Written as people do: defaults are left out, numbers of several spellings are in.
fn deployment() -> Value {
    let labels = json!({"app": "web"});
    json!({"spec": {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
            "name": "web", "image": "web:1",
            "ports": [{"containerPort": 80}],
            "env": [{"name": "MODE", "value": "fast"}, {"name": "EMPTY", "value": ""}],
            "resources": {"requests": {"cpu": "0.1", "memory": "1024Mi"}},
        }]}},
    }})
}
