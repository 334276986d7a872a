//! `metadata.managedFields`.

use super::set::FieldSet;
use serde_json::{Map, Value, json};

/// How a manager came to its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

/// Managers other than appliers that one object remembers; older ones share an entry.
const UPDATERS_MAX: usize = 10;

/// The manager of what was forgotten about older managers.
const ANCIENT: &str = "ancient-changes";

/// One manager's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: String,
    pub(super) fields: FieldSet,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

impl Entry {
    /// Whether two entries are of one manager. Appliers are the same in all versions.
    pub(super) fn is_same_manager(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    fn from_value(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if text("apiVersion").is_empty() || text("fieldsType") != "FieldsV1" {
            return None;
        }
        let fields = match &value["fieldsV1"] {
            Value::Null => FieldSet::default(),
            fields => FieldSet::from_fields_v1(fields)?,
        };
        Some(Self {
            manager: text("manager"),
            operation,
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields,
        })
    }

    fn to_value(&self) -> Value {
        let mut value = Map::new();
        value.insert("manager".to_owned(), json!(self.manager));
        value.insert("operation".to_owned(), json!(self.operation.as_str()));
        value.insert("apiVersion".to_owned(), json!(self.api_version));
        if !self.time.is_empty() {
            value.insert("time".to_owned(), json!(self.time));
        }
        value.insert("fieldsType".to_owned(), json!("FieldsV1"));
        value.insert("fieldsV1".to_owned(), self.fields.to_fields_v1());
        if !self.subresource.is_empty() {
            value.insert("subresource".to_owned(), json!(self.subresource));
        }
        Value::Object(value)
    }
}

/// The entries of an object; `None` when there are none or they do not parse.
pub(super) fn entries(object: &Value) -> Option<Vec<Entry>> {
    let list = object["metadata"]["managedFields"].as_array()?;
    let parsed: Option<Vec<Entry>> = list.iter().map(Entry::from_value).collect();
    let mut entries: Vec<Entry> = Vec::new();
    for entry in parsed? {
        // A scale may leave two of one manager; the server reads the last.
        entries.retain(|other| !other.is_same_manager(&entry));
        entries.push(entry);
    }
    (!entries.is_empty()).then_some(entries)
}

/// Whether a client asks to forget all managers: `[]` or `[{}]`.
pub(super) fn is_reset(object: &Value) -> bool {
    match object["metadata"]["managedFields"]
        .as_array()
        .map(Vec::as_slice)
    {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

/// Writes the entries into an object, in the server's order, without empty ones.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    cap(&mut entries);
    entries.sort_by(|left, right| {
        let key = |entry: &Entry| {
            (
                entry.operation,
                entry.time.clone(),
                entry.manager.clone(),
                entry.api_version.clone(),
                entry.subresource.clone(),
            )
        };
        key(left).cmp(&key(right))
    });
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if entries.is_empty() {
        meta.shift_remove("managedFields");
        return;
    }
    let mut list: Vec<Value> = entries.iter().map(Entry::to_value).collect();
    for at in 1..list.len() {
        let (one, other) = (&entries[at - 1], &entries[at]);
        if one.is_same_manager(other) && one.time == other.time {
            // Equal in all that orders them, they are in the order of their texts.
            list[at - 1..=at].sort_by_cached_key(Value::to_string);
        }
    }
    meta.insert("managedFields".to_owned(), Value::Array(list));
}

/// Folds the oldest updaters into one when there are too many.
fn cap(entries: &mut Vec<Entry>) {
    let mut updaters: Vec<Entry> = Vec::new();
    let is_updater = |entry: &Entry| entry.operation == Operation::Update;
    let count = entries.iter().filter(|entry| is_updater(entry)).count();
    if count <= UPDATERS_MAX {
        return;
    }
    entries.retain(|entry| {
        if is_updater(entry) {
            updaters.push(entry.clone());
        }
        !is_updater(entry)
    });
    updaters.sort_by(|left, right| (&left.time, &left.manager).cmp(&(&right.time, &right.manager)));
    let mut length = updaters.len();
    let mut kept: Vec<Entry> = Vec::new();
    for entry in updaters {
        let same = kept
            .iter_mut()
            .find(|first| first.api_version == entry.api_version);
        match same {
            Some(first) if length > UPDATERS_MAX => {
                first.manager = ANCIENT.to_owned();
                first.subresource.clear();
                first.fields = first.fields.union(&entry.fields);
                first.time = entry.time;
                length -= 1;
            }
            _ => kept.push(entry),
        }
    }
    entries.extend(kept);
}
