//! A member asked once, by single reads, for whoever plans and does not stay.
//!
//! What it says is held in lanes that watch nothing, so that plans read it as they read a watched
//! member. Unlike a watch, a read also meets objects without our label: a controller would meet
//! them with its first write, and plan again.

use super::apply::DEADLINE;
use super::sighting::Sighting;
use super::{Cache, Depth, Member, depth};
use crate::wake::NamedType;
use api::key_of;
use federation::LABEL_MANAGED;
use futures::{StreamExt, stream};
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, Error};
use model::ObjectKey;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Reads of one member at once.
const READS_MAX: usize = 16;
/// How long one member may take to answer all that it is asked.
const MEMBER_DEADLINE: Duration = Duration::from_secs(20);

/// Targets to read, by the name of their type.
pub(crate) type Questions = BTreeMap<Arc<str>, (NamedType, BTreeSet<ObjectKey>)>;

/// What a member answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The objects that are there, whole.
    pub(crate) objects: BTreeMap<(Arc<str>, ObjectKey), DynamicObject>,
    /// Types that it did not let be read, and its own words.
    pub(crate) refused: BTreeMap<Arc<str>, String>,
    /// Why it is taken not to answer at all.
    pub(crate) silent: Option<String>,
}

/// Asks a member, and fills its lanes with what it says; what it does not say stays unknown.
pub(crate) async fn ask(member: &Member, questions: &Questions) -> Answers {
    let Some(client) = member.requests() else {
        let why = member.malformed();
        return Answers {
            silent: Some(why.unwrap_or_else(|| "it is not connected".to_owned())),
            ..Answers::default()
        };
    };
    let asking = async {
        let mut answers = Answers::default();
        for (type_name, (named, targets)) in questions {
            if let Err(why) = ask_type(member, &client, named, targets, &mut answers).await {
                answers.silent = Some(why);
                break;
            }
            tracing::trace!(%type_name, cluster = %member.name, "read once");
        }
        answers
    };
    let (answers, ()) = tokio::join!(timeout(MEMBER_DEADLINE, asking), member.identify());
    answers.unwrap_or_else(|_| Answers {
        silent: Some(not_within(MEMBER_DEADLINE)),
        ..Answers::default()
    })
}

/// Reads the targets of one type; the error is silence.
async fn ask_type(
    member: &Member,
    client: &Client,
    named: &NamedType,
    targets: &BTreeSet<ObjectKey>,
    answers: &mut Answers,
) -> Result<(), String> {
    let cache = Cache::default();
    cache.begin_list();
    let mut reads = stream::iter(targets.clone())
        .map(|key| async move { read(client, named, &key).await })
        .buffer_unordered(READS_MAX);
    let (mut complete, mut absent) = (true, false);
    while let Some(answer) = reads.next().await {
        match answer {
            Ok(object) => {
                hold(&cache, named, &object);
                let key = (Arc::clone(&named.name), key_of(&object.metadata));
                answers.objects.insert(key, object);
            }
            Err(Error::Api(status)) if status.code == 404 => absent = true,
            Err(Error::Api(status)) => {
                complete = false;
                let name = Arc::clone(&named.name);
                answers.refused.insert(name, status.message.clone());
            }
            Err(error) => return Err(words(&error)),
        }
    }
    drop(reads);
    if absent && complete && !is_served(client, named, member.within.as_deref()).await? {
        cache.not_served();
    } else if complete {
        cache.end_list();
    }
    member.hold_still(&named.name, cache);
    Ok(())
}

fn hold(cache: &Cache, named: &NamedType, object: &DynamicObject) {
    let key = key_of(&object.metadata);
    // As much as a watch would show.
    let rest = (depth(&named.federated) == Depth::Whole).then_some(&object.data);
    let sighting = Sighting::of(&object.metadata, rest);
    let labels = object.metadata.labels.as_ref();
    match labels
        .and_then(|labels| labels.get(LABEL_MANAGED))
        .map(String::as_str)
    {
        Some("true") => drop(cache.take(&key, sighting)),
        _ => cache.meet(&key, sighting),
    }
}

async fn read(client: &Client, named: &NamedType, key: &ObjectKey) -> Result<DynamicObject, Error> {
    let resource = &named.federated.target;
    let api: Api<DynamicObject> = match named.federated.target_namespaced {
        true => Api::namespaced_with(client.clone(), &key.namespace, resource),
        false => Api::all_with(client.clone(), resource),
    };
    in_time(api.get(&key.name)).await
}

/// A single object that is not there says nothing of its type; a list does.
async fn is_served(
    client: &Client,
    named: &NamedType,
    within: Option<&str>,
) -> Result<bool, String> {
    let target = &named.federated.target;
    let api: Api<DynamicObject> = match within {
        None => Api::all_with(client.clone(), target),
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, target),
    };
    match in_time(api.list_metadata(&ListParams::default().limit(1))).await {
        Err(Error::Api(status)) => Ok(status.code != 404),
        Err(error) => Err(words(&error)),
        Ok(_) => Ok(true),
    }
}

async fn in_time<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let answered = timeout(DEADLINE, request).await;
    answered.unwrap_or_else(|_| Err(Error::Service(not_within(DEADLINE).into())))
}

fn not_within(deadline: Duration) -> String {
    format!("no answer within {} s", deadline.as_secs())
}

/// The innermost cause: what lies around it says only that a request failed.
fn words(error: &Error) -> String {
    let mut cause = error.source();
    let mut words = error.to_string();
    while let Some(inner) = cause {
        words = inner.to_string();
        cause = inner.source();
    }
    words
}
