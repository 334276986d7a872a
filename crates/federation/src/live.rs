//! What is known of the target object in one member, from a metadata-only cache.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The target object in one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Observed {
    /// The member's cache cannot tell: never synced, or stale.
    #[default]
    Unknown,
    /// Not there.
    Absent,
    /// There.
    Present(Box<Live>),
}

/// A live object, as far as planning needs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Its uid; deletes and writes carry it.
    pub uid: String,
    /// Its resourceVersion; deletes carry it.
    pub resource_version: String,
    /// Its generation; 0 where the kind has none.
    #[serde(default)]
    pub generation: i64,
    /// The origin annotation, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The label `kubefed.io/managed`.
    pub managed: ManagedLabel,
    /// The annotation `meridian.dev/applied-hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_hash: Option<String>,
    /// Which fields our entry in `managedFields` holds.
    pub owned: OwnedFields,
    /// What other managers hold, while our entry is not known to be exact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherEntry>,
    /// Whether it was there before and was taken over.
    #[serde(default)]
    pub adopted: bool,
    /// Whether it has a deletionTimestamp.
    #[serde(default)]
    pub deleting: bool,
    /// `spec.replicas`, where the kind has it and somebody needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<LiveReplicas>,
    /// Managers of old Update entries that a first apply makes ours; see [`legacy_manager`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legacy_managers: Vec<String>,
    /// Of a StatefulSet: replicas that keep an old template because `updateStrategy` says so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keeps_old: i64,
    /// Its `status`, when it is collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_status: Option<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Replicas of a StatefulSet that `spec.updateStrategy` leaves at an old template.
pub fn keeps_old(spec: &Value) -> i64 {
    let strategy = &spec["updateStrategy"];
    match strategy["type"].as_str() {
        Some("OnDelete") => i64::MAX,
        _ => strategy["rollingUpdate"]["partition"].as_i64().unwrap_or(0),
    }
}

/// Another manager's entry in a live object's `managedFields`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherEntry {
    /// The manager.
    pub manager: String,
    /// `fieldsV1`.
    pub fields: Value,
}

/// `spec.replicas` of a live object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveReplicas {
    /// The value.
    pub value: i64,
    /// A manager other than ours whose `managedFields` entry holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_owner: Option<String>,
    /// No entry holds it, ours neither: the API server set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unowned: bool,
}

/// Who an object in a member comes from: `<host uid>/<federated object uid>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The host's uid.
    pub host: String,
    /// The federated object's uid.
    pub object: String,
}

impl Origin {
    /// Reads the annotation's text. What has no slash is somebody else's: host as given, no object.
    pub fn parse(text: &str) -> Self {
        let (host, object) = text.split_once('/').unwrap_or((text, ""));
        Self {
            host: host.to_owned(),
            object: object.to_owned(),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.host, self.object)
    }
}

/// The label `kubefed.io/managed` on a live object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManagedLabel {
    /// No such label.
    #[default]
    Absent,
    /// `"true"`.
    True,
    /// `"false"`: hands off.
    False,
}

impl ManagedLabel {
    /// Reads the label's value, if any.
    pub fn from_value(value: Option<&str>) -> Self {
        match value {
            Some("true") => Self::True,
            Some("false") => Self::False,
            _ => Self::Absent,
        }
    }
}

/// Our entry in a live object's `managedFields`: manager `meridian`, operation Apply, no
/// subresource.
///
/// Whoever changes or removes one of our fields takes it out of our entry. A cache keeps
/// [`OwnedFields::Entry`] until a plan has found it exact, and from then on only the entry's
/// [`crate::FieldsDigest`] with the hash it was exact for: as long as the digest stays the same,
/// it gives [`OwnedFields::Exact`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OwnedFields {
    /// We have no entry.
    #[default]
    None,
    /// The entry as the server sent it.
    #[serde(rename_all = "camelCase")]
    Entry {
        /// The version the field names are of.
        api_version: String,
        /// `fieldsV1`.
        fields: Value,
    },
    /// The entry held exactly the fields of what was rendered with this hash.
    #[serde(rename_all = "camelCase")]
    Exact {
        /// That hash.
        rendered_hash: String,
    },
}

/// Whether a manager of an Update entry is one that meridian takes over from: KubeFed's
/// controller, or kubectl's client-side apply.
pub fn legacy_manager(name: &str) -> bool {
    const NAMES: [&str; 5] = [
        "hyperfed",
        "controller-manager",
        "kubefed-controller-manager",
        "kubectl-client-side-apply",
        "kubectl-create",
    ];
    NAMES.contains(&name)
}
