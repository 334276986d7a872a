//! What is kept of an object in a member: enough to plan, and little of it.
//!
//! Our entry in `managedFields` is kept whole until a plan found it exact; from then on only its
//! digest is, so that a cache of a hundred thousand objects stays small.

use federation::{
    ANNOTATION_ADOPTED, ANNOTATION_APPLIED_HASH, ANNOTATION_ORIGIN, FIELD_MANAGER, FieldsDigest,
    LABEL_MANAGED, Live, LiveReplicas, ManagedLabel, Origin, OtherEntry, OwnedFields, Running,
    keeps_old, legacy_manager,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

/// An object as it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    /// Everything but the ownership, which is in `owned`.
    live: Live,
    owned: Owned,
    ready_replicas: Option<i64>,
    /// See [`version`].
    version: u64,
}

#[derive(Clone, Debug)]
enum Owned {
    None,
    Entry {
        api_version: String,
        fields: Value,
        /// Who may have taken what is not in it.
        others: Vec<OtherEntry>,
    },
    Exact {
        digest: FieldsDigest,
        rendered_hash: String,
    },
}

impl Sighting {
    /// Whose copy it is.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.live.origin.as_ref()
    }

    /// From metadata, and from the rest of the object where that was read.
    pub(crate) fn of(metadata: &ObjectMeta, rest: Option<&Value>) -> Self {
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name);
        let label = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(LABEL_MANAGED));
        let entries = metadata.managed_fields.as_deref().unwrap_or_default();
        let replicas = rest.and_then(|rest| rest["spec"]["replicas"].as_i64());
        let status = rest
            .map(|rest| &rest["status"])
            .filter(|status| !status.is_null());
        let resource_version = metadata.resource_version.clone().unwrap_or_default();
        Self {
            version: version(metadata),
            ready_replicas: status.map(|status| status["readyReplicas"].as_i64().unwrap_or(0)),
            live: Live {
                uid: metadata.uid.clone().unwrap_or_default(),
                resource_version,
                generation: metadata.generation.unwrap_or(0),
                origin: annotation(ANNOTATION_ORIGIN).map(|text| Origin::parse(text)),
                managed: ManagedLabel::from_value(label.map(String::as_str)),
                applied_hash: annotation(ANNOTATION_APPLIED_HASH).cloned(),
                owned: OwnedFields::None,
                others: Vec::new(),
                adopted: annotation(ANNOTATION_ADOPTED).is_some_and(|text| text == "true"),
                deleting: metadata.deletion_timestamp.is_some(),
                replicas: replicas.map(|value| LiveReplicas {
                    value,
                    other_owner: other_owner_of_replicas(entries),
                    unowned: !entries.iter().any(holds_replicas),
                }),
                legacy_managers: legacy_managers(entries),
                keeps_old: rest.map_or(0, |rest| keeps_old(&rest["spec"])),
                remote_status: status.cloned(),
            },
            owned: owned(entries),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn is_of_version(&self, resource_version: &str) -> bool {
        self.live.resource_version == resource_version
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.live.deleting
    }

    pub(crate) fn uid(&self) -> &str {
        &self.live.uid
    }

    /// Whether what it says of itself is all that differs from an earlier sighting: a status does
    /// not move the generation of a kind that counts its spec.
    pub(crate) fn is_progress_of(&self, earlier: &Self) -> bool {
        self.live.generation != 0
            && self.live.generation == earlier.live.generation
            && self.live.deleting == earlier.live.deleting
            && self.live.remote_status != earlier.live.remote_status
    }

    /// Keeps what an earlier sighting knew to be exact, while the entry is still that one and the
    /// object says that it holds the same: another rendering may have the same fields.
    pub(crate) fn learn_from(&mut self, earlier: &Self) {
        let (
            Owned::Entry {
                api_version,
                fields,
                ..
            },
            Owned::Exact {
                digest,
                rendered_hash,
            },
        ) = (&self.owned, &earlier.owned)
        else {
            return;
        };
        if self.live.applied_hash.as_ref() == Some(rendered_hash)
            && FieldsDigest::of(api_version, fields) == *digest
        {
            self.owned = earlier.owned.clone();
        }
    }

    /// A plan found our entry exact for what the object's hash says.
    pub(crate) fn settle(&mut self) {
        if let Owned::Entry {
            api_version,
            fields,
            ..
        } = &self.owned
            && let Some(rendered_hash) = self.live.applied_hash.clone()
        {
            let digest = FieldsDigest::of(api_version, fields);
            self.owned = Owned::Exact {
                digest,
                rendered_hash,
            };
        }
    }

    /// As the planner takes it.
    pub(crate) fn live(&self) -> Live {
        let owned = match &self.owned {
            Owned::None => OwnedFields::None,
            Owned::Entry {
                api_version,
                fields,
                ..
            } => OwnedFields::Entry {
                api_version: api_version.clone(),
                fields: fields.clone(),
            },
            Owned::Exact { rendered_hash, .. } => OwnedFields::Exact {
                rendered_hash: rendered_hash.clone(),
            },
        };
        let others = match &self.owned {
            Owned::Entry { others, .. } => others.clone(),
            Owned::None | Owned::Exact { .. } => Vec::new(),
        };
        Live {
            owned,
            others,
            ..self.live.clone()
        }
    }

    /// Replicas wanted and ready, where the kind has them.
    pub(crate) fn running(&self) -> Running {
        match &self.live.replicas {
            None => Running::Unknown,
            Some(replicas) => Running::Known {
                replicas: replicas.value,
                ready: self.ready_replicas.unwrap_or(0),
            },
        }
    }
}

/// The resourceVersion as a number; 0 when it is none (KEP-5504 says that it is).
pub(crate) fn version(metadata: &ObjectMeta) -> u64 {
    let version = metadata.resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Our own entry: server-side applied, and not to a subresource.
pub(crate) fn our_entry(entries: &[ManagedFieldsEntry]) -> Option<&ManagedFieldsEntry> {
    entries.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    })
}

fn owned(entries: &[ManagedFieldsEntry]) -> Owned {
    match our_entry(entries) {
        None => Owned::None,
        Some(entry) => Owned::Entry {
            api_version: entry.api_version.clone().unwrap_or_default(),
            fields: entry
                .fields_v1
                .clone()
                .map_or(Value::Null, |fields| fields.0),
            others: others(entries),
        },
    }
}

/// Entries that are not ours, statuses and the like apart.
fn others(entries: &[ManagedFieldsEntry]) -> Vec<OtherEntry> {
    let others = entries.iter().filter(|entry| {
        entry.manager.as_deref() != Some(FIELD_MANAGER)
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let told = others.filter_map(|entry| {
        Some(OtherEntry {
            manager: entry.manager.clone()?,
            fields: entry.fields_v1.clone()?.0,
        })
    });
    told.collect()
}

fn other_owner_of_replicas(entries: &[ManagedFieldsEntry]) -> Option<String> {
    let owner = entries
        .iter()
        .find(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER) && holds_replicas(entry));
    owner.map(|entry| entry.manager.clone().unwrap_or_default())
}

fn holds_replicas(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    fields.is_some_and(|fields| !fields["f:spec"]["f:replicas"].is_null())
}

fn legacy_managers(entries: &[ManagedFieldsEntry]) -> Vec<String> {
    let mut names: Vec<String> = entries
        .iter()
        .filter(|entry| entry.operation.as_deref() == Some("Update"))
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter_map(|entry| entry.manager.clone())
        .filter(|name| legacy_manager(name))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(fields: Value, version: &str) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": "n", "uid": "u", "resourceVersion": version,
            "labels": {"kubefed.io/managed": "true"},
            "annotations": {"meridian.dev/applied-hash": "h", "meridian.dev/origin": "host/object"},
            "managedFields": [
                {"manager": "meridian", "operation": "Apply", "apiVersion": "v1",
                    "fieldsType": "FieldsV1", "fieldsV1": fields},
                {"manager": "kubectl-create", "operation": "Update", "apiVersion": "v1",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
        }))
        .unwrap()
    }

    #[test]
    fn an_entry_is_exact_until_somebody_takes_a_field_out_of_it() {
        let mut first = Sighting::of(&metadata(json!({"f:data": {"f:a": {}}}), "5"), None);
        assert!(matches!(first.live().owned, OwnedFields::Entry { .. }));
        first.settle();
        let exact = OwnedFields::Exact {
            rendered_hash: "h".into(),
        };
        assert_eq!(first.live().owned, exact);

        let mut same = Sighting::of(&metadata(json!({"f:data": {"f:a": {}}}), "6"), None);
        same.learn_from(&first);
        assert_eq!(same.live().owned, exact);

        let mut taken = Sighting::of(&metadata(json!({"f:data": {}}), "7"), None);
        taken.learn_from(&same);
        assert!(matches!(taken.live().owned, OwnedFields::Entry { .. }));
    }

    #[test]
    fn replicas_that_the_api_server_set_are_nobodys() {
        let rest = json!({"spec": {"replicas": 1}});
        let unowned = |metadata: &ObjectMeta| {
            let live = Sighting::of(metadata, Some(&rest)).live();
            live.replicas.unwrap().unowned
        };
        let mut ours = metadata(json!({"f:spec": {"f:replicas": {}}}), "5");
        let mut nobodys = metadata(json!({"f:spec": {"f:template": {}}}), "5");
        for metadata in [&mut ours, &mut nobodys] {
            metadata.managed_fields.as_mut().unwrap().truncate(1);
        }
        assert!(!unowned(&ours));
        assert!(unowned(&nobodys));
    }

    #[test]
    fn the_other_owner_of_replicas_and_old_managers_are_found() {
        let rest = json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2}});
        let sighting = Sighting::of(&metadata(json!({}), "5"), Some(&rest));
        let live = sighting.live();
        let replicas = live.replicas.unwrap();
        assert_eq!(replicas.other_owner.as_deref(), Some("kubectl-create"));
        assert!(!replicas.unowned);
        assert_eq!(live.legacy_managers, ["kubectl-create"]);
        assert_eq!(
            sighting.running(),
            Running::Known {
                replicas: 3,
                ready: 2
            }
        );
    }
}
