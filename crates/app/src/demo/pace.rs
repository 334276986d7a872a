//! The demo's thresholds and bounds: shortened ones, or the product's own.

use serde_json::{Value, json};
use std::time::Duration;

/// How fast things must go, and the patches that make them so.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Replicas that the preference asks for in all.
    pub(crate) total_replicas: i32,
    /// From the start to everything served.
    pub(crate) served_within: Duration,
    /// How long a member's API hangs.
    pub(crate) hang: Duration,
    /// How long something must hold to count as settled.
    pub(crate) settle: Duration,
    /// From the fault to the last answer that names the site.
    pub(crate) answer_within: Duration,
    /// From the fault to all replicas ready elsewhere.
    pub(crate) ready_within: Duration,
    /// From a deletion to its end.
    pub(crate) deleted_within: Duration,
    /// From the site's return to replicas and answers as before.
    pub(crate) returned_within: Duration,
    /// From the host's death to answers marked stale.
    pub(crate) stale_within: Duration,
    /// Merge patches on the manifests: what is patched, and with what.
    pub(crate) patches: Vec<Patch>,
}

/// A merge patch (RFC 7386) on one object of the host.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    /// Its kind.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// The patch.
    pub(crate) patch: Value,
}

impl Patch {
    /// Whether this manifest is patched.
    pub(crate) fn is_for(&self, manifest: &crate::manifests::Manifest) -> bool {
        manifest.kind() == self.kind && manifest.name() == self.name
    }

    /// One line for the timeline.
    pub(crate) fn line(&self) -> String {
        format!("{} {}: {}", self.kind, self.name, self.patch)
    }
}

impl Pace {
    /// Seconds instead of minutes; each threshold is patched in the open.
    pub(crate) fn fast() -> Self {
        let secs = Duration::from_secs;
        Self {
            total_replicas: 9,
            served_within: secs(30),
            hang: secs(6),
            settle: secs(2),
            answer_within: secs(2),
            ready_within: secs(10),
            deleted_within: secs(10),
            returned_within: secs(20),
            stale_within: secs(10),
            patches: vec![
                Patch {
                    kind: "KubeFedConfig",
                    name: "kubefed",
                    patch: json!({"spec": {
                        "clusterHealthCheck": {
                            "period": "1s", "timeout": "500ms",
                            "failureThreshold": 2, "successThreshold": 2,
                        },
                        "failover": {"afterSeconds": 2},
                        "failback": {"stableSeconds": 3, "stepPercent": 50},
                        "deletionGrace": "3s",
                    }}),
                },
                Patch {
                    kind: "GlobalService",
                    name: "shop",
                    patch: json!({"spec": {"healthCheck": {
                        "interval": "400ms", "timeout": "350ms", "up": 2, "down": 3,
                    }}}),
                },
            ],
        }
    }

    /// The product's defaults: nothing is patched.
    pub(crate) fn product() -> Self {
        let secs = Duration::from_secs;
        Self {
            total_replicas: 9,
            served_within: secs(120),
            hang: secs(60),
            settle: secs(10),
            answer_within: secs(30),
            ready_within: secs(60),
            deleted_within: secs(120),
            returned_within: secs(600),
            stale_within: secs(60),
            patches: Vec::new(),
        }
    }
}
