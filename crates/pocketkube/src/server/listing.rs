//! Objects and lists of them in each form.

use super::accept::Form;
use super::answer::Answer;
use super::query::Query;
use crate::cluster::read::Page;
use crate::object::Object;
use crate::resource::Resource;
use crate::{table, view};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// One object.
pub(crate) fn object(
    code: u16,
    resource: &Resource,
    kept: &Arc<Object>,
    form: Form,
    look: &Look,
) -> Answer {
    let shown = view::of(resource, kept);
    match form {
        Form::Table => {
            let value = look.table(resource, &[shown], json!({}));
            Answer::value(code, &value)
        }
        Form::Metadata => Answer::value(code, &metadata_of(&shown)),
        Form::Yaml => Answer::json(code, shown.json()).into_yaml(),
        _ => Answer::json(code, shown.json()),
    }
}

/// A page of a list.
pub(crate) fn page(resource: &Resource, page: &Page, form: Form, look: &Look) -> Answer {
    let shown: Vec<Arc<Object>> = page
        .objects
        .iter()
        .map(|kept| view::of(resource, kept))
        .collect();
    let metadata = list_metadata(page);
    match form {
        Form::Table => {
            let value = look.table(resource, &shown, metadata);
            Answer::value(200, &value)
        }
        Form::Metadata => {
            let items: Vec<Value> = shown.iter().map(|object| metadata_of(object)).collect();
            Answer::value(
                200,
                &json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata,
                    "items": items,
                }),
            )
        }
        Form::Yaml => Answer::json(200, list(resource, &shown, &metadata)).into_yaml(),
        _ => Answer::json(200, list(resource, &shown, &metadata)),
    }
}

/// How tables are made for one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// What rows carry besides cells.
    pub(crate) include: table::Include,
    /// The present, for ages.
    pub(crate) now: Timestamp,
}

impl Look {
    /// As the parameters of a request ask.
    pub(crate) fn new(query: &Query, now: Timestamp) -> Self {
        let include = match query.text("includeObject") {
            "Object" => table::Include::Object,
            "None" => table::Include::None,
            _ => table::Include::Metadata,
        };
        Self { include, now }
    }

    /// A Table of objects.
    pub(crate) fn table(
        &self,
        resource: &Resource,
        objects: &[Arc<Object>],
        metadata: Value,
    ) -> Value {
        let values = objects.iter().map(|object| object.value());
        table::table(
            resource,
            values,
            self.include,
            self.now.as_second(),
            metadata,
        )
    }
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

fn list_metadata(page: &Page) -> Value {
    let mut metadata = Map::new();
    metadata.insert(
        "resourceVersion".to_owned(),
        page.version.to_string().into(),
    );
    if !page.continue_token.is_empty() {
        metadata.insert("continue".to_owned(), page.continue_token.as_str().into());
    }
    if let Some(remaining) = page.remaining {
        metadata.insert("remainingItemCount".to_owned(), remaining.into());
    }
    Value::Object(metadata)
}

/// A list put together from encodings that its objects share. Items of built-in kinds carry
/// neither `kind` nor `apiVersion`, as from the real server.
fn list(resource: &Resource, objects: &[Arc<Object>], metadata: &Value) -> Bytes {
    let api_version = resource.api_version();
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":[",
        resource.list_kind
    );
    let type_fields = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",",
        resource.kind
    );
    let encoded: Vec<Bytes> = objects.iter().map(|object| object.json()).collect();
    let length = head.len() + encoded.iter().map(|item| item.len() + 1).sum::<usize>() + 2;
    let mut body = Vec::with_capacity(length);
    body.extend_from_slice(head.as_bytes());
    for (index, item) in encoded.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        match item.strip_prefix(type_fields.as_bytes()) {
            Some(rest) if !resource.is_custom() => {
                body.push(b'{');
                body.extend_from_slice(rest);
            }
            _ => body.extend_from_slice(item),
        }
    }
    body.extend_from_slice(b"]}");
    body.into()
}
