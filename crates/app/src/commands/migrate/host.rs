//! The host's part of the move: definitions brought up to date, and KubeFed's admission webhooks put
//! aside, since nobody answers them any more and they would refuse every write.

use crate::commands::enable;
use crate::manifests;
use anyhow::{Context, Result};
use api::FederatedTypeConfig;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The Service behind KubeFed's admission webhooks.
const WEBHOOK_SERVICE: &str = "kubefed-admission-webhook";
/// Where what was put aside is kept for the way back.
const KEPT: &str = "meridian-migration";
const VALIDATING: &str = "validating.json";
const MUTATING: &str = "mutating.json";

/// Something on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) fate: String,
}

/// What becomes of the host's own objects.
///
/// # Errors
/// The host does not say.
pub(super) async fn rows(host: &Client, namespace: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let configs = Api::<FederatedTypeConfig>::namespaced(host.clone(), namespace);
    for config in configs.list(&ListParams::default()).await?.items {
        let kind = &config.spec.federated_type.kind;
        rows.push(Row {
            what: format!("FederatedTypeConfig {}", config.name_any()),
            fate: match config.spec.propagation {
                api::Switch::Enabled => format!("obeyed; {kind} gets meridian's schema"),
                api::Switch::Disabled => "obeyed; not propagated".to_owned(),
            },
        });
    }
    let (validating, mutating) = webhooks(host, namespace).await?;
    let names = validating.iter().map(ResourceExt::name_any);
    rows.extend(
        names
            .chain(mutating.iter().map(ResourceExt::name_any))
            .map(|name| Row {
                what: format!("webhooks {name}"),
                fate: format!("put aside in ConfigMap {namespace}/{KEPT} until --undo"),
            }),
    );
    Ok(rows)
}

/// Does the host's part of the move.
///
/// # Errors
/// The host refuses it.
pub(super) async fn take_over(host: &Client, namespace: &str) -> Result<()> {
    put_aside(host, namespace).await?;
    manifests::install_crds(host).await?;
    let configs = Api::<FederatedTypeConfig>::namespaced(host.clone(), namespace);
    for config in configs.list(&ListParams::default()).await?.items {
        match enable::definition(host, &config).await {
            Ok(crd) => manifests::install_crd(host, &crd).await?,
            Err(why) => eprintln!(
                "{}: its definition stays as KubeFed made it: {why:#}",
                config.name_any()
            ),
        }
    }
    Ok(())
}

/// The way back: the webhooks are as they were.
///
/// # Errors
/// The host refuses it.
pub(super) async fn give_back(host: &Client, namespace: &str) -> Result<()> {
    let maps = Api::<ConfigMap>::namespaced(host.clone(), namespace);
    let Some(kept) = maps.get_opt(KEPT).await? else {
        return Ok(());
    };
    let data = kept.data.unwrap_or_default();
    restore::<ValidatingWebhookConfiguration>(host, data.get(VALIDATING)).await?;
    restore::<MutatingWebhookConfiguration>(host, data.get(MUTATING)).await?;
    maps.delete(KEPT, &DeleteParams::default()).await?;
    Ok(())
}

async fn put_aside(host: &Client, namespace: &str) -> Result<()> {
    let (validating, mutating) = webhooks(host, namespace).await?;
    if validating.is_empty() && mutating.is_empty() {
        return Ok(());
    }
    let bare = |metadata: &mut ObjectMeta| {
        *metadata = ObjectMeta {
            name: metadata.name.clone(),
            labels: metadata.labels.clone(),
            annotations: metadata.annotations.clone(),
            ..ObjectMeta::default()
        };
    };
    let (mut kept_validating, mut kept_mutating) = (validating.clone(), mutating.clone());
    kept_validating
        .iter_mut()
        .for_each(|webhooks| bare(&mut webhooks.metadata));
    kept_mutating
        .iter_mut()
        .for_each(|webhooks| bare(&mut webhooks.metadata));
    let data = BTreeMap::from([
        (VALIDATING, serde_json::to_string(&kept_validating)?),
        (MUTATING, serde_json::to_string(&kept_mutating)?),
    ]);
    let kept = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": KEPT, "namespace": namespace}, "data": data});
    let maps = Api::<ConfigMap>::namespaced(host.clone(), namespace);
    let parameters = PatchParams::apply("meridian-migrate").force();
    maps.patch(KEPT, &parameters, &Patch::Apply(&kept))
        .await
        .with_context(|| format!("ConfigMap {namespace}/{KEPT}"))?;
    let api = Api::<ValidatingWebhookConfiguration>::all(host.clone());
    for webhooks in &validating {
        api.delete(&webhooks.name_any(), &DeleteParams::default())
            .await?;
    }
    let api = Api::<MutatingWebhookConfiguration>::all(host.clone());
    for webhooks in &mutating {
        api.delete(&webhooks.name_any(), &DeleteParams::default())
            .await?;
    }
    Ok(())
}

async fn restore<K>(host: &Client, kept: Option<&String>) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let kept: Vec<K> = match kept {
        Some(text) => serde_json::from_str(text).context("what was put aside does not read")?,
        None => Vec::new(),
    };
    let api = Api::<K>::all(host.clone());
    for webhooks in kept {
        match api.create(&PostParams::default(), &webhooks).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(why) => return Err(why).with_context(|| webhooks.name_any()),
        }
    }
    Ok(())
}

type Webhooks = (
    Vec<ValidatingWebhookConfiguration>,
    Vec<MutatingWebhookConfiguration>,
);

/// Those that call KubeFed.
async fn webhooks(host: &Client, namespace: &str) -> Result<Webhooks> {
    let is_kubefeds = |config: &WebhookClientConfig| {
        config.service.as_ref().is_some_and(|service| {
            service.name == WEBHOOK_SERVICE && service.namespace == namespace
        })
    };
    let list = ListParams::default();
    let validating = Api::<ValidatingWebhookConfiguration>::all(host.clone());
    let mut validating = validating.list(&list).await?.items;
    validating.retain(|all| {
        let mut webhooks = all.webhooks.iter().flatten();
        webhooks.any(|webhook| is_kubefeds(&webhook.client_config))
    });
    let mutating = Api::<MutatingWebhookConfiguration>::all(host.clone());
    let mut mutating = mutating.list(&list).await?.items;
    mutating.retain(|all| {
        let mut webhooks = all.webhooks.iter().flatten();
        webhooks.any(|webhook| is_kubefeds(&webhook.client_config))
    });
    Ok((validating, mutating))
}
