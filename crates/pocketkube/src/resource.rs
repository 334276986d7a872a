//! One served version of a kind, built in or defined by a CustomResourceDefinition.

use crate::schema::Schema;
use serde_json::Value;
use std::sync::Arc;

/// One served version of a kind. Shared as `Arc<Resource>`; replaced whole when its definition
/// changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// API group; empty for core.
    pub group: String,
    /// Version, for instance `v1`.
    pub version: String,
    /// Kind, for instance `ConfigMap`.
    pub kind: String,
    /// Kind of its list, for instance `ConfigMapList`.
    pub list_kind: String,
    /// Plural name in paths, for instance `configmaps`.
    pub plural: String,
    /// Singular name, for instance `configmap`.
    pub singular: String,
    /// Where its objects live.
    pub scope: Scope,
    /// Short names that kubectl takes.
    pub short_names: Vec<String>,
    /// Categories that kubectl takes, for instance `all`.
    pub categories: Vec<String>,
    /// Verbs served.
    pub verbs: Vec<Verb>,
    /// Whether the `status` subresource is served; writes to the object then leave status alone.
    pub status: Subresource,
    /// The `scale` subresource and where it finds its numbers.
    pub scale: Option<ScalePaths>,
    /// Printer columns after `Name`.
    pub columns: Vec<Column>,
    /// Whether it comes from the server or from a CustomResourceDefinition.
    pub origin: Origin,
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In the cluster.
    Cluster,
    /// In a namespace.
    Namespaced,
}

/// Whether a subresource is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    /// Not served.
    Absent,
    /// Served.
    Served,
}

/// Who defines a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The server.
    BuiltIn,
    /// A CustomResourceDefinition.
    Custom {
        /// Its name.
        definition: String,
        /// The version in which objects are kept.
        stored_version: String,
        /// What is known of its objects; the rest is lost on the way.
        shapes: Shapes,
        /// What clients of a deprecated version are warned with.
        deprecation: Option<String>,
    },
}

/// The schemas of a custom kind between which its objects go to and fro.
#[derive(Debug, Clone)]
pub struct Shapes {
    /// Of its own version.
    pub own: Arc<Schema>,
    /// Of the version in which objects are kept.
    pub stored: Arc<Schema>,
}

impl PartialEq for Shapes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.own, &other.own) && Arc::ptr_eq(&self.stored, &other.stored)
    }
}

impl Eq for Shapes {}

/// What can be done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// POST.
    Create,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// PATCH.
    Patch,
    /// PUT.
    Update,
    /// GET of a stream of changes.
    Watch,
}

impl Verb {
    /// All verbs, in discovery's order.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];

    /// As discovery and request logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// Where the scale subresource finds its numbers; paths as a CustomResourceDefinition gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// `.spec.replicas`.
    pub spec_replicas: String,
    /// `.status.replicas`.
    pub status_replicas: String,
    /// `.status.labelSelector`, a serialized selector; built-in kinds use `.spec.selector`.
    pub label_selector: Option<String>,
}

/// A column of Table output.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// OpenAPI type: `string`, `integer`, `number`, `boolean`, `date`.
    pub kind: String,
    /// OpenAPI format, often empty.
    pub format: String,
    /// Description.
    pub description: String,
    /// 0 is always shown, above 0 only with `-o wide`.
    pub priority: i64,
    /// Where the cell comes from.
    pub cell: Cell,
}

/// Where a cell comes from.
#[derive(Clone)]
pub enum Cell {
    /// The simple JSON path of a CustomResourceDefinition, for instance `.spec.replicas`.
    Path(String),
    /// A function of the object and of now (seconds since 1970), for built-in kinds.
    Function(fn(&Value, i64) -> Value),
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// What its clients are warned with, where its version is deprecated.
    pub fn deprecation(&self) -> Option<&str> {
        match &self.origin {
            Origin::Custom { deprecation, .. } => deprecation.as_deref(),
            Origin::BuiltIn => None,
        }
    }

    /// As error messages name it: `configmaps` or `deployments.apps`.
    pub fn qualified(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// The table of the store that holds its objects, shared by all its versions.
    pub fn table(&self) -> String {
        match (self.group.as_str(), self.plural.as_str()) {
            // One set of Events is served in two groups.
            ("events.k8s.io", "events") => "events".to_owned(),
            _ => self.qualified(),
        }
    }

    /// The `apiVersion` with which its objects are kept.
    pub fn stored_api_version(&self) -> String {
        match &self.origin {
            Origin::Custom { stored_version, .. } => format!("{}/{stored_version}", self.group),
            Origin::BuiltIn if self.group == "events.k8s.io" => "v1".to_owned(),
            Origin::BuiltIn => self.api_version(),
        }
    }

    /// Whether its objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether `status` is a subresource.
    pub fn serves_status(&self) -> bool {
        self.status == Subresource::Served
    }

    /// Whether a CustomResourceDefinition defines it.
    pub fn is_custom(&self) -> bool {
        matches!(self.origin, Origin::Custom { .. })
    }

    /// Whether a verb is served.
    pub fn serves(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => out.debug_tuple("Path").field(path).finish(),
            Self::Function(_) => out.write_str("Function"),
        }
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(left), Self::Path(right)) => left == right,
            (Self::Function(left), Self::Function(right)) => std::ptr::fn_addr_eq(*left, *right),
            _ => false,
        }
    }
}
