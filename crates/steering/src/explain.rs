//! Why a client gets the answer it gets, and what it would get if a cluster were down.

use crate::{
    branches::{self, Motion},
    engine::Engine,
    error::{Error, Result},
    moved::{self, Moved},
    outcome::Rung,
    service::Service,
    spec::WhenAllDown,
    status::{BranchStatus, EndpointHealth},
    world::World,
};
use dns::{Choice, Content, Name, RecordType, SteeredRecords};
use geo::{FoundPlace, embedded_ipv4};
use ipnet::IpNet;
use model::{ClusterName, ObjectKey, ObserverName};
use serde::Serialize;
use std::{fmt, net::IpAddr};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The host.
    pub host: String,
    /// The client: an address of the ECS prefix, else the resolver's.
    pub client: IpAddr,
    /// Clusters to suppose down, all delays over.
    pub when_down: Vec<ClusterName>,
}

/// Why a client gets its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Who says so.
    pub observer: ObserverName,
    /// The host.
    pub host: String,
    /// The GlobalService that has it.
    pub service: ObjectKey,
    /// The client.
    pub client: IpAddr,
    /// What the geographic database says of the client, if there is one.
    pub place: Option<FoundPlace>,
    /// The network for which the answer is the same: its length is the ECS scope.
    pub network: IpNet,
    /// The ECS scope, in bits of the client's own family.
    pub scope: u8,
    /// The TTL in seconds.
    pub ttl_secs: u32,
    /// The rung of the ladder that answers.
    pub rung: String,
    /// The possible answers with their shares.
    pub answers: Vec<PossibleAnswer>,
    /// The path through the policy tree, step by step.
    pub path: Vec<String>,
    /// The failover branches.
    pub branches: Vec<BranchStatus>,
    /// The endpoints' health.
    pub endpoints: Vec<EndpointHealth>,
    /// Clusters that were supposed down.
    pub when_down: Vec<ClusterName>,
    /// What their loss moves, of all clients.
    pub moved: Option<Moved>,
    /// Whether answers are marked stale or withheld because the host is away.
    pub freshness: String,
}

/// One answer that the client may get.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PossibleAnswer {
    /// The type that was asked.
    pub record_type: String,
    /// Addresses, an alias, or NODATA in words.
    pub answer: String,
    /// How often, in percent.
    pub percent: f64,
}

impl Engine {
    /// Explains an answer; changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownHost`] when no service here has the host.
    pub fn explain(&self, question: &Question, now: u64) -> Result<Explanation> {
        let unknown = || Error::UnknownHost {
            host: question.host.clone(),
            known: self.known_hosts(),
        };
        let name = Name::parse(&question.host).map_err(|_| unknown())?;
        let key = self.publisher.owner(&name).ok_or_else(unknown)?;
        let service = self.services.get(key).ok_or_else(unknown)?;
        let world = self.world(now);
        let supposed = (!question.when_down.is_empty())
            .then(|| service.supposing(&question.when_down, &world));
        let moved = supposed.as_ref().and_then(|other| {
            let motion = world.motion();
            moved::moved((service, &world, motion), (other, &world, motion))
        });
        let service = supposed.as_ref().unwrap_or(service);
        let explanation = self.explain_service(service, &name, question, &world);
        explanation
            .map(|explanation| Explanation {
                moved,
                ..explanation
            })
            .ok_or_else(unknown)
    }

    fn explain_service(
        &self,
        service: &Service,
        host: &Name,
        question: &Question,
        world: &World<'_>,
    ) -> Option<Explanation> {
        let motion = world.motion();
        let outcome = service.outcome_now(world, motion)?;
        let found = outcome.table.stored.table.lookup(question.client);
        let (_, scope) = outcome.table.views.lookup(question.client);
        let view = &outcome.table.stored.table.views()[usize::from(found.view)];
        let mut path = Vec::new();
        let rung = outcome.rungs[usize::from(found.view)];
        service.choose(rung, view, world, &outcome.table, &mut |step| {
            path.push(step())
        });
        let flat = outcome
            .flat
            .as_ref()
            .filter(|_| self.publisher.is_flat(host));
        if flat.is_some() {
            path.push(world.resolved_in_words(service));
        }
        let nodes = service
            .tree
            .failovers()
            .into_iter()
            .filter_map(|(id, branches)| {
                let unmet = service.requirements.unmet();
                Some(branches::statuses(branches, service.nodes.get(id)?, unmet))
            });
        // The database is asked for the IPv4 address inside an IPv6 one, as answers are.
        let client = match question.client {
            IpAddr::V6(v6) => embedded_ipv4(v6).map_or(question.client, IpAddr::V4),
            IpAddr::V4(_) => question.client,
        };
        Some(Explanation {
            observer: self.options.observer.name.clone(),
            host: question.host.clone(),
            service: service.spec.key.clone(),
            client: question.client,
            place: self
                .geography
                .database()
                .map(|database| database.lookup(client)),
            network: found.network,
            scope,
            ttl_secs: flat.map_or(outcome.ttl_secs, |it| it.ttl_secs),
            rung: rung_in_words(rung, &service.spec.when_all_down),
            answers: match self.publisher.prefixed(host) {
                Some(prefixed) => possible(outcome.records_at(&prefixed.prefix), found.view),
                None => possible(flat.map_or(&outcome.records, |it| &it.records), found.view),
            },
            path,
            branches: nodes.flatten().collect(),
            endpoints: service.endpoint_healths(),
            when_down: question.when_down.clone(),
            moved: None,
            freshness: format!("{:?}", self.publisher.snapshot().freshness()),
        })
    }

    fn known_hosts(&self) -> String {
        let hosts: Vec<_> = self.publisher.steered_hosts().map(plain).collect();
        if hosts.is_empty() {
            "none".to_owned()
        } else {
            hosts.join(", ")
        }
    }

    pub(crate) fn world(&self, now: u64) -> World<'_> {
        World {
            now,
            clusters: &self.clusters,
            overrides: &self.overrides,
            own: &self.options.observer,
            part: self.options.part,
            abstaining: self.abstaining,
            blind: self.looked.blind,
            others: &self.others,
            reports: &self.reports,
            resolutions: &self.resolutions,
        }
    }
}

impl World<'_> {
    /// Whether branches may move by health.
    pub(crate) fn motion(&self) -> Motion {
        if self.has_majority() {
            Motion::Free
        } else {
            Motion::Frozen
        }
    }
}

/// A name as people write it, without the root's dot.
fn plain(name: &Name) -> String {
    name.to_string().trim_end_matches('.').to_owned()
}

fn rung_in_words(rung: Rung, when_all_down: &WhenAllDown) -> String {
    match rung {
        Rung::Healthy | Rung::Degraded => rung.label().to_owned(),
        rung => format!(
            "{} (nothing is healthy; whenAllDown is {when_all_down:?})",
            rung.label()
        ),
    }
}

fn possible<'a>(
    records: impl IntoIterator<Item = &'a SteeredRecords>,
    view: u16,
) -> Vec<PossibleAnswer> {
    let mut answers = Vec::new();
    for records in records {
        let choice = &records.choices[usize::from(records.by_view[usize::from(view)])];
        let shares: Vec<(f64, &Content)> = match choice {
            Choice::One(answer) => vec![(1.0, &answer.content)],
            Choice::Weighted(shares) | Choice::ByPrefix { shares, .. } => shares
                .iter()
                .map(|it| (f64::from(it.weight), &it.answer.content))
                .collect(),
        };
        let whole: f64 = shares.iter().map(|(weight, _)| weight).sum();
        answers.extend(shares.into_iter().map(|(weight, content)| PossibleAnswer {
            record_type: records.record_type.to_string(),
            answer: content_in_words(content, records.record_type),
            percent: weight * 100.0 / whole,
        }));
    }
    answers
}

fn content_in_words(content: &Content, record_type: RecordType) -> String {
    match content {
        Content::Addresses(ips) => ips
            .iter()
            .map(IpAddr::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        Content::Alias(name) => format!("CNAME {name}"),
        Content::Records(records) => format!("{} records", records.len()),
        Content::NoData => format!("NODATA: no {record_type} there"),
        Content::NothingHealthy => "NODATA: nothing is healthy".to_owned(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.host, self.client)?;
        if let Some(place) = &self.place {
            match &place.place.country {
                Some(country) => write!(f, " ({country}, {})", place.network)?,
                None => write!(f, " (unknown place)")?,
            }
        }
        if !self.when_down.is_empty() {
            let names: Vec<_> = self.when_down.iter().map(ClusterName::as_str).collect();
            write!(f, ", if {} were down", names.join(" and "))?;
        }
        writeln!(f, ", says {}", self.observer)?;
        for answer in &self.answers {
            writeln!(
                f,
                "  {:<5} {:>3.0} %  {}",
                answer.record_type, answer.percent, answer.answer
            )?;
        }
        if let Some(moved) = &self.moved {
            write!(f, "{moved}")?;
        }
        writeln!(
            f,
            "  TTL {} s, ECS scope /{} ({})",
            self.ttl_secs, self.scope, self.network
        )?;
        writeln!(
            f,
            "  rung: {}; answers are {}",
            self.rung,
            self.freshness.to_lowercase()
        )?;
        for step in &self.path {
            writeln!(f, "  → {step}")?;
        }
        for branch in &self.branches {
            writeln!(
                f,
                "  branch {}: {:?}, {}",
                branch.name, branch.state, branch.reason
            )?;
        }
        for endpoint in &self.endpoints {
            let id = &endpoint.endpoint;
            let (standing, reason) = (endpoint.standing, &endpoint.reason);
            writeln!(f, "  {} {}: {standing:?}, {reason}", id.cluster, id.target)?;
        }
        Ok(())
    }
}
