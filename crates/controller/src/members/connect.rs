//! A member's clients: one for writes and reads, one for watches, each with connections of its own.
//!
//! An API server allows about a hundred streams a connection (HTTP/2), so that watches and writes
//! do not share one. kube's own retries are off: they would wait for minutes inside of a request.
//! Every request has a deadline where it is made; a watch lives on keep-alives instead.

use super::credential::{Credentialed, Credentials};
use super::program::Program;
use super::proxy::{Dialler, Proxy, Within};
use super::silence::Pause;
use crate::Error;
use crate::clock::WallClock;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper_rustls::FixedServerNameResolver;
use hyper_util::client::legacy::{Client as HyperClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

/// Until an address answers or is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Until a connection is whole, the proxy's part and TLS included: one that stalls on the way does
/// not hold up who waits for it, and leaves nothing behind.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two pings of an HTTP/2 connection, and how long an answer may take: a connection to a
/// member that vanished is noticed within the sum.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Requests in a second that a member is sent at most; API servers answer more with 429.
const REQUESTS_PER_SECOND: u64 = 2000;

pub(super) type Answers = BoxCloneSyncService<Request<Body>, Response<AnswerBody>, BoxError>;
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

/// How a member is reached.
pub enum Access {
    /// Over the network, with what the KubeFedCluster and its Secret say.
    Kubeconfig(Box<Remote>),
    /// Inside of this process.
    InProcess(InProcess),
}

/// A member over the network.
pub struct Remote {
    /// The endpoint, and who we are above TLS.
    pub(super) config: Config,
    /// Whom to believe, and who we are within TLS.
    pub(super) tls: ClientConfig,
    /// The name in the server's certificate, when it is not the endpoint's.
    pub(super) server_name: Option<ServerName<'static>>,
    /// What stands on the way.
    pub(super) proxy: Option<Proxy>,
    /// What prints the credential.
    pub(super) program: Option<Program>,
}

/// A member's API as a service in this process, such as a router.
#[derive(Clone)]
pub struct InProcess {
    service: Answers,
}

impl InProcess {
    /// Takes any service that answers as an API server does.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            service: boxed(service),
        }
    }
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

/// A member's clients.
#[derive(Clone)]
pub struct Connection {
    /// For reads and writes.
    pub requests: Client,
    /// For watches.
    pub watches: Client,
    /// For how long the member asked not to be asked.
    pub(super) pause: Arc<Pause>,
    /// What a program prints, where one does.
    pub(super) credentials: Option<Credentials>,
}

impl Connection {
    /// Until a program that prints the credential has run once; at once where there is none.
    pub async fn credentialed(&self) {
        if let Some(credentials) = &self.credentials {
            credentials.first().await;
        }
    }
}

/// Makes a member's clients. Nothing is sent yet.
///
/// # Errors
/// [`Error::Malformed`] when certificates or keys do not parse.
pub fn connect(access: Access, clock: WallClock) -> Result<Connection, Error> {
    let pause = Arc::new(Pause::default());
    match access {
        Access::Kubeconfig(remote) => {
            let remote: Arc<Remote> = remote.into();
            let program = remote.program.clone();
            let credentials = program.map(|program| Credentials::of(program, clock));
            let services = || match &credentials {
                None => service(&remote, remote.tls.clone()),
                Some(credentials) => {
                    let credentials = credentials.clone();
                    Ok(boxed(Credentialed::new(Arc::clone(&remote), credentials)))
                }
            };
            let namespace = remote.config.default_namespace.clone();
            Ok(Connection {
                requests: limited(services()?, &pause),
                pause,
                watches: Client::new(services()?, namespace),
                credentials,
            })
        }
        Access::InProcess(InProcess { service }) => Ok(Connection {
            requests: limited(service.clone(), &pause),
            pause,
            watches: Client::new(service, "default"),
            credentials: None,
        }),
    }
}

fn boxed<S, B>(service: S) -> Answers
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let unsync =
        |response: Response<B>| response.map(|body| body.map_err(Into::into).boxed_unsync());
    BoxCloneSyncService::new(service.map_response(unsync).map_err(Into::into))
}

fn limited(service: Answers, pause: &Arc<Pause>) -> Client {
    let pause = Arc::clone(pause);
    let heed = move |response: Response<AnswerBody>| {
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            pause.asked(response.headers());
        }
        response
    };
    let service = ServiceBuilder::new()
        .rate_limit(REQUESTS_PER_SECOND, Duration::from_secs(1))
        .map_response(heed)
        .service(service);
    Client::new(service, "default")
}

/// HTTP/2 where the member speaks it, else HTTP/1.1.
pub(super) fn service(remote: &Remote, tls: ClientConfig) -> Result<Answers, Error> {
    let malformed = |error: kube::Error| Error::malformed("spec", error.to_string());
    let config = &remote.config;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let dialler = Dialler::new(connector, remote.proxy.as_ref())
        .map_err(|error| Error::malformed("spec.proxyURL", error.to_string()))?;
    let builder = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    let builder = match remote.server_name.clone() {
        Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
        None => builder,
    };
    let client: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE)
        .http2_keep_alive_while_idle(true)
        .build(Within {
            inner: builder.enable_all_versions().wrap_connector(dialler),
            limit: HANDSHAKE_TIMEOUT,
        });
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(malformed)?)
        .layer(config.extra_headers_layer().map_err(malformed)?)
        .map_err(BoxError::from)
        .service(client);
    Ok(boxed(service))
}
