//! The HTTPS listener of a cluster.
//!
//! Guarantees: while the API is down, connections are reset, new ones at once and open ones within
//! the same moment; while it hangs, they are taken and nothing is answered. Assumptions: the port
//! stays bound for the whole life of the fleet, so it cannot be lost to somebody else, unless a
//! fault closes it.

use crate::cluster::Cluster;
use crate::faults::{ApiState, Faults};
use crate::server::{Access, Peer, router};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// A client that does not finish its handshake by then is dropped.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Streams that one HTTP/2 connection may have: watches of a busy controller fit into one.
const STREAMS_MAX: u32 = 1_000;

/// How often a port that was closed for a while is bound again before it counts as lost.
const REBINDS_MAX: u32 = 100;

/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves a cluster until it is stopped.
pub(crate) async fn https(
    cluster: Cluster,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    stop: CancellationToken,
) {
    let mut faults = cluster.faults().subscribe();
    let mut listener = listener;
    let routes = router(cluster.clone(), Access::Authenticated);
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = refused(&mut faults) => {
                let reopened = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    reopened = closed(listener, &mut faults) => reopened,
                };
                let Some(reopened) = reopened else { return };
                listener = reopened;
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if faults.borrow().api == ApiState::Down {
            // With nothing to linger for, closing sends a reset.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            continue;
        }
        let connection = Connection {
            acceptor: acceptor.clone(),
            routes: routes.clone(),
            cluster: cluster.clone(),
        };
        tokio::spawn(Box::pin(connection.serve(stream, stop.clone())));
    }
}

/// Returns when connections are to be refused.
async fn refused(faults: &mut watch::Receiver<Faults>) {
    // The switch outlives the listener; if it is gone, nothing changes any more.
    if faults
        .wait_for(|now| now.api == ApiState::Refused)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

/// Closes a listener until connections are taken again; none when its port was lost meanwhile.
async fn closed(
    listener: TcpListener,
    faults: &mut watch::Receiver<Faults>,
) -> Option<TcpListener> {
    let address = listener.local_addr().ok()?;
    drop(listener);
    faults
        .wait_for(|now| now.api != ApiState::Refused)
        .await
        .ok()?;
    for _ in 0..REBINDS_MAX {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(cause) => tracing::warn!(%cause, %address, "cannot listen again yet"),
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    None
}

/// Serves plain HTTP until it is stopped.
pub(crate) async fn plain(routes: Router, listener: TcpListener, stop: CancellationToken) {
    let served = axum::serve(listener, routes)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(cause) = served {
        tracing::warn!(%cause, "the control address stopped");
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    routes: Router,
    cluster: Cluster,
}

impl Connection {
    async fn serve(self, stream: TcpStream, stop: CancellationToken) {
        // Small answers must not wait for acknowledgements of the ones before.
        let _ = stream.set_nodelay(true);
        let falls = self.cluster.faults().falls();
        let routes = self.routes.clone();
        let acceptor = self.acceptor.clone();
        let serving = async move {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await
            else {
                return;
            };
            let peer = stream.get_ref().1.peer_certificates();
            let peer = peer.map(|chain| Arc::new(Peer(chain.to_vec())));
            let routes = routes.layer(Extension(peer));
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().max_concurrent_streams(STREAMS_MAX);
            let service = TowerToHyperService::new(routes);
            // Errors are the client's: it went away, or spoke something else.
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        };
        let cut = cut(&self.cluster, falls);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            // Dropping the connection unanswered is all that a client sees of a dead server.
            () = cut => {}
            () = serving => {}
        }
    }
}

/// Returns when the API went down after it had gone down `falls` times.
async fn cut(cluster: &Cluster, falls: u64) {
    let mut faults = cluster.faults().subscribe();
    // The switch outlives its connections; if it is gone, so is the cluster.
    let _ = faults.wait_for(|_| cluster.faults().falls() != falls).await;
}
