//! One process after another on the same sockets: `meridian run --replace`.
//!
//! ```text
//! successor                         predecessor, which listens at STATE_DIR/replace.sock
//!   asks                      ──►
//!                                   writes its checkpoint
//!                             ◄──   its sockets
//!   restores the checkpoint,
//!   answers on the sockets
//!   says so                   ──►
//!                                   stops, and leaves Lease and report to its successor
//! ```
//!
//! # Guarantees
//! Until the successor answers, the predecessor does: one that fails on its way changes nothing.
//! # Assumptions
//! Both have the same folder of state, and the same rights: only its owner reaches the socket.
//! # Caveats
//! Connections that are open end with the predecessor; clients connect anew (RFC 7766 § 6.2.4).

use crate::own_socket;
use anyhow::{Context, Result, bail};
use dns_server::Named;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The socket's name in the folder of state.
const SOCKET: &str = "replace.sock";
/// The kind of the console's listener among the sockets.
const CONSOLE: &str = "http";
/// How long either side waits for the other; a successor restores and listens meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);
/// After an error of the listening socket.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);
/// What each side says.
const ASKED: u8 = b'?';
const ANSWERING: u8 = b'!';

/// Asks for a checkpoint, and is told when it is written.
pub(crate) type Checkpoints = mpsc::Sender<oneshot::Sender<()>>;

/// The process that is to be replaced.
pub(crate) struct Predecessor {
    stream: UnixStream,
    sockets: Vec<Named>,
}

impl Predecessor {
    /// Takes its sockets; from now on its checkpoint is current.
    ///
    /// # Errors
    /// Nobody serves this folder.
    pub(crate) fn ask(folder: &Path) -> Result<Self> {
        let path = folder.join(SOCKET);
        let asking = || -> std::io::Result<Self> {
            let mut stream = UnixStream::connect(&path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(&[ASKED])?;
            let sockets = dns_server::take(&mut stream)?;
            Ok(Self { stream, sockets })
        };
        asking().with_context(|| {
            format!(
                "--replace: no process hands over at {}; start without it, or name the folder of \
                 the one that runs with --state-dir",
                path.display()
            )
        })
    }

    /// The console's listener, if it listens there.
    pub(crate) fn console(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let is_it = |it: &Named| it.kind == CONSOLE && it.address == address;
        let at = self.sockets.iter().position(is_it)?;
        Some(self.sockets.swap_remove(at).socket.into())
    }

    /// The others.
    pub(crate) fn take_sockets(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.sockets)
    }

    /// Says that this process answers: the other ends.
    ///
    /// # Errors
    /// It ended before.
    pub(crate) fn end(mut self) -> Result<()> {
        let told = self.stream.write_all(&[ANSWERING]);
        told.context("the process that is replaced ended by itself")
    }
}

/// What a successor gets.
pub(crate) struct Estate {
    folder: PathBuf,
    sockets: Vec<Named>,
    checkpoints: Checkpoints,
}

impl Estate {
    /// The sockets of the DNS server and of the console.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(crate) fn new(
        folder: &Path,
        dns: &[Named],
        console: (SocketAddr, impl AsFd),
        checkpoints: Checkpoints,
    ) -> Result<Self> {
        let again = |kind: &str, address: SocketAddr, socket: &dyn AsFd| {
            let socket = socket.as_fd().try_clone_to_owned()?;
            let kind = kind.to_owned();
            std::io::Result::Ok(Named {
                kind,
                address,
                socket,
            })
        };
        let mut sockets = dns
            .iter()
            .map(|it| again(&it.kind, it.address, &it.socket))
            .collect::<Result<Vec<_>, _>>()?;
        sockets.push(again(CONSOLE, console.0, &console.1)?);
        Ok(Self {
            folder: folder.to_owned(),
            sockets,
            checkpoints,
        })
    }

    /// Waits for a successor until `stop`; `replaced` is cancelled when one answers.
    pub(crate) async fn hand_over(self, stop: CancellationToken, replaced: CancellationToken) {
        let listener = match own_socket::listen(&self.folder, SOCKET) {
            Ok(listener) => listener,
            Err(why) => {
                tracing::warn!("{why:#}: --replace will not find this process");
                return;
            }
        };
        let this = Arc::new(self);
        loop {
            let stream = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(why) => {
                        // Of descriptors, say: it may be over soon, and a loop would not help.
                        tracing::warn!(%why, "a successor could not connect");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                        continue;
                    }
                },
            };
            match this.give(stream).await {
                Ok(()) => {
                    tracing::info!("a successor answers");
                    replaced.cancel();
                    return;
                }
                Err(why) => tracing::warn!("a successor did not come to answer: {why:#}"),
            }
        }
    }

    async fn give(self: &Arc<Self>, stream: tokio::net::UnixStream) -> Result<()> {
        let mut stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (written, told) = oneshot::channel();
        self.checkpoints.send(written).await?;
        told.await?;
        let this = Arc::clone(self);
        let giving = tokio::task::spawn_blocking(move || -> Result<()> {
            expect(&mut stream, ASKED)?;
            dns_server::give(&mut stream, &this.sockets)?;
            expect(&mut stream, ANSWERING)
        });
        giving.await?
    }
}

fn expect(stream: &mut UnixStream, expected: u8) -> Result<()> {
    let mut said = [0];
    stream.read_exact(&mut said).context("it went away")?;
    if said != [expected] {
        bail!("it said {said:?}");
    }
    Ok(())
}
