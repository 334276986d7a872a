//! Contact with the host, and what its absence does to answers.

use crate::event::HostContact;

/// Whether the host's API answers, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) contact: HostContact,
    pub(crate) since_millis: u64,
}

impl Host {
    /// How answers are marked.
    pub(crate) fn freshness(self, max_stale_millis: u64, now: u64) -> dns::Freshness {
        match self.expiry(max_stale_millis) {
            None => dns::Freshness::Fresh,
            Some(expiry) if now < expiry => dns::Freshness::Stale,
            Some(_) => dns::Freshness::Expired,
        }
    }

    /// When answers are too old, if the host stays away.
    pub(crate) fn expiry(self, max_stale_millis: u64) -> Option<u64> {
        let lost = self.contact == HostContact::Lost;
        lost.then(|| self.since_millis.saturating_add(max_stale_millis))
    }
}
