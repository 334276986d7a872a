//! Who is believed on a line: whoever shows a certificate whose SHA-256 the host has named. No authority signs
//! them, and no name in them counts; TLS 1.3 alone (RFC 8446), so that both prove that they have the key.

use super::identity::{self, Identity, fingerprint};
use model::ObserverName;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use std::sync::Arc;
use steering::Peers;
use tokio::sync::watch;

/// For whoever dials an observer with this certificate.
pub(super) fn client(own: &Identity, certificate: &str) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned {
        provider: Arc::clone(&provider),
        believed: Believed::This(certificate.to_owned()),
    };
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&TLS13]);
    let builder = builder.expect("the provider has suites of TLS 1.3");
    let builder = builder.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = builder
        .with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key())
        .expect("a key that was read");
    config.enable_sni = false;
    config
}

/// For whoever is dialled by observers that are known.
pub(super) fn server(own: &Identity, peers: watch::Receiver<Option<Peers>>) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned {
        provider: Arc::clone(&provider),
        believed: Believed::Known(peers),
    };
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&TLS13]);
    let builder = builder.expect("the provider has suites of TLS 1.3");
    let builder = builder.with_client_cert_verifier(Arc::new(verifier));
    builder
        .with_single_cert(vec![own.certificate.clone()], own.key.clone_key())
        .expect("a key that was read")
}

/// The name that is asked for; nobody looks at it.
pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from(identity::NAME).expect("a host name")
}

/// Who shows this certificate.
pub(super) fn whose(
    peers: &watch::Receiver<Option<Peers>>,
    shown: &[CertificateDer<'_>],
) -> Option<ObserverName> {
    let shown = fingerprint(shown.first()?);
    let peers = peers.borrow();
    let mut known = peers.as_ref()?.known.iter();
    let found = known.find(|observer| {
        let contact = observer.contact.as_ref();
        contact.is_some_and(|contact| contact.certificate == shown)
    });
    found.map(|observer| observer.name.clone())
}

#[derive(Debug)]
struct Pinned {
    provider: Arc<CryptoProvider>,
    believed: Believed,
}

#[derive(Debug)]
enum Believed {
    /// Who shows this certificate.
    This(String),
    /// Whoever is registered.
    Known(watch::Receiver<Option<Peers>>),
}

impl Pinned {
    fn believes(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        let believed = match &self.believed {
            Believed::This(certificate) => fingerprint(shown) == *certificate,
            Believed::Known(peers) => whose(peers, std::slice::from_ref(shown)).is_some(),
        };
        match believed {
            true => Ok(()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn signed(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// What TLS 1.2 would need: it is not spoken.
fn too_old() -> Error {
    Error::General("TLS 1.3 is spoken here".to_owned())
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.believes(end_entity)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.believes(end_entity)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
