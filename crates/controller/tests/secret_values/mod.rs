//! The values of a federated Secret are in the members and nowhere else: not in the log, not in Events,
//! not in a status, whatever a member says of them.

use crate::between::{Between, Meet, Met, answer};
use crate::world::{TYPES, World};
use http::{Method, StatusCode};
use meridian_controller::InProcess;
use serde_json::{Value, json};
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// What nobody may read, and in base64.
const VALUES: [&str; 6] = [
    "swordfish",
    "c3dvcmRmaXNo",
    "hunter2",
    "aHVudGVyMg==",
    "open sesame",
    "b3BlbiBzZXNhbWU=",
];

/// The log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn says_nothing(where_: &str, text: &str) {
    for value in VALUES {
        assert!(!text.contains(value), "{value} in {where_}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_values_of_a_secret_are_told_nobody_when_members_refuse_it() {
    let log = Log::default();
    // While there is one dispatcher only, whether a line is wanted is asked of the thread that comes to it
    // first, and that may be another test's; of two, both are asked.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_env_filter("warn,meridian_controller=trace,meridian_federation=trace")
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let mut world = World::furnished(&["a", "b", "c"], json!({})).await;
    // An admission webhook that repeats what it was given.
    let meet: Meet = Arc::new(|met: Met| {
        let refused = met.method == Method::PATCH && met.path.contains("/secrets/");
        let words = "Secret \"keys\" is invalid: data[password]: Invalid value: \"c3dvcmRmaXNo\": \
                     swordfish is too weak";
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "message": words, "reason": "Invalid", "code": 422});
        let answer = refused.then(|| answer(StatusCode::UNPROCESSABLE_ENTITY, status.to_string()));
        Box::pin(async move { answer })
    });
    let member = world.members["a"].router();
    world.reach_through("a", InProcess::new(Between { member, meet }));
    world.start_controller().await;
    let overrides = json!([
        {"clusterName": "b", "clusterOverrides": [
            {"op": "test", "path": "/data/password", "value": "aHVudGVyMg=="}]},
        {"clusterName": "c", "clusterOverrides": [
            {"op": "replace", "path": "/data/none/below", "value": "b3BlbiBzZXNhbWU="}]}]);
    let spec = json!({"template": {"data": {"password": "c3dvcmRmaXNo"}},
        "placement": {"clusterSelector": {}}, "overrides": overrides});
    world.federate("FederatedSecret", "keys", spec).await;
    let status = async |world: &World| {
        let found = world.find("host", TYPES, "FederatedSecret", "shop", "keys");
        found.await.unwrap_or_default()["status"].clone()
    };
    let said = |status: &Value, member: &str| {
        let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
        let found = clusters.into_iter().find(|it| it["name"] == member);
        found.unwrap_or_default()["status"].clone()
    };
    world
        .until("all three are refused", async |world| {
            let status = status(world).await;
            said(&status, "a") == "CreationFailed"
                && said(&status, "b") == "ApplyOverridesFailed"
                && said(&status, "c") == "ApplyOverridesFailed"
        })
        .await;
    world.pass(30).await;
    says_nothing("its status", &status(&world).await.to_string());
    let events = world.api("host", "events.k8s.io/v1", "Event", "shop");
    let events = events.list(&Default::default()).await.expect("a list");
    assert!(!events.items.is_empty(), "it is told as Events too");
    for event in &events.items {
        says_nothing("an Event", &json!(event).to_string());
    }
    let config = (
        "core.kubefed.io/v1beta1",
        "KubeFedConfig",
        crate::SYSTEM,
        "kubefed",
    );
    let config = world
        .find("host", config.0, config.1, config.2, config.3)
        .await;
    says_nothing("the settings", &config.unwrap_or_default().to_string());
    let log = log.0.lock().expect("nobody panicked").clone();
    let log = String::from_utf8_lossy(&log);
    assert!(!log.is_empty(), "something is logged");
    says_nothing("the log", &log);
}
