//! Parameters of operations (OpenAPI v2), under the names that the real server gives them: many
//! operations share one.

use serde_json::{Map, Value, json};

/// A parameter that operations share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared {
    /// Its name in the document.
    pub(super) key: &'static str,
    name: &'static str,
    kind: Kind,
    description: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Query(&'static str),
    /// A part of the path.
    Path,
    /// A body of this type of `meta/v1`, which must be there or need not.
    Body(&'static str, bool),
}

const fn shared(
    key: &'static str,
    name: &'static str,
    kind: Kind,
    description: &'static str,
) -> Shared {
    Shared {
        key,
        name,
        kind,
        description,
    }
}

const TEXT: Kind = Kind::Query("string");
const FLAG: Kind = Kind::Query("boolean");
const NUMBER: Kind = Kind::Query("integer");

pub(super) const NAMESPACE: Shared = shared(
    "namespace-vgWSWtn3",
    "namespace",
    Kind::Path,
    "object name and auth scope, such as for teams and projects",
);
pub(super) const PRETTY: Shared = shared(
    "pretty-tJGM1-ng",
    "pretty",
    TEXT,
    "If 'true', then the output is pretty printed.",
);
pub(super) const FIELD_MANAGER: Shared = shared(
    "fieldManager-Qy4HdaTW",
    "fieldManager",
    TEXT,
    "The name of the actor or entity that is making these changes.",
);
pub(super) const PATCH_MANAGER: Shared = shared(
    "fieldManager-7c6nTn1T",
    "fieldManager",
    TEXT,
    "The name of the actor or entity that is making these changes. It is required for apply \
     requests.",
);
pub(super) const FORCE: Shared = shared(
    "force-tOGGb0Yi",
    "force",
    FLAG,
    "Takes fields over that other managers own. Only for apply requests.",
);
pub(super) const PATCH_BODY: Shared =
    shared("body-78PwaGsr", "body", Kind::Body("Patch", true), "");
pub(super) const DELETE_BODY: Shared = shared(
    "body-2Y1dVQaQ",
    "body",
    Kind::Body("DeleteOptions", false),
    "",
);
pub(super) const RESOURCE_VERSION: Shared = shared(
    "resourceVersion-5WAnf1kx",
    "resourceVersion",
    TEXT,
    "What resource versions a request may be served from.",
);
/// What deletions take.
pub(super) const DELETION: [Shared; 3] = [
    shared(
        "gracePeriodSeconds--K5HaBOS",
        "gracePeriodSeconds",
        NUMBER,
        "Seconds before the object is deleted; zero deletes it at once.",
    ),
    shared(
        "orphanDependents-uRB25kX5",
        "orphanDependents",
        FLAG,
        "Deprecated: use propagationPolicy.",
    ),
    shared(
        "propagationPolicy-6jk3prlO",
        "propagationPolicy",
        TEXT,
        "Whether and how what it owns is deleted: Orphan, Background or Foreground.",
    ),
];
/// What narrows a list.
pub(super) const SELECTION: [Shared; 7] = [
    shared(
        "continue-QfD61s0i",
        "continue",
        TEXT,
        "Where the last page of a list ended.",
    ),
    shared(
        "fieldSelector-xIcQKXFG",
        "fieldSelector",
        TEXT,
        "A selector to restrict the list of returned objects by their fields.",
    ),
    shared(
        "labelSelector-5Zw57w4C",
        "labelSelector",
        TEXT,
        "A selector to restrict the list of returned objects by their labels.",
    ),
    shared(
        "limit-1NfNmdNH",
        "limit",
        NUMBER,
        "The most objects of a page.",
    ),
    shared(
        "resourceVersionMatch-t8XhRHeC",
        "resourceVersionMatch",
        TEXT,
        "How resourceVersion is applied to lists.",
    ),
    shared(
        "sendInitialEvents-rLXlEK_k",
        "sendInitialEvents",
        FLAG,
        "Whether a watch begins with what is there.",
    ),
    shared(
        "timeoutSeconds-yvYezaOC",
        "timeoutSeconds",
        NUMBER,
        "Timeout for the list or watch.",
    ),
];
/// What makes a list a watch.
pub(super) const WATCHING: [Shared; 2] = [
    shared(
        "allowWatchBookmarks-HC2hJt-J",
        "allowWatchBookmarks",
        FLAG,
        "Whether a watch may send bookmarks.",
    ),
    shared(
        "watch-XNNPZGbK",
        "watch",
        FLAG,
        "Watch for changes to the described resources and return them as a stream.",
    ),
];

impl Shared {
    /// A reference to it.
    pub(super) fn reference(&self) -> Value {
        json!({"$ref": format!("#/parameters/{}", self.key)})
    }

    fn definition(&self) -> Value {
        let mut definition = json!({"name": self.name});
        if !self.description.is_empty() {
            definition["description"] = self.description.into();
        }
        match self.kind {
            Kind::Query(kind) => {
                definition["in"] = "query".into();
                definition["type"] = kind.into();
                definition["uniqueItems"] = true.into();
            }
            Kind::Path => {
                definition["in"] = "path".into();
                definition["type"] = "string".into();
                definition["uniqueItems"] = true.into();
                definition["required"] = true.into();
            }
            Kind::Body(of, is_required) => {
                let reference = format!("#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.{of}");
                definition["in"] = "body".into();
                definition["schema"] = json!({"$ref": reference});
                if is_required {
                    definition["required"] = true.into();
                }
            }
        }
        definition
    }
}

/// All shared parameters, by their names in the document.
pub(super) fn definitions() -> Map<String, Value> {
    let single = [
        NAMESPACE,
        PRETTY,
        FIELD_MANAGER,
        PATCH_MANAGER,
        FORCE,
        PATCH_BODY,
        DELETE_BODY,
        RESOURCE_VERSION,
    ];
    let all = single
        .iter()
        .chain(&DELETION)
        .chain(&SELECTION)
        .chain(&WATCHING);
    all.map(|parameter| (parameter.key.to_owned(), parameter.definition()))
        .collect()
}

/// Whether nothing is stored. Clients look for its name, so it is no reference.
pub(super) fn dry_run() -> Value {
    own(
        "dryRun",
        "When present, indicates that modifications should not be persisted. Valid values are: - \
         All: all dry run stages will be processed",
    )
}

/// What becomes of unknown fields. Clients look for its name, so it is no reference.
pub(super) fn field_validation() -> Value {
    own(
        "fieldValidation",
        "What becomes of unknown and duplicate fields: Ignore, Warn or Strict.",
    )
}

fn own(name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "query", "type": "string", "uniqueItems": true,
        "description": description,
    })
}

/// The body of a write.
pub(super) fn body(definition: &str) -> Value {
    json!({
        "name": "body", "in": "body", "required": true,
        "schema": {"$ref": format!("#/definitions/{definition}")},
    })
}

/// The name of an object in a path.
pub(super) fn name(kind: &str) -> Value {
    json!({
        "name": "name", "in": "path", "type": "string", "uniqueItems": true, "required": true,
        "description": format!("name of the {kind}"),
    })
}
