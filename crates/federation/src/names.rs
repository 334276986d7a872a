//! Labels, annotations and other fixed texts that objects carry.

/// The field manager of every write to a member.
pub const FIELD_MANAGER: &str = "meridian";
/// The finalizer on federated objects; KubeFed's own, so that a hand-over changes nothing.
pub const FINALIZER: &str = "kubefed.io/sync-controller";
/// Label on everything that is propagated; `"false"` on a member's object keeps it untouched.
pub const LABEL_MANAGED: &str = "kubefed.io/managed";
/// Annotation on everything that is propagated: `<host uid>/<federated object uid>`.
pub const ANNOTATION_ORIGIN: &str = "meridian.dev/origin";
/// Annotation on everything that is propagated: the hash of what was rendered.
pub const ANNOTATION_APPLIED_HASH: &str = "meridian.dev/applied-hash";
/// Annotation on objects that existed before and were taken over; they are released, not deleted.
pub const ANNOTATION_ADOPTED: &str = "meridian.dev/adopted";
/// Annotation on a federated object: `"true"` leaves its propagated objects when it is deleted.
pub const ANNOTATION_ORPHAN: &str = "kubefed.io/orphan";
/// Annotation on a federated object: DeleteOptions as JSON.
pub const ANNOTATION_DELETE_OPTIONS: &str = "kubefed.io/deleteoption";
/// Annotation on a federated object: `"true"` holds it as it is.
pub const ANNOTATION_PAUSED: &str = "meridian.dev/paused";
/// Annotation on a federated object: `<revision>/<step>`, the last step of that revision's rollout
/// that may begin.
pub const ANNOTATION_ROLLOUT_APPROVED: &str = "meridian.dev/rollout-approved";
/// Annotation on the target of a scheduling preference: `user` means `placement` is the user's.
pub const ANNOTATION_PLACEMENT: &str = "meridian.dev/placement";
/// Annotation on a federated object: the generation for which a braked deletion was confirmed.
pub const ANNOTATION_CONFIRMED: &str = "meridian.dev/confirmed-deletion";
/// What kubectl's client-side apply leaves behind; never propagated.
pub const ANNOTATION_LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation on a scheduling preference: `<time> <cluster>,<cluster>…` (or `*`), a request to
/// return replicas now; it counts for an hour.
pub const ANNOTATION_FAILBACK: &str = "meridian.dev/failback";
/// Annotation on a scheduling preference: a division as JSON, cluster to replicas, that counts
/// instead of the spec's until it is taken away.
pub const ANNOTATION_DIVISION: &str = "meridian.dev/division";
/// Annotation on the KubeFedConfig: uids of hosts that this one stands in for, with commas.
pub const ANNOTATION_ADOPTED_HOSTS: &str = "meridian.dev/adopted-hosts";
/// Annotation on the KubeFedConfig: `<time> <reason>`, opens the failover brake for an hour.
pub const ANNOTATION_FAILOVER_RELEASED: &str = "meridian.dev/failover-released";
