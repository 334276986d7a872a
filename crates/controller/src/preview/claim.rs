//! Which manifests are planned, which decide about plans, and which are neither.

use super::host::{HostChange, ours};
use super::{Asked, Note, Preview, Refused};
use crate::Error;
use crate::context::Context;
use crate::wake::NamedType;
use api::key_of;
use kube::api::DynamicObject;
use model::ObjectKey;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Kinds that no plan of a federated object depends on, and why.
const BESIDE: [(&str, &str); 8] = [
    ("Zone", "it is for DNS and changes no member"),
    ("GlobalService", "it is for DNS and changes no member"),
    ("ProbeReport", "meridian alone writes it"),
    ("MemberTombstone", "meridian alone writes it"),
    ("PropagatedVersion", BOOKKEEPING),
    ("ClusterPropagatedVersion", BOOKKEEPING),
    ("FederatedServiceStatus", BOOKKEEPING),
    (
        "Namespace",
        "it stays on the host; a FederatedNamespace takes it to members",
    ),
];
const BOOKKEEPING: &str = "it is KubeFed's bookkeeping, of which nothing is read";
const PREFERENCE: &str = "ReplicaSchedulingPreference";

/// A federated object that is planned.
#[derive(Debug)]
pub(super) struct Claim {
    /// The manifest's index; nothing for an object that is on the host only.
    pub(super) manifest: Option<usize>,
    pub(super) named: NamedType,
    pub(super) key: ObjectKey,
    /// As the manifest has it.
    pub(super) file: Option<DynamicObject>,
    /// Whether it was asked for by name.
    pub(super) asked: bool,
    /// What happens to it on the host; known once the host was read.
    pub(super) change: HostChange,
}

impl Claim {
    pub(super) fn refuse(self, error: Error, preview: &mut Preview) {
        let Some(manifest) = self.manifest else {
            let text = format!("{} {}: {error}", self.kind(), self.key);
            preview.notes.push(Note {
                manifest: None,
                text,
            });
            return;
        };
        preview.refused.push(Refused { manifest, error });
    }

    pub(super) fn kind(&self) -> &str {
        &self.named.federated.federated.kind
    }
}

/// All of them.
pub(super) struct Claims {
    pub(super) planned: Vec<Claim>,
}

impl Claims {
    /// Sorts the manifests, and adds the targets of preferences among them.
    pub(super) fn of(
        context: &Context,
        types: &BTreeMap<String, NamedType>,
        manifests: &[Value],
        preview: &mut Preview,
    ) -> Self {
        let mut planned = Vec::new();
        let mut preferred = Vec::new();
        for (index, manifest) in manifests.iter().enumerate() {
            match classify(types, manifest, context.host.client.default_namespace()) {
                Ok(Class::Federated(claim)) => planned.push(Claim {
                    manifest: Some(index),
                    ..*claim
                }),
                Ok(Class::Preference(kind, key)) => preferred.push((index, kind, key)),
                Ok(Class::Decides) => {}
                Ok(Class::Beside(why)) => preview.notes.push(Note {
                    manifest: Some(index),
                    text: format!("not planned: {why}"),
                }),
                Err(error) => preview.refused.push(Refused {
                    manifest: index,
                    error: disabled(context, manifest).unwrap_or(error),
                }),
            }
        }
        let claimed: BTreeSet<(String, ObjectKey)> = planned
            .iter()
            .map(|claim| (claim.kind().to_owned(), claim.key.clone()))
            .collect();
        for (index, kind, key) in preferred {
            if claimed.contains(&(kind.clone(), key.clone())) {
                continue;
            }
            match types
                .values()
                .find(|named| named.federated.federated.kind == kind)
            {
                Some(named) => planned.push(Claim {
                    manifest: None,
                    named: named.clone(),
                    key,
                    file: None,
                    asked: false,
                    change: HostChange::None,
                }),
                None => preview.refused.push(Refused {
                    manifest: index,
                    error: api::Error::invalid("spec.targetKind", unknown_kind(types, &kind))
                        .into(),
                }),
            }
        }
        Self { planned }
    }

    /// Adds objects that were asked for by name.
    pub(super) fn ask(
        &mut self,
        types: &BTreeMap<String, NamedType>,
        asked: &[Asked],
        preview: &mut Preview,
    ) {
        for Asked { type_name, key } in asked {
            let Some(named) = types.get(type_name) else {
                let text = format!("{type_name} is not federated: {key} is not planned");
                let manifest = None;
                preview.notes.push(Note { manifest, text });
                continue;
            };
            self.follow(named, std::iter::once(key.clone()));
            let claims = self.planned.iter_mut();
            let mut those = claims.filter(|claim| claim.named.name == named.name);
            if let Some(claim) = those.find(|claim| claim.key == *key) {
                claim.asked = true;
            }
        }
    }

    /// Adds objects of the host that the files do not hold, and that follow what they change.
    pub(super) fn follow(&mut self, named: &NamedType, keys: impl Iterator<Item = ObjectKey>) {
        for key in keys {
            let claimed = self
                .planned
                .iter()
                .any(|claim| claim.named.name == named.name && claim.key == key);
            if !claimed {
                self.planned.push(Claim {
                    manifest: None,
                    named: named.clone(),
                    key,
                    file: None,
                    asked: false,
                    change: HostChange::None,
                });
            }
        }
    }
}

/// Manifests of kinds that live in namespaces, each in the one that kubectl would put it into.
pub(super) fn with_namespaces(manifests: &[Value], default: &str) -> Vec<Value> {
    let mut manifests = manifests.to_vec();
    for manifest in &mut manifests {
        let namespaced = manifest["kind"] == PREFERENCE;
        if namespaced && manifest["metadata"]["namespace"].is_null() {
            manifest["metadata"]["namespace"] = default.into();
        }
    }
    manifests
}

/// What a manifest is to a plan.
enum Class {
    Federated(Box<Claim>),
    /// A preference of that target.
    Preference(String, ObjectKey),
    /// It is laid over what the host holds.
    Decides,
    /// Plans do not depend on it.
    Beside(&'static str),
}

fn classify(
    types: &BTreeMap<String, NamedType>,
    manifest: &Value,
    namespace: &str,
) -> Result<Class, Error> {
    let text = |name: &str| manifest[name].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let found = types.values().find(|named| {
        let federated = &named.federated.federated;
        federated.group == group && federated.kind == kind
    });
    if let Some(named) = found {
        let served = &named.federated.federated.version;
        if served != version {
            let message = format!("{kind} is served as {group}/{served}");
            return Err(api::Error::invalid("apiVersion", message).into());
        }
        let mut file: DynamicObject = serde_json::from_value(manifest.clone())
            .map_err(|error| api::Error::invalid("metadata", error.to_string()))?;
        if named.federated.federated_namespaced && file.metadata.namespace.is_none() {
            file.metadata.namespace = Some(namespace.to_owned());
        }
        // The file's own fields, before the host is asked anything.
        api::read_spec(&file.data["spec"])?;
        return Ok(Class::Federated(Box::new(Claim {
            manifest: None,
            named: named.clone(),
            key: key_of(&file.metadata),
            file: Some(file),
            asked: false,
            change: HostChange::Create,
        })));
    }
    if kind == PREFERENCE && ours(group) {
        let target = manifest["spec"]["targetKind"].as_str().unwrap_or_default();
        let name = |field: &str| manifest["metadata"][field].as_str().unwrap_or_default();
        let key = ObjectKey::new(name("namespace"), name("name"));
        return Ok(Class::Preference(target.to_owned(), key));
    }
    let decides = ["KubeFedCluster", "KubeFedConfig", "FederatedTypeConfig"];
    if decides.contains(&kind) && ours(group) {
        return Ok(Class::Decides);
    }
    let beside = BESIDE.iter().find(|(known, _)| *known == kind);
    match beside {
        Some((_, why)) if ours(group) || api_version == "v1" => Ok(Class::Beside(why)),
        _ => Err(not_federated(types, group, kind)),
    }
}

fn not_federated(types: &BTreeMap<String, NamedType>, group: &str, kind: &str) -> Error {
    let target = types.values().find(|named| {
        let target = &named.federated.target;
        target.group == group && target.kind == kind
    });
    let advice = match target {
        Some(named) => {
            let federated = &named.federated.federated;
            format!(
                "put it into the spec.template of a {} ({}), or leave it out",
                federated.kind, federated.api_version
            )
        }
        None => unknown_kind(types, kind),
    };
    Error::NotFederated {
        kind: kind.to_owned(),
        advice,
    }
}

/// What to do about a kind that no FederatedTypeConfig names.
fn unknown_kind(types: &BTreeMap<String, NamedType>, kind: &str) -> String {
    let known: Vec<&str> = types
        .values()
        .map(|named| named.federated.federated.kind.as_str())
        .collect();
    let meant = match api::nearest(kind, known.iter().copied()) {
        Some(near) => format!("did you mean {near}? "),
        None => String::new(),
    };
    let known = match known.is_empty() {
        true => "the host has none; install those of crds/types".to_owned(),
        false => "meridian enable federates a type, and kubectl get federatedtypeconfigs -A lists \
                  those that are"
            .to_owned(),
    };
    format!("{meant}no FederatedTypeConfig is for {kind}; {known}")
}

/// A kind that is known, and not propagated.
fn disabled(context: &Context, manifest: &Value) -> Option<Error> {
    let configs = context.host.type_configs.state();
    let config = configs
        .iter()
        .find(|config| manifest["kind"] == config.spec.federated_type.kind.as_str())?;
    if config.spec.propagation == api::Switch::Enabled {
        return None;
    }
    Some(Error::NotFederated {
        kind: config.spec.federated_type.kind.clone(),
        advice: format!(
            "spec.propagation of the FederatedTypeConfig {} is Disabled",
            config.metadata.name.as_deref().unwrap_or_default()
        ),
    })
}
