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
use secrecy::ExposeSecret;
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
        Some(text) => {
            let at = format!("Secret {name} kubeconfig");
            let kubeconfig = Kubeconfig::from_yaml(&text)
                .map_err(|error| Error::malformed(at.as_str(), error.to_string()))?;
            check_is_whole(&kubeconfig).map_err(|why| Error::malformed(at.as_str(), why))?;
            kubeconfig
        }
        None => kubeconfig(cluster, &data)?,
    };
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| Error::malformed("spec", error.to_string()))?;
    config.default_retry = false;
    Ok(Access::Kubeconfig(Box::new(config)))
}

/// A Secret is data: it runs nothing in this process and has no file of this machine read, or who
/// writes Secrets could take the controller's own credentials. What is not obeyed is refused, too.
fn check_is_whole(kubeconfig: &Kubeconfig) -> Result<(), String> {
    let refused = |field: &str, instead: &str| Err(format!("{field} is refused: {instead}"));
    let users = kubeconfig.auth_infos.iter();
    for user in users.filter_map(|named| named.auth_info.as_ref()) {
        let data = "put the data itself there";
        if user.exec.is_some() || user.auth_provider.is_some() {
            let field = if user.exec.is_some() {
                "exec"
            } else {
                "auth-provider"
            };
            return refused(
                &format!("user.{field}"),
                "no program of a Secret's choice is run; use a token or a client certificate",
            );
        }
        if user.token_file.is_some() {
            return refused("user.tokenFile", "put the token itself there, as token");
        }
        if user.client_certificate.is_some() {
            return refused("user.client-certificate", data);
        }
        if user.client_key.is_some() {
            return refused("user.client-key", data);
        }
        if let Some(token) = &user.token {
            check_token(token.expose_secret())?;
        }
    }
    let clusters = kubeconfig.clusters.iter();
    for cluster in clusters.filter_map(|named| named.cluster.as_ref()) {
        if cluster.certificate_authority.is_some() {
            let instead = "put the data itself there, as certificate-authority-data";
            return refused("cluster.certificate-authority", instead);
        }
        if cluster
            .proxy_url
            .as_ref()
            .is_some_and(|url| !url.is_empty())
        {
            let instead = "proxies are not supported; make the API reachable without one";
            return refused("cluster.proxy-url", instead);
        }
        if cluster.tls_server_name.is_some() {
            let instead = "the name in the certificate must be that of the server";
            return refused("cluster.tls-server-name", instead);
        }
    }
    Ok(())
}

/// A token goes into a header, which takes no more than visible characters.
fn check_token(token: &str) -> Result<(), String> {
    match token.chars().all(|character| character.is_ascii_graphic()) {
        true => Ok(()),
        false => {
            Err("the token has a character that no token has, such as a line break".to_owned())
        }
    }
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
    let token = token.map(|token| token.trim().to_owned());
    if let Some(token) = &token {
        let at = format!("Secret {secret} token");
        check_token(token).map_err(|why| Error::malformed(at, why))?;
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
        token: token.map(Into::into),
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
        let spec = json!({"apiEndpoint": "a", "secretRef": {"name": "s"}});
        let two_lines = read(spec, json!({"token": "YQpi"})).await.unwrap_err();
        assert!(
            two_lines.starts_with("Secret s token: the token has"),
            "{two_lines}"
        );
        let spec = json!({"apiEndpoint": "a", "secretRef": {"name": "s"},
            "disabledTLSValidations": ["SubjectName"]});
        let single = read(spec, json!({"token": "dA=="})).await.unwrap_err();
        assert!(
            single.starts_with("spec.disabledTLSValidations"),
            "{single}"
        );
    }

    /// Base64 of a kubeconfig of one user and one cluster.
    async fn with_kubeconfig(user: Value, mut cluster: Value) -> Result<Config, String> {
        cluster["server"] = json!("https://a:6443");
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "m",
            "clusters": [{"name": "m", "cluster": cluster}],
            "users": [{"name": "m", "user": user}],
            "contexts": [{"name": "m", "context": {"cluster": "m", "user": "m"}}]});
        let bytes = ByteString(kubeconfig.to_string().into_bytes());
        let spec = json!({"apiEndpoint": "a", "secretRef": {"name": "s"}});
        read(spec, json!({"kubeconfig": encoded(&bytes)})).await
    }

    #[tokio::test]
    async fn a_kubeconfig_runs_nothing_and_reads_no_file_of_this_machine() {
        let whole = with_kubeconfig(json!({"token": "abc"}), json!({})).await;
        assert_eq!(whole.unwrap().cluster_url.to_string(), "https://a:6443/");
        let folder = tempfile::tempdir().unwrap();
        let ran = folder.path().join("ran");
        let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": "touch", "args": [ran.display().to_string()],
            "interactiveMode": "Never"}});
        let own = "/etc/hostname";
        for (user, cluster, field) in [
            (exec, json!({}), "user.exec"),
            (
                json!({"auth-provider": {"name": "gcp", "config": {"cmd-path": "touch"}}}),
                json!({}),
                "user.auth-provider",
            ),
            (json!({"tokenFile": own}), json!({}), "user.tokenFile"),
            (
                json!({"client-certificate": own}),
                json!({}),
                "user.client-certificate",
            ),
            (json!({"client-key": own}), json!({}), "user.client-key"),
            (
                json!({"token": "abc"}),
                json!({"certificate-authority": own}),
                "cluster.certificate-authority",
            ),
            (
                json!({"token": "abc"}),
                json!({"proxy-url": "http://p:3128"}),
                "cluster.proxy-url",
            ),
            (
                json!({"token": "abc"}),
                json!({"tls-server-name": "b"}),
                "cluster.tls-server-name",
            ),
            (json!({"token": "a\nb"}), json!({}), "the token"),
        ] {
            let said = with_kubeconfig(user, cluster).await.unwrap_err();
            let begins = format!("Secret s kubeconfig: {field}");
            assert!(said.starts_with(&begins), "{said}");
        }
        assert!(!ran.exists());
    }
}
