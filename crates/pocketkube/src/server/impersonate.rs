//! Acting as somebody else, by `Impersonate-*` headers, for those who may.

use super::path::percent_decoded;
use crate::authorization::{Attributes, Objective, ResourceAttributes};
use crate::cluster::{Cluster, User};
use crate::status::Status;
use crate::tokens::service_account;
use http::HeaderMap;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Group and resource of what is impersonated, where it is not of the core group.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The user whom a request acts as: its sender where it does not say otherwise.
pub(crate) fn acting_as(
    cluster: &Cluster,
    sender: User,
    headers: &HeaderMap,
) -> Result<User, Status> {
    let Some(wanted) = wanted(headers)? else {
        return Ok(sender);
    };
    let ask = |wanted: ResourceAttributes<'_>| {
        cluster.check(&Attributes {
            user: &sender,
            verb: "impersonate",
            object: Objective::Resource(wanted),
        })
    };
    let account = wanted
        .name
        .strip_prefix("system:serviceaccount:")
        .and_then(|account| account.split_once(':'));
    match account {
        Some((namespace, name)) => ask(ResourceAttributes {
            resource: "serviceaccounts",
            namespace,
            name,
            ..ResourceAttributes::default()
        })?,
        None => ask(ResourceAttributes {
            resource: "users",
            name: &wanted.name,
            ..ResourceAttributes::default()
        })?,
    }
    for group in &wanted.groups {
        ask(ResourceAttributes {
            resource: "groups",
            name: group,
            ..ResourceAttributes::default()
        })?;
    }
    for (key, values) in &wanted.extra {
        for value in values {
            ask(ResourceAttributes {
                group: AUTHENTICATION,
                resource: "userextras",
                subresource: key,
                name: value,
                ..ResourceAttributes::default()
            })?;
        }
    }
    if !wanted.uid.is_empty() {
        ask(ResourceAttributes {
            group: AUTHENTICATION,
            resource: "uids",
            name: &wanted.uid,
            ..ResourceAttributes::default()
        })?;
    }
    let own_groups = account.map(|(namespace, name)| service_account(namespace, name, "").groups);
    Ok(completed(wanted, own_groups))
}

/// The user with the groups that come by themselves.
fn completed(mut user: User, own_groups: Option<Vec<String>>) -> User {
    if user.groups.is_empty()
        && let Some(own) = own_groups
    {
        user.groups = own;
    }
    let has = |group: &str| user.groups.iter().any(|own| own == group);
    if user.name == User::anonymous().name {
        if !has(UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.to_owned());
        }
    } else if !has(AUTHENTICATED) && !has(UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

/// The user that the headers name; none when they name nobody.
fn wanted(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut user = User {
        name: text(USER),
        uid: text(UID),
        ..User::default()
    };
    let groups = headers.get_all(GROUP).iter();
    user.groups = groups
        .filter_map(|group| group.to_str().ok())
        .map(str::to_owned)
        .collect();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA)
            && let Ok(value) = value.to_str()
        {
            let values = user.extra.entry(percent_decoded(key)).or_default();
            values.push(value.to_owned());
        }
    }
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user.groups.is_empty() && user.extra.is_empty() && user.uid.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "requested {} without impersonating a user name",
        go_user(&user)
    );
    Err(Status::bad_request(message))
}

/// As Go prints the structure with `%#v`.
fn go_user(user: &User) -> String {
    let texts = |texts: &[String]| {
        let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        format!("[]string{{{}}}", texts.join(", "))
    };
    let groups = match user.groups.is_empty() {
        true => "[]string(nil)".to_owned(),
        false => texts(&user.groups),
    };
    let extra = match user.extra.is_empty() {
        true => "map[string][]string(nil)".to_owned(),
        false => {
            let entries: Vec<String> = user
                .extra
                .iter()
                .map(|(key, values)| format!("{key:?}:{}", texts(values)))
                .collect();
            format!("map[string][]string{{{}}}", entries.join(", "))
        }
    };
    format!(
        "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{groups}, Extra:{extra}}}",
        user.name, user.uid
    )
}
