//! What a built-in kind does differently, as a table of functions per kind.

use super::{crd, defaults, immutable, prepare, validate};
use crate::status::Cause;
use serde_json::Value;

/// What a kind does differently.
#[derive(Debug)]
pub(super) struct Hooks {
    /// Fills in defaults.
    pub(super) default: fn(&mut Value),
    /// Adds to a new object, and to a changed one, what no manager owns.
    pub(super) prepare: fn(&mut Value),
    /// Checks an object.
    pub(super) validate: fn(&Value, &mut Vec<Cause>),
    /// Checks a change: new, then old.
    pub(super) validate_update: fn(&Value, &Value, &mut Vec<Cause>),
    /// How names are checked.
    pub(super) name: NameRule,
    /// Whether generation is kept.
    pub(super) generation: Generation,
}

/// How names of a kind are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameRule {
    /// RFC 1123 subdomain.
    Subdomain,
    /// RFC 1123 label.
    Label,
    /// Anything that can be one part of a path.
    PathSegment,
}

/// Whether a kind keeps `metadata.generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// Never set.
    None,
    /// Moves when the spec does.
    Spec,
    /// Moves when anything but metadata and status does.
    Everything,
}

fn nothing(_: &mut Value) {}
fn fine(_: &Value, _: &mut Vec<Cause>) {}
fn unchanged(_: &Value, _: &Value, _: &mut Vec<Cause>) {}

/// A kind without anything particular.
pub(super) const PLAIN: Hooks = Hooks {
    default: nothing,
    prepare: nothing,
    validate: fine,
    validate_update: unchanged,
    name: NameRule::Subdomain,
    generation: Generation::None,
};

const SPEC: Hooks = Hooks {
    generation: Generation::Spec,
    ..PLAIN
};

pub(super) const CUSTOM: Hooks = Hooks {
    generation: Generation::Everything,
    ..PLAIN
};
pub(super) const CONFIG_MAP: Hooks = Hooks {
    validate: validate::config_map,
    validate_update: immutable::config_map,
    ..PLAIN
};
pub(super) const SECRET: Hooks = Hooks {
    default: defaults::secret,
    validate: validate::secret,
    validate_update: immutable::secret,
    ..PLAIN
};
pub(super) const ENDPOINTS: Hooks = Hooks {
    default: defaults::endpoints,
    ..PLAIN
};
pub(super) const EVENT: Hooks = Hooks {
    validate: validate::event,
    ..PLAIN
};
pub(super) const NEW_EVENT: Hooks = Hooks {
    validate: validate::new_event,
    ..PLAIN
};
pub(super) const LEASE: Hooks = Hooks {
    validate: validate::lease,
    ..PLAIN
};
pub(super) const NAMESPACE: Hooks = Hooks {
    default: defaults::namespace,
    prepare: prepare::namespace,
    name: NameRule::Label,
    ..PLAIN
};
pub(super) const NODE: Hooks = Hooks {
    default: defaults::node,
    ..PLAIN
};
pub(super) const CLAIM: Hooks = Hooks {
    default: defaults::claim,
    validate: validate::claim,
    validate_update: immutable::claim,
    ..PLAIN
};
pub(super) const VOLUME: Hooks = Hooks {
    default: defaults::volume,
    validate: validate::volume,
    ..PLAIN
};
pub(super) const POD: Hooks = Hooks {
    default: defaults::pod,
    prepare: prepare::pod,
    validate: validate::pod,
    validate_update: immutable::pod,
    generation: Generation::Spec,
    ..PLAIN
};
pub(super) const POD_TEMPLATE: Hooks = Hooks {
    default: defaults::pod_template,
    ..SPEC
};
pub(super) const REPLICATION_CONTROLLER: Hooks = Hooks {
    default: defaults::replication_controller,
    validate: validate::replication_controller,
    ..SPEC
};
pub(super) const SERVICE: Hooks = Hooks {
    default: defaults::service,
    prepare: prepare::service,
    validate: validate::service,
    validate_update: immutable::service,
    name: NameRule::Label,
    ..PLAIN
};
pub(super) const CONTROLLER_REVISION: Hooks = Hooks {
    validate_update: immutable::controller_revision,
    ..PLAIN
};
pub(super) const DAEMON_SET: Hooks = Hooks {
    default: defaults::daemon_set,
    validate: validate::daemon_set,
    validate_update: immutable::selector,
    ..SPEC
};
pub(super) const DEPLOYMENT: Hooks = Hooks {
    default: defaults::deployment,
    validate: validate::deployment,
    validate_update: immutable::selector,
    ..SPEC
};
pub(super) const REPLICA_SET: Hooks = Hooks {
    default: defaults::replica_set,
    validate: validate::replica_set,
    validate_update: immutable::selector,
    ..SPEC
};
pub(super) const STATEFUL_SET: Hooks = Hooks {
    default: defaults::stateful_set,
    validate: validate::stateful_set,
    validate_update: immutable::stateful_set,
    ..SPEC
};
pub(super) const AUTOSCALER: Hooks = Hooks {
    default: defaults::autoscaler,
    validate: validate::autoscaler,
    ..PLAIN
};
pub(super) const AUTOSCALER_V1: Hooks = Hooks {
    default: defaults::autoscaler_v1,
    ..PLAIN
};
pub(super) const CRON_JOB: Hooks = Hooks {
    default: defaults::cron_job,
    validate: validate::cron_job,
    ..SPEC
};
pub(super) const JOB: Hooks = Hooks {
    default: defaults::job,
    prepare: prepare::job,
    validate: validate::job,
    validate_update: immutable::job,
    ..SPEC
};
pub(super) const SLICE: Hooks = Hooks {
    default: defaults::endpoint_slice,
    validate: validate::endpoint_slice,
    validate_update: immutable::endpoint_slice,
    generation: Generation::Everything,
    ..PLAIN
};
pub(super) const INGRESS_CLASS: Hooks = SPEC;
pub(super) const INGRESS: Hooks = Hooks {
    validate: validate::ingress,
    ..SPEC
};
pub(super) const NETWORK_POLICY: Hooks = Hooks {
    default: defaults::network_policy,
    ..SPEC
};
pub(super) const DISRUPTION_BUDGET: Hooks = Hooks {
    validate: validate::disruption_budget,
    ..SPEC
};
pub(super) const ROLE: Hooks = Hooks {
    validate: validate::role,
    name: NameRule::PathSegment,
    ..PLAIN
};
pub(super) const ROLE_BINDING: Hooks = Hooks {
    default: defaults::role_binding,
    validate: validate::role_binding,
    validate_update: immutable::role_binding,
    name: NameRule::PathSegment,
    ..PLAIN
};
pub(super) const PRIORITY_CLASS: Hooks = Hooks {
    default: defaults::priority_class,
    validate_update: immutable::priority_class,
    ..SPEC
};
pub(super) const STORAGE_CLASS: Hooks = Hooks {
    default: defaults::storage_class,
    validate_update: immutable::storage_class,
    ..PLAIN
};
pub(super) const STORAGE_DRIVER: Hooks = Hooks {
    default: defaults::storage_driver,
    ..PLAIN
};
pub(super) const VOLUME_ATTACHMENT: Hooks = Hooks {
    validate_update: immutable::attachment,
    ..PLAIN
};
pub(super) const STORAGE_CAPACITY: Hooks = Hooks {
    validate_update: immutable::storage_capacity,
    ..PLAIN
};
pub(super) const ATTRIBUTES_CLASS: Hooks = Hooks {
    validate_update: immutable::attributes_class,
    ..PLAIN
};
pub(super) const RUNTIME_CLASS: Hooks = Hooks {
    validate_update: immutable::runtime_class,
    ..PLAIN
};
pub(super) const DEVICES: Hooks = Hooks {
    generation: Generation::Spec,
    ..PLAIN
};
pub(super) const DEVICE_CLAIM: Hooks = Hooks {
    default: defaults::device_claim,
    validate_update: immutable::device_claim,
    ..PLAIN
};
pub(super) const DEVICE_CLAIM_TEMPLATE: Hooks = Hooks {
    default: defaults::device_claim_template,
    validate_update: immutable::device_claim,
    ..PLAIN
};
pub(super) const WEBHOOKS: Hooks = Hooks {
    default: defaults::webhooks,
    validate: validate::webhooks,
    generation: Generation::Everything,
    ..PLAIN
};
pub(super) const POLICY: Hooks = Hooks {
    default: defaults::policy,
    validate: validate::policy,
    ..SPEC
};
pub(super) const POLICY_BINDING: Hooks = Hooks {
    default: defaults::policy_binding,
    validate: validate::policy_binding,
    ..SPEC
};
pub(super) const DEFINITION: Hooks = Hooks {
    default: crd::default,
    prepare: crd::prepare,
    validate: crd::validate,
    validate_update: crd::validate_update,
    ..SPEC
};
