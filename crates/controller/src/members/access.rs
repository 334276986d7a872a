//! From a KubeFedCluster and its Secret to how a member is reached.
//!
//! The spec's word goes before the Secret's, as in KubeFed; a kubeconfig in the Secret fills in what
//! the spec does not say.
//!
//! | what | first | then | then |
//! |---|---|---|---|
//! | endpoint | `spec.apiEndpoint` | – | – |
//! | authorities | `spec.caBundle` | the kubeconfig's | `ca.crt` of the Secret, those of this machine |
//! | checks left out | `spec.disabledTLSValidations` | the kubeconfig's `insecure-skip-tls-verify`, without a `spec.caBundle` | |
//! | proxy | `spec.proxyURL` | the kubeconfig's | none; the environment is not asked |
//! | name in the certificate | the kubeconfig's `tls-server-name` | the endpoint's host | |
//! | credentials | the kubeconfig's | `token`, `tls.crt` and `tls.key` | – |

use super::connect::{Access, InProcess, Remote};
use super::kubeconfig::{self, Given};
use super::program::ExecPlugins;
use super::proxy::Proxy;
use super::tls::{self, Identity, Trust};
use crate::Error;
use api::{KubeFedCluster, KubeFedClusterSpec, TlsValidation};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Config;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What decides a member's clients: when it changes, they are made anew.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fingerprint {
    endpoint: String,
    authorities: Option<ByteString>,
    left_out: Vec<TlsValidation>,
    proxy: Option<String>,
    secret_name: String,
    secret: Option<BTreeMap<String, ByteString>>,
}

impl Fingerprint {
    pub(crate) fn of(cluster: &KubeFedCluster, secret: Option<&Secret>) -> Self {
        let spec = &cluster.spec;
        Self {
            endpoint: spec.api_endpoint.clone(),
            authorities: spec.ca_bundle.clone(),
            left_out: spec.disabled_tls_validations.clone(),
            proxy: spec.proxy_url.clone(),
            secret_name: spec.secret_ref.name.clone(),
            secret: secret.and_then(|secret| secret.data.clone()),
        }
    }
}

/// What this process offers besides what a KubeFedCluster and its Secret say.
#[derive(Clone, Copy)]
pub(crate) struct Ways<'a> {
    /// The member's API in this process, which goes before all else.
    pub(crate) in_process: Option<&'a InProcess>,
    /// Programs that a kubeconfig may have run.
    pub(crate) plugins: &'a ExecPlugins,
}

/// How a member is reached.
///
/// # Errors
/// [`Error::Malformed`] with the field of the KubeFedCluster or the key of the Secret.
pub(crate) fn access(
    cluster: &KubeFedCluster,
    secret: Option<&Secret>,
    ways: Ways<'_>,
) -> Result<Access, Error> {
    if let Some(in_process) = ways.in_process {
        return Ok(Access::InProcess(in_process.clone()));
    }
    let spec = &cluster.spec;
    let name = &spec.secret_ref.name;
    let secret = secret.ok_or_else(|| {
        let message = format!("there is no Secret {name} in the KubeFedCluster's namespace");
        Error::malformed("spec.secretRef.name", message)
    })?;
    let held = Held {
        name,
        data: secret.data.as_ref(),
    };
    let given = match held.text("kubeconfig")? {
        Some(text) => kubeconfig::read(&text, ways.plugins)
            .map_err(|why| Error::malformed(held.key("kubeconfig"), why))?,
        None => keys(&held)?,
    };
    remote(spec, &held, given).map(|remote| Access::Kubeconfig(Box::new(remote)))
}

/// What of a KubeFedCluster can be judged without its Secret; everything that is wrong.
pub(crate) fn check_access(spec: &KubeFedClusterSpec) -> Vec<Error> {
    let held = Held {
        name: &spec.secret_ref.name,
        data: None,
    };
    let faults = [
        endpoint(&spec.api_endpoint).err(),
        authorities(spec, &held, None).err(),
        proxy(spec, &held, None).err(),
    ];
    faults.into_iter().flatten().collect()
}

/// The spec's word over what the Secret gives.
fn remote(spec: &KubeFedClusterSpec, held: &Held<'_>, mut given: Given) -> Result<Remote, Error> {
    let mut config = Config::new(endpoint(&spec.api_endpoint)?);
    config.auth_info = std::mem::take(&mut given.auth);
    config.default_retry = false;
    let trust = Trust {
        authorities: authorities(spec, held, given.authorities.take())?,
        left_out: match (&spec.disabled_tls_validations[..], &spec.ca_bundle) {
            // An authority is named to be asked.
            ([], None) if given.insecure => vec![TlsValidation::All],
            (left_out, _) => left_out.to_vec(),
        },
    };
    let proxy = proxy(spec, held, given.proxy.take())?;
    let program = given.program.take();
    let program = program
        .map(|program| program.knowing(|| cluster_info(&config, &trust, &given, proxy.as_ref())));
    let has_identity = given.identity.is_some();
    let tls = tls::client_config(trust, given.identity).map_err(|error| {
        let path = match (has_identity, held.has("kubeconfig")) {
            (false, _) => "spec.caBundle".to_owned(),
            (true, true) => held.key("kubeconfig"),
            (true, false) => held.key("tls.crt and tls.key"),
        };
        Error::malformed(path, error.to_string())
    })?;
    let server_name = given.server_name.map(|name| {
        let read = ServerName::try_from(name);
        read.map_err(|error| Error::malformed(held.key("kubeconfig"), error.to_string()))
    });
    Ok(Remote {
        config,
        tls,
        server_name: server_name.transpose()?,
        program,
        proxy,
    })
}

/// What a program is told of the cluster that its credential is for.
fn cluster_info(config: &Config, trust: &Trust, given: &Given, proxy: Option<&Proxy>) -> Value {
    let mut info = json!({"server": config.cluster_url.to_string()});
    let authorities = trust.authorities.as_ref().map(|authorities| {
        let pem: String = authorities.iter().map(|authority| pem(authority)).collect();
        STANDARD.encode(pem)
    });
    for (field, value) in [
        ("certificate-authority-data", authorities.map(Value::from)),
        (
            "tls-server-name",
            given.server_name.clone().map(Value::from),
        ),
        ("proxy-url", proxy.map(|proxy| proxy.url().into())),
        ("config", given.program_config.clone()),
    ] {
        if let Some(value) = value {
            info[field] = value;
        }
    }
    if trust.left_out.contains(&TlsValidation::All) {
        info["insecure-skip-tls-verify"] = true.into();
    }
    info
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = STANDARD.encode(certificate);
    let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

/// `https` where no scheme is said.
fn endpoint(said: &str) -> Result<Uri, Error> {
    let url = match said.contains("://") {
        true => said.to_owned(),
        false => format!("https://{said}"),
    };
    let refused = |why: String| Error::malformed("spec.apiEndpoint", why);
    let url: Uri = url
        .parse()
        .map_err(|error: http::uri::InvalidUri| refused(error.to_string()))?;
    match (url.scheme_str(), url.host()) {
        (Some("https" | "http"), Some(host)) if !host.is_empty() => Ok(url),
        _ => Err(refused(
            "https://host:port, hostname, hostname:port, IP or IP:port is wanted".to_owned(),
        )),
    }
}

fn authorities(
    spec: &KubeFedClusterSpec,
    held: &Held<'_>,
    given: Option<Vec<CertificateDer<'static>>>,
) -> Result<Option<Vec<CertificateDer<'static>>>, Error> {
    let filled = |bytes: &&ByteString| !bytes.0.is_empty();
    let (pem, path) = match spec.ca_bundle.as_ref().filter(filled) {
        Some(bundle) => (bundle, "spec.caBundle".to_owned()),
        None if given.is_some() => return Ok(given),
        None => match held.bytes("ca.crt").filter(filled) {
            Some(authority) => (authority, held.key("ca.crt")),
            None => return Ok(None),
        },
    };
    certificates(&pem.0)
        .map(Some)
        .map_err(|why| Error::malformed(path, why))
}

fn proxy(
    spec: &KubeFedClusterSpec,
    held: &Held<'_>,
    given: Option<String>,
) -> Result<Option<Proxy>, Error> {
    let said = spec.proxy_url.as_ref().filter(|url| !url.is_empty());
    let (url, path) = match (said, &given) {
        (Some(url), _) => (url, "spec.proxyURL".to_owned()),
        (None, Some(url)) => (
            url,
            format!("{}: cluster.proxy-url", held.key("kubeconfig")),
        ),
        (None, None) => return Ok(None),
    };
    Proxy::parse(url)
        .map(Some)
        .map_err(|why| Error::malformed(path, why))
}

/// The Secret that a KubeFedCluster refers to.
struct Held<'a> {
    name: &'a str,
    data: Option<&'a BTreeMap<String, ByteString>>,
}

impl Held<'_> {
    fn bytes(&self, key: &str) -> Option<&ByteString> {
        self.data?.get(key)
    }

    fn has(&self, key: &str) -> bool {
        self.bytes(key).is_some()
    }

    /// A key, as an error names it.
    fn key(&self, key: &str) -> String {
        format!("Secret {} {key}", self.name)
    }

    fn text(&self, key: &str) -> Result<Option<String>, Error> {
        let Some(bytes) = self.bytes(key) else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes.0.clone());
        text.map(Some)
            .map_err(|_| Error::malformed(self.key(key), "not text"))
    }
}

/// What KubeFed keeps in keys of their own: a token, a client certificate, or both.
fn keys(held: &Held<'_>) -> Result<Given, Error> {
    let token = held.text("token")?;
    let identity = match (held.bytes("tls.crt"), held.bytes("tls.key")) {
        (Some(chain), Some(key)) => Some(pair(held, chain, key)?),
        _ => None,
    };
    if token.is_none() && identity.is_none() {
        let message = "it has neither token, nor tls.crt and tls.key, nor kubeconfig";
        return Err(Error::malformed(format!("Secret {}", held.name), message));
    }
    let mut given = Given {
        identity,
        ..Given::default()
    };
    if let Some(token) = token {
        let token = token.trim();
        kubeconfig::check_token(token).map_err(|why| Error::malformed(held.key("token"), why))?;
        given.auth.token = Some(token.to_owned().into());
    }
    Ok(given)
}

fn pair(held: &Held<'_>, chain: &ByteString, key: &ByteString) -> Result<Identity, Error> {
    let chain = certificates(&chain.0).map_err(|why| Error::malformed(held.key("tls.crt"), why))?;
    let key = private_key(&key.0).map_err(|why| Error::malformed(held.key("tls.key"), why))?;
    Ok((chain, key))
}

/// Certificates in PEM; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(read) if read.is_empty() => Err("there is no certificate in PEM in it".to_owned()),
        Ok(read) => Ok(read),
        Err(error) => Err(format!("no certificates in PEM: {error}")),
    }
}

/// A private key in PEM. What is wrong is told without what is there.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "there is no private key in PEM in it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: Value, data: Value) -> Result<Remote, String> {
        let mut whole = json!({"apiEndpoint": "a", "secretRef": {"name": "s"}});
        for (field, value) in spec.as_object().into_iter().flatten() {
            whole[field.as_str()] = value.clone();
        }
        let cluster: KubeFedCluster = serde_json::from_value(json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
            "metadata": {"name": "a"}, "spec": whole}))
        .unwrap();
        let secret: Secret = serde_json::from_value(json!({"data": data})).unwrap();
        let ways = Ways {
            in_process: None,
            plugins: &ExecPlugins::default(),
        };
        match access(&cluster, Some(&secret), ways) {
            Ok(Access::Kubeconfig(remote)) => Ok(*remote),
            Ok(Access::InProcess(_)) => panic!("not asked for"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn refused(spec: Value, data: Value) -> String {
        match read(spec, data) {
            Ok(_) => panic!("it was taken"),
            Err(said) => said,
        }
    }

    #[test]
    fn an_endpoint_without_scheme_and_a_token_are_enough() {
        let spec = json!({"apiEndpoint": "10.0.0.1:6443"});
        let remote = read(spec, json!({"token": "dG9rZW4="})).unwrap();
        assert_eq!(remote.config.cluster_url, "https://10.0.0.1:6443/");
        assert!(!remote.config.default_retry && remote.proxy.is_none());
    }

    #[test]
    fn what_cannot_be_used_is_named_where_it_stands() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap().pem();
        let another = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let pair = |chain: &str, key: &str| json!({"tls.crt": STANDARD.encode(chain), "tls.key": STANDARD.encode(key)});
        let token = || json!({"token": "dA=="});
        for (spec, data, begins) in [
            (json!({}), json!({}), "Secret s: it has neither token"),
            (
                json!({}),
                json!({"kubeconfig": "Ow=="}),
                "Secret s kubeconfig: ",
            ),
            (
                json!({}),
                json!({"token": "YQpi"}),
                "Secret s token: the token has",
            ),
            (
                json!({}),
                pair("no", "no"),
                "Secret s tls.crt: there is no certificate",
            ),
            (
                json!({}),
                pair(&certificate, "no"),
                "Secret s tls.key: there is no private key",
            ),
            (
                json!({}),
                pair(&certificate, &another),
                "Secret s tls.crt and tls.key: keys may not be consistent",
            ),
            (
                json!({"caBundle": "bm8="}),
                token(),
                "spec.caBundle: there is no certificate",
            ),
            (
                json!({}),
                json!({"token": "dA==", "ca.crt": "bm8="}),
                "Secret s ca.crt: there is no certificate",
            ),
            (
                json!({"proxyURL": "ftp://p"}),
                token(),
                "spec.proxyURL: the scheme ftp",
            ),
            (
                json!({"apiEndpoint": "ftp://a"}),
                token(),
                "spec.apiEndpoint: https://host",
            ),
        ] {
            let said = refused(spec, data);
            assert!(
                said.starts_with(begins),
                "{said} does not begin with {begins}"
            );
        }
    }

    /// The data of a Secret with a kubeconfig of one user and one cluster.
    fn kubeconfig(user: Value, mut cluster: Value) -> Value {
        cluster["server"] = json!("https://b:6443");
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "m",
            "clusters": [{"name": "m", "cluster": cluster}],
            "users": [{"name": "m", "user": user}],
            "contexts": [{"name": "m", "context": {"cluster": "m", "user": "m"}}]});
        json!({"kubeconfig": STANDARD.encode(kubeconfig.to_string())})
    }

    #[test]
    fn the_spec_goes_before_a_kubeconfig_which_fills_in_the_rest() {
        let cluster = json!({"proxy-url": "http://p:3128", "tls-server-name": "b.example"});
        let data = kubeconfig(json!({"token": "abc"}), cluster);
        let filled = read(json!({}), data.clone()).unwrap();
        assert_eq!(filled.config.cluster_url, "https://a/");
        assert_eq!(filled.proxy, Some(Proxy::parse("http://p:3128").unwrap()));
        let name = filled.server_name.unwrap();
        assert_eq!(name.to_str(), "b.example");
        let spec = json!({"proxyURL": "http://q:3128"});
        let said = read(spec, data).unwrap();
        assert_eq!(said.proxy, Some(Proxy::parse("http://q:3128").unwrap()));
    }

    #[test]
    fn a_kubeconfig_that_does_not_hold_together_says_what_is_missing() {
        let part = |text: &str| json!({"kubeconfig": STANDARD.encode(text)});
        for (text, says) in [
            ("current-context: m", "there is no context \"m\""),
            (
                r#"{"current-context": "m", "contexts": [{"name": "m", "context": {"cluster": "c"}}]}"#,
                "there is no cluster \"c\"",
            ),
        ] {
            let said = refused(json!({}), part(text));
            assert!(said.contains(says), "{said}");
        }
        let half = kubeconfig(json!({"client-key-data": "bm8="}), json!({}));
        let said = refused(json!({}), half);
        assert!(said.contains("are given together"), "{said}");
    }

    #[test]
    fn a_kubeconfig_runs_nothing_and_reads_no_file_of_this_machine() {
        let token = || json!({"token": "abc"});
        assert!(read(json!({}), kubeconfig(token(), json!({}))).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let ran = folder.path().join("ran");
        let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": "touch", "args": [ran.display().to_string()],
            "interactiveMode": "Never"}});
        let provider = json!({"auth-provider": {"name": "gcp", "config": {"cmd-path": "touch"}}});
        let own = "/etc/hostname";
        let authority = json!({"certificate-authority": own});
        for (user, cluster, field) in [
            (exec, json!({}), "user.exec"),
            (provider, json!({}), "user.auth-provider"),
            (json!({"tokenFile": own}), json!({}), "user.tokenFile"),
            (
                json!({"client-certificate": own}),
                json!({}),
                "user.client-certificate",
            ),
            (json!({"client-key": own}), json!({}), "user.client-key"),
            (token(), authority, "cluster.certificate-authority"),
            (json!({"token": "a\nb"}), json!({}), "the token"),
        ] {
            let said = refused(json!({}), kubeconfig(user, cluster));
            let begins = format!("Secret s kubeconfig: {field}");
            assert!(said.starts_with(&begins), "{said}");
        }
        assert!(!ran.exists());
    }

    #[test]
    fn clients_are_made_anew_for_what_they_depend_on_and_nothing_else() {
        let of = |spec: Value, token: &str| {
            let mut whole = json!({"apiEndpoint": "a", "secretRef": {"name": "s"}});
            for (field, value) in spec.as_object().into_iter().flatten() {
                whole[field.as_str()] = value.clone();
            }
            let cluster: KubeFedCluster = serde_json::from_value(json!({
                "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
                "metadata": {"name": "a", "labels": {"tier": token}}, "spec": whole}))
            .unwrap();
            let secret: Secret = serde_json::from_value(json!({"data": {"token": token}})).unwrap();
            Fingerprint::of(&cluster, Some(&secret))
        };
        let plain = of(json!({}), "dA==");
        let place = json!({"region": "eu", "zones": ["eu-a"], "city": "lisbon",
            "location": {"latitude": 1.0, "longitude": 2.0}});
        assert_eq!(of(place, "dA=="), plain);
        assert_ne!(of(json!({}), "dQ=="), plain);
        for spec in [
            json!({"apiEndpoint": "b"}),
            json!({"caBundle": "bm8="}),
            json!({"proxyURL": "http://p"}),
            json!({"disabledTLSValidations": ["*"]}),
            json!({"secretRef": {"name": "t"}}),
        ] {
            assert_ne!(of(spec.clone(), "dA=="), plain, "{spec}");
        }
    }
}
