//! Configurations of a case's own webhooks.

use std::time::Duration;

use meridian_tests::webhook::Webhook;
use serde_json::{Value, json};

use crate::answer::{Answer, Look};
use crate::world::World;

/// Servers follow configurations with a delay, and nothing tells when they have.
const ASK_AGAIN: Duration = Duration::from_millis(20);
const ASKS_MAX: u32 = 500;

/// A configuration named after the case; `order` sorts several.
pub(crate) fn configuration(world: &World, kind: &str, order: &str, hooks: &[Value]) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": format!("{order}-{}", world.namespace)},
        "webhooks": hooks,
    })
}

/// Where configurations of a kind are.
pub(crate) fn collection(kind: &str) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    format!("/apis/admissionregistration.k8s.io/v1/{plural}")
}

/// Configures a webhook and waits until it is asked about a trial of `probe`, or that is refused.
pub(crate) async fn configure(world: &World, configuration: &Value, hook: &Webhook, probe: &Value) {
    let kind = configuration.text("/kind");
    let path = collection(kind);
    world.post(&path, configuration).await.is(201);
    for _ in 0..ASKS_MAX {
        let answer = try_out(world, probe).await;
        if !hook.seen().is_empty() || answer.status != 201 {
            hook.forget();
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    panic!("the webhook is not asked");
}

async fn try_out(world: &World, probe: &Value) -> Answer {
    world.post("configmaps", probe).query("dryRun", "All").await
}
