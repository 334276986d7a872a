//! Plays a sequence on a server, a write in each second.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use pocketkube::{Clock, Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::kinds;
use crate::mask::Seen;
use crate::recording::{Answer, Step, Verb};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Into a second, so that a clock that is read early is in it too.
const INTO_SECOND: Duration = Duration::from_millis(40);
/// The code of a request that a server gave up: handlers of the real one do when they panic.
pub(crate) const ABORTED: u16 = 0;
/// Between two looks at what gives no sign when it comes.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Some 30 s.
const ASKS_MAX: usize = 600;

/// A server to play on.
pub(crate) struct Player {
    client: kube::Client,
    clock: Clock,
}

/// A write took longer than its second, so times say nothing.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl Player {
    /// A pocketkube without workloads, on tokio's clock.
    pub(crate) async fn pocketkube() -> Self {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = Clock::following_tokio(start);
        let cluster = Cluster::in_process(ClusterOptions {
            clock,
            seed: Some(1),
            workloads: None,
            ..ClusterOptions::named("ownership")
        });
        let client = kube::Client::new(cluster.router(), "default");
        Self::prepared(client, clock).await
    }

    /// A server whose custom type is defined.
    pub(crate) async fn prepared(client: kube::Client, clock: Clock) -> Self {
        let player = Self { client, clock };
        let definition = kinds::definition();
        let (code, answer) = player
            .send(Method::POST, DEFINITIONS, "application/json", &definition)
            .await;
        assert_eq!(code, 201, "{answer:#}");
        for _ in 0..ASKS_MAX {
            let served = "/apis/example.com/v1/namespaces/default/things";
            if player.read(served).await.0 == 200 {
                return player;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        panic!("the custom type is not served");
    }

    /// Plays in a namespace of its own.
    pub(crate) async fn play(
        &self,
        namespace: &str,
        steps: &[Step],
    ) -> Result<Vec<Answer>, TooSlow> {
        let body =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let (code, made) = self
            .send(
                Method::POST,
                "/api/v1/namespaces",
                "application/json",
                &body,
            )
            .await;
        assert_eq!(code, 201, "{made:#}");
        let mut seen = Seen::default();
        let mut answers = Vec::new();
        for step in steps {
            let path = absolute(namespace, &step.path);
            let body = self.body(step, &path, &seen).await;
            self.next_second().await;
            let second = self.clock.stamp();
            seen.seconds.push(second.clone());
            let (method, media_type) = how(step.verb);
            let (code, said) = self.send(method, &path, media_type, &body).await;
            if self.clock.stamp() != second {
                return Err(TooSlow);
            }
            let (found, stored) = self.read(&object_path(&path)).await;
            let stored = if found == 200 { stored } else { Value::Null };
            seen.note(&said);
            seen.note(&stored);
            answers.push(answer(&seen, code, &said, &stored));
        }
        Ok(answers)
    }

    /// What is sent: for an update, what was read, changed.
    async fn body(&self, step: &Step, path: &str, seen: &Seen) -> Value {
        if step.verb != Verb::Update {
            return step.body.clone();
        }
        let (plain, _) = path.split_once('?').unwrap_or((path, ""));
        let (code, mut object) = self.read(plain).await;
        if code != 200 {
            // There is nothing: the client writes what it wants all the same.
            object = json!({});
        }
        let change = &step.body;
        merge(&mut object, &change["change"]);
        let metadata = &mut object["metadata"];
        match change["version"].as_str() {
            Some("none") => metadata["resourceVersion"] = Value::Null,
            Some("first") => metadata["resourceVersion"] = json!(seen.first_version()),
            _ => {}
        }
        match change["managers"].as_str() {
            Some("none") => metadata["managedFields"] = Value::Null,
            Some("cleared") => metadata["managedFields"] = json!([{}]),
            Some("first") => {
                if let Some(entries) = metadata["managedFields"].as_array_mut() {
                    entries.truncate(1);
                }
            }
            _ => {}
        }
        object
    }

    /// Sleeps until the next second begins; on a paused clock that takes no time.
    async fn next_second(&self) {
        let passed = Duration::from_nanos(u64::from(
            self.clock.now().subsec_nanosecond().unsigned_abs(),
        ));
        let left = Duration::from_secs(1).saturating_sub(passed);
        tokio::time::sleep(left + INTO_SECOND).await;
    }

    async fn read(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, "application/json", &Value::Null)
            .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: &Value,
    ) -> (u16, Value) {
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string().into_bytes()),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Accept", "application/json")
            .header("Content-Type", media_type)
            .header("User-Agent", "writer/1.0")
            .body(body)
            .expect("a request");
        let Ok(response) = self.client.send(request).await else {
            return (ABORTED, Value::Null);
        };
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await;
        let bytes = bytes.expect("a whole answer").to_bytes();
        // What is not served yet is plain text.
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

fn answer(seen: &Seen, code: u16, said: &Value, stored: &Value) -> Answer {
    let said = match said["kind"].as_str() {
        Some("Status") if code >= 400 => json!([said["reason"], said["message"]]),
        Some("Status") => json!("Status"),
        _ if said == stored => Value::Null,
        _ => said.clone(),
    };
    Answer {
        code,
        said: seen.mask(&said),
        stored: seen.mask(stored),
    }
}

fn how(verb: Verb) -> (Method, &'static str) {
    match verb {
        Verb::Create => (Method::POST, "application/json"),
        Verb::Update => (Method::PUT, "application/json"),
        Verb::Delete => (Method::DELETE, "application/json"),
        Verb::Apply => (Method::PATCH, "application/apply-patch+yaml"),
        Verb::Json => (Method::PATCH, "application/json-patch+json"),
        Verb::Merge => (Method::PATCH, "application/merge-patch+json"),
        Verb::Strategic => (Method::PATCH, "application/strategic-merge-patch+json"),
    }
}

/// `apps/v1:deployments/a?…` or `configmaps/a?…`.
fn absolute(namespace: &str, path: &str) -> String {
    match path.split_once(':') {
        Some((group, rest)) => format!("/apis/{group}/namespaces/{namespace}/{rest}"),
        None => format!("/api/v1/namespaces/{namespace}/{path}"),
    }
}

/// The path of the object that a write is about.
fn object_path(path: &str) -> String {
    let plain = path.split('?').next().unwrap_or_default();
    let plain = plain.trim_end_matches("/status").trim_end_matches("/scale");
    if plain.ends_with("/a") {
        plain.to_owned()
    } else {
        format!("{plain}/a")
    }
}

/// RFC 7386.
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            if let Some(object) = object.as_object_mut() {
                object.remove(name);
            }
        } else {
            merge(&mut object[name], value);
        }
    }
}
