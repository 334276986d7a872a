//! What every reconciler is given: caches, members, the clock, and whether this process leads.

use crate::clock::WallClock;
use crate::cluster_health::CapacityTurns;
use crate::definitions::Definitions;
use crate::divisions::Divisions;
use crate::events::Events;
use crate::fights::Fights;
use crate::flights::Flights;
use crate::host::{Host, TypeCache};
use crate::kubefed_lock::Rival;
use crate::lease::Leadership;
use crate::members::Members;
use crate::metrics::ControllerMetrics;
use crate::missing::Missing;
use crate::settings::{Settings, read_settings};
use crate::status::Statuses;
use crate::still_wanted::Answers;
use crate::tombstones::Owing;
use crate::wake::Wake;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tokio::time::Instant;

/// See the module.
pub(crate) struct Context {
    pub(crate) host: Host,
    pub(crate) members: Members,
    pub(crate) wake: Arc<Wake>,
    pub(crate) divisions: Divisions,
    pub(crate) leadership: Leadership,
    pub(crate) clock: WallClock,
    pub(crate) statuses: Statuses,
    pub(crate) events: Events,
    pub(crate) metrics: ControllerMetrics,
    pub(crate) owing: Owing,
    pub(crate) flights: Arc<Flights>,
    pub(crate) fights: Fights,
    pub(crate) answers: Answers,
    pub(crate) definitions: Definitions,
    pub(crate) missing: Missing,
    pub(crate) rival: Rival,
    pub(crate) capacity_turns: CapacityTurns,
    /// When this process began.
    pub(crate) started: Instant,
    /// What the KubeFedConfig said then: some of it stays in force until the next start.
    pub(crate) began_with: Settings,
    /// Who the host is.
    pub(crate) host_uid: OnceLock<String>,
    /// Caches of federated types, by the name of their FederatedTypeConfig.
    pub(crate) types: RwLock<BTreeMap<String, Arc<TypeCache>>>,
}

/// What a context is made of; all else starts empty.
pub(crate) struct Parts<'a> {
    pub(crate) host: Host,
    pub(crate) members: Members,
    /// What the KubeFedConfig said when this process began.
    pub(crate) began_with: Settings,
    pub(crate) wake: Arc<Wake>,
    pub(crate) leadership: Leadership,
    pub(crate) clock: WallClock,
    /// Who tells events.
    pub(crate) identity: &'a str,
}

impl Context {
    pub(crate) fn new(parts: Parts<'_>) -> Self {
        let (leadership, clock) = (parts.leadership, parts.clock);
        let client = parts.host.client.clone();
        Self {
            divisions: Divisions::default(),
            statuses: Statuses::new(
                client.clone(),
                leadership.clone(),
                clock,
                Arc::clone(&parts.wake),
            ),
            events: Events::start(client.clone(), leadership.clone(), clock, parts.identity),
            metrics: ControllerMetrics::default(),
            owing: Owing::start(client, &parts.host.system_namespace, leadership.clone()),
            flights: Arc::default(),
            fights: Fights::default(),
            answers: Answers::default(),
            definitions: Definitions::default(),
            missing: Missing::default(),
            rival: Rival::default(),
            capacity_turns: CapacityTurns::default(),
            started: Instant::now(),
            began_with: parts.began_with,
            host_uid: OnceLock::new(),
            types: RwLock::default(),
            host: parts.host,
            members: parts.members,
            wake: parts.wake,
            leadership,
            clock,
        }
    }

    /// What the KubeFedConfig says now.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            scope: self.host.scope,
            ..read_settings(self.host.config().as_deref()).settings
        }
    }

    /// The cache of a federated type.
    pub(crate) fn type_cache(&self, name: &str) -> Option<Arc<TypeCache>> {
        let types = self.types.read().unwrap_or_else(PoisonError::into_inner);
        types.get(name).cloned()
    }

    /// Every federated type.
    pub(crate) fn all_types(&self) -> BTreeMap<String, Arc<TypeCache>> {
        self.types
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The type whose targets are Namespaces.
    pub(crate) fn namespaces(&self) -> Option<Arc<TypeCache>> {
        let types = self.types.read().unwrap_or_else(PoisonError::into_inner);
        types
            .values()
            .find(|cache| cache.named.federated.is_namespace())
            .cloned()
    }

    /// The type with that federated kind, such as `FederatedDeployment`.
    pub(crate) fn type_of_kind(&self, kind: &str) -> Option<Arc<TypeCache>> {
        let types = self.types.read().unwrap_or_else(PoisonError::into_inner);
        types
            .values()
            .find(|cache| cache.named.federated.federated.kind == kind)
            .cloned()
    }

    /// The federated type whose target a CustomResourceDefinition of that name defines.
    pub(crate) fn type_defined_by(&self, definition: &str) -> Option<Arc<TypeCache>> {
        let (plural, group) = definition.split_once('.')?;
        let types = self.types.read().unwrap_or_else(PoisonError::into_inner);
        let defined = types.values().find(|cache| {
            let target = &cache.named.federated.target;
            target.plural == plural && target.group == group
        });
        defined.cloned()
    }
}
