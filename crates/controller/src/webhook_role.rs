//! The role `webhook`: the certificate that the host keeps, for whoever listens.

use crate::webhook_keys::{Kept, WEBHOOK_SECRET_NAME};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};
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
    let secrets = Api::<Secret>::namespaced(client, system_namespace);
    let one = Config::default().fields(&format!("metadata.name={WEBHOOK_SECRET_NAME}"));
    let found = watcher(secrets, one).default_backoff().applied_objects();
    pin_mut!(found);
    loop {
        let secret = tokio::select! {
            () = certificate.closed() => return,
            Some(secret) = found.next() => secret,
        };
        let kept = secret.ok().as_ref().and_then(Kept::read);
        let Some(kept) = kept else { continue };
        match read(&kept) {
            Some(read) => drop(certificate.send_replace(Some(Arc::new(read)))),
            None => tracing::warn!("Secret {WEBHOOK_SECRET_NAME} holds no certificate"),
        }
    }
}

fn read(kept: &Kept) -> Option<CertifiedKey> {
    let (chain, key) = kept.shown();
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    CertifiedKey::from_der(chain.ok()?, key, &ring::default_provider()).ok()
}
