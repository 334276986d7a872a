//! Whether the sender of a request may make it.

use super::Request;
use super::path::ResourcePath;
use crate::authorization::{Attributes, Objective, ResourceAttributes};
use crate::cluster::{Cluster, User};
use crate::selector::FieldSelector;
use crate::status::Status;
use http::Method;

/// Refuses what the sender may not do.
pub(crate) fn check(cluster: &Cluster, user: &User, request: &Request) -> Result<(), Status> {
    if !cluster.enforces_roles() {
        return Ok(());
    }
    let path = ResourcePath::parse(&request.path);
    let method = request.method.as_str().to_ascii_lowercase();
    let Some(path) = path else {
        return decide(cluster, user, &method, Objective::Path(&request.path));
    };
    let mut name = path.name.clone();
    let verb = match (&request.method, name.is_empty()) {
        (&Method::GET | &Method::HEAD, false) => "get",
        (&Method::GET | &Method::HEAD, true) => {
            // Who selects one name may be allowed that one.
            let fields = FieldSelector::parse(request.query.text("fieldSelector"));
            if let Ok(fields) = fields
                && let Some(exact) = fields.exact("metadata.name")
            {
                name = exact.to_owned();
            }
            match request.query.is_on("watch") {
                true => "watch",
                false => "list",
            }
        }
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, false) => "delete",
        (&Method::DELETE, true) => "deletecollection",
        _ => "",
    };
    let is_namespace = path.plural == "namespaces" && path.namespace.is_empty();
    let subresource = path.part.split('/').next().unwrap_or_default();
    let wanted = ResourceAttributes {
        group: &path.group,
        resource: &path.plural,
        subresource,
        // A Namespace is in itself.
        namespace: if is_namespace {
            &path.name
        } else {
            &path.namespace
        },
        name: &name,
    };
    decide(cluster, user, verb, Objective::Resource(wanted))
}

fn decide(cluster: &Cluster, user: &User, verb: &str, object: Objective<'_>) -> Result<(), Status> {
    cluster.check(&Attributes { user, verb, object })
}
