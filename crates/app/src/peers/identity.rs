//! This observer's certificate: made once, kept in the folder of state, named by its SHA-256 on the Lease.

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// Its name in the folder of state: the certificate and its key, in PEM.
const FILE: &str = "observer.pem";
/// The name in certificates; nobody is believed for it.
pub(super) const NAME: &str = "observer";

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    /// The one that the folder holds; a new one where it holds none.
    ///
    /// # Errors
    /// The folder cannot be written, or what it holds is no certificate.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(pem) => Self::read(&pem).with_context(|| {
                format!(
                    "{} holds no certificate with its key: remove it",
                    path.display()
                )
            }),
            Err(why) if why.kind() == ErrorKind::NotFound => Self::make(folder),
            Err(why) => Err(why).with_context(|| path.display().to_string()),
        }
    }

    /// The SHA-256 of its certificate, in hex.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    fn read(pem: &[u8]) -> Result<Self> {
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(pem)?,
            key: Arc::new(PrivateKeyDer::from_pem_slice(pem)?),
        })
    }

    fn make(folder: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        let (path, aside) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            // Its user alone may read the key.
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&aside)?;
            file.write_all(pem.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, &path)
        };
        write().with_context(|| path.display().to_string())?;
        Self::read(pem.as_bytes())
    }
}

/// The SHA-256 of a certificate, in hex.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
