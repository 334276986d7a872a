//! What manifests of GlobalServices move: the share of the address space that would be answered otherwise.
//!
//! Two engines are given the host as it is, one with the services as they stand and one with those of the files, and
//! their answers are compared address by address.

use crate::cli;
use crate::geography;
use crate::kubeconfig;
use crate::manifests::Manifest;
use anyhow::{Context, Result};
use api::{ClusterOverride, GlobalService, KubeFedCluster, Override, ProbeReport};
use controller::dns_role::{read_cluster, read_service};
use geo::RegionLocations;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use model::ObjectKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};
use steering::{BranchState, Effect, Engine, EngineOptions, Event, Moved, Observer};

/// What one GlobalService of the files moves.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NameMoves {
    /// The service.
    pub(super) service: ObjectKey,
    /// What moves; absent where nothing can be said, and the note says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) moved: Option<Moved>,
    /// What to know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// The host, as far as answers depend on it.
struct Host {
    namespace: String,
    services: Vec<GlobalService>,
    regions: RegionLocations,
    /// What stands since long.
    events: Vec<Event>,
    /// What replicas say now.
    reported: Vec<Event>,
}

/// Before now, the world is told to an engine: endpoints that nobody has probed count as new no more, as they will not
/// soon after they are applied.
const LONG_AGO_MILLIS: u64 = 3_600_000;

/// What the GlobalServices among the manifests move.
///
/// # Errors
/// The host cannot be read, or a database does not read.
pub(super) async fn of(args: &cli::Plan, manifests: &[Manifest]) -> Result<Vec<NameMoves>> {
    let wanted: Vec<&Manifest> = manifests.iter().filter(|it| is_steered(it)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let client = kubeconfig::client(kubeconfig::host(&args.host).await?)?;
    let host = Host::read(&client, args).await?;
    let mut all = Vec::new();
    for manifest in wanted {
        let mut object = manifest.object.clone();
        if manifest.namespace().is_empty() {
            object["metadata"]["namespace"] = host.namespace.as_str().into();
        }
        let service: GlobalService = serde_json::from_value(object)?;
        all.push(host.moves(service));
    }
    Ok(all)
}

/// Whether a manifest is of a GlobalService.
pub(super) fn is_steered(manifest: &Manifest) -> bool {
    manifest.kind() == "GlobalService" && manifest.api_version().starts_with("gslb.meridian.dev/")
}

/// For people.
pub(super) fn text(all: &[NameMoves]) -> String {
    let mut text = String::new();
    for one in all {
        text.push_str(&format!("GlobalService {}\n", one.service));
        if let Some(moved) = &one.moved {
            text.push_str(&moved.to_string());
        }
        if let Some(note) = &one.note {
            text.push_str(&format!("  {note}\n"));
        }
    }
    text
}

impl Host {
    async fn read(client: &Client, args: &cli::Plan) -> Result<Self> {
        let system = &args.host.system_namespace;
        let (countries, regions) = geography::places()?;
        let database = geography::database(&args.geo_databases, &countries)?;
        let clusters = all(Api::<KubeFedCluster>::namespaced(client.clone(), system)).await?;
        let services = all(Api::<GlobalService>::all(client.clone())).await?;
        let overrides = all(Api::<Override>::all(client.clone())).await?;
        let of_clusters = all(Api::<ClusterOverride>::namespaced(client.clone(), system)).await?;
        let reports = all(Api::<ProbeReport>::namespaced(client.clone(), system)).await?;
        let mut events = vec![Event::Database(database)];
        events.extend(clusters.iter().flat_map(read_cluster));
        let read = overrides.iter().map(Override::read);
        let read = read.chain(of_clusters.iter().map(ClusterOverride::read));
        events.extend(
            read.flatten()
                .map(|it| Event::OverrideApplied(Box::new(it))),
        );
        let reports: Vec<_> = reports.iter().filter_map(|it| it.read().ok()).collect();
        events.push(Event::Observers(
            reports
                .iter()
                .map(|it| Observer {
                    name: it.observer.clone(),
                    domain: it.domain.clone(),
                    contact: None,
                })
                .collect(),
        ));
        let reported = reports.into_iter().map(|it| Event::Reported(Box::new(it)));
        Ok(Self {
            namespace: client.default_namespace().to_owned(),
            services,
            regions,
            events,
            reported: reported.collect(),
        })
    }

    fn moves(&self, mut wanted: GlobalService) -> NameMoves {
        let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
        let service = ObjectKey::new(&namespace, &name);
        let same = |it: &&GlobalService| {
            it.namespace().unwrap_or_default() == namespace && it.name_any() == name
        };
        let nothing = |note: &str| NameMoves {
            service: ObjectKey::new(&namespace, &name),
            moved: None,
            note: Some(note.to_owned()),
        };
        let Some(before) = self.services.iter().find(same) else {
            return nothing("it is new: nobody is answered yet");
        };
        if wanted.spec.endpoints == before.spec.endpoints {
            wanted.status.clone_from(&before.status);
        } else if wanted.spec.endpoints.fixed.is_none() {
            return nothing(
                "its endpoints come from elsewhere: what they are is known once it is applied",
            );
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        let (old, active) = self.engine(before, now);
        let (new, _) = self.engine(&wanted, now);
        let told = before.status.iter().flat_map(|status| &status.branches);
        let told: Vec<_> = told.filter(|it| it.state == "Active").collect();
        let other = told.iter().find(|it| !active.contains(&it.name));
        let note = other.map(|it| {
            let name = &it.name;
            format!("{name} answers now, and would not by health alone: this is counted as if it did not")
        });
        NameMoves {
            moved: old.moved(&new, &service, now),
            service,
            note,
        }
    }

    /// An engine with one service, and the branches of it that answer.
    fn engine(&self, service: &GlobalService, now: u64) -> (Engine, BTreeSet<String>) {
        let mut engine = Engine::new(EngineOptions {
            regions: self.regions.clone(),
            ..EngineOptions::listener("plan".into())
        });
        let events = self.events.iter().cloned().chain(read_service(service));
        let before = now.saturating_sub(LONG_AGO_MILLIS);
        let mut effects = engine.handle_all(events.chain([Event::Synced]), before);
        let reported = self.reported.iter().cloned();
        effects.extend(engine.handle_all(reported.chain([Event::Tick]), now));
        let mut active = BTreeSet::new();
        for effect in effects {
            if let Effect::Service(status) = effect {
                let branches = status.branches.into_iter();
                active = branches
                    .filter(|it| it.state == BranchState::Active)
                    .map(|it| it.name)
                    .collect();
            }
        }
        (engine, active)
    }
}

async fn all<K>(api: Api<K>) -> Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let kind = K::kind(&());
    let listed = api.list(&ListParams::default()).await;
    Ok(listed
        .with_context(|| format!("{kind}: the host cannot be read"))?
        .items)
}
