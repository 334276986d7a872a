//! What a process needs before it is of use.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A part of the process that becomes ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The host's objects were read once.
    HostCaches,
    /// A snapshot is served: from the host, or from the last checkpoint.
    Snapshot,
    /// The DNS sockets are open.
    Sockets,
    /// The webhook has a certificate to show.
    Certificate,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::HostCaches => "host-caches",
            Self::Snapshot => "snapshot",
            Self::Sockets => "sockets",
            Self::Certificate => "certificate",
        }
    }
}

/// Which parts are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    parts: BTreeMap<Part, bool>,
}

impl Readiness {
    /// These parts are waited for.
    pub fn waiting_for(parts: &[Part]) -> Self {
        Self {
            parts: parts.iter().map(|part| (*part, false)).collect(),
        }
    }

    /// A part became ready.
    pub fn ready(&mut self, part: Part) {
        self.parts.insert(part, true);
    }

    /// Whether nothing is waited for.
    pub fn is_ready(&self) -> bool {
        self.parts.values().all(|ready| *ready)
    }

    /// One line per part, as kube-apiserver's `/readyz?verbose` prints.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (part, ready) in &self.parts {
            let (mark, word) = if *ready {
                ('+', "ok")
            } else {
                ('-', "not ready yet")
            };
            let _ = writeln!(text, "[{mark}]{} {word}", part.name());
        }
        text.push_str(if self.is_ready() {
            "readyz check passed\n"
        } else {
            "readyz check failed\n"
        });
        text
    }
}
