//! Rendering: the very object that a cluster shall hold.
//!
//! template → name, namespace, kind forced → overrides → replicas → our label and annotations.

use crate::{
    digest,
    error::RenderError,
    input::{ClusterFacts, PlanInput, Scope, TargetType},
    live::Origin,
    names::{
        ANNOTATION_ADOPTED, ANNOTATION_APPLIED_HASH, ANNOTATION_LAST_APPLIED, ANNOTATION_ORIGIN,
        LABEL_MANAGED,
    },
    overrides,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use model::ClusterName;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Letters of a digest that tell one template from another.
const SHORT_LEN: usize = 16;
/// What the server sets; in a template it is left over from a live object.
const SERVER_SET: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// An object as a cluster shall hold it.
#[derive(Clone, PartialEq)]
pub struct Rendered {
    /// The whole object, our label and annotations included; clusters that hold the same share it.
    pub object: Arc<Value>,
    /// Hash of it without that hash's own annotation.
    pub hash: String,
}

/// What is done to `spec.replicas`, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicasRule {
    /// As template and overrides have it.
    AsIs,
    /// This value.
    Set(i64),
    /// Not sent at all: another manager owns it.
    LeaveOut,
}

/// Whether the object was there before meridian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// meridian makes it, or made it.
    Ours,
    /// It was taken over, and is marked so.
    Adopted,
}

/// What a rendering depends on besides its input, unless an override names the cluster.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Variant {
    overrides: Vec<usize>,
    replicas: ReplicasRule,
    provenance: Provenance,
}

/// The renderings of one input: clusters that hold the same share theirs.
pub(crate) struct Renderings<'a> {
    input: &'a PlanInput,
    made: RefCell<BTreeMap<Variant, Result<Rendered, RenderError>>>,
}

impl<'a> Renderings<'a> {
    pub(crate) fn of(input: &'a PlanInput) -> Self {
        Self {
            input,
            made: RefCell::default(),
        }
    }

    /// As [`render`].
    pub(crate) fn get(
        &self,
        cluster: &ClusterName,
        replicas: ReplicasRule,
        provenance: Provenance,
    ) -> Result<Rendered, RenderError> {
        let nothing_known = ClusterFacts::default();
        let facts = self.input.clusters.get(cluster).unwrap_or(&nothing_known);
        let items = &self.input.intent.overrides;
        let variant = Variant {
            overrides: overrides::that_concern(items, cluster, facts),
            replicas,
            provenance,
        };
        let differ = |index: &usize| items[*index].differs_by_cluster();
        if variant.overrides.iter().any(differ) {
            return render(self.input, cluster, replicas, provenance);
        }
        let mut made = self.made.borrow_mut();
        let made = made.entry(variant);
        made.or_insert_with(|| render(self.input, cluster, replicas, provenance))
            .clone()
    }
}

/// Renders one cluster's object.
///
/// # Errors
/// [`RenderError`] when the template or an override does not fit.
pub fn render(
    input: &PlanInput,
    cluster: &ClusterName,
    replicas: ReplicasRule,
    provenance: Provenance,
) -> Result<Rendered, RenderError> {
    let nothing_known = ClusterFacts::default();
    let facts = input.clusters.get(cluster).unwrap_or(&nothing_known);
    let mut object = input.intent.template.clone();
    if !object.is_object() {
        return Err(RenderError::template("", "is not an object"));
    }
    clean(&mut object)?;
    force_identity(&mut object, &input.target)?;
    overrides::apply(&mut object, &input.intent.overrides, cluster, facts)?;
    // An override may have replaced all of /metadata.
    force_identity(&mut object, &input.target)?;
    set_replicas(&mut object, replicas)?;
    if input.target.is_secret() {
        fold_string_data(&mut object)?;
    }
    mark(&mut object, input, provenance)?;
    let hash = hash_of(&mut object, input, replicas)?;
    child(&mut object, "/metadata", "annotations")?
        .insert(ANNOTATION_APPLIED_HASH.to_owned(), hash.clone().into());
    Ok(Rendered {
        object: Arc::new(object),
        hash,
    })
}

/// The hash of an object; where its template goes in steps, also that of it without the replicas
/// that are set for it: so it can be told whether a cluster has another template, or only other
/// replicas.
fn hash_of(
    object: &mut Value,
    input: &PlanInput,
    replicas: ReplicasRule,
) -> Result<String, RenderError> {
    let whole = digest_of(object, input);
    if input.intent.rollout.is_none() {
        return Ok(whole);
    }
    let mut template = object.clone();
    if replicas != ReplicasRule::AsIs {
        child(&mut template, "", "spec")?.remove("replicas");
    }
    let template = short(&digest_of(&template, input));
    Ok(format!("{whole}.{template}"))
}

fn digest_of(object: &Value, input: &PlanInput) -> String {
    match input.target.is_secret() {
        true => digest::keyed(input.host.key(), object),
        false => digest::plain(object),
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(SHORT_LEN).collect()
}

/// Whether two hashes are of the same object; one may have been made before there was a rollout.
pub(crate) fn is_same_object(one: &str, other: &str) -> bool {
    let whole = |hash: &str| -> String { hash.split('.').take(1).collect() };
    whole(one) == whole(other)
}

/// Whether two hashes are of the same template.
pub(crate) fn is_same_template(one: &str, other: &str) -> bool {
    let template = |hash: &str| {
        hash.split_once('.')
            .map(|(_, template)| template.to_owned())
    };
    is_same_object(one, other) || template(one).is_some_and(|it| template(other) == Some(it))
}

/// The hash of what a cluster holds with other replicas. It is no rendering's, so that the next one
/// is applied, but it says which template it is.
pub(crate) fn scaled_hash(held: &str, replicas: i64) -> String {
    let template = held.split_once('.').map_or("", |(_, template)| template);
    format!("r{replicas}.{template}")
}

impl PlanInput {
    /// A name for what template and overrides say, the same until one of them changes.
    pub fn revision(&self) -> String {
        let says = json!([self.intent.template, self.intent.overrides]);
        short(&digest_of(&says, self))
    }
}

/// Takes away what a live object has and a template should not.
fn clean(object: &mut Value) -> Result<(), RenderError> {
    root(object)?.remove("status");
    let metadata = child(object, "", "metadata")?;
    for field in SERVER_SET {
        metadata.remove(field);
    }
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove(ANNOTATION_LAST_APPLIED);
    }
    Ok(())
}

fn force_identity(object: &mut Value, target: &TargetType) -> Result<(), RenderError> {
    let fields = root(object)?;
    fields.insert("kind".to_owned(), target.kind.clone().into());
    // An override may name another version of the kind, as in KubeFed.
    fields
        .entry("apiVersion")
        .or_insert_with(|| target.api_version().into());
    let metadata = child(object, "", "metadata")?;
    metadata.insert("name".to_owned(), target.key.name.as_ref().into());
    metadata.remove("generateName");
    match target.scope {
        Scope::Namespaced => {
            metadata.insert("namespace".to_owned(), target.key.namespace.as_ref().into());
        }
        Scope::Cluster => {
            metadata.remove("namespace");
        }
    }
    Ok(())
}

fn set_replicas(object: &mut Value, rule: ReplicasRule) -> Result<(), RenderError> {
    match rule {
        ReplicasRule::AsIs => {}
        ReplicasRule::Set(replicas) => {
            child(object, "", "spec")?.insert("replicas".to_owned(), replicas.into());
        }
        ReplicasRule::LeaveOut => {
            child(object, "", "spec")?.remove("replicas");
        }
    }
    Ok(())
}

/// Secrets' `stringData` is write-only: the server folds it into `data`, and so do we, so that what
/// we own is what is there.
fn fold_string_data(object: &mut Value) -> Result<(), RenderError> {
    let Some(texts) = root(object)?.remove("stringData") else {
        return Ok(());
    };
    let texts = match texts {
        Value::Object(texts) => texts,
        Value::Null => return Ok(()),
        _ => return Err(RenderError::template("/stringData", "is not an object")),
    };
    let data = child(object, "", "data")?;
    for (key, text) in texts {
        let Value::String(text) = text else {
            return Err(RenderError::template(
                "/stringData",
                "holds something that is no text",
            ));
        };
        data.insert(key, STANDARD.encode(text).into());
    }
    Ok(())
}

fn mark(object: &mut Value, input: &PlanInput, provenance: Provenance) -> Result<(), RenderError> {
    child(object, "", "metadata")?;
    child(object, "/metadata", "labels")?.insert(LABEL_MANAGED.to_owned(), "true".into());
    let origin = Origin {
        host: input.host.uid.clone(),
        object: input.object.uid.clone(),
    };
    let annotations = child(object, "/metadata", "annotations")?;
    annotations.insert(ANNOTATION_ORIGIN.to_owned(), origin.to_string().into());
    match provenance {
        Provenance::Ours => annotations.remove(ANNOTATION_ADOPTED),
        Provenance::Adopted => annotations.insert(ANNOTATION_ADOPTED.to_owned(), "true".into()),
    };
    Ok(())
}

fn root(object: &mut Value) -> Result<&mut Map<String, Value>, RenderError> {
    object
        .as_object_mut()
        .ok_or_else(|| RenderError::template("", "is not an object"))
}

/// The object at `<at>/<name>`, made when it is absent or null.
fn child<'a>(
    object: &'a mut Value,
    at: &str,
    name: &str,
) -> Result<&'a mut Map<String, Value>, RenderError> {
    let parent = object
        .pointer_mut(at)
        .and_then(Value::as_object_mut)
        .ok_or_else(|| RenderError::template(at, "is not an object"))?;
    let slot = parent.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut()
        .ok_or_else(|| RenderError::template(&format!("{at}/{name}"), "is not an object"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;
    use serde_json::json;

    fn rendered(world: &World) -> Value {
        let rendered = render(
            &world.input,
            &"a".into(),
            ReplicasRule::AsIs,
            Provenance::Ours,
        );
        Value::clone(&rendered.unwrap().object)
    }

    #[test]
    fn clusters_that_hold_the_same_share_it_and_others_get_what_they_alone_would() {
        let mut world = World::new(&["a", "b", "c", "d", "e"]);
        world.facts_mut("c").labels = [("tier".to_owned(), "edge".to_owned())].into();
        world.facts_mut("d").labels = [("tier".to_owned(), "edge".to_owned())].into();
        let change = |value: &str| json!([{"path": "/data/k", "op": "add", "value": value}]);
        let expanded = json!([{"path": "/data/n", "op": "add", "value": "${cluster.name}",
            "expand": true}]);
        world.input.intent.template = json!({"data": {"k": "v"}});
        world.input.intent.overrides = serde_json::from_value(json!([
            {"clusterSelector": {"matchLabels": {"tier": "edge"}}, "clusterOverrides": change("edge")},
            {"clusterName": "d", "clusterOverrides": expanded},
            {"clusterName": "e", "clusterOverrides": change("e")},
        ]))
        .unwrap();
        let renderings = Renderings::of(&world.input);
        let mut shared = BTreeMap::new();
        for name in ["a", "b", "c", "d", "e"] {
            let cluster = name.into();
            for provenance in [Provenance::Ours, Provenance::Adopted] {
                let rule = ReplicasRule::AsIs;
                let alone = render(&world.input, &cluster, rule, provenance).unwrap();
                let together = renderings.get(&cluster, rule, provenance).unwrap();
                assert!(alone == together, "{name}");
                shared.insert((name, provenance), together.object);
            }
        }
        let ours = |name| &shared[&(name, Provenance::Ours)];
        assert!(Arc::ptr_eq(ours("a"), ours("b")));
        assert_eq!(ours("c")["data"]["k"], "edge");
        assert_eq!(ours("d")["data"], json!({"k": "edge", "n": "d"}));
        assert_eq!(ours("e")["data"]["k"], "e");
    }

    #[test]
    fn identity_is_forced_and_what_the_server_sets_is_left_out() {
        let mut world = World::new(&["a"]);
        world.input.intent.template = json!({
            "kind": "Other", "apiVersion": "v1",
            "metadata": {"name": "other", "namespace": "other", "generateName": "g-", "uid": "u",
                "creationTimestamp": null, "resourceVersion": "7", "managedFields": [],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
                "labels": {"app": "shop"}, "finalizers": ["x/y"]},
            "data": {"k": "v"}, "status": {"x": 1}});
        let object = rendered(&world);
        let hash = object["metadata"]["annotations"]["meridian.dev/applied-hash"].clone();
        assert_eq!(
            object,
            json!({
                "kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {"name": "settings", "namespace": "shop",
                    "annotations": {"mine": "1", "meridian.dev/origin": "host-uid/object-uid",
                        "meridian.dev/applied-hash": hash},
                    "labels": {"app": "shop", "kubefed.io/managed": "true"}, "finalizers": ["x/y"]},
                "data": {"k": "v"}})
        );
    }

    #[test]
    fn an_override_of_all_metadata_cannot_rename_the_object() {
        let mut world = World::new(&["a"]);
        world.input.intent.overrides = serde_json::from_value(json!([{"clusterName": "a",
            "clusterOverrides": [{"path": "/metadata", "value": {"name": "evil", "labels": {"x": "y"}}}]}]))
        .unwrap();
        let object = rendered(&world);
        assert_eq!(object["metadata"]["name"], "settings");
        assert_eq!(object["metadata"]["namespace"], "shop");
        assert_eq!(object["metadata"]["labels"]["x"], "y");
    }

    #[test]
    fn replicas_are_set_after_the_overrides() {
        let mut world = World::new(&["a"]);
        world.input.intent.template = json!({"spec": {"replicas": 1}});
        world.input.intent.overrides = serde_json::from_value(json!([{"clusterName": "a",
            "clusterOverrides": [{"path": "/spec/replicas", "value": 5}]}]))
        .unwrap();
        let replicas = |rule| {
            render(&world.input, &"a".into(), rule, Provenance::Ours)
                .unwrap()
                .object["spec"]
                .get("replicas")
                .cloned()
        };
        assert_eq!(replicas(ReplicasRule::AsIs), Some(json!(5)));
        assert_eq!(replicas(ReplicasRule::Set(7)), Some(json!(7)));
        assert_eq!(replicas(ReplicasRule::LeaveOut), None);
    }

    #[test]
    fn the_string_data_of_a_secret_becomes_its_data() {
        let mut world = World::new(&["a"]);
        world.input.target.kind = "Secret".to_owned();
        world.input.intent.template =
            json!({"data": {"a": "b2xk", "b": "a2VwdA=="}, "stringData": {"a": "new"}});
        let object = rendered(&world);
        assert_eq!(object["data"], json!({"a": "bmV3", "b": "a2VwdA=="}));
        assert!(object.get("stringData").is_none());
    }

    #[test]
    fn the_hash_of_a_secret_is_keyed() {
        let mut world = World::new(&["a"]);
        let hash = |world: &World| {
            render(
                &world.input,
                &"a".into(),
                ReplicasRule::AsIs,
                Provenance::Ours,
            )
            .unwrap()
            .hash
        };
        let open = hash(&world);
        world.input.host.digest_key = "key".to_owned();
        assert_eq!(hash(&world), open, "a ConfigMap's is not");
        world.input.target.kind = "Secret".to_owned();
        let one = hash(&world);
        world.input.host.digest_key = "another".to_owned();
        assert_ne!(hash(&world), one);
    }

    #[test]
    fn a_template_that_is_no_object_says_where() {
        let mut world = World::new(&["a"]);
        for (template, expected) in [
            (json!([]), "template: is not an object"),
            (
                json!({"metadata": []}),
                "template/metadata: is not an object",
            ),
            (
                json!({"metadata": {"labels": 1}}),
                "template/metadata/labels: is not an object",
            ),
        ] {
            world.input.intent.template = template;
            let error = render(
                &world.input,
                &"a".into(),
                ReplicasRule::AsIs,
                Provenance::Ours,
            )
            .map(|rendered| rendered.object)
            .unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
