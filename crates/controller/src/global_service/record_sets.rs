//! DNSEndpoints that the leader writes on the host: KubeFed's, which DNS replicas serve, and ExternalDNS's own
//! where the host has that kind.

use super::Names;
use crate::Error;
use crate::context::Context;
use api::{DNSEndpoint, DnsRecordSet, ExternalDNSEndpoint, IngressDNSRecord, ServiceDNSRecord};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use model::ObjectKey;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Field manager of DNSEndpoints.
const MANAGER: &str = "meridian-dns";
/// Between two questions whether the host has ExternalDNS's kind.
const ASKED_AGAIN: Duration = Duration::from_secs(60);
/// What an API server says of a kind or an object that is not there.
const ABSENT: u16 = 404;
/// As KubeFed called them.
pub(super) const SERVICE_PREFIX: &str = "service-";
pub(super) const INGRESS_PREFIX: &str = "ingress-";

/// The record that a DNSEndpoint belongs to.
pub(super) struct Owner<'a> {
    kind: String,
    api_version: String,
    record: &'a ObjectKey,
    uid: &'a str,
    prefix: &'static str,
}

/// Whether the host has ExternalDNS's kind.
#[derive(Default)]
pub(super) struct External {
    served: Mutex<Option<(Instant, bool)>>,
}

impl<'a> Owner<'a> {
    pub(super) fn service(record: &'a ObjectKey, uid: &'a str) -> Self {
        Self::of::<ServiceDNSRecord>(record, uid, SERVICE_PREFIX)
    }

    pub(super) fn ingress(record: &'a ObjectKey, uid: &'a str) -> Self {
        Self::of::<IngressDNSRecord>(record, uid, INGRESS_PREFIX)
    }

    fn of<K: Resource<DynamicType = ()>>(
        record: &'a ObjectKey,
        uid: &'a str,
        prefix: &'static str,
    ) -> Self {
        Self {
            kind: K::kind(&()).into_owned(),
            api_version: K::api_version(&()).into_owned(),
            record,
            uid,
            prefix,
        }
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.record.namespace, &self.name())
    }

    /// The DNSEndpoint's name.
    fn name(&self) -> String {
        format!("{}{}", self.prefix, self.record.name)
    }

    fn manifest<K: Resource<DynamicType = ()>>(&self, sets: &[DnsRecordSet]) -> Value {
        json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {
                "namespace": &*self.record.namespace,
                "name": self.name(),
                "ownerReferences": [{
                    "apiVersion": self.api_version, "kind": self.kind,
                    "name": &*self.record.name, "uid": self.uid, "controller": true}],
            },
            "spec": {"endpoints": sets},
        })
    }

    /// Whether another controller has an object. KubeFed's own had no owner, and are taken over.
    fn is_kept_from<K: Resource>(&self, object: &K) -> bool {
        let mut owners = object.meta().owner_references.iter().flatten();
        owners.any(|it| it.controller == Some(true)) && !self.has_of_any_uid(object)
    }

    /// Whether an object is this record's, or was that of one of its name before.
    fn has_of_any_uid<K: Resource>(&self, object: &K) -> bool {
        let mut references = object.meta().owner_references.iter().flatten();
        references.any(|it| it.kind == self.kind && *it.name == *self.record.name)
    }

    /// Whether an object is this record's: by its name alone another's would be.
    fn has<K: Resource>(&self, object: &K) -> bool {
        let references = object.meta().owner_references.iter().flatten();
        let mut own = references.filter(|it| it.kind == self.kind && *it.name == *self.record.name);
        own.any(|it| self.uid.is_empty() || it.uid == self.uid)
    }
}

/// Makes the record's DNSEndpoints say this, also after somebody else changed one: both kinds are watched. What
/// stands in the way, in words, when an object of that name is somebody else's.
pub(super) async fn publish(
    context: &Context,
    names: &Names,
    owner: &Owner<'_>,
    sets: &[DnsRecordSet],
) -> Result<Option<String>, Error> {
    let key = owner.key();
    let held = context.host.dns_endpoint(&key).await?;
    if held
        .as_ref()
        .is_some_and(|held| owner.is_kept_from(&**held))
    {
        return Ok(Some(taken::<DNSEndpoint>(&key)));
    }
    if !held.is_some_and(|held| held.spec.endpoints == sets && owner.has(&*held)) {
        apply::<DNSEndpoint>(context, owner, sets).await?;
    }
    if !names.external.is_served(&context.host.client).await? {
        return Ok(None);
    }
    // KubeFed wrote none of these: what is not the record's own is somebody's.
    let known = context.host.external_dns_endpoint(&key).await?;
    let held = match known {
        Some(held) => Some(held),
        // One that was just made is not in the cache yet.
        None => held_of::<ExternalDNSEndpoint>(context, owner)
            .await?
            .map(Arc::new),
    };
    if held
        .as_ref()
        .is_some_and(|held| !owner.has_of_any_uid(&**held))
    {
        return Ok(Some(taken::<ExternalDNSEndpoint>(&key)));
    }
    if !held.is_some_and(|held| held.spec.endpoints == sets && owner.has(&*held)) {
        apply::<ExternalDNSEndpoint>(context, owner, sets).await?;
    }
    Ok(None)
}

/// Somebody else's object is left as it is.
fn taken<K: Resource<DynamicType = ()>>(key: &ObjectKey) -> String {
    let (kind, group) = (K::kind(&()), K::group(&()));
    format!(
        "the {kind} {} of {group} is somebody else's: rename or delete that, or call the record \
         otherwise",
        key.name
    )
}

/// Takes away the DNSEndpoints of a record that is gone. The host is asked for none: what is not in the caches yet
/// comes, and is looked at then.
pub(super) async fn delete(
    context: &Context,
    names: &Names,
    owner: &Owner<'_>,
) -> Result<(), Error> {
    let key = owner.key();
    let held = context.host.dns_endpoint(&key).await?;
    delete_one(context, owner, held.as_deref()).await?;
    if !names.external.is_served(&context.host.client).await? {
        return Ok(());
    }
    let held = context.host.external_dns_endpoint(&key).await?;
    delete_one(context, owner, held.as_deref()).await
}

async fn apply<K>(context: &Context, owner: &Owner<'_>, sets: &[DnsRecordSet]) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    if !context.leadership.may_write(DEADLINE) {
        return Err(Error::NotLeading);
    }
    let api = Api::<K>::namespaced(context.host.client.clone(), &owner.record.namespace);
    let parameters = PatchParams::apply(MANAGER).force();
    let manifest = owner.manifest::<K>(sets);
    let (name, patch) = (owner.name(), Patch::Apply(&manifest));
    let written = timeout(DEADLINE, api.patch(&name, &parameters, &patch)).await;
    written.map_err(|_| Error::HostTimedOut)??;
    Ok(())
}

/// What the host holds under the record's name.
async fn held_of<K>(context: &Context, owner: &Owner<'_>) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api = Api::<K>::namespaced(context.host.client.clone(), &owner.record.namespace);
    let found = timeout(DEADLINE, api.get_opt(&owner.name())).await;
    Ok(found.map_err(|_| Error::HostTimedOut)??)
}

async fn delete_one<K>(context: &Context, owner: &Owner<'_>, held: Option<&K>) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let Some(found) = held.filter(|held| owner.has(*held)) else {
        return Ok(());
    };
    let api = Api::<K>::namespaced(context.host.client.clone(), &owner.record.namespace);
    let name = owner.name();
    if !context.leadership.may_write(DEADLINE) {
        return Err(Error::NotLeading);
    }
    // Not one that was made anew meanwhile.
    let parameters = DeleteParams {
        preconditions: Some(kube::api::Preconditions {
            uid: found.meta().uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match timeout(DEADLINE, api.delete(&name, &parameters)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == ABSENT => Ok(()),
        Ok(Err(why)) => Err(why.into()),
        Err(_) => Err(Error::HostTimedOut),
    }
}

impl External {
    async fn is_served(&self, client: &Client) -> Result<bool, Error> {
        let known = *self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, served)) = known
            && at.elapsed() < ASKED_AGAIN
        {
            return Ok(served);
        }
        let group = ExternalDNSEndpoint::api_version(&()).into_owned();
        let asked = timeout(DEADLINE, client.list_api_group_resources(&group)).await;
        let kind = ExternalDNSEndpoint::kind(&());
        let served = match asked.map_err(|_| Error::HostTimedOut)? {
            Ok(listed) => listed.resources.iter().any(|it| it.kind == kind),
            Err(kube::Error::Api(status)) if status.code == ABSENT => false,
            Err(why) => return Err(why.into()),
        };
        let mut held = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some((Instant::now(), served));
        Ok(served)
    }
}
