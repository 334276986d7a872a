//! Which clusters answers name, and until when they did: what may still be in caches.

use crate::{publish::Publisher, report::NamedCluster, service::Service};
use model::{ClusterName, ObjectKey};
use std::collections::BTreeSet;

/// Which answers name a cluster, and until when they did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) services: BTreeSet<ObjectKey>,
    until_millis: Option<u64>,
    ttl_secs_max: u32,
}

impl Publisher {
    /// Notes whom a service's new answers name.
    pub(crate) fn note(&mut self, service: &Service, now: u64) {
        let Some(outcome) = &service.outcome else {
            return;
        };
        for cluster in &outcome.named {
            self.named.entry(cluster.clone()).or_default();
        }
        for (cluster, named) in &mut self.named {
            let before = named.services.len();
            if outcome.named.contains(cluster) {
                if before == 0 {
                    named.ttl_secs_max = 0;
                }
                named.services.insert(service.spec.key.clone());
                named.until_millis = None;
                named.ttl_secs_max = named.ttl_secs_max.max(outcome.ttl_secs);
            } else {
                named.services.remove(&service.spec.key);
                named.close(before, now);
            }
        }
    }

    /// For the report: which clusters may still be in caches because of this replica.
    pub(crate) fn named(&self) -> Vec<NamedCluster> {
        let of = |(cluster, named): (&ClusterName, &Named)| NamedCluster {
            cluster: cluster.clone(),
            services: named.services.iter().cloned().collect(),
            until_millis: named.until_millis,
            ttl_secs_max: named.ttl_secs_max,
        };
        self.named.iter().map(of).collect()
    }
}

impl Named {
    /// Notes the time when the last service stopped naming the cluster.
    pub(crate) fn close(&mut self, before: usize, now: u64) {
        if before > 0 && self.services.is_empty() {
            self.until_millis = Some(now);
        }
    }
}
