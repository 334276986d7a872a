//! The first room: a plan's input, from caches only.

use crate::context::Context;
use crate::departing::{defined, tenants};
use crate::host::TypeCache;
use crate::members::{Depth, depth};
use crate::settings::Settings;
use crate::wake::{FederatedKey, target_key};
use api::{ConfigScope, FederatedSpec, FederatedType, read_spec};
use federation::{
    ClusterFacts, Confirmation, DividedReplicas, FINALIZER, FederatedObject, FinalizerState, Host,
    NamespacePlacement, Observed, Options, PlanInput, RolloutSeen, Scope, TargetType, Watched,
    is_paused, occupied,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::DynamicObject;
use model::{ClusterName, ObjectKey};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the caches say of a federated object.
pub(crate) enum Reading {
    /// It is not there.
    Gone,
    /// Something that the plan depends on is not known yet; it wakes the object when it is.
    NotYet(&'static str),
    /// Its spec does not read.
    Malformed(Box<(Read, api::Error)>),
    /// All that a plan needs.
    Input(Box<Read>),
}

/// A federated object and the input of its plan.
pub(crate) struct Read {
    pub(crate) object: Arc<DynamicObject>,
    pub(crate) input: PlanInput,
}

/// A federated object, if it is not another control plane's. A Namespace in members is ours all the
/// same: a control plane of one namespace federates none.
fn own(context: &Context, cache: &TypeCache, key: &ObjectKey) -> Option<Arc<DynamicObject>> {
    let is_namespace = cache.named.federated.is_namespace();
    if !is_namespace && context.host.is_anothers(&key.namespace) {
        return None;
    }
    cache.get(key)
}

/// Reads a federated object and everything that its plan depends on.
pub(crate) async fn plan_input(context: &Context, key: &FederatedKey) -> Reading {
    let Some(cache) = context.type_cache(&key.type_name) else {
        return Reading::Gone;
    };
    let Some(object) = own(context, &cache, &key.object) else {
        return Reading::Gone;
    };
    let Some(host_uid) = context.host_uid.get() else {
        return Reading::NotYet("the host's uid is not known");
    };
    let settings = context.settings();
    let namespace = match namespace(context, &settings, &cache, &key.object).await {
        Ok(namespace) => namespace,
        Err(why) => return Reading::NotYet(why),
    };
    let deleted = object.metadata.deletion_timestamp.is_some();
    let (spec, error) = match read_spec(&object.data["spec"]) {
        Ok(spec) => (spec, None),
        // What is deleted goes, whatever its spec says.
        Err(error) => (FederatedSpec::default(), Some(error).filter(|_| !deleted)),
    };
    let federated = &cache.named.federated;
    let division = match division(context, federated, &key.object) {
        Ok(division) => division,
        Err(why) if !deleted => return Reading::NotYet(why),
        Err(_) => None,
    };
    let clusters = cache.facts.get(context, &key.type_name, host_uid);
    let target = target_key(federated, &key.object);
    let occupied = if federated.is_namespace() {
        let tenants = tenants(context, &target.name);
        occupied(&spec.intent.placement, &clusters, tenants)
    } else if federated.is_definition() {
        defined(context, &target.name, clusters.keys())
    } else {
        BTreeMap::new()
    };
    let input = PlanInput {
        object: identity(context, federated, &object),
        target: target_type(federated, target.clone()),
        intent: spec.intent,
        options: Options {
            retain_replicas: spec.retain_replicas,
            adoption: settings.adoption,
            deletion_grace_secs: settings.deletion_grace_secs,
        },
        host: Host {
            uid: host_uid.clone(),
            adopted: settings.adopted_hosts,
            ..Host::default()
        },
        namespace_confirmed: namespace_confirmed(context, &key.object),
        namespace_awaited: namespace_awaited(context, &namespace, &target.namespace, &clusters),
        namespace,
        occupied,
        division,
        observed: observed(context, &key.type_name, &target, &clusters),
        recorded: recorded(&object),
        brake: clusters
            .keys()
            .filter_map(|name| Some((name.clone(), context.members.get(name)?.brake())))
            .collect(),
        rollout: rollout_seen(context, &object),
        clusters,
    };
    let read = Read { object, input };
    match error {
        None => Reading::Input(Box::new(read)),
        Some(error) => Reading::Malformed(Box::new((read, error))),
    }
}

/// What each member holds of the target, from its cache.
pub(crate) fn observed(
    context: &Context,
    type_name: &str,
    target: &ObjectKey,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> BTreeMap<ClusterName, Observed> {
    let lanes = clusters.keys().filter_map(|name| {
        let lane = context.members.get(name)?.lane(type_name)?;
        Some((name.clone(), lane.cache.observe(target)))
    });
    lanes.collect()
}

/// Where the namespace of an object is federated to.
pub(crate) async fn namespace(
    context: &Context,
    settings: &Settings,
    cache: &TypeCache,
    object: &ObjectKey,
) -> Result<NamespacePlacement, &'static str> {
    if !cache.named.federated.target_namespaced || settings.scope == ConfigScope::Namespaced {
        return Ok(NamespacePlacement::NotNeeded);
    }
    let Some(namespaces) = context.namespaces() else {
        return Ok(NamespacePlacement::NotFederated);
    };
    if !namespaces.is_ready().await {
        return Err("the FederatedNamespaces are not listed yet");
    }
    let key = ObjectKey::new(&object.namespace, &object.namespace);
    let federated = namespaces.get(&key);
    let living = federated.filter(|object| object.metadata.deletion_timestamp.is_none());
    let spec = living.and_then(|object| read_spec(&object.data["spec"]).ok());
    Ok(match spec {
        None => NamespacePlacement::NotFederated,
        Some(spec) => NamespacePlacement::Placed(spec.intent.placement),
    })
}

/// Where the Namespace of an object is still to be made, as far as is known: it goes first.
fn namespace_awaited(
    context: &Context,
    placement: &NamespacePlacement,
    namespace: &str,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> BTreeSet<ClusterName> {
    let namespaces = context.namespaces();
    let (NamespacePlacement::Placed(_), Some(namespaces)) = (placement, namespaces) else {
        return BTreeSet::new();
    };
    let federated = namespaces.get(&ObjectKey::new(namespace, namespace));
    if federated.is_some_and(|object| is_paused(object.annotations())) {
        // Nobody makes it; one that somebody else made may be there.
        return BTreeSet::new();
    }
    let (type_name, key) = (&namespaces.named.name, ObjectKey::new("", namespace));
    let awaited = clusters.keys().filter(|name| {
        let member = context.members.get(name);
        member.is_some_and(|member| member.awaits_namespace(type_name, &key))
    });
    awaited.cloned().collect()
}

/// Where somebody confirmed that what is in the namespace of an object may go with it.
fn namespace_confirmed(context: &Context, object: &ObjectKey) -> Confirmation {
    let key = ObjectKey::new(&object.namespace, &object.namespace);
    let federated = context.namespaces().and_then(|cache| cache.get(&key));
    let Some(federated) = federated else {
        return Confirmation::None;
    };
    let generation = federated.metadata.generation.unwrap_or(0);
    Confirmation::of(federated.annotations(), generation)
}

/// The division, when a preference targets the object.
fn division(
    context: &Context,
    federated: &FederatedType,
    object: &ObjectKey,
) -> Result<Option<BTreeMap<ClusterName, DividedReplicas>>, &'static str> {
    let preference = context.host.preference(object);
    let preference = preference.filter(|_| context.settings().divides);
    let targets = preference.is_some_and(|preference| {
        preference.spec.target_kind == federated.federated.kind
            && preference.metadata.deletion_timestamp.is_none()
    });
    if !targets {
        return Ok(None);
    }
    let division = context.divisions.get(object);
    division
        .map(Some)
        .ok_or("the scheduling preference is not planned yet")
}

fn identity(
    context: &Context,
    federated: &FederatedType,
    object: &DynamicObject,
) -> FederatedObject {
    let metadata = &object.metadata;
    let has_finalizer = object
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER);
    let deleted = metadata.deletion_timestamp.as_ref();
    FederatedObject {
        kind: federated.federated.kind.clone(),
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or(0),
        annotations: metadata.annotations.clone().unwrap_or_default(),
        finalizer: match has_finalizer {
            true => FinalizerState::Present,
            false => FinalizerState::Absent,
        },
        deleted_for_secs: deleted.map(|at| {
            let secs = context.clock.now().as_second() - at.0.as_second();
            u64::try_from(secs).unwrap_or(0)
        }),
        kind_goes: false,
    }
}

fn target_type(federated: &FederatedType, key: ObjectKey) -> TargetType {
    TargetType {
        group: federated.target.group.clone(),
        version: federated.target.version.clone(),
        kind: federated.target.kind.clone(),
        plural: federated.target.plural.clone(),
        scope: match federated.target_namespaced {
            true => Scope::Namespaced,
            false => Scope::Cluster,
        },
        key,
        watched: match depth(federated) {
            Depth::Whole => Watched::Whole,
            Depth::Metadata => Watched::Metadata,
        },
    }
}

/// The clusters of the status: what may still hold the object.
fn recorded(object: &DynamicObject) -> BTreeSet<ClusterName> {
    let clusters = object.data["status"]["clusters"].as_array();
    let names = clusters
        .into_iter()
        .flatten()
        .filter_map(|cluster| cluster["name"].as_str());
    names.map(ClusterName::from).collect()
}

/// What the status says of a rollout, and for how long.
fn rollout_seen(context: &Context, object: &DynamicObject) -> Option<RolloutSeen> {
    let told = object.data["status"].get("rollout")?;
    let since: Time = serde_json::from_value(told["lastTransitionTime"].clone()).ok()?;
    let secs = context.clock.now().as_second() - since.0.as_second();
    Some(RolloutSeen {
        status: serde_json::from_value(told.clone()).ok()?,
        for_secs: u64::try_from(secs).unwrap_or(0),
    })
}

/// `status` of a federated object as it is on the host.
pub(crate) fn status(object: &DynamicObject) -> &Value {
    &object.data["status"]
}
