//! Lists at a version and in pages.
//!
//! A continue token carries the version of the first page and the last key given, so all pages
//! are of one version, or 410 when that is no longer kept.

use super::{Cluster, prefix};
use crate::object::Object;
use crate::resource::Resource;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::{Cause, Details, Status};
use crate::store::Compacted;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::{DecodeError, Engine};
use serde_json::{Value, json};
use std::sync::Arc;

/// As lenient as Go's decoder.
const TOKENS: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Which objects, and of which version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Namespace; none is all.
    pub(crate) namespace: Option<String>,
    /// Labels.
    pub(crate) labels: LabelSelector,
    /// Fields.
    pub(crate) fields: FieldSelector,
}

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageQuery {
    /// Objects at most; 0 is all.
    pub(crate) limit: u64,
    /// Where the page before ended; empty for the first.
    pub(crate) continue_token: String,
    /// Version asked for.
    pub(crate) version: AtVersion,
}

/// Version that a list is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AtVersion {
    /// The latest.
    #[default]
    Latest,
    /// This or a later one.
    NotOlderThan(u64),
    /// This very one.
    Exactly(u64),
    /// One, although the list goes on at the version of its first page.
    Forbidden,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its objects, as kept.
    pub(crate) objects: Vec<Arc<Object>>,
    /// Version of the list.
    pub(crate) version: u64,
    /// Where the next page starts; empty when this is the last.
    pub(crate) continue_token: String,
    /// Objects after this page; known only without selectors.
    pub(crate) remaining: Option<usize>,
}

impl Selection {
    /// Whether an object of its namespace, as kept, is in it.
    pub(crate) fn has(&self, resource: &Resource, kept: &Object) -> bool {
        (self.labels.is_empty() || kept.with_labels(|labels| self.labels.matches(labels)))
            && (self.fields.is_empty()
                || self.fields.matches(&crate::view::of_value(resource, kept)))
    }

    /// Whether a key is of its namespace.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        match &self.namespace {
            Some(namespace) => key
                .strip_prefix(namespace.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
            None => true,
        }
    }

    /// Whether every object of its namespace is in it.
    pub(crate) fn is_unfiltered(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

impl Cluster {
    /// One page of a list.
    pub(crate) fn page(
        &self,
        resource: &Resource,
        selection: &Selection,
        query: &PageQuery,
    ) -> Result<Page, Status> {
        let token = Token::parse(&query.continue_token)?;
        let (table, prefix) = (resource.table(), prefix(selection.namespace.as_deref()));
        let after = token
            .as_ref()
            .map(|token| format!("{prefix}{}", token.start));
        let store = self.store();
        let current = store.version();
        let version = wanted_version(query.version, token.as_ref(), current)?;
        let pager = Pager {
            resource,
            selection,
            limit: query.limit,
            prefix: &prefix,
            version,
        };
        if version == current && !selection.is_unfiltered() {
            // Others need not wait while objects are decoded for the selection.
            let rows: Vec<_> = store
                .range(&table, &prefix, after.as_deref())
                .map(|(key, object)| (Arc::clone(key), object))
                .collect();
            drop(store);
            return Ok(pager.page(rows.iter().map(|(key, object)| (key, Arc::clone(object)))));
        }
        if version == current {
            return Ok(pager.page(store.range(&table, &prefix, after.as_deref())));
        }
        let rows = store
            .range_at(&table, &prefix, version)
            .map_err(|compacted| expired(compacted, token.as_ref()))?;
        drop(store);
        let is_after = |key: &str| after.as_deref().is_none_or(|after| key > after);
        Ok(pager.page(
            rows.iter()
                .filter(|(key, _)| is_after(key))
                .map(|(key, object)| (key, Arc::clone(object))),
        ))
    }
}

struct Pager<'a> {
    resource: &'a Resource,
    selection: &'a Selection,
    limit: u64,
    prefix: &'a str,
    version: u64,
}

impl Pager<'_> {
    fn page<'a>(&self, rows: impl Iterator<Item = (&'a Arc<str>, Arc<Object>)>) -> Page {
        let mut rows = rows.filter(|(_, object)| self.selection.has(self.resource, object));
        let limit = match self.limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let mut page = Page {
            objects: Vec::new(),
            version: self.version,
            continue_token: String::new(),
            remaining: None,
        };
        let mut last = "";
        for (key, object) in rows.by_ref().take(limit) {
            page.objects.push(object);
            last = key;
        }
        if page.objects.len() < limit || rows.next().is_none() {
            return page;
        }
        let start = last.strip_prefix(self.prefix).unwrap_or(last).to_owned();
        page.continue_token = Token {
            version: Some(self.version),
            start,
        }
        .encode();
        if self.selection.is_unfiltered() {
            page.remaining = Some(rows.count() + 1);
        }
        page
    }
}

/// Where a list goes on.
#[derive(Debug)]
struct Token {
    /// Version of the first page; none takes the latest and is no longer consistent.
    version: Option<u64>,
    /// Last key given, without the prefix of the list.
    start: String,
}

impl Token {
    fn parse(text: &str) -> Result<Option<Self>, Status> {
        if text.is_empty() {
            return Ok(None);
        }
        let broken = |why: &str| {
            let message = format!("invalid continue token: continue key is not valid: {why}");
            Status::bad_request(message)
        };
        let bytes = TOKENS.decode(text.trim_end_matches('=')).map_err(|cause| {
            let at = match cause {
                DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
                // Go tells where the group begins that has too little.
                _ => text.len() / 4 * 4,
            };
            broken(&format!("illegal base64 data at input byte {at}"))
        })?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| match bytes.first() {
            Some(byte) => {
                let first = char::from(*byte);
                let shown = if first.is_control() {
                    format!("\\u{:04x}", *byte)
                } else {
                    first.to_string()
                };
                broken(&format!(
                    "invalid character '{shown}' looking for beginning of value"
                ))
            }
            None => broken("unexpected end of JSON input"),
        })?;
        let encoding = value["v"].as_str().unwrap_or_default();
        if encoding != "meta.k8s.io/v1" {
            let why = format!("server does not recognize this encoded version {encoding}");
            return Err(broken(&why));
        }
        if value["rv"].as_i64().unwrap_or(0) == 0 {
            let why = "incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
            return Err(broken(why));
        }
        let start = value["start"].as_str().unwrap_or_default();
        if start.is_empty() {
            let why = "encoded start key empty (version meta.k8s.io/v1)";
            return Err(broken(why));
        }
        let is_step = |step: &str| !matches!(step, "" | "." | "..");
        if !start.trim_start_matches('/').split('/').all(is_step) {
            return Err(broken(start));
        }
        Ok(Some(Self {
            version: value["rv"].as_u64(),
            start: start.to_owned(),
        }))
    }

    fn encode(&self) -> String {
        let version = self.version.map_or(json!(-1), |version| json!(version));
        let value = json!({"v": "meta.k8s.io/v1", "rv": version, "start": self.start});
        TOKENS.encode(value.to_string())
    }
}

fn wanted_version(asked: AtVersion, token: Option<&Token>, current: u64) -> Result<u64, Status> {
    let version = match (token, asked) {
        (Some(_), AtVersion::Forbidden) => {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Status::bad_request(message));
        }
        (Some(token), _) => token.version.unwrap_or(current),
        (None, AtVersion::Exactly(version)) => version,
        (None, AtVersion::NotOlderThan(version)) if version > current => {
            return Err(too_large(version, current));
        }
        (None, _) => current,
    };
    if version <= current {
        return Ok(version);
    }
    // Nobody waits for a version that may never come.
    let mut status = too_large(version, current);
    status.details.get_or_insert_default().retry_after_secs = 0;
    Err(status)
}

/// 504: a version that is not there yet.
pub(crate) fn too_large(version: u64, current: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {version}, current: {current}");
    let cause = Cause::new("ResourceVersionTooLarge", "", "Too large resource version");
    let details = Details {
        causes: vec![cause],
        retry_after_secs: 1,
        ..Details::default()
    };
    let mut status = Status::plain(504, "Timeout", message);
    status.details = Some(Box::new(details));
    status
}

/// 410: a version that is not kept any more. A list that had begun may go on at the latest.
fn expired(_: Compacted, token: Option<&Token>) -> Status {
    let Some(token) = token else {
        return Status::expired("The resourceVersion for the provided list is too old.");
    };
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted \
         between the time the first chunk was returned and now may show up in the list.",
    );
    let next = Token {
        version: None,
        start: token.start.clone(),
    };
    let details = Details {
        continue_token: next.encode(),
        ..Details::default()
    };
    status.details = Some(Box::new(details));
    status
}
