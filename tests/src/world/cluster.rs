//! One cluster as a user sees it: objects are applied, read, and waited for on watches.

use futures::StreamExt;
use kube::api::{
    Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything that is waited for may take; nothing takes a quarter of it on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Who writes here, unless a scenario says otherwise.
const USER: &str = "somebody";
/// Between two attempts at what gives no sign when it begins to work.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// A cluster and a way into it.
#[derive(Clone)]
pub struct Cluster {
    name: String,
    kubeconfig: PathBuf,
    client: Client,
}

/// Which object: its type, namespace (empty for cluster-scoped ones) and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

/// What an API server says when it refuses something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// In its own words.
    pub message: String,
}

impl ObjectRef {
    /// An object of any kind.
    #[must_use]
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The object that a manifest speaks of.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"]),
        }
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        let (group, version) = self
            .api_version
            .rsplit_once('/')
            .unwrap_or(("", &self.api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &self.kind));
        match self.namespace.as_str() {
            "" => Api::all_with(client.clone(), &resource),
            namespace => Api::namespaced_with(client.clone(), namespace, &resource),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Cluster {
    pub(super) async fn of(name: &str, kubeconfig: PathBuf) -> Self {
        let read = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig of our own");
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(read, &options)
            .await
            .expect("a kubeconfig of our own");
        // Waiting is our own affair here.
        config.default_retry = false;
        Self {
            name: name.to_owned(),
            kubeconfig,
            client: Client::try_from(config).expect("our certificates are well formed"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kubeconfig file of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with an administrator's rights.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Server-side applies an object as a user; what is stored then.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn apply(&self, object: Value) -> Value {
        let at = ObjectRef::of(&object);
        let applied = self.try_apply(object).await;
        applied.unwrap_or_else(|refusal| panic!("{}: {at}: {}", self.name, refusal.message))
    }

    /// The same as another manager.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn apply_as(&self, manager: &str, object: Value) -> Value {
        let at = ObjectRef::of(&object);
        let parameters = PatchParams::apply(manager).force();
        let applied = self.send_apply(&at, &parameters, &object).await;
        applied.unwrap_or_else(|refusal| panic!("{}: {at}: {}", self.name, refusal.message))
    }

    /// The same as a trial, strictly: nothing is stored, and a field that is not known is refused.
    ///
    /// # Errors
    /// What the API server says.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn try_on_trial(&self, object: Value) -> Result<Value, Refusal> {
        let mut parameters = PatchParams::apply(USER).force().dry_run();
        parameters.field_validation = Some(ValidationDirective::Strict);
        let at = ObjectRef::of(&object);
        self.send_apply(&at, &parameters, &object).await
    }

    /// The same, where a refusal is an answer.
    ///
    /// # Errors
    /// What the API server says.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn try_apply(&self, object: Value) -> Result<Value, Refusal> {
        let at = ObjectRef::of(&object);
        let parameters = PatchParams::apply(USER).force();
        self.send_apply(&at, &parameters, &object).await
    }

    /// Applies an object whose kind may be served a moment later: a definition is Established
    /// before every API server process knows it.
    ///
    /// # Panics
    /// When it is not served in time.
    pub async fn apply_once_served(&self, object: Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_apply(object.clone()).await {
                Err(refusal) if refusal.code == 404 && Instant::now() < deadline => {
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                Err(refusal) => panic!("{}: {}", ObjectRef::of(&object), refusal.message),
                Ok(applied) => return applied,
            }
        }
    }

    /// Creates an object; what is stored then.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn create(&self, object: Value) -> Value {
        self.create_as(USER, object).await
    }

    /// The same as another manager.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn create_as(&self, manager: &str, object: Value) -> Value {
        let at = ObjectRef::of(&object);
        let object = serde_json::from_value(object).expect("an object");
        let parameters = PostParams {
            field_manager: Some(manager.to_owned()),
            ..PostParams::default()
        };
        let created = at.api(&self.client).create(&parameters, &object).await;
        self.answer(&at, created)
            .unwrap_or_else(|refusal| panic!("{}: {at}: {}", self.name, refusal.message))
    }

    /// Merge-patches an object (RFC 7386) as this manager; what is stored then.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn patch_as(&self, manager: &str, at: &ObjectRef, patch: Value) -> Value {
        let parameters = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let patched = at
            .api(&self.client)
            .patch(&at.name, &parameters, &patch)
            .await;
        self.answer(at, patched)
            .unwrap_or_else(|refusal| panic!("{}: {at}: {}", self.name, refusal.message))
    }

    /// The same as a user.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn patch(&self, at: &ObjectRef, patch: Value) -> Value {
        self.patch_as(USER, at, patch).await
    }

    /// Merge-patches the status of an object, as its controller does.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn patch_status(&self, at: &ObjectRef, patch: Value) -> Value {
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let api = at.api(&self.client);
        let patched = api.patch_status(&at.name, &parameters, &patch).await;
        self.answer(at, patched)
            .unwrap_or_else(|refusal| panic!("{}: {at}: {}", self.name, refusal.message))
    }

    /// Sets the replicas of a workload through its subresource `scale`, as autoscalers do.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn scale(&self, manager: &str, at: &ObjectRef, replicas: u32) {
        let parameters = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let scaled = at
            .api(&self.client)
            .patch_scale(&at.name, &parameters, &patch)
            .await;
        scaled.unwrap_or_else(|error| panic!("{}: {at}: {error}", self.name));
    }

    /// Deletes an object; it may live on until its finalizers are gone.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn delete(&self, at: &ObjectRef) {
        let parameters = DeleteParams::background();
        let deleted = at.api(&self.client).delete(&at.name, &parameters).await;
        deleted.unwrap_or_else(|error| panic!("{}: {at}: {error}", self.name));
    }

    /// An object, when it is there.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn find(&self, at: &ObjectRef) -> Option<Value> {
        let found = at.api(&self.client).get_opt(&at.name).await;
        let found = found.unwrap_or_else(|error| panic!("{}: {at}: {error}", self.name));
        found.map(|object| plain(&object))
    }

    /// An object that is there.
    ///
    /// # Panics
    /// When it is not.
    pub async fn get(&self, at: &ObjectRef) -> Value {
        let found = self.find(at).await;
        found.unwrap_or_else(|| panic!("{}: {at} is not there", self.name))
    }

    /// All objects of a kind in a namespace.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Vec<Value> {
        let at = ObjectRef::new(api_version, kind, namespace, "");
        let listed = at.api(&self.client).list(&Default::default()).await;
        let listed = listed.unwrap_or_else(|error| panic!("{}: {kind}: {error}", self.name));
        listed.items.iter().map(plain).collect()
    }

    /// Waits until so many Events are told of the object of this name, and returns them, by name.
    ///
    /// # Panics
    /// After [`PATIENCE`], with what was told.
    pub async fn until_told(&self, namespace: &str, name: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} Events");
        self.until_story(namespace, name, &what, |told| told.len() >= count)
            .await
    }

    /// Waits until the Events of the object of this name, by their names, are as wanted, and returns them.
    ///
    /// # Panics
    /// After [`PATIENCE`], with what was told.
    pub async fn until_story(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut told = self.list("events.k8s.io/v1", "Event", namespace).await;
            told.retain(|event| event["regarding"]["name"] == name);
            told.sort_by_key(|event| event["metadata"]["name"].to_string());
            if wanted(&told) {
                return told;
            }
            assert!(
                Instant::now() < deadline,
                "{}: {name}: not within {PATIENCE:?}: {what}: {told:#?}",
                self.name
            );
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Waits until an object is there and as wanted, and returns it.
    ///
    /// # Panics
    /// After [`PATIENCE`], with what was seen last.
    pub async fn until(
        &self,
        at: &ObjectRef,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = self
            .watch(at, what, |object| object.as_ref().is_some_and(&wanted))
            .await;
        found.expect("it was wanted as it is")
    }

    /// Waits until an object is not there.
    ///
    /// # Panics
    /// After [`PATIENCE`], with what was seen last.
    pub async fn until_gone(&self, at: &ObjectRef) {
        self.watch(at, "it is gone", Option::is_none).await;
    }

    async fn watch(
        &self,
        at: &ObjectRef,
        what: &str,
        wanted: impl Fn(&Option<Value>) -> bool,
    ) -> Option<Value> {
        let mut last = String::from("no answer");
        let seen = async {
            let api = at.api(&self.client);
            let changes = watcher::watch_object(api, &at.name).default_backoff();
            let mut changes = std::pin::pin!(changes);
            loop {
                match changes.next().await.expect("a watch goes on") {
                    Ok(object) => {
                        let object = object.as_ref().map(plain);
                        if wanted(&object) {
                            return object;
                        }
                        last = object.map_or("it is not there".to_owned(), |o| format!("{o:#}"));
                    }
                    Err(error) => last = error.to_string(),
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.unwrap_or_else(|_| {
            panic!(
                "{}: {at}: not within {PATIENCE:?}: {what}; last seen: {last}",
                self.name
            )
        })
    }

    async fn send_apply(
        &self,
        at: &ObjectRef,
        parameters: &PatchParams,
        object: &Value,
    ) -> Result<Value, Refusal> {
        let api = at.api(&self.client);
        let applied = api.patch(&at.name, parameters, &Patch::Apply(object)).await;
        self.answer(at, applied)
    }

    fn answer(
        &self,
        at: &ObjectRef,
        answer: kube::Result<DynamicObject>,
    ) -> Result<Value, Refusal> {
        match answer {
            Ok(object) => Ok(plain(&object)),
            Err(kube::Error::Api(status)) => Err(Refusal {
                code: status.code,
                message: status.message,
            }),
            Err(error) => panic!("{}: {at}: {error}", self.name),
        }
    }
}

/// An object as its JSON.
fn plain(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is JSON")
}
