//! A webhook of a case's own: a small HTTPS server on 127.0.0.1 that answers as the case says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::answer::{Answer, Look};
use crate::world::World;

/// Servers follow configurations with a delay, and nothing tells when they have.
const ASK_AGAIN: Duration = Duration::from_millis(20);
const ASKS_MAX: u32 = 500;

/// A webhook; it ends when dropped.
pub(crate) struct Hook {
    pub(crate) url: String,
    /// `caBundle` of its certificate.
    pub(crate) bundle: String,
    seen: Arc<Mutex<Vec<Value>>>,
    server: AbortHandle,
}

/// What a webhook answers.
pub(crate) enum Say {
    /// A review with this response; its uid is added.
    Response(Value),
    /// A review that is exactly this.
    Review(Value),
    /// Something else.
    Text(u16, &'static str),
    /// Nothing, ever.
    Nothing,
}

impl Hook {
    /// Starts a webhook that answers each `request` of a review.
    pub(crate) async fn start(answer: impl Fn(&Value) -> Say + Send + Sync + 'static) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/hook", listener.local_addr().unwrap());
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
                        log.lock().unwrap().push(review.clone());
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
    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets what it was asked.
    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// An entry of `webhooks` that asks it about config maps of the case's namespace.
    pub(crate) fn entry(&self, world: &World, name: &str) -> Value {
        json!({
            "name": name,
            "clientConfig": {"url": self.url, "caBundle": self.bundle},
            "rules": [{
                "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"],
            }],
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": world.namespace},
            },
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        })
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A configuration named after the case; `order` sorts several.
pub(crate) fn configuration(world: &World, kind: &str, order: &str, hooks: &[Value]) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": format!("{order}-{}", world.namespace)},
        "webhooks": hooks,
    })
}

/// Where configurations of a kind are.
pub(crate) fn collection(kind: &str) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    format!("/apis/admissionregistration.k8s.io/v1/{plural}")
}

/// Configures a webhook and waits until it is asked about a trial of `probe`, or that is refused.
pub(crate) async fn configure(world: &World, configuration: &Value, hook: &Hook, probe: &Value) {
    let kind = configuration.text("/kind");
    let path = collection(kind);
    world.post(&path, configuration).await.is(201);
    for _ in 0..ASKS_MAX {
        let answer = try_out(world, probe).await;
        if !hook.seen().is_empty() || answer.status != 201 {
            hook.forget();
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    panic!("the webhook is not asked");
}

async fn try_out(world: &World, probe: &Value) -> Answer {
    world.post("configmaps", probe).query("dryRun", "All").await
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
pub(crate) fn patched(operations: Value) -> Say {
    Say::Response(json!({
        "allowed": true, "patchType": "JSONPatch",
        "patch": BASE64.encode(operations.to_string()),
    }))
}

/// A response that lets pass.
pub(crate) fn allowed() -> Say {
    Say::Response(json!({"allowed": true}))
}
