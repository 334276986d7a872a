//! A webhook of a test's own: a small HTTPS server on 127.0.0.1 that answers as the test says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// It ends when dropped.
pub struct Webhook {
    /// Where it is asked.
    pub url: String,
    /// `caBundle` of its certificate.
    pub bundle: String,
    seen: Arc<Mutex<Vec<Value>>>,
    server: AbortHandle,
}

/// What a webhook answers.
pub enum Say {
    /// A review with this response; its uid is added.
    Response(Value),
    /// A review that is exactly this.
    Review(Value),
    /// Something else.
    Text(u16, &'static str),
    /// Nothing, ever.
    Nothing,
}

impl Webhook {
    /// Starts a webhook that answers each `request` of a review.
    ///
    /// # Panics
    /// When there is no port, or no key.
    pub async fn start(answer: impl Fn(&Value) -> Say + Send + Sync + 'static) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let leaf = leaf.signed_by(&key, &authority).expect("a certificate");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .expect("a certificate of our own");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "https://{}/hook",
            listener.local_addr().expect("an address")
        );
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer, log) = (acceptor.clone(), answer.clone(), log.clone());
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await
                        && let Some(review) = read(&mut stream).await
                    {
                        let said = answer(&review["request"]);
                        lock(&log).push(review.clone());
                        write(&mut stream, &review, said).await;
                    }
                });
            }
        });
        Self {
            url,
            bundle: BASE64.encode(authority.pem()),
            seen,
            server: server.abort_handle(),
        }
    }

    /// The reviews that it was asked, oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Value> {
        lock(&self.seen).clone()
    }

    /// Forgets what it was asked.
    pub fn forget(&self) {
        lock(&self.seen).clear();
    }

    /// An entry of `webhooks` that asks it about config maps of a namespace.
    #[must_use]
    pub fn entry(&self, namespace: &str, name: &str) -> Value {
        json!({
            "name": name,
            "clientConfig": {"url": self.url, "caBundle": self.bundle},
            "rules": [{
                "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"],
            }],
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": namespace},
            },
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        })
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(seen: &Mutex<Vec<Value>>) -> MutexGuard<'_, Vec<Value>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of one HTTP/1.1 request.
async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1)?;
        let length: usize = length.split("\r\n").next()?.trim().parse().ok()?;
        if bytes.len() >= end + 4 + length {
            return serde_json::from_slice(&bytes[end + 4..]).ok();
        }
    }
}

async fn write(stream: &mut (impl AsyncWriteExt + Unpin), review: &Value, said: Say) {
    let (code, kind, body) = match said {
        Say::Nothing => return std::future::pending().await,
        Say::Text(code, text) => (code, "text/plain", text.to_owned()),
        Say::Review(answer) => (200, "application/json", answer.to_string()),
        Say::Response(mut response) => {
            response["uid"] = review["request"]["uid"].clone();
            let answer = json!({
                "apiVersion": review["apiVersion"], "kind": "AdmissionReview",
                "response": response,
            });
            (200, "application/json", answer.to_string())
        }
    };
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {code} x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    // A server that gave up does not read the answer.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A response with a JSON patch.
#[must_use]
pub fn patched(operations: &Value) -> Say {
    Say::Response(json!({
        "allowed": true, "patchType": "JSONPatch",
        "patch": BASE64.encode(operations.to_string()),
    }))
}

/// A response that lets pass.
#[must_use]
pub fn allowed() -> Say {
    Say::Response(json!({"allowed": true}))
}
