//! Why a fleet could not be started.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a fleet could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {cause}; choose another port or stop who holds it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        cause: std::io::Error,
    },
    /// A kubeconfig could not be written.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(rcgen::Error),
    /// A certificate was asked of a cluster without a socket.
    #[error("a cluster without a socket has no certificate authority; start it in a fleet")]
    NoAuthority,
    /// TLS could not be set up.
    #[error("cannot set TLS up: {0}")]
    Tls(rustls::Error),
    /// What a cluster kept in its folder cannot be read.
    #[error("cannot go on with {path}: {why}; move the cluster's folder away to start anew")]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Two clusters have one name.
    #[error("two clusters are named {0:?}; names must differ")]
    DuplicateName(String),
}

impl Error {
    /// A fixed label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "listen",
            Self::Write { .. } => "write",
            Self::Certificate(_) => "certificate",
            Self::NoAuthority => "no_authority",
            Self::Tls(_) => "tls",
            Self::Data { .. } => "data",
            Self::DuplicateName(_) => "duplicate_name",
        }
    }

    pub(crate) fn certificate(cause: rcgen::Error) -> Self {
        Self::Certificate(cause)
    }

    pub(crate) fn tls(cause: rustls::Error) -> Self {
        Self::Tls(cause)
    }
}
