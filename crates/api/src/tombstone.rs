//! MemberTombstone: deletions owed to a member that was away.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many deletions one tombstone holds at most: about 200 KiB, far below etcd's 1.5 MiB.
pub const TOMBSTONE_ENTRIES_MAX: usize = 500;

/// Deletions owed to one member, replayed when it returns.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "federation.meridian.dev",
    version = "v1alpha1",
    kind = "MemberTombstone",
    plural = "membertombstones",
    singular = "membertombstone",
    namespaced,
    shortname = "tombstone",
    derive = "PartialEq",
    doc = "Deletions owed to a member that could not be reached.",
    printcolumn = r#"{"name": "cluster", "type": "string", "jsonPath": ".spec.cluster"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct MemberTombstoneSpec {
    /// The member.
    #[schemars(length(min = 1, max = 253))]
    pub cluster: String,
    /// What is owed to it.
    #[schemars(length(max = 500))]
    pub entries: Vec<TombstoneItem>,
}

/// One owed deletion or release.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TombstoneItem {
    /// The object's group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Its version.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// Its kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Its plural.
    #[schemars(length(min = 1, max = 63))]
    pub plural: String,
    /// Its namespace; absent when it is cluster-scoped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Uid of the federated object; an object whose origin no longer says so is left alone.
    #[schemars(length(min = 1, max = 64))]
    pub origin_object: String,
    /// What is owed.
    #[serde(default)]
    pub owed: OwedWork,
    /// DeleteOptions of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub options: Option<Value>,
}

/// What is owed to a member.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwedWork {
    /// Deleting the object.
    #[default]
    Delete,
    /// Taking our marks off it.
    Release,
}

impl From<&federation::TombstoneEntry> for TombstoneItem {
    fn from(entry: &federation::TombstoneEntry) -> Self {
        Self {
            group: entry.group.clone(),
            version: entry.version.clone(),
            kind: entry.kind.clone(),
            plural: entry.plural.clone(),
            namespace: entry.key.namespace.to_string(),
            name: entry.key.name.to_string(),
            origin_object: entry.origin_object.clone(),
            owed: match entry.owed {
                federation::Owed::Delete => OwedWork::Delete,
                federation::Owed::Release => OwedWork::Release,
            },
            options: entry.options.clone(),
        }
    }
}

impl TombstoneItem {
    /// The same as the planner's value, for a member.
    pub fn to_entry(&self, cluster: &str) -> federation::TombstoneEntry {
        federation::TombstoneEntry {
            cluster: cluster.into(),
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
            key: model::ObjectKey::new(&self.namespace, &self.name),
            origin_object: self.origin_object.clone(),
            owed: match self.owed {
                OwedWork::Delete => federation::Owed::Delete,
                OwedWork::Release => federation::Owed::Release,
            },
            options: self.options.clone(),
        }
    }
}
