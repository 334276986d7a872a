//! What a case works with: a namespace of its own, and requests that it spells out.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Method;
use kube::client::Body;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answer::{Answer, Look};
use crate::server::Server;
use crate::watch::Watch;

/// Between two requests for what gives no sign when it comes.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Some 30 s.
const ASKS_MAX: u32 = 600;

/// A namespace, and names in the cluster, that no other case uses.
pub(crate) struct World {
    pub(crate) server: &'static Server,
    pub(crate) namespace: String,
    /// An API group for this case's own kinds.
    pub(crate) group: String,
    /// For what a client keeps; removed at the end.
    pub(crate) folder: TempDir,
}

/// One request; awaiting it sends it.
#[derive(Clone)]
pub(crate) struct Request {
    client: kube::Client,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl World {
    pub(crate) async fn new(server: &'static Server, case: &str) -> Self {
        static CASES: AtomicU32 = AtomicU32::new(1);
        let number = CASES.fetch_add(1, Ordering::Relaxed);
        // A label of at most 63 characters (RFC 1123) that still tells the case.
        let words: String = case.replace('_', "-").chars().take(48).collect();
        let namespace = format!("{}-{number}", words.trim_end_matches('-'));
        let world = Self {
            server,
            namespace,
            group: format!("case{number}.example.com"),
            folder: tempfile::tempdir().unwrap(),
        };
        let body = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace},
        });
        world.post("/api/v1/namespaces", &body).await.is(201);
        world
    }

    /// A path of this case's namespace: `configmaps/a`, or with a group `apps/v1:deployments/a`; a
    /// path that begins with a slash is left alone.
    pub(crate) fn path(&self, short: &str) -> String {
        if short.starts_with('/') {
            return short.to_owned();
        }
        let namespace = &self.namespace;
        match short.split_once(':') {
            Some((group, rest)) if !group.contains('?') => {
                format!("/apis/{group}/namespaces/{namespace}/{rest}")
            }
            _ => format!("/api/v1/namespaces/{namespace}/{short}"),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Request {
        self.request(Method::POST, path, Some(body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Request {
        self.request(Method::PUT, path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path, None)
    }

    /// With `DeleteOptions` as the body.
    pub(crate) fn delete_with(&self, path: &str, options: &Value) -> Request {
        self.request(Method::DELETE, path, Some(options))
    }

    pub(crate) fn merge_patch(&self, path: &str, body: &Value) -> Request {
        self.patch("application/merge-patch+json", path, body)
    }

    pub(crate) fn json_patch(&self, path: &str, body: &Value) -> Request {
        self.patch("application/json-patch+json", path, body)
    }

    pub(crate) fn strategic_patch(&self, path: &str, body: &Value) -> Request {
        self.patch("application/strategic-merge-patch+json", path, body)
    }

    /// Server-side apply as `manager`.
    pub(crate) fn apply(&self, path: &str, manager: &str, body: &Value) -> Request {
        self.patch("application/apply-patch+yaml", path, body)
            .query("fieldManager", manager)
    }

    /// The same, taking over fields that others own.
    pub(crate) fn force_apply(&self, path: &str, manager: &str, body: &Value) -> Request {
        self.apply(path, manager, body).query("force", "true")
    }

    pub(crate) fn patch(&self, media_type: &str, path: &str, body: &Value) -> Request {
        self.request(Method::PATCH, path, Some(body))
            .header("Content-Type", media_type)
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request {
        let client = self.server.administrator.clone();
        let headers = vec![("Accept", "application/json".to_owned())];
        let request = Request {
            client,
            method,
            path: self.path(path),
            headers,
            body: Vec::new(),
        };
        match body {
            Some(body) => request
                .header("Content-Type", "application/json")
                .body(body.to_string()),
            None => request,
        }
    }

    /// Watches a collection; the path may carry options.
    pub(crate) async fn watch(&self, path: &str) -> Watch {
        Watch::open(self.get(path).query("watch", "true")).await
    }

    /// Waits until the object at `path` is as `wanted` says, and returns it.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let (collection, name) = path.rsplit_once('/').unwrap();
        let list = format!("{collection}?fieldSelector=metadata.name%3D{name}");
        let mut found = self
            .until_list(&list, |items| items.first().is_some_and(&wanted))
            .await;
        // A list of a built-in kind does not repeat the type of its items.
        let mut object = found.remove(0);
        if object["kind"].is_null() {
            object = self.get(path).await.is(200);
        }
        object
    }

    /// Waits until there is no object at `path`.
    pub(crate) async fn until_gone(&self, path: &str) {
        let answer = self.get(path).await;
        if answer.status == 404 {
            return;
        }
        let object = answer.is(200);
        let (collection, name) = path.rsplit_once('/').unwrap();
        let request = self
            .get(collection)
            .query("fieldSelector", &format!("metadata.name={name}"))
            .query("resourceVersion", object.text("/metadata/resourceVersion"))
            .query("watch", "true");
        let mut watch = Watch::open(request).await;
        let mut last = object;
        loop {
            let Some(event) = watch.poll().await else {
                panic!("{path} did not go; last: {last:#}");
            };
            if event.kind == "DELETED" {
                return;
            }
            last = event.object;
        }
    }

    /// Waits until the list at `path` (which may carry options) is as `wanted` says.
    pub(crate) async fn until_list(
        &self,
        path: &str,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let list = self.get(path).await.is(200);
        let mut items = list.list("/items").to_vec();
        let version = list.text("/metadata/resourceVersion");
        let request = self
            .get(path)
            .query("resourceVersion", version)
            .query("watch", "true");
        let mut watch = Watch::open(request).await;
        while !wanted(&items) {
            let Some(event) = watch.poll().await else {
                panic!("{path} did not become as wanted; last: {items:#?}");
            };
            items.retain(|item| item.at("/metadata/uid") != event.object.at("/metadata/uid"));
            if event.kind != "DELETED" {
                items.push(event.object);
            }
        }
        items
    }

    /// Defines a custom resource, waits until it is served, and returns the short path of its
    /// collection, `group/version:plural`, at its first version.
    pub(crate) async fn define(&self, definition: &Value) -> String {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let created = self.post(definitions, definition).await.is(201);
        let path = format!("{definitions}/{}", created.text("/metadata/name"));
        self.until(&path, |object| {
            object.condition("Established").text("/status") == "True"
        })
        .await;
        let group = created.text("/spec/group");
        let version = created.text("/spec/versions/0/name");
        let plural = created.text("/spec/names/plural");
        self.until_ok(&format!("/apis/{group}/{version}/{plural}"))
            .await;
        format!("{group}/{version}:{plural}")
    }

    /// A custom object of this case's group at `v1`, with the fields of `rest`.
    pub(crate) fn custom(&self, kind: &str, name: &str, rest: Value) -> Value {
        let mut object = json!({
            "apiVersion": format!("{}/v1", self.group),
            "kind": kind,
            "metadata": {"name": name},
        });
        let fields = object.as_object_mut().unwrap();
        for (key, value) in rest.as_object().unwrap() {
            fields.insert(key.clone(), value.clone());
        }
        object
    }

    /// Asks again until `path` is there; what is Established is served a moment later, and nothing
    /// tells when.
    pub(crate) async fn until_ok(&self, path: &str) -> Value {
        for _ in 0..ASKS_MAX {
            let answer = self.get(path).await;
            if answer.status == 200 {
                return answer.body;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        self.get(path).await.is(200)
    }

    /// Creates `body` as a trial until that is refused, as after a change of its schema.
    pub(crate) async fn until_refused(&self, path: &str, body: &Value) -> Answer {
        for _ in 0..ASKS_MAX {
            let answer = self.post(path, body).query("dryRun", "All").await;
            if answer.status != 201 {
                return answer;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        panic!("{path} still takes {body}");
    }

    /// Asks again until the object at `path` is shown as `wanted` says, without a write.
    pub(crate) async fn until_answer(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..ASKS_MAX {
            let object = self.get(path).await.is(200);
            if wanted(&object) {
                return object;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        panic!("{path} is not shown as wanted");
    }

    /// Waits until OpenAPI describes this case's kind, which follows its definition late, and
    /// returns the document.
    pub(crate) async fn until_described(&self, plural: &str) -> Value {
        let path = format!("/openapi/v3/apis/{}/v1", self.group);
        self.until_ok(&path).await;
        let objects = format!("/apis/{}/v1/namespaces/{{namespace}}/{plural}", self.group);
        self.until_answer(&path, |document| document["paths"][&objects].is_object())
            .await
    }

    /// Waits until pods can be created here: the namespace has its service account.
    pub(crate) async fn takes_pods(&self) {
        self.until("serviceaccounts/default", |_| true).await;
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn accept(self, media_type: &str) -> Self {
        self.header("Accept", media_type)
    }

    /// Adds one option; the value is encoded.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.path
            .push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.path.push(char::from(byte));
            } else {
                self.path.push_str(&format!("%{byte:02X}"));
            }
        }
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends no credentials.
    pub(crate) fn anonymously(mut self, world: &World) -> Self {
        self.client = world.server.anonymous.clone();
        self
    }

    /// Sends a bearer token and nothing else.
    pub(crate) fn with_token(self, world: &World, token: &str) -> Self {
        self.anonymously(world)
            .header("Authorization", format!("Bearer {token}"))
    }

    /// Acts as another user, by impersonation.
    pub(crate) fn acting_as(self, user: &str) -> Self {
        self.header("Impersonate-User", user)
    }

    /// Acts as a member of one more group.
    pub(crate) fn in_group(mut self, group: &str) -> Self {
        self.headers.push(("Impersonate-Group", group.to_owned()));
        self
    }

    /// `GET /path`, for messages.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The answer's head, its body still to come.
    pub(crate) async fn open(self) -> http::Response<Body> {
        let line = self.line();
        let mut request = http::Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).unwrap();
        match self.client.send(request).await {
            Ok(response) => response,
            Err(error) => panic!("{line}: {error}"),
        }
    }
}

impl IntoFuture for Request {
    type Output = Answer;
    type IntoFuture = futures::future::BoxFuture<'static, Answer>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let line = self.line();
            Answer::read(line, self.open().await).await
        })
    }
}
