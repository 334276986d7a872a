//! `meridian unjoin --purge`: what was propagated to a member is deleted there before it leaves.
//!
//! # Guarantees
//! Only what this host propagated goes, by its origin, and only the very object that was seen. What was
//! there before and was adopted is released: our marks go and it stays. So do, in a member that is the
//! host itself, its Namespaces, claims and definitions: federated objects are in them; and everywhere
//! a Namespace in which something stays.
//! # Assumptions
//! A controller that heard that the member is paused begins no write there; one that it had begun ends
//! within [`SETTLED`].
//! # Caveats
//! Whoever stops it half-way leaves the member paused; the same command goes on.

use crate::cli::{self, Output};
use crate::commands::federated_type::{self, Federated};
use crate::commands::{get, join, members};
use crate::output::{self, Progress};
use anyhow::{Context, Result, bail};
use api::KubeFedCluster;
use controller::ControlPlane;
use federation::{ANNOTATION_ADOPTED, ANNOTATION_ORIGIN, Origin, release_patch};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{
    DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// For how long writes that were begun may still arrive.
const SETTLED: Duration = Duration::from_secs(6);
/// How long nothing may go.
const PATIENCE: Duration = Duration::from_secs(180);
/// Until what was deleted is looked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// Requests under way.
const REQUESTS_MAX: usize = 16;

/// What becomes of an object, in the order in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// What others are in: who goes on half-way finds it so.
    ReleasedFirst,
    Released,
    Deleted,
    /// With what is in it, when nothing else is left.
    DeletedLast,
}

/// One object of the member.
struct Held {
    /// Of which federated type it is.
    federated: usize,
    object: DynamicObject,
    end: End,
}

/// What goes from a member.
pub(super) struct Purge {
    name: String,
    member: Client,
    us: ControlPlane,
    own_uids: BTreeSet<String>,
    types: Vec<Federated>,
    is_host: bool,
    held: Vec<Held>,
    /// Namespaces in which something stays.
    kept: BTreeSet<String>,
}

impl Purge {
    /// Looks at what the member holds; nothing is written.
    ///
    /// # Errors
    /// The host or the member does not say.
    pub(super) async fn plan(
        host: &Client,
        args: &cli::Host,
        cluster: &KubeFedCluster,
    ) -> Result<Self> {
        let (namespace, name) = (&args.system_namespace, cluster.name_any());
        let secrets = Api::<Secret>::namespaced(host.clone(), namespace);
        let secret = secrets.get_opt(&cluster.spec.secret_ref.name).await?;
        let reached = controller::reach(cluster, secret.as_ref(), &args.exec_plugins())
            .with_context(|| format!("{name} cannot be asked what it holds"))?;
        reached.credentialed().await;
        let us = join::control_plane(host, namespace).await?;
        let mut purge = Self {
            own_uids: get::own_uids(host, namespace, &us).await?,
            types: federated_type::all(host, namespace).await?,
            is_host: is_host(host, &reached.requests).await?,
            member: reached.requests,
            held: Vec::new(),
            kept: BTreeSet::new(),
            us,
            name,
        };
        let held = purge.look().await?;
        let stays = held.iter().filter(|held| held.end == End::Released);
        purge.kept = stays.filter_map(|held| held.object.namespace()).collect();
        purge.held = purge.look().await?;
        Ok(purge)
    }

    /// What becomes of each: a line for people, an object for programs.
    ///
    /// # Errors
    /// None for what is JSON.
    pub(super) fn print(&self, form: Output) -> Result<()> {
        match form {
            Output::Table => output::print(&self.lines()),
            form => output::structured(form, &self.told())?,
        }
        eprintln!("{} objects in {}", self.held.len(), self.name);
        Ok(())
    }

    fn lines(&self) -> String {
        let mut lines = String::new();
        for held in &self.held {
            let words = match held.end {
                End::Deleted => "is deleted",
                End::DeletedLast => "is deleted, and all that is in it",
                End::Released | End::ReleasedFirst => "is released, and stays",
            };
            let _ = writeln!(lines, "{} {words}", self.words(held));
        }
        lines
    }

    fn told(&self) -> Vec<Value> {
        let told = |held: &Held| {
            let end = match held.end {
                End::Deleted | End::DeletedLast => "Deleted",
                End::Released | End::ReleasedFirst => "Released",
            };
            let key = members::target_key(&held.object);
            json!({
                "kind": self.types[held.federated].types.target.kind,
                "namespace": key.namespace, "name": key.name, "end": end,
            })
        };
        self.held.iter().map(told).collect()
    }

    /// Deletes and releases until nothing of it is left.
    ///
    /// # Errors
    /// Something stays: what, and why.
    pub(super) async fn carry_out(&self, clusters: &Api<KubeFedCluster>) -> Result<()> {
        let paused = Patch::Merge(json!({"spec": {"paused": true}}));
        clusters
            .patch(&self.name, &PatchParams::default(), &paused)
            .await
            .context("pausing the member")?;
        let began = Instant::now();
        let (mut fewest, mut fewer_at) = (usize::MAX, began);
        let progress = Progress::new();
        loop {
            let held = self.look().await?;
            if held.is_empty() && began.elapsed() >= SETTLED {
                return Ok(());
            }
            progress.say(&format!("{} objects are left in {}", held.len(), self.name));
            if held.len() < fewest {
                (fewest, fewer_at) = (held.len(), Instant::now());
            }
            if fewer_at.elapsed() >= PATIENCE {
                let left: Vec<String> = held.iter().map(|held| self.words(held)).collect();
                bail!(
                    "{} objects stay in {}, which is paused now: {}. Whatever holds them \
                     (finalizers?) has to let go; then run this again",
                    left.len(),
                    self.name,
                    left.join(", ")
                );
            }
            let first = held.iter().map(|held| held.end).min();
            let mut ends = Vec::new();
            for held in &held {
                let goes = held.object.metadata.deletion_timestamp.is_some();
                if !goes && Some(held.end) == first {
                    ends.push(self.end(held));
                }
            }
            stream::iter(ends)
                .buffer_unordered(REQUESTS_MAX)
                .try_collect::<()>()
                .await?;
            sleep(AGAIN).await;
        }
    }

    /// What the member holds of this host.
    async fn look(&self) -> Result<Vec<Held>> {
        let mut all = Vec::new();
        for (number, federated) in self.types.iter().enumerate() {
            let held = members::managed(&self.member, &self.us, federated)
                .await
                .with_context(|| format!("{}: {}", self.name, federated.name))?;
            let ours = held.into_iter().filter(|object| {
                let origin = object.annotations().get(ANNOTATION_ORIGIN);
                origin.is_some_and(|origin| self.own_uids.contains(&Origin::parse(origin).host))
            });
            all.extend(ours.map(|object| Held {
                end: self.end_of(federated, &object),
                federated: number,
                object,
            }));
        }
        Ok(all)
    }

    fn end_of(&self, federated: &Federated, object: &DynamicObject) -> End {
        let types = &federated.types;
        let holds_others = types.is_namespace() || types.is_definition();
        let is_precious = holds_others || types.target.kind == "PersistentVolumeClaim";
        let stays = object.annotations().contains_key(ANNOTATION_ADOPTED)
            || (self.is_host && is_precious)
            || (types.is_namespace() && self.kept.contains(&object.name_any()));
        if stays && holds_others {
            End::ReleasedFirst
        } else if stays {
            End::Released
        } else if holds_others {
            End::DeletedLast
        } else {
            End::Deleted
        }
    }

    async fn end(&self, held: &Held) -> Result<()> {
        let (object, types) = (&held.object, &self.types[held.federated].types);
        let member = self.member.clone();
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(member, &namespace, &types.target),
            None => Api::all_with(member, &types.target),
        };
        let (uid, version) = (object.uid(), object.resource_version());
        let name = object.name_any();
        let ended = async {
            match held.end {
                End::Released | End::ReleasedFirst => {
                    let (uid, version) = (uid.unwrap_or_default(), version.unwrap_or_default());
                    let patch = Patch::Merge(release_patch(&uid, &version));
                    api.patch_metadata(&name, &PatchParams::default(), &patch)
                        .await
                        .map(drop)
                }
                End::Deleted | End::DeletedLast => {
                    let parameters = DeleteParams {
                        preconditions: Some(Preconditions {
                            uid,
                            resource_version: None,
                        }),
                        propagation_policy: Some(PropagationPolicy::Background),
                        ..DeleteParams::default()
                    };
                    api.delete(&name, &parameters).await.map(drop)
                }
            }
        };
        match timeout(members::DEADLINE, ended).await {
            Ok(Ok(())) => Ok(()),
            // Gone, or another by now: the next look tells.
            Ok(Err(kube::Error::Api(status))) if [404, 409].contains(&status.code) => Ok(()),
            Ok(Err(why)) => Err(why).with_context(|| self.words(held)),
            Err(_) => bail!("{}: no answer", self.words(held)),
        }
    }

    fn words(&self, held: &Held) -> String {
        let kind = &self.types[held.federated].types.target.kind;
        format!("{kind} {}", members::target_key(&held.object))
    }
}

/// Whether the member is the host.
async fn is_host(host: &Client, member: &Client) -> Result<bool> {
    let uid = async |client: &Client| -> Result<Option<String>> {
        let namespaces = Api::<Namespace>::all(client.clone());
        Ok(namespaces.get_metadata("kube-system").await?.uid())
    };
    Ok(uid(host).await? == uid(member).await?)
}
