//! The newest credential that a program printed, and requests that show it.
//!
//! # Guarantees
//! A credential is printed anew before it ends, and when the member refuses it; requests wait for
//! nothing but the first, and no longer than [`FIRST_WAIT`]: who asks once waits for it before, in
//! [`Credentials::first`], for as long as a run may take. One that has not ended outlives a program
//! that fails. Another client certificate is shown on new connections, and none that showed the one
//! before is used again.
//! # Assumptions
//! The task that runs the program ends with the last client that uses what it prints.
//! # Caveats
//! A credential is printed anew every [`RENEW_EVERY`], also one that ends later or never.

use super::connect::{AnswerBody, Answers, Remote, service};
use super::program::{Credential, Program, RUN_TIMEOUT};
use crate::Error;
use crate::clock::WallClock;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use k8s_openapi::jiff::Timestamp;
use kube::client::Body;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use tower::{BoxError, Service, ServiceExt};

/// A credential is printed anew that long before it ends.
const RENEW_BEFORE: Duration = Duration::from_secs(30);
/// How soon a program is run again at the earliest, and after how long at the latest.
const RENEW_AT_LEAST: Duration = Duration::from_secs(5);
const RENEW_EVERY: Duration = Duration::from_secs(600);
/// How often the earliest time is doubled while a program fails, or what it prints is refused.
const DOUBLINGS_MAX: u32 = 4;
/// How long a request waits for the first credential: less than a probe may take, so that a probe
/// says what is waited for.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What requests show.
struct Shown {
    header: Option<HeaderValue>,
    certificate: Option<Arc<CertifiedKey>>,
    ends: Option<Timestamp>,
}

impl Shown {
    fn of(printed: Credential) -> Result<Self, String> {
        let certificate = printed.identity.map(|(chain, key)| {
            let read = CertifiedKey::from_der(chain, key, &ring::default_provider());
            read.map(Arc::new)
                .map_err(|error| format!("clientCertificateData: {error}"))
        });
        Ok(Self {
            header: printed.header,
            certificate: certificate.transpose()?,
            ends: printed.ends,
        })
    }
}

type Newest = Option<Result<Arc<Shown>, String>>;

/// See the module.
#[derive(Clone)]
pub(super) struct Credentials {
    newest: watch::Receiver<Newest>,
    refused: Arc<Notify>,
    _renewing: Arc<AbortOnDropHandle<()>>,
}

impl Credentials {
    /// Runs the program for as long as anybody uses what it prints.
    pub(super) fn of(program: Program, clock: WallClock) -> Self {
        let (told, newest) = watch::channel(None);
        let refused = Arc::new(Notify::new());
        let renewing = tokio::spawn(renew(program, clock, told, Arc::clone(&refused)));
        Self {
            newest,
            refused,
            _renewing: Arc::new(AbortOnDropHandle::new(renewing)),
        }
    }

    /// Until the first run has come to something, for who asks once and has nobody to ask again for it.
    pub(super) async fn first(&self) {
        let mut newest = self.newest.clone();
        // What came of it, requests say.
        drop(timeout(RUN_TIMEOUT, newest.wait_for(Option::is_some)).await);
    }

    async fn newest(&self) -> Result<Arc<Shown>, BoxError> {
        let mut newest = self.newest.clone();
        let waited = timeout(FIRST_WAIT, newest.wait_for(Option::is_some)).await;
        let newest = match waited {
            Ok(newest) => newest?.clone(),
            Err(_) => None,
        };
        let newest = newest.unwrap_or_else(|| Err("it has not printed a credential yet".into()));
        newest.map_err(|why| format!("user.exec: {why}").into())
    }
}

async fn renew(
    program: Program,
    clock: WallClock,
    told: watch::Sender<Newest>,
    refused: Arc<Notify>,
) {
    let (mut was_refused, mut failures) = (false, 0_u32);
    loop {
        let began = Instant::now();
        let printed = program.run(RUN_TIMEOUT).await.and_then(Shown::of);
        let now = clock.now();
        failures = match was_refused || printed.is_err() {
            true => failures + 1,
            false => 0,
        };
        let pause = RENEW_AT_LEAST * 2_u32.pow(failures.min(DOUBLINGS_MAX));
        let wait = match &printed {
            Ok(shown) => until_renewed(shown.ends, now),
            Err(why) => {
                tracing::warn!(program = program.name(), %why, "no credential");
                pause
            }
        };
        told.send_modify(|newest| match (printed, &newest) {
            // One that has not ended is better than none.
            (Err(_), Some(Ok(before))) if !was_refused && !has_ended(before.ends, now) => {}
            (printed, _) => {
                let named = |why| format!("{}: {why}", program.name());
                *newest = Some(printed.map(Arc::new).map_err(named));
            }
        });
        // What was refused while it was being renewed says nothing of what is new.
        was_refused = tokio::select! {
            biased;
            () = refused.notified() => true,
            () = sleep(wait) => false,
        };
        // A member that refuses all of them does not have it run all the time.
        sleep_until(began + pause).await;
    }
}

fn has_ended(ends: Option<Timestamp>, now: Timestamp) -> bool {
    ends.is_some_and(|ends| ends <= now)
}

fn until_renewed(ends: Option<Timestamp>, now: Timestamp) -> Duration {
    let Some(ends) = ends else {
        return RENEW_EVERY;
    };
    let left = u64::try_from(ends.as_second() - now.as_second()).unwrap_or(0);
    let left = Duration::from_secs(left).saturating_sub(RENEW_BEFORE);
    left.clamp(RENEW_AT_LEAST, RENEW_EVERY)
}

/// Requests that show the newest credential.
#[derive(Clone)]
pub(super) struct Credentialed {
    remote: Arc<Remote>,
    credentials: Credentials,
    made: Arc<Mutex<Option<Made>>>,
}

/// Connections, and the certificate that they show.
struct Made {
    certificate: Option<Arc<CertifiedKey>>,
    service: Answers,
}

impl Credentialed {
    pub(super) fn new(remote: Arc<Remote>, credentials: Credentials) -> Self {
        Self {
            remote,
            credentials,
            made: Arc::default(),
        }
    }

    /// The connections that show a certificate, or none.
    fn connections(&self, shown: &Shown) -> Result<Answers, Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = |key: &Option<Arc<CertifiedKey>>| key.as_ref().map(|key| key.cert.clone());
        if let Some(made) = &*made
            && chain(&made.certificate) == chain(&shown.certificate)
        {
            return Ok(made.service.clone());
        }
        let tls = showing(&self.remote.tls, shown.certificate.clone());
        let service = service(&self.remote, tls)?;
        *made = Some(Made {
            certificate: shown.certificate.clone(),
            service: service.clone(),
        });
        Ok(service)
    }
}

/// A session that was begun as somebody else is not resumed.
fn showing(tls: &ClientConfig, certificate: Option<Arc<CertifiedKey>>) -> ClientConfig {
    let mut tls = tls.clone();
    if let Some(certificate) = certificate {
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certificate));
        tls.resumption = Resumption::default();
    }
    tls
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, BoxError>> + Send>>;

impl Service<Request<Body>> for Credentialed {
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Answering {
        let this = self.clone();
        Box::pin(async move {
            let shown = this.credentials.newest().await?;
            if let Some(header) = shown.header.clone() {
                request.headers_mut().insert(AUTHORIZATION, header);
            }
            let response = this.connections(&shown)?.oneshot(request).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                this.credentials.refused.notify_waiters();
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::program::ExecPlugins;
    use serde_json::json;
    use std::path::PathBuf;

    #[tokio::test]
    async fn who_asks_once_waits_for_a_program_that_takes_longer_than_a_request_would() {
        let version = "client.authentication.k8s.io/v1";
        let printed = json!({"apiVersion": version, "kind": "ExecCredential",
            "status": {"token": "late"}});
        let script = format!("sleep 1.5; echo '{printed}'");
        let exec = json!({"apiVersion": version, "command": "sign-in", "args": ["-c", script]});
        let plugins = [("sign-in".to_owned(), PathBuf::from("/bin/sh"))];
        let plugins = ExecPlugins::from_iter(plugins);
        let program = Program::read(&serde_json::from_value(exec).unwrap(), &plugins).unwrap();
        let credentials = Credentials::of(program, WallClock::System);
        let said = credentials.newest().await.err().unwrap().to_string();
        assert!(said.contains("not printed a credential yet"), "{said}");
        credentials.first().await;
        let shown = credentials.newest().await.unwrap();
        assert_eq!(shown.header.as_ref().unwrap(), "Bearer late");
    }

    #[test]
    fn a_credential_is_printed_anew_before_it_ends() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (ends, expected) in [
            (None, RENEW_EVERY),
            (Some("2026-01-01T00:05:00Z"), Duration::from_secs(270)),
            (Some("2026-01-01T09:00:00Z"), RENEW_EVERY),
            (Some("2026-01-01T00:00:10Z"), RENEW_AT_LEAST),
            (Some("2025-01-01T00:00:00Z"), RENEW_AT_LEAST),
        ] {
            let ends = ends.map(|ends| ends.parse().unwrap());
            assert_eq!(until_renewed(ends, now), expected, "{ends:?}");
        }
    }
}
