//! Objects in the version that a client speaks.
//!
//! Objects are kept in one version. Most are asked for in that one and shared as they are. Custom
//! resources of other versions differ by `apiVersion` alone (conversion strategy `None`); what the
//! other version does not know is lost, both when they are kept and when they are shown. Events
//! and autoscalers are kept in one of their versions and converted for the other.

use crate::kinds;
use crate::object::Object;
use crate::registry::split_api_version;
use crate::resource::{Origin, Resource};
use crate::schema::prune;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// A kept object as a resource's clients see it.
pub(crate) fn of(resource: &Resource, kept: &Arc<Object>) -> Arc<Object> {
    // Told without decoding what is kept encoded.
    if kept.is_of(&resource.kind, &resource.api_version()) {
        return Arc::clone(kept);
    }
    match of_value(resource, kept) {
        Cow::Borrowed(_) => Arc::clone(kept),
        Cow::Owned(value) => Object::new(value),
    }
}

/// A kept object's value as a resource's clients see it.
pub(crate) fn of_value<'a>(resource: &Resource, kept: &'a Value) -> Cow<'a, Value> {
    let api_version = resource.api_version();
    if kept["apiVersion"] == api_version.as_str() {
        return Cow::Borrowed(kept);
    }
    let mut shown = converted(resource, kept.clone(), &api_version);
    if let Origin::Custom { shapes, .. } = &resource.origin {
        prune(&shapes.own, &mut shown);
    }
    Cow::Owned(shown)
}

/// An object as a client sent it, as it is kept.
pub(crate) fn to_kept(resource: &Resource, value: Value) -> Value {
    let api_version = resource.stored_api_version();
    if value["apiVersion"] == api_version.as_str() {
        return value;
    }
    let mut kept = converted(resource, value, &api_version);
    if let Origin::Custom { shapes, .. } = &resource.origin {
        prune(&shapes.stored, &mut kept);
    }
    kept
}

fn converted(resource: &Resource, mut value: Value, api_version: &str) -> Value {
    let from = value["apiVersion"].as_str().unwrap_or_default();
    if !resource.is_custom()
        && let Some(from) = built_in(from, &resource.plural)
        && let Some(to) = built_in(api_version, &resource.plural)
    {
        kinds::convert(from, to, &mut value);
    }
    value["apiVersion"] = api_version.into();
    value
}

fn built_in(api_version: &str, plural: &str) -> Option<&'static Arc<kinds::Kind>> {
    let (group, version) = split_api_version(api_version);
    kinds::find(group, version, plural)
}
