//! The certificate authority of a cluster and the certificate that its server shows.

use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

/// Names under which a cluster's server may be reached.
const SERVER_NAMES: [&str; 6] = [
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// What a cluster needs for TLS.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The authority's certificate in PEM.
    pub(crate) authority_pem: String,
    /// The server's side of TLS.
    pub(crate) server: Arc<ServerConfig>,
}

impl Certificates {
    /// A new authority, and a certificate for the server.
    pub(crate) fn new(cluster: &str) -> Result<Self, Error> {
        let authority_key = KeyPair::generate().map_err(Error::certificate)?;
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::CommonName, format!("{cluster}-ca"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = authority
            .self_signed(&authority_key)
            .map_err(Error::certificate)?;
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().map_err(Error::certificate)?;
        let names = SERVER_NAMES.map(str::to_owned);
        let mut server = CertificateParams::new(names).map_err(Error::certificate)?;
        server
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let leaf = server
            .signed_by(&key, &issuer)
            .map_err(Error::certificate)?;

        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::tls)?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .map_err(Error::tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            authority_pem: certificate.pem(),
            server: Arc::new(config),
        })
    }
}
