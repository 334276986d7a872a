//! DNSEndpoints of the host: KubeFed's, and ExternalDNS's own.

use super::{Host, held::listed};
use crate::Error;
use api::{DNSEndpoint, ExternalDNSEndpoint, key_of};
use model::ObjectKey;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Host {
    /// DNSEndpoints, KubeFed's and ExternalDNS's, by their keys.
    pub(crate) fn dns_endpoint_keys(&self) -> BTreeSet<ObjectKey> {
        let (ours, external) = (
            self.dns_endpoints.state(),
            self.external_dns_endpoints.state(),
        );
        let ours = ours.iter().map(|it| key_of(&it.metadata));
        ours.chain(external.iter().map(|it| key_of(&it.metadata)))
            .collect()
    }

    /// A DNSEndpoint. That there is none is known from a whole list only.
    pub(crate) async fn dns_endpoint(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<Arc<DNSEndpoint>>, Error> {
        listed(&self.dns_endpoints, key).await
    }

    /// ExternalDNS's, on a host that has the kind.
    pub(crate) async fn external_dns_endpoint(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<Arc<ExternalDNSEndpoint>>, Error> {
        listed(&self.external_dns_endpoints, key).await
    }
}
