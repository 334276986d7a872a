//! What can go wrong in the controller's own hands; what members answer is an outcome, not an error.

/// Something that stops a piece of work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A member's credentials or endpoint cannot be used.
    #[error("{path}: {message}")]
    Malformed {
        /// The field of the KubeFedCluster or its Secret.
        path: String,
        /// What was found and what is needed.
        message: String,
    },
    /// The host refused a request or did not answer.
    #[error("the host: {0}")]
    Host(Box<kube::Error>),
    /// The host did not answer in time.
    #[error("the host did not answer in time")]
    HostTimedOut,
    /// This process does not hold the Lease for long enough.
    #[error("not the leader")]
    NotLeading,
    /// What was read of the host is not what is there now.
    #[error("the host has moved on")]
    Behind,
    /// A manifest is of a kind that is not federated.
    #[error("{kind} is not federated: {advice}")]
    NotFederated {
        /// The kind.
        kind: String,
        /// What to do.
        advice: String,
    },
    /// A custom resource does not read.
    #[error(transparent)]
    Resource(#[from] api::Error),
}

impl Error {
    /// A field that cannot be used.
    pub(crate) fn malformed(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.into(),
            message: message.into(),
        }
    }

    /// A fixed label; `host` and `not_leading` are worth a retry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Host(_) => "host",
            Self::HostTimedOut => "host_timed_out",
            Self::NotLeading => "not_leading",
            Self::Behind => "behind",
            Self::NotFederated { .. } => "not_federated",
            Self::Resource(_) => "resource",
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Host(Box::new(error))
    }
}
