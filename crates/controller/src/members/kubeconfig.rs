//! A kubeconfig in a member's Secret: data, and nothing else.
//!
//! It runs nothing but what whoever runs meridian has named, and has no file of this machine read, or
//! who writes Secrets could take the controller's own credentials. What is not obeyed is refused.

use super::access::{certificates, private_key};
use super::program::{ExecPlugins, Program};
use super::tls::Identity;
use k8s_openapi::ByteString;
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret;
use serde_json::Value;

/// What a Secret says of how its member is reached.
#[derive(Default)]
pub(super) struct Given {
    /// Token, user and password, or whom to act as.
    pub(super) auth: AuthInfo,
    /// The client certificate.
    pub(super) identity: Option<Identity>,
    /// The program that prints a credential.
    pub(super) program: Option<Program>,
    /// What such a program is told besides, of the cluster (`client.authentication.k8s.io/exec`).
    pub(super) program_config: Option<Value>,
    /// Whose certificates to believe.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
    /// Whether to believe any.
    pub(super) insecure: bool,
    /// The way.
    pub(super) proxy: Option<String>,
    /// The name in the server's certificate.
    pub(super) server_name: Option<String>,
}

/// Reads the current context; the error says what cannot be used. Of programs, only those that are
/// named are run.
pub(super) fn read(text: &str, plugins: &ExecPlugins) -> Result<Given, String> {
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| error.to_string())?;
    check_is_whole(&kubeconfig)?;
    let (cluster, user) = current(&kubeconfig)?;
    let program = user.exec.as_ref().map(|exec| Program::read(exec, plugins));
    let auth = AuthInfo {
        exec: None,
        ..user.clone()
    };
    let authorities = cluster.certificate_authority_data.as_ref();
    let authorities = authorities.map(|data| {
        let read = decoded(data).and_then(|pem| certificates(&pem));
        read.map_err(|why| format!("cluster.certificate-authority-data: {why}"))
    });
    Ok(Given {
        identity: identity(user)?,
        authorities: authorities.transpose()?,
        insecure: cluster.insecure_skip_tls_verify == Some(true),
        proxy: cluster.proxy_url.clone().filter(|url| !url.is_empty()),
        server_name: cluster
            .tls_server_name
            .clone()
            .filter(|name| !name.is_empty()),
        program: program.transpose()?,
        program_config: program_config(cluster),
        auth,
    })
}

/// What the cluster's extension says to the program, word for word.
fn program_config(cluster: &Cluster) -> Option<Value> {
    let mut extensions = cluster.extensions.iter().flatten();
    let extension = extensions.find(|named| named.name == "client.authentication.k8s.io/exec");
    extension.map(|named| named.extension.clone())
}

/// The cluster and the user of the current context.
fn current(kubeconfig: &Kubeconfig) -> Result<(&Cluster, &AuthInfo), String> {
    let wanted = kubeconfig.current_context.as_deref().unwrap_or_default();
    let contexts = &kubeconfig.contexts;
    let context = contexts.iter().find(|context| context.name == wanted);
    let context = context.and_then(|named| named.context.as_ref());
    let context = context.ok_or(format!("current-context: there is no context {wanted:?}"))?;
    let clusters = &kubeconfig.clusters;
    let cluster = clusters.iter().find(|named| named.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster.as_ref());
    let cluster = cluster.ok_or(format!("there is no cluster {:?}", context.cluster))?;
    let wanted = context.user.as_deref().unwrap_or_default();
    let user = kubeconfig
        .auth_infos
        .iter()
        .find(|named| named.name == wanted);
    let user = user.and_then(|named| named.auth_info.as_ref());
    Ok((cluster, user.ok_or(format!("there is no user {wanted:?}"))?))
}

fn identity(user: &AuthInfo) -> Result<Option<Identity>, String> {
    let (Some(chain), Some(key)) = (&user.client_certificate_data, &user.client_key_data) else {
        return match user.client_certificate_data.is_some() || user.client_key_data.is_some() {
            true => Err(
                "user: client-certificate-data and client-key-data are given together".to_owned(),
            ),
            false => Ok(None),
        };
    };
    let chain = decoded(chain).and_then(|pem| certificates(&pem));
    let chain = chain.map_err(|why| format!("user.client-certificate-data: {why}"))?;
    let key = decoded(key.expose_secret()).and_then(|pem| private_key(&pem));
    let key = key.map_err(|why| format!("user.client-key-data: {why}"))?;
    Ok(Some((chain, key)))
}

/// Base64 taken off.
fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let read = serde_json::from_value::<ByteString>(serde_json::Value::String(text.to_owned()));
    read.map(|bytes| bytes.0)
        .map_err(|_| "not base64".to_owned())
}

/// What would run something, read something, or be passed over.
fn check_is_whole(kubeconfig: &Kubeconfig) -> Result<(), String> {
    let refused = |field: &str, instead: &str| Err(format!("{field} is refused: {instead}"));
    let users = kubeconfig.auth_infos.iter();
    for user in users.filter_map(|named| named.auth_info.as_ref()) {
        let data = "put the data itself there";
        let has_data = user.token.is_some()
            || user.username.is_some()
            || user.client_certificate_data.is_some();
        if user.exec.is_some() && has_data {
            return Err("user: exec is given alone, or who we are would not be certain".to_owned());
        }
        if user.auth_provider.is_some() {
            let instead = "use a token or a client certificate";
            return refused("user.auth-provider", instead);
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
    }
    Ok(())
}

/// A token goes into a header, which takes no more than visible characters.
pub(super) fn check_token(token: &str) -> Result<(), String> {
    match token.chars().all(|character| character.is_ascii_graphic()) {
        true => Ok(()),
        false => {
            Err("the token has a character that no token has, such as a line break".to_owned())
        }
    }
}
