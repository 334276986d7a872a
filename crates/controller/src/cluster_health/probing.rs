//! Probing every member, each by itself, and telling what was found.
//!
//! # Guarantees
//! A member is probed whatever happens to any other; a probe ends within its timeout. Its status is
//! written when what it says changes, and never for a probe alone.
//! # Assumptions
//! Standbys probe too, so that a new leader knows at once; only the leader writes.
//! # Caveats
//! A member that answers `/readyz` may still refuse single requests; that is for who sends them.

use super::capacity::{self, networks_told, told};
use super::conditions::{conditions, malformed};
use super::health::Health;
use super::nodes::{Nodes, Whereabouts, whereabouts};
use super::thresholds::{Finding, HealthCheckSettings, Run, Standing};
use crate::context::Context;
use crate::members::{Member, cause};
use crate::wake::News;
use api::{KubeFedCluster, KubeFedClusterStatus};
use http::{Request, StatusCode};
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use model::ClusterName;
use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often a healthy member's version, region and zones are read again.
const WHEREABOUTS_PERIOD: Duration = Duration::from_secs(600);
/// How often a status is written although it says nothing new: so long may the time of the last
/// probe, and why a member that is away does not answer, be behind.
const HEARTBEAT: Duration = Duration::from_secs(300);
/// How soon after a failed attempt.
const WHEREABOUTS_RETRY: Duration = Duration::from_secs(30);

/// Probes every registered member until `stop`.
pub(crate) async fn probe_members(
    context: Arc<Context>,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    let mut news = context.wake.listen();
    let mut probing: BTreeMap<ClusterName, DropGuard> = BTreeMap::new();
    loop {
        let members = context.members.all();
        probing.retain(|name, _| {
            let stays = members.contains_key(name);
            if !stays {
                health.forget(name);
            }
            stays
        });
        for name in members.into_keys() {
            probing.entry(name.clone()).or_insert_with(|| {
                let stop = stop.child_token();
                let probe = Probe::new(Arc::clone(&context), Arc::clone(&health), name.clone());
                let stopped = stop.clone();
                let told = Arc::clone(&context);
                let capacity = async move { capacity::follow(&told, &name).await };
                tokio::spawn(async move {
                    tokio::select! {
                        biased;
                        () = stopped.cancelled() => {}
                        _ = async { tokio::join!(probe.run(), capacity) } => {}
                    }
                });
                stop.drop_guard()
            });
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = members_may_have_changed(&mut news) => {}
        }
    }
}

/// Waits for news of the fleet. Members follow a moment after the news: a look every second costs
/// nothing and needs no order between the two.
async fn members_may_have_changed(news: &mut tokio::sync::broadcast::Receiver<News>) {
    let told = async {
        loop {
            match news.recv().await {
                Ok(News::Fleet) | Err(RecvError::Lagged(_)) => return,
                Ok(_) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        biased;
        () = told => {}
        () = sleep(Duration::from_secs(1)) => {}
    }
}

/// The probing of one member.
struct Probe {
    context: Arc<Context>,
    health: Arc<Health>,
    name: ClusterName,
    run: Run,
    /// What the member last settled to, and the result that did it.
    settled: Option<(Standing, Finding)>,
    whereabouts: Option<Whereabouts>,
    whereabouts_due: Option<Instant>,
}

impl Probe {
    fn new(context: Arc<Context>, health: Arc<Health>, name: ClusterName) -> Self {
        Self {
            context,
            health,
            name,
            run: Run::default(),
            settled: None,
            whereabouts: None,
            whereabouts_due: None,
        }
    }

    async fn run(mut self) {
        if self.cluster().is_some_and(|cluster| cluster.is_ready()) {
            self.run = Run::of_ready_member();
        }
        loop {
            let settings = self.context.settings().health;
            let Some(member) = self.context.members.get(&self.name) else {
                return;
            };
            // Before, there is nobody to ask, which says nothing about the member.
            member.until_connected().await;
            let began = Instant::now();
            self.probe(&member, &settings).await;
            // From the beginning of one probe to that of the next; one that timed out has waited.
            let next = began + self.run.next_probe(&settings);
            tokio::time::sleep_until(next.max(Instant::now())).await;
        }
    }

    /// The KubeFedCluster, as the host's cache has it.
    fn cluster(&self) -> Option<Arc<KubeFedCluster>> {
        let namespace = &self.context.host.system_namespace;
        self.context
            .host
            .clusters
            .get(&ObjectRef::new(self.name.as_str()).within(namespace))
    }

    async fn probe(&mut self, member: &Member, settings: &HealthCheckSettings) {
        let finding = match member.requests() {
            Some(client) => match timeout(settings.timeout, ask(&client)).await {
                Ok(finding) => finding,
                Err(_) => Finding::Unreachable(format!(
                    "no answer within {} ms",
                    settings.timeout.as_millis()
                )),
            },
            None => Finding::Unreachable(member.malformed().unwrap_or_default()),
        };
        let standing = self.run.take(&finding, settings);
        self.health.take(&self.name, &finding, standing, settings);
        self.settle(standing, finding);
        if standing == Standing::Ready {
            self.look_around(member, settings).await;
        }
        self.tell(member).await;
    }

    /// Keeps what a status says: a finding of the same kind says nothing new until a heartbeat.
    fn settle(&mut self, standing: Standing, finding: Finding) {
        let heartbeat = self.cluster().is_some_and(|cluster| self.beats(&cluster));
        let of_standing = finding.standing() == standing;
        match &mut self.settled {
            Some((before, told)) if *before == standing => {
                if of_standing && (heartbeat || discriminant(told) != discriminant(&finding)) {
                    *told = finding;
                }
            }
            _ => {
                tracing::info!(cluster = %self.name, ?standing, ?finding, "a member's API");
                self.settled = Some((standing, finding));
                self.whereabouts_due = None;
            }
        }
    }

    /// Whether the status was written so long ago that it is written again.
    fn beats(&self, cluster: &KubeFedCluster) -> bool {
        let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
        let probed = conditions.filter_map(|condition| condition.last_probe_time.as_ref());
        let now = self.context.clock.now().as_second();
        let last = probed.map(|time| time.0.as_second()).max();
        let heartbeat = i64::try_from(HEARTBEAT.as_secs()).unwrap_or(i64::MAX);
        last.is_some_and(|last| now - last >= heartbeat)
    }

    /// Reads version, region and zones, now and then.
    async fn look_around(&mut self, member: &Member, settings: &HealthCheckSettings) {
        let now = Instant::now();
        if self.whereabouts_due.is_some_and(|due| now < due) {
            return;
        }
        let Some(client) = member.requests() else {
            return;
        };
        let nodes = match member.within {
            None => Nodes::Listed,
            Some(_) => Nodes::NotAsked,
        };
        let found = timeout(settings.timeout, whereabouts(&client, nodes))
            .await
            .unwrap_or_default();
        let wait = match found.is_complete() {
            true => WHEREABOUTS_PERIOD,
            false => WHEREABOUTS_RETRY,
        };
        self.whereabouts_due = Some(now + wait);
        self.whereabouts = Some(found);
    }

    /// Makes the status say what is known; a status that says it already is not written.
    async fn tell(&self, member: &Member) {
        let Some((standing, finding)) = &self.settled else {
            return;
        };
        let Some(cluster) = self.cluster() else {
            return;
        };
        let status = self.status(&cluster, member, *standing, finding);
        let statuses = &self.context.statuses;
        let written = match self.beats(&cluster) {
            true => statuses.repeat_typed(cluster.as_ref(), &status).await,
            false => statuses.write_typed(cluster.as_ref(), &status).await,
        };
        if let Err(error) = written {
            // A standby, or a host that is away: the next probe tries again.
            tracing::debug!(cluster = %self.name, %error, "a member's status was not written");
        }
    }

    fn status(
        &self,
        cluster: &KubeFedCluster,
        member: &Member,
        standing: Standing,
        finding: &Finding,
    ) -> KubeFedClusterStatus {
        let before = cluster.status.clone().unwrap_or_default();
        let now = self.context.clock.time();
        let conditions = match member.malformed() {
            Some(why) => malformed(&why, &before.conditions, &now),
            None => conditions(&self.name, (standing, finding), &before.conditions, &now),
        };
        let found = self.whereabouts.clone().unwrap_or_default();
        KubeFedClusterStatus {
            conditions,
            kubernetes_version: found.version.or(before.kubernetes_version),
            api_enablements: found.enablements.or(before.api_enablements),
            capacity: told(
                &member.capacity.borrow(),
                before.capacity,
                self.beats(cluster),
            ),
            networks: networks_told(
                &member.capacity.borrow(),
                before.networks,
                self.beats(cluster),
            ),
            region: cluster
                .spec
                .region
                .clone()
                .or(found.region)
                .or(before.region),
            zones: match (cluster.spec.zones.is_empty(), found.zones.is_empty()) {
                (false, _) => cluster.spec.zones.clone(),
                (true, false) => found.zones,
                (true, true) => before.zones,
            },
        }
    }
}

/// `/readyz`, and `/healthz` where an API server does not know that.
async fn ask(client: &Client) -> Finding {
    match get(client, "/readyz").await {
        Err(kube::Error::Api(status)) if status.code == StatusCode::NOT_FOUND.as_u16() => {
            finding(get(client, "/healthz").await)
        }
        answer => finding(answer),
    }
}

async fn get(client: &Client, path: &str) -> kube::Result<String> {
    let request = Request::get(path)
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

fn finding(answer: kube::Result<String>) -> Finding {
    match answer {
        Ok(said) if said.trim() == "ok" => Finding::Healthy,
        Ok(said) => Finding::NotOk(said),
        Err(kube::Error::Api(status)) if status.code == StatusCode::UNAUTHORIZED.as_u16() => {
            Finding::Unauthorized
        }
        Err(kube::Error::Api(status)) => Finding::NotOk(status.to_string()),
        Err(error) => Finding::Unreachable(cause(&error)),
    }
}
