//! The role `webhook`: the certificate that the host keeps, for whoever listens.

use crate::kept_secret::follow;
use crate::webhook_keys::{Kept, WEBHOOK_SECRET_NAME};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use tokio::sync::watch;

/// Tells the newest certificate until nobody listens. While the host is away, or its leader has made
/// none, what was told stays.
pub async fn follow_webhook_certificate(
    client: Client,
    system_namespace: &str,
    certificate: watch::Sender<Option<Arc<CertifiedKey>>>,
) {
    let take = |secret: &Secret| {
        let Some(kept) = Kept::read(secret) else {
            return;
        };
        match read(&kept) {
            Some(read) => drop(certificate.send_replace(Some(Arc::new(read)))),
            None => tracing::warn!("Secret {WEBHOOK_SECRET_NAME} holds no certificate"),
        }
    };
    let name = WEBHOOK_SECRET_NAME;
    follow(client, system_namespace, name, certificate.closed(), take).await;
}

fn read(kept: &Kept) -> Option<CertifiedKey> {
    let (chain, key) = kept.shown();
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    CertifiedKey::from_der(chain.ok()?, key, &ring::default_provider()).ok()
}
