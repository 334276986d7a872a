//! The certificate of the encrypted transports: from two files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::error::Error;

/// How often the files are looked at. Whoever renews a certificate leaves days for that.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A certificate chain and its key, in PEM, as cert-manager and ACME clients write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The certificate that new connections get.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files.
    pub(crate) fn load(files: CertificateFiles) -> Result<Arc<Self>, Error> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Arc::new(Self { files, current }))
    }

    /// What a listener needs; `protocol` is its ALPN id.
    pub(crate) fn config(self: &Arc<Self>, protocol: &[u8]) -> Result<Arc<ServerConfig>, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        // RFC 9250 § 4.1, RFC 8310 § 3: QUIC has 1.3 only, and it is the better one for all.
        let mut config = builder
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(Error::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(self))));
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks at the files until the server stops. What cannot be read leaves the certificate
    /// as it is, and is said once.
    pub(crate) async fn watch(self: Arc<Self>, mut stop: watch::Receiver<()>) {
        let mut said = String::new();
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                () = sleep(LOOK_EVERY) => {}
            }
            said = match self.look() {
                Ok(()) => String::new(),
                Err(why) => {
                    let why = why.to_string();
                    if why != said {
                        tracing::warn!("{why}; the certificate stays as it was");
                    }
                    why
                }
            };
        }
    }

    fn look(&self) -> Result<(), Error> {
        let found = read(&self.files)?;
        if found.cert != self.current.load().cert {
            tracing::info!(file = %self.files.certificate.display(), "a new certificate is used");
            self.current.store(Arc::new(found));
        }
        Ok(())
    }
}

/// Gives every client the current one.
#[derive(Debug)]
struct Resolver(Arc<Certificate>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.load_full())
    }
}

/// Reads both files; the key must be that of the certificate.
fn read(files: &CertificateFiles) -> Result<CertifiedKey, Error> {
    let fail = |path: &Path, problem: String| Error::Certificate {
        path: path.to_owned(),
        problem,
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|why| fail(&files.certificate, why.to_string()))?;
    if chain.is_empty() {
        return Err(fail(&files.certificate, "it has no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|why| fail(&files.key, why.to_string()))?;
    let key =
        ring::sign::any_supported_type(&key).map_err(|why| fail(&files.key, why.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(why) => Err(fail(
            &files.key,
            format!("it does not fit {}: {why}", files.certificate.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Writes a new certificate and its key.
    fn write(files: &CertificateFiles) {
        let made = rcgen::generate_simple_self_signed(["ns.example.org".to_owned()]).unwrap();
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    fn files(folder: &Path) -> CertificateFiles {
        CertificateFiles {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        }
    }

    #[test]
    fn a_renewed_certificate_is_used_and_half_of_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        write(&files);
        let certificate = Certificate::load(files.clone()).unwrap();
        let first = certificate.current.load_full();
        certificate.look().unwrap();
        assert!(Arc::ptr_eq(&first, &certificate.current.load()));
        let old_key = fs::read(&files.key).unwrap();
        write(&files);
        let new_key = fs::read(&files.key).unwrap();
        fs::write(&files.key, old_key).unwrap();
        let why = certificate.look().unwrap_err().to_string();
        assert!(why.contains("tls.key: it does not fit"), "{why}");
        assert!(Arc::ptr_eq(&first, &certificate.current.load()));
        fs::write(&files.key, new_key).unwrap();
        certificate.look().unwrap();
        assert_ne!(first.cert, certificate.current.load().cert);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let why = |expected: &str| {
            let why = Certificate::load(files.clone()).unwrap_err();
            assert_eq!(why.kind(), "certificate");
            assert!(why.to_string().contains(expected), "{why} lacks {expected}");
        };
        why("tls.crt: ");
        fs::write(&files.certificate, "no pem").unwrap();
        why("tls.crt: it has no certificate");
        write(&files);
        fs::write(&files.key, "no pem").unwrap();
        why("tls.key: ");
    }
}
