//! Why a server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there.
    #[error(
        "{transport} {address} is taken: stop the program that listens there (see `ss -lnp`), \
         or listen on another address or port"
    )]
    Taken {
        /// `udp`, `tcp`, `tls`, `https` or `quic`.
        transport: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The port is reserved for root.
    #[error(
        "{transport} {address} is not allowed: grant CAP_NET_BIND_SERVICE, or listen on a port \
         above 1023"
    )]
    NotAllowed {
        /// `udp`, `tcp`, `tls`, `https` or `quic`.
        transport: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// Another reason: most often the address is not this machine's.
    #[error("cannot listen on {transport} {address}: {source}")]
    Listen {
        /// `udp`, `tcp`, `tls`, `https` or `quic`.
        transport: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate or its key cannot be used.
    #[error("{}: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// No address was given.
    #[error("no address to listen on: give at least one, such as 127.0.0.1:5353")]
    NoAddress,
    /// A thread could not be started.
    #[error("cannot start an answering thread: {0}")]
    Thread(#[source] io::Error),
}

impl Error {
    /// A fixed label for metrics and exit messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "taken",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Listen { .. } => "listen",
            Self::Certificate { .. } => "certificate",
            Self::Tls(_) => "tls",
            Self::NoAddress => "no_address",
            Self::Thread(_) => "thread",
        }
    }

    pub(crate) fn listen(transport: &'static str, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken { transport, address },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { transport, address },
            _ => Self::Listen {
                transport,
                address,
                source,
            },
        }
    }
}
