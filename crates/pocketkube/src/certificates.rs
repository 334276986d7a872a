//! The certificate authority of a cluster, the certificate that its server shows, and those by
//! which clients prove who they are.

mod subject;

use crate::Error;
use crate::cluster::User;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SigningKey,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig};
use rustls::{SignatureScheme, crypto};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Names under which a cluster's server may be reached.
const SERVER_NAMES: [&str; 6] = [
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// By what a client proves who it is.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// Its private key in PEM.
    pub key_pem: String,
}

/// An authority as it is kept, in PEM.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuthorityPem {
    certificate: String,
    key: String,
}

/// The authority of one cluster.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Authority {
    /// A new authority.
    pub(crate) fn new(cluster: &str) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let parameters = Self::parameters(cluster);
        let certificate = parameters.self_signed(&key).map_err(Error::certificate)?;
        let issuer = Issuer::new(parameters, key);
        Self::of(certificate.pem(), certificate.der(), issuer)
    }

    /// An authority that was kept.
    pub(crate) fn restored(cluster: &str, kept: &AuthorityPem) -> Result<Self, Error> {
        let key = KeyPair::from_pem(&kept.key).map_err(Error::certificate)?;
        let certificate = CertificateDer::from_pem_slice(kept.certificate.as_bytes())
            .map_err(|cause| Error::tls(rustls::Error::General(cause.to_string())))?;
        let issuer = Issuer::new(Self::parameters(cluster), key);
        Self::of(kept.certificate.clone(), &certificate, issuer)
    }

    fn parameters(cluster: &str) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(DnType::CommonName, format!("{cluster}-ca"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        parameters
    }

    fn of(
        pem: String,
        der: &CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(der.clone()).map_err(Error::tls)?;
        let provider = Arc::new(crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("there is a root, and no revocation list that could be wrong");
        Ok(Self {
            pem,
            issuer,
            clients,
        })
    }

    /// Its certificate in PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Itself, to be kept.
    pub(crate) fn to_pem(&self) -> AuthorityPem {
        AuthorityPem {
            certificate: self.pem.clone(),
            key: self.issuer.key().serialize_pem(),
        }
    }

    /// The server's side of TLS. Clients are asked for a certificate and may have none.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, Error> {
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let names = SERVER_NAMES.map(str::to_owned);
        let mut server = CertificateParams::new(names).map_err(Error::certificate)?;
        server
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let leaf = server
            .signed_by(&key, &self.issuer)
            .map_err(Error::certificate)?;

        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(crypto::ring::default_provider());
        let asker = Arc::new(Asker(Arc::clone(&self.clients)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::tls)?
            .with_client_cert_verifier(asker)
            .with_single_cert(vec![leaf.der().clone()], private)
            .map_err(Error::tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// A certificate for a client.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<ClientCertificate, Error> {
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let mut parameters = CertificateParams::default();
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let plain = parameters
            .signed_by(&key, &self.issuer)
            .map_err(Error::certificate)?;
        // The library writes at most one organization, so the name is put in afterwards.
        let sign = |part: &[u8]| self.issuer.key().sign(part).map_err(Error::certificate);
        let leaf = subject::replace(plain.der(), user, groups, sign)?;
        Ok(ClientCertificate {
            certificate_pem: pem("CERTIFICATE", &leaf),
            key_pem: key.serialize_pem(),
        })
    }

    /// The user whom a client's chain of certificates stands for; none when this authority did
    /// not sign it, or it does not hold now.
    pub(crate) fn user(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<User> {
        let (leaf, others) = chain.split_first()?;
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.clients.verify_client_cert(leaf, others, now).ok()?;
        let subject = subject::read(leaf)?;
        if subject.common_name.is_empty() {
            return None;
        }
        let mut groups = subject.organizations;
        groups.push("system:authenticated".to_owned());
        let digest: String = Sha256::digest(leaf)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let key = "authentication.kubernetes.io/credential-id".to_owned();
        Some(User {
            name: subject.common_name,
            uid: String::new(),
            groups,
            extra: BTreeMap::from([(key, vec![format!("X509SHA256={digest}")])]),
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Authority")
    }
}

/// Asks clients for a certificate and takes any at the handshake: who shows a wrong one gets 401
/// for each request, as from the real server.
#[derive(Debug)]
struct Asker(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Asker {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(LINE) {
        lines.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        lines.push('\n');
    }
    lines.push_str(&format!("-----END {label}-----\n"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(certificate: &ClientCertificate) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(certificate.certificate_pem.as_bytes()).unwrap()]
    }

    #[test]
    fn a_certificate_names_its_user_and_groups() {
        let authority = Authority::new("a").unwrap();
        let made = authority.client("ann", &["one", "two", "three"]).unwrap();
        let user = authority.user(&chain(&made), Timestamp::now()).unwrap();
        assert_eq!(user.name, "ann");
        assert_eq!(user.groups, ["one", "two", "three", "system:authenticated"]);
    }

    #[test]
    fn a_certificate_of_another_authority_means_nobody() {
        let made = Authority::new("a").unwrap().client("ann", &[]).unwrap();
        let other = Authority::new("a").unwrap();
        assert_eq!(other.user(&chain(&made), Timestamp::now()), None);
    }
}
