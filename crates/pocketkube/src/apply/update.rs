//! The two ways to write an object: apply, and everything else.

use super::compare::{Difference, compare};
use super::conflicts::conflict;
use super::fit::check;
use super::managed::{self, Entry, Operation};
use super::merge::merge;
use super::path::Element;
use super::remove::remove;
use super::set::FieldSet;
use super::walk::field_set;
use crate::cluster::Force;
use crate::schema::{Schema, write_zeros};
use crate::status::Status;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The manager of fields that were there before anyone applied, on objects without managers.
const BEFORE: &str = "before-first-apply";

/// What kubectl writes on the client's side; kept in step when kubectl applies on the server's.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// Name of the field manager.
    pub manager: &'a str,
    /// How it writes.
    pub operation: Operation,
    /// `apps/v1`.
    pub api_version: &'a str,
    /// `status`, `scale`, or empty.
    pub subresource: &'a str,
    /// The time, as RFC 3339 with whole seconds.
    pub now: &'a str,
}

impl Writer<'_> {
    fn entry(&self, operation: Operation) -> Entry {
        let manager = if self.manager.is_empty() {
            "unknown"
        } else {
            self.manager
        };
        Entry {
            manager: manager.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
            time: self.now.to_owned(),
            fields: FieldSet::default(),
        }
    }
}

/// Records in `new.metadata.managedFields` what a create, update or patch changed.
///
/// `ignored` are fields that the writer cannot own. Objects whose managers were reset on purpose
/// stay untracked until they are applied.
pub fn track_update(
    schema: &Schema,
    writer: &Writer<'_>,
    ignored: &FieldSet,
    old: Option<&Value>,
    new: &mut Value,
) {
    let kept = |object: Option<&Value>| object.and_then(managed::entries).unwrap_or_default();
    let entries = if !writer.subresource.is_empty() {
        kept(old)
    } else if managed::is_reset(new) {
        Vec::new()
    } else {
        managed::entries(new).unwrap_or_else(|| kept(old))
    };
    forget_managers(new);
    let is_untracked = entries.is_empty() && old.is_some();
    if is_untracked {
        return;
    }
    let empty = nothing(schema, new);
    let before = old.map_or_else(|| empty, without_managers);
    let own = writer.entry(Operation::Update);
    let entries = tracked(schema, own, ignored, entries, &before, new);
    managed::write(new, entries);
}

/// The object after a server-side apply of `wanted` on `live`.
///
/// # Errors
///
/// 409 with one cause for each field of another manager that would change, unless `force`; 400
/// for a `wanted` that names managers; 500 for one that does not fit the schema.
pub fn apply(
    schema: &Schema,
    writer: &Writer<'_>,
    ignored: &FieldSet,
    live: Option<&Value>,
    wanted: &Value,
    force: Force,
) -> Result<Value, Status> {
    if !wanted["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let empty = nothing(schema, wanted);
    let before = live.map_or_else(|| empty.clone(), without_managers);
    let mut entries = live.and_then(managed::entries).unwrap_or_default();
    if entries.is_empty() && live.is_some() {
        // Who wrote the object so far is not known; those fields get a manager of their own.
        let unknown = Writer {
            manager: BEFORE,
            ..*writer
        };
        let own = unknown.entry(Operation::Update);
        entries = tracked(schema, own, ignored, entries, &empty, &before);
    }
    check(schema, wanted).map_err(|why| untyped(wanted, &why))?;
    let merged = merge(schema, &before, wanted).map_err(|why| untyped(wanted, &why))?;
    let mut own = writer.entry(Operation::Apply);
    own.fields = field_set(schema, wanted).without_below(ignored);
    let place = entries.iter().position(|entry| entry.is_same_manager(&own));
    let last = place.map(|place| entries.remove(place));
    let pruned = match &last {
        Some(last) if !last.fields.is_empty() => prune(schema, &merged, &entries, &own, last),
        _ => merged,
    };
    let whole = compare(schema, &before, &pruned);
    // The order of lists is no difference, but the object is another one.
    let is_same = whole.is_empty() && before == pruned;
    let difference = whole.without(ignored);
    let allowed = applied_before(schema, writer, &before);
    let mut entries = yielded(entries, &difference, &allowed, force)?;
    own.fields.subtract(&STRIPPED);
    if is_same {
        // Only an apply that changes the object takes its time.
        own.time = last.map(|last| last.time).unwrap_or_default();
    }
    entries.push(own);
    let mut result = pruned;
    sync_last_applied(writer, wanted, &mut result);
    managed::write(&mut result, entries);
    Ok(result)
}

/// 500, as the server answers a configuration that does not fit the schema.
fn untyped(wanted: &Value, why: &str) -> Status {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let meta = &wanted["metadata"];
    let (namespace, name) = (text(&meta["namespace"]), text(&meta["name"]));
    let (api_version, kind) = (text(&wanted["apiVersion"]), text(&wanted["kind"]));
    let slash = if api_version.contains('/') { "" } else { "/" };
    let message = format!(
        "failed to create typed patch object ({namespace}/{name}; {slash}{api_version}, \
         Kind={kind}): {why}"
    );
    Status::plain(500, "", message)
}

/// Entries after a write that is no apply.
fn tracked(
    schema: &Schema,
    mut own: Entry,
    ignored: &FieldSet,
    entries: Vec<Entry>,
    before: &Value,
    after: &Value,
) -> Vec<Entry> {
    let whole = compare(schema, before, after);
    let (mut mine, mut others): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .partition(|entry| entry.is_same_manager(&own));
    let last = match mine.is_empty() {
        true => None,
        false => Some(mine.swap_remove(0)),
    };
    let mut takes = true;
    // Of a new object there is nobody to take anything from.
    if !others.is_empty() || last.is_some() {
        let difference = whole.clone().without(ignored);
        others = taken(others, &difference);
        let mut touched = difference.modified;
        touched.absorb(difference.added);
        touched.subtract(&STRIPPED);
        takes = !touched.is_empty();
    }
    if let Some(last) = last {
        own.fields = last.fields;
        if !takes {
            // Only who takes fields writes its time.
            own.time = last.time;
        }
    }
    own.fields.subtract(&whole.removed);
    own.fields.absorb(whole.modified);
    own.fields.absorb(whole.added);
    own.fields = own.fields.without_below(ignored);
    own.fields.subtract(&STRIPPED);
    others.push(own);
    others
}

/// Other managers after an apply: with conflicts an error, unless forced or `allowed`.
fn yielded(
    entries: Vec<Entry>,
    difference: &Difference,
    allowed: &FieldSet,
    force: Force,
) -> Result<Vec<Entry>, Status> {
    let touched = difference
        .modified
        .union(&difference.added)
        .difference(allowed);
    if force == Force::Off {
        let conflicts: Vec<(Entry, FieldSet)> = entries
            .iter()
            .map(|entry| (entry.clone(), entry.fields.intersection(&touched)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect();
        if !conflicts.is_empty() {
            return Err(conflict(conflicts));
        }
    }
    Ok(taken(entries, difference))
}

/// Other managers lose what someone else changed or removed.
fn taken(mut entries: Vec<Entry>, difference: &Difference) -> Vec<Entry> {
    let mut touched = difference.modified.union(&difference.added);
    touched.absorb(difference.removed.clone());
    for entry in &mut entries {
        entry.fields.subtract(&touched);
    }
    entries
}

/// Removes what the manager applied last time, does not apply now, and no one else owns.
fn prune(schema: &Schema, merged: &Value, others: &[Entry], own: &Entry, last: &Entry) -> Value {
    let named = |set: &FieldSet| set.with_named_fields(Some(schema));
    let whole = field_set(schema, merged);
    let bare = remove(schema, merged, &named(&last.fields));
    // What others, or the new configuration, own comes back.
    let owned = others
        .iter()
        .fold(own.fields.clone(), |set, entry| set.union(&entry.fields));
    let bare_set = field_set(schema, &bare);
    let gone = named(&whole).difference(&named(&bare_set).union(&named(&owned)));
    let kept = remove(schema, merged, &gone);
    // What nobody owned comes back too.
    let kept_set = field_set(schema, &kept);
    let gone = named(&whole)
        .difference(&named(&kept_set))
        .intersection(&named(&last.fields));
    remove(schema, merged, &gone)
}

/// Fields that say what an object is; no one owns them.
static STRIPPED: LazyLock<FieldSet> = LazyLock::new(|| {
    let mut set = FieldSet::default();
    for name in ["apiVersion", "kind", "metadata"] {
        set.insert(&[Element::field(name)]);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&[Element::field("metadata"), Element::field(name)]);
    }
    set
});

/// The empty object that a new one is compared with: with the zero values of its types.
fn nothing(schema: &Schema, like: &Value) -> Value {
    let mut object = json!({ "apiVersion": like["apiVersion"], "kind": like["kind"] });
    write_zeros(schema, &mut object);
    object
}

fn without_managers(object: &Value) -> Value {
    let mut copy = object.clone();
    forget_managers(&mut copy);
    copy
}

fn forget_managers(object: &mut Value) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.shift_remove("managedFields");
    }
}

/// What kubectl last applied on the client's side and nobody has changed since: it may take those
/// fields over when it begins to apply on the server's side.
fn applied_before(schema: &Schema, writer: &Writer<'_>, live: &Value) -> FieldSet {
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let Some(text) = text.filter(|_| writer.manager == "kubectl") else {
        return FieldSet::default();
    };
    let Ok(last) = serde_json::from_str::<Value>(text) else {
        return FieldSet::default();
    };
    let changed = compare(schema, &last, live).modified;
    field_set(schema, &last).difference(&changed)
}

/// When kubectl applies on the server's side, what it last applied on its own side follows, so
/// that either way of applying sees the same past.
fn sync_last_applied(writer: &Writer<'_>, wanted: &Value, result: &mut Value) {
    if writer.manager != "kubectl" {
        return;
    }
    let annotations = result["metadata"]
        .get_mut("annotations")
        .and_then(Value::as_object_mut);
    let Some(annotations) = annotations.filter(|a| a.contains_key(LAST_APPLIED)) else {
        return;
    };
    let mut applied = wanted.clone();
    let own = applied["metadata"]
        .get_mut("annotations")
        .and_then(Value::as_object_mut);
    if let Some(own) = own {
        own.shift_remove(LAST_APPLIED);
    }
    annotations.insert(
        LAST_APPLIED.to_owned(),
        json!(format!("{}\n", sorted(&applied))),
    );
}

/// Go writes maps in the order of their keys.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            let inner: Map<String, Value> = names
                .into_iter()
                .map(|name| (name.clone(), sorted(&fields[name])))
                .collect();
            Value::Object(inner)
        }
        Value::Array(elements) => Value::Array(elements.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
