//! Client certificates over a real socket.

use pocketkube::{Authorization, ClientCertificate, Cluster, Fleet, FleetOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// What a server answers to a list of config maps, by somebody who shows a certificate.
async fn ask(cluster: &Cluster, certificate: &ClientCertificate) -> String {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(cluster.ca_pem().as_bytes());
    roots
        .add(authority.expect("a certificate"))
        .expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::from_pem_slice(certificate.certificate_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![chain.expect("a certificate")], key.expect("a key"))
        .expect("a key that fits");
    let address = cluster.url().trim_start_matches("https://").to_owned();
    let stream = tokio::net::TcpStream::connect(&address)
        .await
        .expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("a handshake");
    let request = format!(
        "GET /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: {address}\r\n\
         Connection: close\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    let mut answer = Vec::new();
    // A server may close without saying so.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_certificate_names_its_user_and_groups() {
    let mut options = FleetOptions::named(["one", "two"]);
    for cluster in &mut options.clusters {
        cluster.authorization = Authorization::Rbac;
    }
    let fleet = Fleet::start(options).await.expect("a fleet");
    let one = fleet.cluster("one");
    let master = one.client_certificate("ann", &["some", "system:masters"]);
    let answer = ask(one, &master.expect("a certificate")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let other = one.client_certificate("bob", &[]).expect("a certificate");
    let answer = ask(one, &other).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(
        answer.contains("User \\\"bob\\\" cannot list resource"),
        "{answer}"
    );

    let foreign = fleet
        .cluster("two")
        .client_certificate("ann", &["system:masters"]);
    let answer = ask(one, &foreign.expect("a certificate")).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(one.kubeconfig_with(&other).contains("client-key-data"));
}
