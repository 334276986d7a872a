//! Requests on resources: reading, writing and watching them.

use super::accept::Form;
use super::answer::Answer;
use super::listing::{self, Look};
use super::path::ResourcePath;
use super::query::VersionMatch;
use super::watch::{self, Bookmarks, Start, WatchQuery};
use super::{Reply, Request, authenticate, decode};
use crate::cluster::read::{AtVersion, PageQuery, Selection, too_large};
use crate::cluster::{Cluster, Deleted, Part, Patch, Sent, Target, User, Written};
use crate::object::{self, Object};
use crate::resource::{Resource, Verb};
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::Status;
use crate::table;
use axum::body::Body;
use axum::response::Response;
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a watch lasts that does not say: upstream draws from 30 to 60 minutes.
const WATCH_SECS_MIN: u64 = 1_800;

/// Objects deleted by one deletecollection before the next page is read.
const DELETE_PAGE: u64 = 500;

/// Operations that one JSON patch may hold.
const OPERATIONS_MAX: usize = 10_000;

/// Patches that custom resources take.
const CUSTOM_PATCHES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];

/// Answers a request on a resource.
pub(crate) async fn answer(
    cluster: &Cluster,
    user: User,
    path: &ResourcePath,
    request: &Request,
) -> Result<Reply, Status> {
    if let Some(answer) = super::reviews::answer(cluster, &user, path, request) {
        return answer.map(Reply::Whole);
    }
    let registry = cluster.registry();
    let Some(resource) = registry.by_path(&path.group, &path.version, &path.plural) else {
        let is_known = registry.all().any(|resource| resource.group == path.group);
        return match is_known {
            true => Err(Status::no_such_path()),
            false => Ok(Reply::Whole(super::discovery::nothing_here())),
        };
    };
    let is_placed = resource.is_namespaced() != path.namespace.is_empty();
    let is_collection = path.name.is_empty() && request.method == Method::GET;
    let is_wide = is_collection && resource.is_namespaced();
    if !(is_placed || is_wide) {
        return Err(Status::no_such_path());
    }
    let call = Call {
        cluster,
        user,
        path,
        request,
        resource,
    };
    let reply = match path.part.as_str() {
        "" => Box::pin(call.main()).await,
        "status" if resource.serves_status() => call.part(Part::Status).await.map(Reply::Whole),
        "scale" if resource.scale.is_some() => call.part(Part::Scale).await.map(Reply::Whole),
        part => super::parts::answer(&call, part).await.map(Reply::Whole),
    };
    let Some(warning) = resource.deprecation() else {
        return reply;
    };
    Ok(reply
        .unwrap_or_else(|status| Reply::Whole(status.into()))
        .with(warning))
}

/// One request on one resource.
pub(crate) struct Call<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) user: User,
    pub(crate) path: &'a ResourcePath,
    pub(crate) request: &'a Request,
    pub(crate) resource: &'a Arc<Resource>,
}

impl Call<'_> {
    async fn main(&self) -> Result<Reply, Status> {
        let has_name = !self.path.name.is_empty();
        let query = &self.request.query;
        let verb = match (&self.request.method, has_name) {
            (&Method::GET | &Method::HEAD, _) if query.is_on("watch") => Verb::Watch,
            (&Method::GET | &Method::HEAD, true) => Verb::Get,
            (&Method::GET | &Method::HEAD, false) => Verb::List,
            (&Method::POST, false) => Verb::Create,
            (&Method::PUT, true) => Verb::Update,
            (&Method::PATCH, true) => Verb::Patch,
            (&Method::DELETE, true) => Verb::Delete,
            (&Method::DELETE, false) => Verb::DeleteCollection,
            _ => return Err(Status::method_not_allowed()),
        };
        if !self.resource.serves(verb) {
            return Err(Status::method_not_allowed());
        }
        match verb {
            Verb::Watch => self.watch(),
            Verb::Get => self.get(),
            Verb::List => self.list(),
            Verb::Create => self.create().await,
            Verb::Update => self.replace(Part::Main).await,
            Verb::Patch => self.patch(Part::Main).await,
            Verb::Delete => self.delete().await,
            Verb::DeleteCollection => self.delete_collection().await,
        }
        .map(|reply| match reply {
            Given::Answer(answer) => Reply::Whole(answer),
            Given::Stream(response) => Reply::Stream(response),
        })
    }

    /// A request on `status` or `scale`.
    async fn part(&self, part: Part) -> Result<Answer, Status> {
        let given = match self.request.method {
            Method::GET if part == Part::Scale => {
                let scale = self.cluster.scale(&self.target(part))?;
                return Ok(self.shown_scale(scale, self.request.form()?));
            }
            Method::GET => self.get(),
            Method::PUT => self.replace(part).await,
            Method::PATCH => self.patch(part).await,
            _ => Err(Status::method_not_allowed()),
        }?;
        match given {
            Given::Answer(answer) => Ok(answer),
            Given::Stream(_) => Err(Status::method_not_allowed()),
        }
    }

    fn get(&self) -> Result<Given, Status> {
        let form = self.request.form()?;
        let current = self.cluster.version();
        if let Some(version) = self.request.query.resource_version()?
            && version > current
        {
            return Err(too_large(version, current));
        }
        let found = self
            .cluster
            .get(self.resource, &self.path.namespace, &self.path.name)?;
        Ok(self.shown(200, &found, form).into())
    }

    fn list(&self) -> Result<Given, Status> {
        let query = &self.request.query;
        let form = self.request.form()?;
        query.check_list(false)?;
        query.number("timeoutSeconds")?;
        let selection = self.selection()?;
        let goes_on = !query.text("continue").is_empty();
        let version = match (goes_on, query.text("resourceVersion")) {
            (true, "" | "0") => AtVersion::Latest,
            (true, _) => AtVersion::Forbidden,
            (false, _) => match (query.list_version()?, query.version_match()) {
                (None, _) => AtVersion::Latest,
                (Some(version), VersionMatch::Exact) => AtVersion::Exactly(version),
                (Some(version), VersionMatch::NotOlderThan) => AtVersion::NotOlderThan(version),
            },
        };
        let limit = query.number("limit")?.unwrap_or(0);
        let page_query = PageQuery {
            // A list of any version comes whole out of the server's cache.
            limit: match version {
                AtVersion::NotOlderThan(0) => 0,
                _ => limit,
            },
            continue_token: query.text("continue").to_owned(),
            version,
        };
        let page = self.cluster.page(self.resource, &selection, &page_query)?;
        Ok(listing::page(self.resource, &page, form, &self.look()).into())
    }

    fn watch(&self) -> Result<Given, Status> {
        let query = &self.request.query;
        query.check_list(true)?;
        let form = self.request.form()?;
        let version = query.resource_version()?;
        let has_initial = query.has("sendInitialEvents");
        let start = match version {
            _ if has_initial && query.is_on("sendInitialEvents") => Start::WithStateAndMark {
                not_older_than: version.unwrap_or(0),
            },
            None | Some(0) if has_initial => Start::Now,
            None | Some(0) => Start::WithState,
            Some(version) => Start::After(version),
        };
        let lasts = match query.number("timeoutSeconds")? {
            Some(seconds) if seconds > 0 => seconds,
            _ => WATCH_SECS_MIN + self.cluster.chance().below(WATCH_SECS_MIN),
        };
        let bookmarks = match query.is_on("allowWatchBookmarks") {
            true => Bookmarks::Wanted,
            false => Bookmarks::Unwanted,
        };
        let watch_query = WatchQuery {
            start,
            selection: self.selection()?,
            form,
            look: self.look(),
            bookmarks,
            lasts: Duration::from_secs(lasts),
        };
        let lines = watch::lines(self.cluster.clone(), Arc::clone(self.resource), watch_query);
        let response = Response::builder()
            .header(CONTENT_TYPE, "application/json")
            .header(CACHE_CONTROL, "no-cache, private")
            .body(Body::from_stream(lines))
            .expect("headers are made of plain text");
        Ok(Given::Stream(response))
    }

    async fn create(&self) -> Result<Given, Status> {
        if self.resource.qualified() == "bindings" {
            let sent = self.object()?;
            return super::parts::bound(self, &sent.value).map(Given::from);
        }
        let form = self.request.form()?;
        let options = self.request.query.write_options("CreateOptions")?;
        let body = self.object()?;
        let caller = self.caller();
        let done =
            self.cluster
                .create_with(&caller, self.resource, &self.path.namespace, body, &options);
        let done = done.await?;
        Ok(self.written(&done, form).into())
    }

    async fn replace(&self, part: Part) -> Result<Given, Status> {
        let form = self.request.form()?;
        let options = self.request.query.write_options("UpdateOptions")?;
        let (caller, target) = (self.caller(), self.target(part));
        if part == Part::Scale {
            let body = decode::object(self.media_type(), &self.request.body, "Scale")?;
            let scale = self
                .cluster
                .replace_scale_with(&caller, &target, &body.value, &options)
                .await?;
            return Ok(self.shown_scale(scale, form).into());
        }
        let done = self
            .cluster
            .replace_with(&caller, &target, self.object()?, &options)
            .await?;
        Ok(self.written(&done, form).into())
    }

    async fn patch(&self, part: Part) -> Result<Given, Status> {
        let query = &self.request.query;
        let form = self.request.form()?;
        let options = query.patch_options(self.media_type())?;
        let patch = self.patch_body()?;
        let caller = self.caller();
        let target = self.target(part);
        if part == Part::Scale {
            let scale = self
                .cluster
                .patch_scale(&caller, &target, &patch, &options)
                .await?;
            return Ok(self.shown_scale(scale, form).into());
        }
        let done = self
            .cluster
            .patch_with(&caller, &target, &patch, &options)
            .await?;
        Ok(self.written(&done, form).into())
    }

    async fn delete(&self) -> Result<Given, Status> {
        let options = self
            .request
            .query
            .delete_options(self.json_body()?.as_ref())?;
        let path = self.path;
        let caller = self.caller();
        let place = (path.namespace.as_str(), path.name.as_str());
        let deleted = self
            .cluster
            .delete_with(&caller, self.resource, place, &options)
            .await?;
        match deleted {
            Deleted::Gone(object) if !returns_object(self.resource) => {
                Ok(Answer::value(200, &success(self.resource, &object)).into())
            }
            Deleted::Gone(object) | Deleted::Waits(object) => {
                let form = self.request.form()?;
                Ok(self.shown(200, &object, form).into())
            }
        }
    }

    async fn delete_collection(&self) -> Result<Given, Status> {
        let options = self
            .request
            .query
            .delete_options(self.json_body()?.as_ref())?;
        let form = self.request.form()?;
        let selection = self.selection()?;
        let caller = self.caller();
        let asked = self.request.query.number("limit")?.unwrap_or(0);
        let mut query = PageQuery {
            limit: match asked {
                0 => DELETE_PAGE,
                asked => asked,
            },
            continue_token: self.request.query.text("continue").to_owned(),
            ..PageQuery::default()
        };
        let mut objects = Vec::new();
        loop {
            let page = self.cluster.page(self.resource, &selection, &query)?;
            for found in page.objects {
                let place = (object::namespace(&found), object::name(&found));
                let deleted = self
                    .cluster
                    .delete_with(&caller, self.resource, place, &options);
                match deleted.await {
                    Ok(deleted) => objects.push(Arc::clone(deleted.object())),
                    Err(status) if status.is_not_found() => {}
                    Err(status) => return Err(status),
                }
            }
            query.continue_token = page.continue_token;
            if query.continue_token.is_empty() || asked > 0 {
                break;
            }
        }
        let version = self.cluster.version();
        let page = crate::cluster::read::Page {
            objects,
            version,
            continue_token: query.continue_token,
            remaining: None,
        };
        Ok(listing::page(self.resource, &page, form, &self.look()).into())
    }

    fn selection(&self) -> Result<Selection, Status> {
        let query = &self.request.query;
        let mut fields = FieldSelector::parse(query.text("fieldSelector"))?;
        if !self.path.name.is_empty() {
            fields = FieldSelector::named(&self.path.name);
        }
        self.cluster.check_fields(self.resource, &fields)?;
        let namespace = &self.path.namespace;
        Ok(Selection {
            namespace: (!namespace.is_empty()).then(|| namespace.clone()),
            labels: LabelSelector::parse(query.text("labelSelector"))?,
            fields,
        })
    }

    /// The object in the body.
    fn object(&self) -> Result<Sent, Status> {
        let kind = &self.resource.kind;
        let body = decode::object(self.media_type(), &self.request.body, kind)?;
        let mut sent = Sent {
            duplicates: body.duplicates,
            ..Sent::from(body.value)
        };
        let bytes = &self.request.body;
        let registry = self.cluster.registry();
        decode::check_type(&registry, self.resource, bytes, &mut sent.value)?;
        Ok(sent)
    }

    fn patch_body(&self) -> Result<Patch, Status> {
        let query = &self.request.query;
        let bytes = &self.request.body;
        let media_type = self.media_type();
        let json = || {
            let body = decode::json(bytes).map_err(|cause| {
                let cause = decode::go_cause(bytes, &cause);
                Status::bad_request(format!("error decoding patch: {cause}"))
            })?;
            check_patch(media_type, &body.value)?;
            Ok(body.value)
        };
        match media_type {
            "application/json-patch+json" => json().map(Patch::Json),
            "application/merge-patch+json" => json().map(Patch::Merge),
            "application/strategic-merge-patch+json" if !self.resource.is_custom() => {
                json().map(Patch::Strategic)
            }
            "application/apply-patch+yaml" => {
                if query.text("fieldManager").is_empty() {
                    return Err(apply_needs_manager());
                }
                let body = decode::yaml(bytes)?;
                Ok(Patch::Apply {
                    wanted: body.value,
                    force: query.force(),
                })
            }
            "application/strategic-merge-patch+json" => {
                Err(Status::unsupported_media_type(&CUSTOM_PATCHES))
            }
            _ => Err(unsupported_patch()),
        }
    }

    /// A JSON body, where there is one.
    pub(crate) fn json_body(&self) -> Result<Option<Value>, Status> {
        if self.request.body.is_empty() {
            return Ok(None);
        }
        decode::object(self.media_type(), &self.request.body, "DeleteOptions")
            .map(|body| Some(body.value))
    }

    pub(crate) fn media_type(&self) -> &str {
        decode::media_type(self.request.header(CONTENT_TYPE))
    }

    pub(crate) fn caller(&self) -> crate::cluster::Caller {
        let manager = self.request.query.text("fieldManager");
        authenticate::caller(self.user.clone(), manager, &self.request.headers)
    }

    pub(crate) fn target(&self, part: Part) -> Target<'_> {
        Target {
            resource: self.resource,
            namespace: &self.path.namespace,
            name: &self.path.name,
            part,
        }
    }

    fn look(&self) -> Look {
        Look::new(&self.request.query, self.cluster.clock().now())
    }

    fn shown(&self, code: u16, object: &Arc<Object>, form: Form) -> Answer {
        listing::object(code, self.resource, object, form, &self.look())
    }

    /// A Scale, whole or as a Table of its own columns.
    fn shown_scale(&self, scale: Value, form: Form) -> Answer {
        if form != Form::Table {
            return Answer::value(200, &scale);
        }
        let kind = Resource {
            columns: table::scale_columns(),
            ..Resource::clone(self.resource)
        };
        let table = (self.look()).table(&kind, &[Object::new(scale)], json!({}));
        Answer::value(200, &table)
    }

    pub(crate) fn written(&self, done: &Written, form: Form) -> Answer {
        let code = if done.created { 201 } else { 200 };
        self.shown(code, &done.object, form)
            .with_warnings(done.warnings.iter().cloned())
    }
}

enum Given {
    Answer(Answer),
    Stream(Response),
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// Kinds whose strategy returns the deleted object instead of a Status (upstream's
/// `ReturnDeletedObject`).
pub(super) fn returns_object(resource: &Resource) -> bool {
    let kinds = [
        "csidrivers",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
        "storageclasses",
    ];
    !resource.is_custom() && kinds.contains(&resource.plural.as_str())
}

/// The Status that a finished deletion is answered with.
fn success(resource: &Resource, object: &Value) -> Value {
    let mut details = json!({"name": object::name(object)});
    if !resource.group.is_empty() {
        details["group"] = resource.group.as_str().into();
    }
    details["kind"] = resource.plural.as_str().into();
    details["uid"] = object::uid(object).into();
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}

fn unsupported_patch() -> Status {
    let mut status = Status::plain(415, "UnsupportedMediaType", "415: Unsupported Media Type");
    status.details = Some(Box::default());
    status
}

/// Checks that a patch is of the JSON type that its media type needs, and not too long.
fn check_patch(media_type: &str, patch: &Value) -> Result<(), Status> {
    let refused = |start: &str, found: &Value, wanted: &str| {
        let found = crate::go::json_type_of(found);
        let message =
            format!("{start}json: cannot unmarshal {found} into Go value of type {wanted}");
        Err(Status::bad_request(message))
    };
    let start = "error decoding patch: ";
    match (media_type, patch) {
        ("application/json-patch+json", Value::Array(operations)) => {
            if operations.len() > OPERATIONS_MAX {
                let count = operations.len();
                let message = format!(
                    "Request entity too large: The allowed maximum operations in a JSON patch is \
                     {OPERATIONS_MAX}, got {count}"
                );
                return Err(Status::plain(413, "RequestEntityTooLarge", message));
            }
            let mut operations = operations.iter();
            match operations.find(|each| !each.is_object() && !each.is_null()) {
                Some(other) => refused(start, other, "handlers.jsonPatchOp"),
                None => Ok(()),
            }
        }
        (_, Value::Null) => Ok(()),
        ("application/json-patch+json", other) => refused(start, other, "[]handlers.jsonPatchOp"),
        (_, Value::Object(_)) => Ok(()),
        ("application/merge-patch+json", other) => refused(start, other, "map[string]interface {}"),
        (_, other) => refused("", other, "map[string]interface {}"),
    }
}

fn apply_needs_manager() -> Status {
    let cause = crate::status::Cause::required("fieldManager", "is required for apply patch");
    super::query::invalid("PatchOptions", vec![cause])
}
