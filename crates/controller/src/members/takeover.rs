//! Taking fields over from managers that updated: their entries become one of ours.
//!
//! Without it, a field that KubeFed (or kubectl's client-side apply) once wrote would stay for ever
//! after it left the template: nobody who applies would own it. client-go does the same in its
//! `csaupgrade`.

use federation::FIELD_MANAGER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Value, json};

/// The entries with those of `managers` merged into one of ours.
pub fn handed_over(entries: &[ManagedFieldsEntry], managers: &[String]) -> Vec<ManagedFieldsEntry> {
    let is_old = |entry: &ManagedFieldsEntry| {
        entry.operation.as_deref() == Some("Update")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
            && entry
                .manager
                .as_ref()
                .is_some_and(|manager| managers.contains(manager))
    };
    let (old, mut kept): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(is_old);
    let mut fields = Value::Null;
    let mut ours: Option<ManagedFieldsEntry> = None;
    for entry in old {
        if let Some(FieldsV1(more)) = &entry.fields_v1 {
            merge(&mut fields, more);
        }
        ours.get_or_insert(entry);
    }
    if let Some(ours) = ours {
        kept.push(ManagedFieldsEntry {
            manager: Some(FIELD_MANAGER.to_owned()),
            operation: Some("Apply".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ours
        });
    }
    kept
}

/// Writes the entries, provided that the object still has that version.
pub(crate) fn takeover_patch(entries: &[ManagedFieldsEntry], version: &str) -> json_patch::Patch {
    let operations = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
    ]);
    serde_json::from_value(operations).expect("two operations of RFC 6902")
}

/// The union of two field sets: objects whose keys are fields, list items and values.
fn merge(fields: &mut Value, more: &Value) {
    match (fields, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, more) in more {
                merge(fields.entry(name.clone()).or_insert(Value::Null), more);
            }
        }
        (fields @ Value::Null, more) => *fields = more.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_old_managers_become_one_of_ours() {
        let entries: Vec<ManagedFieldsEntry> = serde_json::from_value(json!([
            {"manager": "hyperfed", "operation": "Update", "apiVersion": "v1",
                "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "kubectl-create", "operation": "Update", "apiVersion": "v1",
                "fieldsV1": {"f:data": {"f:b": {}}, "f:metadata": {}}},
            {"manager": "hyperfed", "operation": "Update", "subresource": "status",
                "fieldsV1": {"f:status": {}}}
        ]))
        .unwrap();
        let managers = ["hyperfed".to_owned(), "kubectl-create".to_owned()];
        let after = handed_over(&entries, &managers);
        assert_eq!(after.len(), 2);
        assert_eq!(after[0].subresource.as_deref(), Some("status"));
        assert_eq!(after[1].manager.as_deref(), Some("meridian"));
        assert_eq!(after[1].operation.as_deref(), Some("Apply"));
        assert_eq!(
            after[1].fields_v1.as_ref().unwrap().0,
            json!({"f:data": {"f:a": {}, "f:b": {}}, "f:metadata": {}})
        );
    }
}
