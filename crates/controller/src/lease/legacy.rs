//! What a leader leaves to the next one, in an annotation of the Lease: how many deletions count in
//! which member, so that a change of leaders opens no brake.

use k8s_openapi::api::coordination::v1::Lease;
use model::ClusterName;
use std::collections::BTreeMap;

/// Where it is; JSON, such as `{"paris":12}`.
const ANNOTATION_DELETIONS: &str = "meridian.dev/deletions";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Legacy {
    /// By member; none of them is zero.
    pub(super) deletions: BTreeMap<ClusterName, usize>,
    /// It grows with every change.
    pub(super) version: u64,
}

impl Legacy {
    /// From now on so many count in a member, at least; whether these are more.
    pub(super) fn grow(&mut self, member: &ClusterName, deletions: usize) -> bool {
        let counted = self.deletions.get(member).copied().unwrap_or(0);
        if deletions <= counted {
            return false;
        }
        self.deletions.insert(member.clone(), deletions);
        self.version += 1;
        true
    }

    /// From now on these count; whether they are others.
    pub(super) fn replace(&mut self, mut deletions: BTreeMap<ClusterName, usize>) -> bool {
        deletions.retain(|_, count| *count > 0);
        if deletions == self.deletions {
            return false;
        }
        self.deletions = deletions;
        self.version += 1;
        true
    }
}

/// What a Lease says. One that somebody broke says nothing.
pub(super) fn read(lease: &Lease) -> BTreeMap<ClusterName, usize> {
    let annotations = lease.metadata.annotations.as_ref();
    let text = annotations.and_then(|annotations| annotations.get(ANNOTATION_DELETIONS));
    let read = text.and_then(|text| serde_json::from_str(text).ok());
    read.unwrap_or_default()
}

/// The annotations of a Lease that says it.
pub(super) fn annotations(legacy: &Legacy) -> Option<BTreeMap<String, String>> {
    if legacy.deletions.is_empty() {
        return None;
    }
    let text = serde_json::to_string(&legacy.deletions).ok()?;
    Some(BTreeMap::from([(ANNOTATION_DELETIONS.to_owned(), text)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_as_it_was_written() {
        let mut legacy = Legacy::default();
        assert_eq!(annotations(&legacy), None);
        assert!(legacy.grow(&"a".into(), 3) && !legacy.grow(&"a".into(), 2));
        let mut lease = Lease::default();
        lease.metadata.annotations = annotations(&legacy);
        assert_eq!(read(&lease), legacy.deletions);
        assert_eq!(legacy.version, 1);
        let none = BTreeMap::from([(ClusterName::from("a"), 0)]);
        assert!(legacy.replace(none) && legacy.deletions.is_empty());
        lease.metadata.annotations = Some([(ANNOTATION_DELETIONS.into(), "?".into())].into());
        assert_eq!(read(&lease), BTreeMap::new());
    }
}
