//! What is wrong with `metadata`.

use super::Kind;
use super::hooks::NameRule;
use super::validate::names;
use crate::schema::index_path;
use crate::status::Cause;
use serde_json::Value;

/// Bytes that all annotations of an object may have together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Checks the metadata of a new object.
pub(super) fn validate(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let meta = &object["metadata"];
    let rule = kind.hooks.name;
    if let Some(prefix) = meta["generateName"]
        .as_str()
        .filter(|prefix| !prefix.is_empty())
    {
        // A prefix may end in a dash, which the rest of the name follows.
        let shown = prefix.trim_end_matches('-');
        let probe = if shown.is_empty() { prefix } else { shown };
        for why in name_problems(rule, probe) {
            causes.push(Cause::invalid(
                "metadata.generateName",
                &prefix.into(),
                &why,
            ));
        }
    }
    match meta["name"].as_str().unwrap_or_default() {
        "" => causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        )),
        name => {
            for why in name_problems(rule, name) {
                causes.push(Cause::invalid("metadata.name", &name.into(), &why));
            }
        }
    }
    let has_namespace = meta["namespace"]
        .as_str()
        .is_some_and(|name| !name.is_empty());
    if !kind.resource.is_namespaced() && has_namespace {
        causes.push(Cause::forbidden(
            "metadata.namespace",
            "not allowed on this type",
        ));
    }
    parts(meta, &mut causes);
    finalizers(kind, &meta["finalizers"], &mut causes);
    causes
}

/// Checks the metadata of a change.
pub(super) fn validate_update(kind: &Kind, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let (meta, before) = (&new["metadata"], &old["metadata"]);
    for name in ["name", "namespace", "uid", "creationTimestamp"] {
        let (now, was) = (&meta[name], &before[name]);
        if !now.is_null() && !was.is_null() && now != was {
            causes.push(Cause::invalid(
                format!("metadata.{name}"),
                now,
                "field is immutable",
            ));
        }
    }
    parts(meta, &mut causes);
    finalizers(kind, &meta["finalizers"], &mut causes);
    let is_deleting = before["deletionTimestamp"].is_string();
    let had = before["finalizers"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let added = meta["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|f| !had.contains(f));
    let added: Vec<Value> = added.cloned().collect();
    if is_deleting && !added.is_empty() {
        let shown: Vec<String> = added.iter().map(|f| format!("{f}")).collect();
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            shown.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
    causes
}

fn parts(meta: &Value, causes: &mut Vec<Cause>) {
    names::labels(&meta["labels"], "metadata.labels", causes);
    annotations(&meta["annotations"], causes);
    owners(&meta["ownerReferences"], causes);
}

fn annotations(annotations: &Value, causes: &mut Vec<Cause>) {
    let field = "metadata.annotations";
    let mut bytes = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        // Keys may be in upper case, unlike those of labels.
        for why in names::qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid(field, &key.as_str().into(), &why));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        let message = format!("Too long: may not be more than {ANNOTATIONS_BYTES_MAX} bytes");
        causes.push(Cause::new("FieldValueTooLong", field, message));
    }
}

fn owners(owners: &Value, causes: &mut Vec<Cause>) {
    let field = "metadata.ownerReferences";
    let mut controllers = Vec::new();
    for owner in owners.as_array().into_iter().flatten() {
        let text = |name: &str| owner[name].as_str().unwrap_or_default().to_owned();
        let wanted = [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ];
        for (name, why) in wanted {
            if text(name).is_empty() {
                causes.push(Cause::invalid(format!("{field}.{name}"), &"".into(), why));
            }
        }
        if owner["controller"] == true {
            controllers.push(format!("{}/{}", text("kind"), text("name")));
        }
    }
    if let [first, second, ..] = controllers.as_slice() {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for \
             {first} and {second}"
        );
        causes.push(Cause::invalid(field, owners, &why));
    }
}

fn finalizers(kind: &Kind, finalizers: &Value, causes: &mut Vec<Cause>) {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    // Definitions and what they define are content with a name.
    let is_strict = !kind.is_custom() && kind.resource.group != "apiextensions.k8s.io";
    let field = "metadata.finalizers";
    for (index, finalizer) in finalizers.as_array().into_iter().flatten().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        let problems = names::qualified_name(name);
        let is_known = name.contains('/') || STANDARD.contains(&name);
        let is_unqualified = is_strict && problems.is_empty() && !is_known;
        for why in problems {
            causes.push(Cause::invalid(field, finalizer, &why));
        }
        if is_unqualified {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(index_path(field, index), finalizer, why));
        }
    }
}

fn name_problems(rule: NameRule, name: &str) -> Vec<String> {
    match rule {
        NameRule::Subdomain => names::subdomain(name),
        NameRule::Label if name.contains('.') && names::subdomain(name).is_empty() => {
            vec!["must not contain dots".to_owned()]
        }
        NameRule::Label => names::label(name),
        NameRule::PathSegment => names::path_segment(name),
    }
}
