//! DNSEndpoints that the leader writes on the host: KubeFed's, which DNS replicas serve, and ExternalDNS's own
//! where the host has that kind.

use super::Names;
use crate::Error;
use crate::context::Context;
use api::{DNSEndpoint, DnsRecordSet, ExternalDNSEndpoint, IngressDNSRecord, ServiceDNSRecord};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource};
use model::ObjectKey;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
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

/// What was written for ExternalDNS, and whether its kind is there.
#[derive(Default)]
pub(super) struct External {
    served: Mutex<Option<(Instant, bool)>>,
    written: Mutex<BTreeMap<ObjectKey, Value>>,
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

    /// Whether an object is this record's: by its name alone another's would be.
    fn has<K: Resource>(&self, object: &K) -> bool {
        let references = object.meta().owner_references.iter().flatten();
        let mut own = references.filter(|it| it.kind == self.kind && *it.name == *self.record.name);
        own.any(|it| self.uid.is_empty() || it.uid == self.uid)
    }
}

/// Makes the record's DNSEndpoints say this.
pub(super) async fn publish(
    context: &Context,
    names: &Names,
    owner: &Owner<'_>,
    sets: &[DnsRecordSet],
) -> Result<(), Error> {
    let key = ObjectKey::new(&owner.record.namespace, &owner.name());
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let held = context.host.dns_endpoints.get(&reference);
    if !held.is_some_and(|held| held.spec.endpoints == sets && owner.has(&*held)) {
        apply::<DNSEndpoint>(context, owner, sets).await?;
    }
    if !names.external.is_served(&context.host.client).await {
        return Ok(());
    }
    let manifest = owner.manifest::<ExternalDNSEndpoint>(sets);
    if names.external.wrote(&key).as_ref() != Some(&manifest) {
        apply::<ExternalDNSEndpoint>(context, owner, sets).await?;
        names.external.lock().insert(key, manifest);
    }
    Ok(())
}

/// Takes away the DNSEndpoints of a record that is gone.
pub(super) async fn delete(context: &Context, owner: &Owner<'_>) -> Result<(), Error> {
    delete_one::<DNSEndpoint>(context, owner).await?;
    delete_one::<ExternalDNSEndpoint>(context, owner).await
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

async fn delete_one<K>(context: &Context, owner: &Owner<'_>) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api = Api::<K>::namespaced(context.host.client.clone(), &owner.record.namespace);
    let name = owner.name();
    let found = timeout(DEADLINE, api.get_opt(&name)).await;
    let Some(found) = found.map_err(|_| Error::HostTimedOut)?? else {
        return Ok(());
    };
    if !owner.has(&found) {
        return Ok(());
    }
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
    async fn is_served(&self, client: &Client) -> bool {
        let known = *self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, served)) = known
            && at.elapsed() < ASKED_AGAIN
        {
            return served;
        }
        let group = ExternalDNSEndpoint::api_version(&()).into_owned();
        let asked = timeout(DEADLINE, client.list_api_group_resources(&group)).await;
        let kind = ExternalDNSEndpoint::kind(&());
        let served =
            matches!(asked, Ok(Ok(listed)) if listed.resources.iter().any(|it| it.kind == kind));
        let mut held = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some((Instant::now(), served));
        served
    }

    fn wrote(&self, key: &ObjectKey) -> Option<Value> {
        self.lock().get(key).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Value>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
