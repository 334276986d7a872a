//! `meridian join`: makes a cluster a member.
//!
//! In the member: the system namespace, a service account with its rights, a token. On the host: the
//! Secret with that token, and the KubeFedCluster. Everything is applied, so joining twice is
//! joining once.

mod rights;

use crate::cli;
use crate::{kubeconfig, output};
use anyhow::{Context, Result, bail, ensure};
use api::KubeFedCluster;
use controller::ControlPlane;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config, Resource, ResourceExt};
use model::ClusterName;
use rights::Rights;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;

/// Field manager of what a join writes.
const MANAGER: &str = "meridian-join";
/// Where the member's token controller notes whose token a Secret holds.
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// How long the member's token controller may take; it takes milliseconds.
const TOKEN_PATIENCE: Duration = Duration::from_secs(30);

/// A member to be, and what the host shall know of it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: ClusterName,
    /// The Secret on the host that keeps its token; nothing: named after the member.
    pub(crate) secret: Option<String>,
    /// How the joiner reaches it.
    pub(crate) config: Config,
    /// Labels for placement.
    pub(crate) labels: Vec<(String, String)>,
    /// Whether its account may do no more than what is federated needs; nothing: as it was.
    pub(crate) least_privilege: Option<bool>,
    /// `region`, `city` and `location` of the KubeFedCluster's spec; those that are known.
    pub(crate) place: serde_json::Map<String, Value>,
}

/// Runs the command.
///
/// # Errors
/// Whatever keeps the cluster from being a member, with the step that failed.
pub(crate) async fn run(args: cli::Join) -> Result<()> {
    let name = ClusterName::parse(&args.name)?;
    let host = Client::try_from(kubeconfig::host(&args.host).await?)?;
    let file = args
        .cluster_kubeconfig
        .as_deref()
        .or(args.host.kubeconfig.as_deref());
    let context = args.cluster_context.as_deref();
    let config = kubeconfig::member(file, context, name.as_str()).await?;
    let mut place = serde_json::Map::new();
    if let Some(region) = args.region {
        place.insert("region".into(), region.into());
    }
    if let Some(city) = args.city {
        place.insert("city".into(), city.into());
    }
    if let Some(location) = &args.location {
        place.insert("location".into(), coordinates(location)?);
    }
    let labels = args
        .label
        .iter()
        .map(|label| key_value(label))
        .collect::<Result<_>>()?;
    let member = Member {
        secret: args.secret_name,
        name,
        config,
        labels,
        least_privilege: args.least_privilege,
        place,
    };
    let clusters = Api::<KubeFedCluster>::namespaced(host.clone(), &args.host.system_namespace);
    if args.error_on_existing == Some(true) && clusters.get_opt(&args.name).await?.is_some() {
        bail!(
            "{} is a member already; without --error-on-existing it is joined anew",
            args.name
        );
    }
    if args.dry_run {
        eprintln!(
            "{} at {} would join; nothing was done",
            member.name, member.config.cluster_url
        );
        return Ok(());
    }
    if args.update_rbac {
        return update_rights(&host, &args.host.system_namespace, &member).await;
    }
    let words = format!("making access in {} and waiting for its token", member.name);
    let joining = join(&host, &args.host.system_namespace, &member);
    let cluster = output::in_progress(&words, joining).await?;
    eprintln!(
        "{} joined: see it with 'kubectl -n {} get kubefedcluster {}'",
        member.name, args.host.system_namespace, member.name
    );
    super::get::print_cluster(args.output, cluster)
}

/// Makes a cluster a member of the host.
///
/// # Errors
/// The step that failed, and why.
pub(crate) async fn join(
    host: &Client,
    namespace: &str,
    member: &Member,
) -> Result<KubeFedCluster> {
    let name = &member.name;
    let there = Client::try_from(member.config.clone())?;
    let us = control_plane(host, namespace).await?;
    let rights = Rights::of(host, &there, &us, namespace, member.least_privilege).await?;
    let token = grant(&there, namespace, &us.uid, &rights)
        .await
        .with_context(|| format!("no access could be made in {name}"))?;
    register(host, namespace, member, &token)
        .await
        .with_context(|| format!("{name} could not be registered on the host"))
}

/// Grants an account that is there what it needs now.
async fn update_rights(host: &Client, namespace: &str, member: &Member) -> Result<()> {
    let name = &member.name;
    let there = Client::try_from(member.config.clone())?;
    let us = control_plane(host, namespace).await?;
    let account = account(&us.uid);
    let accounts = Api::<ServiceAccount>::namespaced(there.clone(), namespace);
    if accounts.get_opt(&account).await?.is_none() {
        bail!("{name} has no account {namespace}/{account} of this host: join it first");
    }
    let rights = Rights::of(host, &there, &us, namespace, member.least_privilege).await?;
    rights
        .grant(&there, namespace, &account)
        .await
        .with_context(|| format!("the rights in {name} could not be changed"))?;
    eprintln!("{name}: {account} may now {rights}");
    Ok(())
}

/// What a service account's Secret holds.
struct Credentials {
    token: String,
    ca: String,
}

/// One account per host: two hosts that share a member revoke each other nothing.
pub(crate) fn account(host_uid: &str) -> String {
    format!("meridian-{}", host_uid.get(..8).unwrap_or("host"))
}

/// In the member: namespace, service account, rights, token.
async fn grant(
    member: &Client,
    namespace: &str,
    host_uid: &str,
    rights: &Rights,
) -> Result<Credentials> {
    let account = account(host_uid);
    apply(&Api::<Namespace>::all(member.clone()), namespace, json!({})).await?;
    let accounts = Api::<ServiceAccount>::namespaced(member.clone(), namespace);
    apply(&accounts, &account, json!({})).await?;
    let account_uid = accounts.get(&account).await?.uid().unwrap_or_default();
    rights.grant(member, namespace, &account).await?;
    let secret = format!("{account}-token");
    let secrets = Api::<Secret>::namespaced(member.clone(), namespace);
    let wanted = json!({
        "type": "kubernetes.io/service-account-token",
        "metadata": {"annotations": {"kubernetes.io/service-account.name": account}},
    });
    remove_token_of_another(&secrets, &secret, &account_uid).await?;
    apply(&secrets, &secret, wanted).await?;
    let filled = |secret: Option<&Secret>| {
        secret.is_some_and(|secret| {
            account_of(secret) == Some(&account_uid) && field(secret, "token").is_some()
        })
    };
    let waiting = await_condition(secrets, &secret, filled);
    let Ok(found) = tokio::time::timeout(TOKEN_PATIENCE, waiting).await else {
        bail!(
            "Secret {namespace}/{secret} got no token within {} s: is kube-controller-manager running there?",
            TOKEN_PATIENCE.as_secs()
        );
    };
    let found = found?.context("the Secret went away while its token was awaited")?;
    let token = field(&found, "token").unwrap_or_default();
    Ok(Credentials {
        token,
        ca: field(&found, "ca.crt").unwrap_or_default(),
    })
}

/// Who the host is, and what it federates.
///
/// # Errors
/// It does not say.
pub(crate) async fn control_plane(host: &Client, namespace: &str) -> Result<ControlPlane> {
    let found = ControlPlane::find(host, namespace).await;
    found.context("the host does not say who it is; are meridian's CRDs installed? 'kubectl apply --server-side -f crds/'")
}

/// Uid of the service account that a Secret's token is for.
fn account_of(secret: &Secret) -> Option<&String> {
    secret.annotations().get(ACCOUNT_UID)
}

/// Removes the Secret of an account of this name that is no more: its token was revoked with it, and
/// lingers until the member's token controller comes round.
async fn remove_token_of_another(secrets: &Api<Secret>, name: &str, account: &str) -> Result<()> {
    let Some(found) = secrets.get_opt(name).await? else {
        return Ok(());
    };
    if account_of(&found).is_none_or(|uid| uid == account) {
        return Ok(());
    }
    let parameters = DeleteParams::default().preconditions(Preconditions {
        uid: found.uid(),
        resource_version: None,
    });
    match secrets.delete(name, &parameters).await {
        Ok(_) => Ok(()),
        // The token controller was first.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
        Err(why) => Err(why).with_context(|| format!("the revoked token in Secret {name}")),
    }
}

/// On the host: namespace, Secret, KubeFedCluster.
async fn register(
    host: &Client,
    namespace: &str,
    member: &Member,
    credentials: &Credentials,
) -> Result<KubeFedCluster> {
    apply(&Api::<Namespace>::all(host.clone()), namespace, json!({})).await?;
    let named = member.secret.clone();
    let secret = named.unwrap_or_else(|| format!("{}-token", member.name));
    let data = json!({"stringData": {"token": credentials.token, "ca.crt": credentials.ca}});
    let secrets = Api::<Secret>::namespaced(host.clone(), namespace);
    apply(&secrets, &secret, data).await?;
    // Other credentials, put there by somebody else, would go before the token, or with it.
    let others = json!({"data": {"kubeconfig": null, "tls.crt": null, "tls.key": null}});
    secrets
        .patch(&secret, &PatchParams::default(), &Patch::Merge(&others))
        .await
        .with_context(|| format!("Secret {secret}"))?;
    let mut spec = member.place.clone();
    let endpoint = member.config.cluster_url.to_string();
    spec.insert("apiEndpoint".into(), endpoint.trim_end_matches('/').into());
    spec.insert("secretRef".into(), json!({"name": secret}));
    // The way that was just gone is the one that leads there.
    if let Some(proxy) = &member.config.proxy_url {
        spec.insert("proxyURL".into(), proxy.to_string().into());
    }
    let ca = pem(&member.config, credentials);
    spec.insert(
        "caBundle".into(),
        serde_json::to_value(k8s_openapi::ByteString(ca.into_bytes()))?,
    );
    let labels: serde_json::Map<String, Value> = member
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    let cluster = json!({"metadata": {"labels": labels}, "spec": spec});
    let clusters = Api::<KubeFedCluster>::namespaced(host.clone(), namespace);
    apply(&clusters, member.name.as_str(), cluster)
        .await
        .context("are meridian's CRDs installed? 'kubectl apply --server-side -f crds/'")
}

/// The certificates that the joiner itself trusted; else those that the member hands its pods.
fn pem(config: &Config, credentials: &Credentials) -> String {
    match &config.root_cert {
        Some(certificates) if !certificates.is_empty() => certificates
            .iter()
            .map(|der| kubeconfig::pem_of(der))
            .collect(),
        _ => credentials.ca.clone(),
    }
}

fn field(secret: &Secret, name: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(name)?;
    String::from_utf8(bytes.0.clone())
        .ok()
        .filter(|text| !text.is_empty())
}

/// Applies `body` with its type and name filled in.
async fn apply<K>(api: &Api<K>, name: &str, mut body: Value) -> Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Serialize,
{
    body["apiVersion"] = K::api_version(&()).into_owned().into();
    body["kind"] = K::kind(&()).into_owned().into();
    body["metadata"]["name"] = name.into();
    api.patch(
        name,
        &PatchParams::apply(MANAGER).force(),
        &Patch::Apply(&body),
    )
    .await
    .with_context(|| format!("{} {name}", K::kind(&())))
}

fn coordinates(text: &str) -> Result<Value> {
    let parts: Vec<f64> = text
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    ensure!(
        parts.len() == 2,
        "--location {text:?}: give LATITUDE,LONGITUDE, such as 50.11,8.68"
    );
    let location = model::Location {
        latitude: parts[0],
        longitude: parts[1],
    };
    ensure!(
        location.is_valid(),
        "--location {text:?}: latitude is within -90 and 90, longitude within -180 and 180"
    );
    Ok(json!({"latitude": location.latitude, "longitude": location.longitude}))
}

fn key_value(text: &str) -> Result<(String, String)> {
    let (key, value) = text
        .split_once('=')
        .with_context(|| format!("--label {text:?}: give KEY=VALUE"))?;
    ensure!(!key.is_empty(), "--label {text:?}: the key is empty");
    ensure!(
        key != federation::LABEL_MANAGED,
        "--label {text:?}: this label is meridian's own"
    );
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_two_numbers_on_the_earth() {
        let berlin = json!({"latitude": 52.52, "longitude": 13.4});
        assert_eq!(coordinates("52.52, 13.4").expect("fine"), berlin);
        for bad in ["", "1", "1,2,3", "91,0", "0,181", "north,east"] {
            let error = coordinates(bad).expect_err(bad).to_string();
            assert!(error.starts_with("--location"), "{error}");
        }
    }

    #[test]
    fn a_label_is_a_key_and_a_value() {
        assert_eq!(
            key_value("tier=edge").expect("fine"),
            ("tier".into(), "edge".into())
        );
        assert!(key_value("tier").is_err());
        assert!(key_value("=x").is_err());
        assert!(key_value("kubefed.io/managed=true").is_err());
    }
}
