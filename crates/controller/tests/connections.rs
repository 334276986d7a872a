//! Connections to members as they are: over sockets, through proxies, with TLS.
//!
//! The members are pocketkube's, each an HTTPS server. The proxy is a small real one: it speaks
//! CONNECT and SOCKS5, and carries bytes.

mod proxy;

use api::KubeFedCluster;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, api::PostParams};
use meridian_controller::{Connection, ExecPlugins, reach};
use pocketkube::{Cluster, Fleet, FleetOptions};
use proxy::{PASSWORD, Proxy};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::sync::Arc;

async fn fleet() -> Fleet {
    let fleet = Fleet::start(FleetOptions::named(["lisbon"])).await;
    fleet.expect("loopback ports and a temporary folder")
}

/// A KubeFedCluster for a member, its spec changed, and its Secret.
fn joined(member: &Cluster, spec: &Value, data: &Value) -> (KubeFedCluster, Secret) {
    let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
    let mut whole = json!({"apiEndpoint": member.url(), "secretRef": {"name": "s"},
        "caBundle": bytes(member.ca_pem())});
    for (field, value) in spec.as_object().into_iter().flatten() {
        match value.is_null() {
            true => drop(whole.as_object_mut().map(|whole| whole.remove(field))),
            false => whole[field.as_str()] = value.clone(),
        }
    }
    let cluster = json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
        "metadata": {"name": "lisbon"}, "spec": whole});
    let secret = Secret {
        data: Some(
            data.as_object()
                .into_iter()
                .flatten()
                .map(|(key, text)| (key.clone(), bytes(text.as_str().unwrap_or_default())))
                .collect(),
        ),
        ..Secret::default()
    };
    (serde_json::from_value(cluster).expect("a member"), secret)
}

fn connected(member: &Cluster, spec: &Value) -> Connection {
    let (cluster, secret) = joined(member, spec, &json!({"token": member.token()}));
    reach(&cluster, Some(&secret), &ExecPlugins::default()).expect("it can be used")
}

/// Writes through one client and reads through the other.
async fn use_it(connection: &Connection, name: &str) -> kube::Result<()> {
    let writes: Api<ConfigMap> = Api::namespaced(connection.requests.clone(), "default");
    let object = serde_json::from_value(json!({"metadata": {"name": name}}));
    let object = object.expect("a ConfigMap");
    writes.create(&PostParams::default(), &object).await?;
    let reads: Api<ConfigMap> = Api::namespaced(connection.watches.clone(), "default");
    reads.get(name).await.map(|_| ())
}

/// Everything that an error says, down to its cause.
fn told(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said = format!("{said}: {error}");
        source = error.source();
    }
    said
}

#[tokio::test]
async fn a_member_is_reached_through_a_proxy_that_sees_only_tls() {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    let proxy = Proxy::start().await;
    let host = member.url().trim_start_matches("https://").to_owned();
    for (number, scheme) in ["http", "socks5"].into_iter().enumerate() {
        let url = format!("{scheme}://{}", proxy.address());
        let connection = connected(member, &json!({"proxyURL": url}));
        use_it(&connection, &format!("by-{scheme}")).await.unwrap();
        assert_eq!(
            proxy.asked(),
            vec![host.clone(); 2 * (number + 1)],
            "one connection for requests, one for watches"
        );
    }
    assert!(!proxy.carried(member.token()), "the token went in clear");
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_gets_it_and_one_that_refuses_is_named() {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    let proxy = Proxy::start_with_password().await;
    let with = |user: &str| json!({"proxyURL": format!("http://{user}{}", proxy.address())});
    let connection = connected(member, &with(&format!("meridian:{PASSWORD}@")));
    use_it(&connection, "known").await.unwrap();
    let connection = connected(member, &with(""));
    let said = told(&use_it(&connection, "unknown").await.unwrap_err());
    for part in ["the proxy on the way", "proxy authorization required"] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_silent_is_given_up() {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    // Connections are taken by the system, and nobody ever reads them.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let connection = connected(member, &json!({"proxyURL": url}));
    let said = told(&use_it(&connection, "never").await.unwrap_err());
    assert!(said.contains("no connection within 5 s"), "{said}");
}

/// Set in the process that is told whom this machine trusts.
const TOLD: &str = "MERIDIAN_TEST_TRUSTS_PROXY";

/// Whom this machine trusts is read from its environment, so that each half is a process of its own.
#[tokio::test]
async fn a_proxy_over_tls_is_used_when_this_machine_trusts_it_and_refused_otherwise() {
    let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(parameters, key).expect("an authority");
    if let Ok(folder) = std::env::var(TOLD) {
        return through_tls(std::path::Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = KeyPair::generate().expect("a key");
    let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = names.signed_by(&key, &authority).expect("a certificate");
    for (name, text) in [
        ("authority", authority.pem()),
        ("certificate", certificate.pem()),
        ("key", key.serialize_pem()),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let this = std::env::current_exe().expect("it runs");
    let half = |trusts: bool| {
        let mut half = tokio::process::Command::new(&this);
        half.args([
            "--exact",
            "a_proxy_over_tls_is_used_when_this_machine_trusts_it_and_refused_otherwise",
            "--nocapture",
        ]);
        half.env(TOLD, folder.path());
        match trusts {
            true => half.env("SSL_CERT_FILE", folder.path().join("authority")),
            false => half.env_remove("SSL_CERT_FILE"),
        };
        half.output()
    };
    for (trusts, expected) in [
        (true, "used, and it saw only TLS"),
        (false, "UnknownIssuer"),
    ] {
        let half = half(trusts).await.expect("it runs");
        let log = String::from_utf8_lossy(&half.stdout);
        assert!(half.status.success(), "{log}");
        let said = std::fs::read_to_string(folder.path().join("said")).expect("it says");
        assert!(said.contains(expected), "{said}");
    }
}

async fn through_tls(folder: &std::path::Path) {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    let chain = CertificateDer::pem_file_iter(folder.join("certificate")).expect("written");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(folder.join("key")).expect("written");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is the certificate's");
    let proxy = Proxy::start_with_tls(config).await;
    let url = format!("https://{}", proxy.address());
    let connection = connected(member, &json!({"proxyURL": url}));
    let said = match use_it(&connection, "by-https").await {
        Ok(()) => {
            assert_eq!(proxy.asked().len(), 2);
            assert!(!proxy.carried(member.token()), "the token went in clear");
            "used, and it saw only TLS".to_owned()
        }
        Err(error) => told(&error),
    };
    std::fs::write(folder.join("said"), said).expect("written");
}

#[tokio::test]
async fn a_kubeconfig_s_proxy_and_server_name_are_obeyed_and_its_server_is_not() {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    let proxy = Proxy::start().await;
    let kubeconfig = member.kubeconfig().replace(
        &format!("server: {}", member.url()),
        &format!(
            "server: https://127.0.0.1:1\n    proxy-url: http://{}\n    tls-server-name: localhost",
            proxy.address()
        ),
    );
    let data = json!({"kubeconfig": kubeconfig});
    let (cluster, secret) = joined(member, &json!({"caBundle": null}), &data);
    let connection = reach(&cluster, Some(&secret), &ExecPlugins::default()).unwrap();
    use_it(&connection, "by-kubeconfig").await.unwrap();
    assert_eq!(proxy.asked().len(), 2);
    let data = json!({"kubeconfig": kubeconfig.replace("localhost", "elsewhere.example")});
    let (cluster, secret) = joined(member, &json!({"caBundle": null}), &data);
    let connection = reach(&cluster, Some(&secret), &ExecPlugins::default()).unwrap();
    let said = told(&use_it(&connection, "never").await.unwrap_err());
    assert!(said.contains("not valid for name"), "{said}");
    // The name may be left out of what is checked; the chain may not.
    let spec = json!({"caBundle": null, "disabledTLSValidations": ["SubjectName"]});
    let (cluster, secret) = joined(member, &spec, &data);
    let connection = reach(&cluster, Some(&secret), &ExecPlugins::default()).unwrap();
    use_it(&connection, "by-another-name").await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    let certificate = member
        .client_certificate("ada", &["system:masters"])
        .unwrap();
    let data = json!({"tls.crt": certificate.certificate_pem, "tls.key": certificate.key_pem});
    let (cluster, secret) = joined(member, &json!({}), &data);
    let connection = reach(&cluster, Some(&secret), &ExecPlugins::default()).unwrap();
    use_it(&connection, "by-certificate").await.unwrap();
}

/// A program that prints what is in a file, and a Secret that has it run.
struct SignIn {
    folder: tempfile::TempDir,
}

impl SignIn {
    fn new(status: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sign_in = Self { folder };
        sign_in.prints(status);
        sign_in
    }

    fn prints(&self, status: &Value) {
        let credential = json!({"apiVersion": "client.authentication.k8s.io/v1beta1",
            "kind": "ExecCredential", "status": status});
        // Whoever reads sees it whole.
        let (new, file) = (self.folder.path().join("new"), self.file());
        std::fs::write(&new, credential.to_string()).expect("written");
        std::fs::rename(new, file).expect("renamed");
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("credential")
    }

    fn connect(&self, member: &Cluster) -> Connection {
        let kubeconfig = json!({"current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {"exec": {"command": "sign-in",
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "args": [self.file()]}}}]});
        let data = json!({"kubeconfig": kubeconfig.to_string()});
        let (cluster, secret) = joined(member, &json!({}), &data);
        let plugins = [("sign-in".to_owned(), "/bin/cat".into())];
        reach(&cluster, Some(&secret), &plugins.into_iter().collect()).expect("it can be used")
    }
}

/// As whom a member knows us.
async fn user(client: &kube::Client) -> kube::Result<String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let user = review.status.and_then(|status| status.user_info);
    Ok(user.and_then(|user| user.username).unwrap_or_default())
}

/// Asks until it is so; programs are run again after five seconds at the earliest.
async fn until_known(connection: &Connection, name: &str) {
    let known = async {
        for client in [&connection.requests, &connection.watches] {
            while user(client).await.ok().as_deref() != Some(name) {
                tokio::task::yield_now().await;
            }
        }
    };
    let known = tokio::time::timeout(std::time::Duration::from_secs(30), known).await;
    known.unwrap_or_else(|_| panic!("never known as {name}"));
}

#[tokio::test]
async fn a_token_that_a_program_prints_is_shown_and_another_when_it_is_refused() {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    let sign_in = SignIn::new(&json!({"token": "long gone"}));
    let connection = sign_in.connect(member);
    let said = use_it(&connection, "refused").await.unwrap_err();
    assert!(matches!(&said, kube::Error::Api(status) if status.code == 401));
    sign_in.prints(&json!({"token": member.token()}));
    let name = user(&connected(member, &json!({})).requests).await.unwrap();
    until_known(&connection, &name).await;
}

#[tokio::test]
async fn a_certificate_that_a_program_prints_is_shown_until_it_prints_another() {
    let fleet = fleet().await;
    let member = fleet.cluster("lisbon");
    let status = |name: &str| {
        let certificate = member
            .client_certificate(name, &["system:masters"])
            .unwrap();
        json!({"clientCertificateData": certificate.certificate_pem,
            "clientKeyData": certificate.key_pem,
            "expirationTimestamp": "2026-01-01T00:00:00Z"})
    };
    let sign_in = SignIn::new(&status("ada"));
    let connection = sign_in.connect(member);
    until_known(&connection, "ada").await;
    sign_in.prints(&status("grace"));
    until_known(&connection, "grace").await;
    // It has ended: a program that fails leaves nobody to be.
    std::fs::remove_file(sign_in.file()).unwrap();
    let failed = async {
        loop {
            if let Err(error) = use_it(&connection, "never").await {
                let said = told(&error);
                if said.contains("user.exec: sign-in: exit status: 1: ") {
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let failed = tokio::time::timeout(std::time::Duration::from_secs(30), failed).await;
    failed.expect("it says what fails");
}
