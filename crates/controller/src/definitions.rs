//! Whether the very kind of federated objects is being taken away from the host.
//!
//! Whoever deletes a CustomResourceDefinition has the API server delete all objects of it. That says
//! nothing of what they propagated: it stays in the members.
//!
//! # Guarantees
//! The host itself is asked, and after the deletion of an object was seen: a definition is marked
//! before any object of it is. Who waits for the same answer shares it.
//! # Assumptions
//! Federated kinds are custom resources.
//! # Caveats
//! An account that may not read definitions, as that of a single namespace, looks at discovery, which
//! follows a moment later; it looks when the deletion is older than [`SETTLED_SECS`].

use crate::Error;
use crate::context::Context;
use crate::events::{About, Tone};
use crate::wake::NamedType;
use api::{ConfigScope, FederatedTypeConfig};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, Resource, ResourceExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How old a deletion is before discovery is believed.
const SETTLED_SECS: u64 = 3;

/// When the host was asked last of a kind, and whether it goes.
type Answer = Arc<Mutex<Option<(Instant, bool)>>>;

/// What the host said, by the names of definitions.
#[derive(Default)]
pub(crate) struct Definitions {
    answers: Lock<HashMap<String, Answer>>,
}

/// Whether a deletion of that age is that of the kind. [`Error::Behind`] while that cannot be told.
pub(crate) async fn kind_goes(
    context: &Context,
    type_name: &str,
    deleted_for_secs: u64,
) -> Result<bool, Error> {
    let Some(cache) = context.type_cache(type_name) else {
        return Ok(true);
    };
    let named = &cache.named;
    let wanted_at = Instant::now();
    let answer = context.definitions.of(&definition_of(named));
    let mut answer = answer.lock().await;
    if let Some((asked_at, goes)) = *answer
        && asked_at >= wanted_at
    {
        return Ok(goes);
    }
    let asked_at = Instant::now();
    let goes = timeout(DEADLINE, ask(context, named, deleted_for_secs));
    let goes = goes.await.map_err(|_| Error::HostTimedOut)??;
    *answer = Some((asked_at, goes));
    if goes {
        tell(context, named);
    }
    Ok(goes)
}

impl Definitions {
    fn of(&self, definition: &str) -> Answer {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(answers.entry(definition.to_owned()).or_default())
    }
}

fn definition_of(named: &NamedType) -> String {
    let federated = &named.federated.federated;
    format!("{}.{}", federated.plural, federated.group)
}

async fn ask(context: &Context, named: &NamedType, deleted_for_secs: u64) -> Result<bool, Error> {
    let client = context.host.client.clone();
    if context.host.scope == ConfigScope::Cluster {
        let definitions = Api::<CustomResourceDefinition>::all(client.clone());
        let definition = definitions.get_metadata_opt(&definition_of(named)).await;
        match definition {
            Ok(definition) => {
                return Ok(definition.is_none_or(|it| it.metadata.deletion_timestamp.is_some()));
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(error) => return Err(error.into()),
        }
    }
    match deleted_for_secs < SETTLED_SECS {
        true => Err(Error::Behind),
        false => is_made_no_more(client, named).await,
    }
}

/// Whether the host serves a kind of which nothing new can be made, or no longer serves it.
async fn is_made_no_more(client: Client, named: &NamedType) -> Result<bool, Error> {
    let federated = &named.federated.federated;
    let served = match client
        .list_api_group_resources(&federated.api_version)
        .await
    {
        Ok(served) => served.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let mut served = served
        .iter()
        .filter(|served| served.name == federated.plural);
    Ok(!served.any(|served| served.verbs.iter().any(|verb| verb == "create")))
}

/// Once for the type, and not by each of its objects.
fn tell(context: &Context, named: &NamedType) {
    let note = format!(
        "the CustomResourceDefinition {} is being deleted, and its objects with it: what they \
         propagated stays in the members, without our marks",
        definition_of(named)
    );
    tracing::warn!("{note}");
    let configs = context.host.type_configs.state();
    let config = configs
        .iter()
        .find(|config| config.name_any() == *named.name);
    let about = About {
        api_version: FederatedTypeConfig::api_version(&()).into_owned(),
        kind: FederatedTypeConfig::kind(&()).into_owned(),
        namespace: context.host.system_namespace.clone(),
        name: named.name.to_string(),
        uid: config.and_then(|config| config.uid()).unwrap_or_default(),
    };
    context
        .events
        .tell(&about, Tone::Warning, "DefinitionDeleted", &note);
}
