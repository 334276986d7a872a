//! From a KubeFedCluster and its Secret to a client's configuration.

use super::connect::{Access, InProcess};
use crate::Error;
use api::{KubeFedCluster, TlsValidation};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster,
    NamedContext,
};
use std::collections::BTreeMap;

/// What decides a member's clients: when it changes, they are made anew.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fingerprint {
    spec: api::KubeFedClusterSpec,
    secret: Option<BTreeMap<String, ByteString>>,
}

impl Fingerprint {
    pub(crate) fn of(cluster: &KubeFedCluster, secret: Option<&Secret>) -> Self {
        let mut spec = cluster.spec.clone();
        // Where a member stands does not decide how it is reached.
        spec.region = None;
        spec.zones.clear();
        spec.city = None;
        spec.location = None;
        Self {
            spec,
            secret: secret.and_then(|secret| secret.data.clone()),
        }
    }
}

/// How a member is reached.
///
/// # Errors
/// [`Error::Malformed`] with the field of the KubeFedCluster or the key of the Secret.
pub(crate) async fn access(
    cluster: &KubeFedCluster,
    secret: Option<&Secret>,
    in_process: Option<&InProcess>,
) -> Result<Access, Error> {
    if let Some(in_process) = in_process {
        return Ok(Access::InProcess(in_process.clone()));
    }
    let spec = &cluster.spec;
    if spec
        .proxy_url
        .as_ref()
        .is_some_and(|proxy| !proxy.is_empty())
    {
        let message = "proxies are not supported; make the API reachable without one";
        return Err(Error::malformed("spec.proxyURL", message));
    }
    let name = &spec.secret_ref.name;
    let secret = secret.ok_or_else(|| {
        let message = format!("there is no Secret {name} in the KubeFedCluster's namespace");
        Error::malformed("spec.secretRef.name", message)
    })?;
    let data = secret.data.clone().unwrap_or_default();
    let kubeconfig = match text(&data, "kubeconfig", name)? {
        Some(text) => Kubeconfig::from_yaml(&text).map_err(|error| {
            Error::malformed(format!("Secret {name} kubeconfig"), error.to_string())
        })?,
        None => kubeconfig(cluster, &data)?,
    };
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| Error::malformed("spec", error.to_string()))?;
    config.default_retry = false;
    Ok(Access::Kubeconfig(Box::new(config)))
}

/// What KubeFed kept apart, as one kubeconfig.
fn kubeconfig(
    cluster: &KubeFedCluster,
    data: &BTreeMap<String, ByteString>,
) -> Result<Kubeconfig, Error> {
    let spec = &cluster.spec;
    let secret = &spec.secret_ref.name;
    let token = text(data, "token", secret)?;
    let has_pair = data.contains_key("tls.crt") && data.contains_key("tls.key");
    if token.is_none() && !has_pair {
        let message = "it has neither token, nor tls.crt and tls.key, nor kubeconfig";
        return Err(Error::malformed(format!("Secret {secret}"), message));
    }
    let server = match spec.api_endpoint.contains("://") {
        true => spec.api_endpoint.clone(),
        false => format!("https://{}", spec.api_endpoint),
    };
    // The spec's word goes before the Secret's, as in KubeFed.
    let authority = spec.ca_bundle.as_ref().or_else(|| data.get("ca.crt"));
    let authority = authority.filter(|bytes| !bytes.0.is_empty()).map(encoded);
    let insecure = insecure(&spec.disabled_tls_validations)?;
    let pair = |key: &str| data.get(key).filter(|_| has_pair).map(encoded);
    let auth = AuthInfo {
        token: token.map(|token| token.trim().to_owned().into()),
        client_certificate_data: pair("tls.crt"),
        client_key_data: pair("tls.key").map(Into::into),
        ..AuthInfo::default()
    };
    let named = "member".to_owned();
    Ok(Kubeconfig {
        clusters: vec![NamedCluster {
            name: named.clone(),
            cluster: Some(Cluster {
                server: Some(server),
                insecure_skip_tls_verify: insecure.then_some(true),
                certificate_authority_data: authority.filter(|_| !insecure),
                ..Cluster::default()
            }),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: named.clone(),
            auth_info: Some(auth),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: named.clone(),
            context: Some(Context {
                cluster: named.clone(),
                user: Some(named.clone()),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        current_context: Some(named),
        ..Kubeconfig::default()
    })
}

fn insecure(disabled: &[TlsValidation]) -> Result<bool, Error> {
    if disabled.iter().any(|check| *check != TlsValidation::All) {
        let message = "single checks cannot be left out; use \"*\", or mend the certificate";
        return Err(Error::malformed("spec.disabledTLSValidations", message));
    }
    Ok(!disabled.is_empty())
}

fn text(
    data: &BTreeMap<String, ByteString>,
    key: &str,
    secret: &str,
) -> Result<Option<String>, Error> {
    let Some(bytes) = data.get(key) else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes.0.clone());
    let text = text.map_err(|_| Error::malformed(format!("Secret {secret} {key}"), "not text"))?;
    Ok(Some(text))
}

/// As it stands in JSON: base64.
fn encoded(bytes: &ByteString) -> String {
    match serde_json::to_value(bytes) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    async fn read(spec: Value, data: Value) -> Result<Config, String> {
        let cluster: KubeFedCluster = serde_json::from_value(json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
            "metadata": {"name": "a"}, "spec": spec}))
        .unwrap();
        let secret: Secret = serde_json::from_value(json!({"data": data})).unwrap();
        match access(&cluster, Some(&secret), None).await {
            Ok(Access::Kubeconfig(config)) => Ok(*config),
            Ok(Access::InProcess(_)) => panic!("not asked for"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn an_endpoint_without_scheme_and_a_token_are_enough() {
        let spec = json!({"apiEndpoint": "10.0.0.1:6443", "secretRef": {"name": "s"}});
        let config = read(spec, json!({"token": "dG9rZW4="})).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
        assert!(!config.default_retry && !config.accept_invalid_certs);
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_named() {
        let spec = json!({"apiEndpoint": "a", "secretRef": {"name": "s"}});
        let none = read(spec.clone(), json!({})).await.unwrap_err();
        assert!(none.starts_with("Secret s: it has neither token"), "{none}");
        let broken = read(spec, json!({"kubeconfig": "Ow=="})).await.unwrap_err();
        assert!(broken.starts_with("Secret s kubeconfig"), "{broken}");
        let spec = json!({"apiEndpoint": "a", "secretRef": {"name": "s"},
            "disabledTLSValidations": ["SubjectName"]});
        let single = read(spec, json!({"token": "dA=="})).await.unwrap_err();
        assert!(
            single.starts_with("spec.disabledTLSValidations"),
            "{single}"
        );
    }
}
