//! What an apply that takes other managers' fields is answered with.

use super::managed::{Entry, Operation};
use super::set::FieldSet;
use crate::status::{Cause, Details, Status};

/// 409: which fields of which managers would be taken. Entries come with the fields in question.
pub(super) fn conflict(mut taken: Vec<(Entry, FieldSet)>) -> Status {
    taken.sort_by_key(|(entry, _)| shown(entry));
    let mut causes = Vec::new();
    for (entry, fields) in &taken {
        for path in fields.paths() {
            let field: String = path.iter().map(ToString::to_string).collect();
            let message = format!("conflict with {}", shown(entry));
            causes.push(Cause::new("FieldManagerConflict", field, message));
        }
    }
    let message = match causes.as_slice() {
        [only] => format!(
            "Apply failed with 1 conflict: {}: {}",
            only.message, only.field
        ),
        many => format!(
            "Apply failed with {} conflicts: {}",
            many.len(),
            listed(&taken)
        ),
    };
    let details = Details {
        causes,
        ..Details::default()
    };
    Status {
        code: 409,
        reason: "Conflict",
        message,
        details: Some(Box::new(details)),
    }
}

/// Each manager on a line of its own, with its fields below.
fn listed(taken: &[(Entry, FieldSet)]) -> String {
    let mut lines = Vec::new();
    for (entry, fields) in taken {
        lines.push(format!("conflicts with {}:", shown(entry)));
        for path in fields.paths() {
            let field: String = path.iter().map(ToString::to_string).collect();
            lines.push(format!("- {field}"));
        }
    }
    lines.join("\n")
}

/// `"kubectl"`, with the version if the manager did not apply: `"kubectl" using v1`.
fn shown(entry: &Entry) -> String {
    let mut text = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if entry.operation == Operation::Update {
        return format!("{text} using {}", entry.api_version);
    }
    text
}
