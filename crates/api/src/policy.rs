//! The policy tree of a GlobalService. Its schema is in `policy_schema.rs`.

use crate::{Error, config::duration_millis, health_check::HttpExpectation};
use ipnet::IpNet;
use kube::core::Duration;
use model::{HttpProbe, HttpsProbe, PortProbe, ProbeKind, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use steering::{
    All, Capacity, Cidr, CidrRule, FailoverBranch, Geo, GeoRule, Policy, Pool, Requirement,
    Transition, WeightedBranch,
};

/// A node: exactly one of its parts is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyNode {
    /// The endpoints of these clusters or regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolNode>,
    /// Those closest to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestNode>,
    /// By shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Vec<WeightedNode>>,
    /// By order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Vec<FailoverNode>>,
    /// By the client's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo: Option<GeoNode>,
    /// By the client's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<CidrNode>,
    /// Several in one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<AllNode>,
    /// One by the client's prefix, always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashNode>,
    /// By distance, as far as ready replicas reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<CapacityNode>,
}

/// By rules on the client's place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeoNode {
    /// The first that is met counts.
    pub rules: Vec<GeoRuleNode>,
    /// A leaf that answers where no rule is met, or where the rule's branch has nothing usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Box<PolicyNode>>,
}

/// A rule: any of what it lists meets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeoRuleNode {
    /// Codes of countries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub country: Vec<String>,
    /// Codes of continents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub continent: Vec<String>,
    /// Codes of subdivisions, such as `US-CA`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subdivision: Vec<String>,
    /// Autonomous systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asn: Vec<i64>,
    /// Names of lines: lists of autonomous systems and prefixes that DNS replicas are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub line: Vec<String>,
    /// What answers.
    #[serde(flatten)]
    pub node: PolicyNode,
}

/// By the client's prefix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CidrNode {
    /// The one with the longest prefix counts.
    pub rules: Vec<CidrRuleNode>,
    /// A leaf that answers where no rule is met, or where the rule's branch has nothing usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Box<PolicyNode>>,
}

/// Prefixes and what answers them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CidrRuleNode {
    /// The prefixes.
    pub networks: Vec<String>,
    /// What answers.
    #[serde(flatten)]
    pub node: PolicyNode,
}

/// Several in one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllNode {
    /// Over these endpoints; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolNode>,
    /// How many addresses an answer has at most; 8 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// Sticky.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HashNode {
    /// Over these endpoints; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolNode>,
}

/// By distance, as far as ready replicas reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CapacityNode {
    /// Pool and bias.
    #[serde(flatten)]
    pub nearest: NearestNode,
    /// Ready replicas that a cluster needs for its own clients, by cluster or region; as many as its
    /// workload wants when absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, u32>,
}

/// Which endpoints: those that match every part that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolNode {
    /// In one of these clusters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// In one of these regions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// In a cluster with all of these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}

/// By distance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NearestNode {
    /// Over these endpoints; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolNode>,
    /// Percent by cluster or region, -99 to 99; a positive bias makes it seem nearer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bias: BTreeMap<String, i8>,
}

/// A branch that has a share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightedNode {
    /// Its share, relative to its siblings'.
    pub weight: u32,
    /// What answers.
    #[serde(flatten)]
    pub node: PolicyNode,
}

/// A branch that has a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverNode {
    /// Its name, unique in the tree.
    pub name: String,
    /// What answers.
    #[serde(flatten)]
    pub node: PolicyNode,
    /// Clusters with a usable endpoint that it needs; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<u32>,
    /// How it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover: Option<TakeoverNode>,
    /// How it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<FailbackNode>,
}

/// How a branch takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TakeoverNode {
    /// `Auto`, or `Manual`: by an override on the branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Transition>,
    /// How long every earlier branch must have been unable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// What must succeed first, whoever decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<RequirementNode>,
}

/// Something that must answer before a branch takes over: one of `http`, `tcp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequirementNode {
    /// What statuses call it; its place in the list when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// GET of a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<UrlCheck>,
    /// A TCP connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<AddressCheck>,
}

/// GET of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlCheck {
    /// `http://host[:port]/path`, or https.
    pub url: String,
    /// What the answer must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<HttpExpectation>,
}

/// A TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressCheck {
    /// An address or a host name.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How a branch gives back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailbackNode {
    /// `Auto` or `Manual`; as the takeover when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Transition>,
    /// How long the earlier branch must have been able.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_down: Option<Duration>,
    /// Over how long traffic goes back, a tenth at a time; at once when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Duration>,
}

impl PolicyNode {
    /// The tree as steering takes it.
    ///
    /// # Errors
    /// [`Error`] with the path of the node.
    pub fn read(&self, path: &str) -> Result<Policy, Error> {
        self.read_at(path, 1)
    }

    fn read_at(&self, path: &str, depth: usize) -> Result<Policy, Error> {
        if depth > steering::policy::POLICY_DEPTH_MAX {
            return Err(Error::invalid(path, "nests too deep"));
        }
        let pool = |pool: &Option<PoolNode>| pool.as_ref().map(PoolNode::read).unwrap_or_default();
        let mut read: Vec<Result<Policy, Error>> = Vec::new();
        read.extend(self.pool.as_ref().map(|it| Ok(Policy::Pool(it.read()))));
        read.extend(
            self.nearest
                .as_ref()
                .map(|it| Ok(Policy::Nearest(it.read()))),
        );
        read.extend(
            self.hash
                .as_ref()
                .map(|it| Ok(Policy::Hash(pool(&it.pool)))),
        );
        read.extend(self.all.as_ref().map(|it| {
            Ok(Policy::All(All {
                pool: pool(&it.pool),
                max: it.max.unwrap_or(All::default().max),
            }))
        }));
        read.extend(self.capacity.as_ref().map(|it| {
            Ok(Policy::Capacity(Capacity {
                nearest: it.nearest.read(),
                needs: it.needs.clone(),
            }))
        }));
        let inner = depth + 1;
        read.extend(self.weighted.as_ref().map(|branches| {
            let branches = branches.iter().enumerate().map(|(i, branch)| {
                Ok(WeightedBranch {
                    weight: branch.weight,
                    policy: branch
                        .node
                        .read_at(&format!("{path}.weighted[{i}]"), inner)?,
                })
            });
            Ok(Policy::Weighted(branches.collect::<Result<_, Error>>()?))
        }));
        read.extend(self.failover.as_ref().map(|branches| {
            let branches = branches.iter().enumerate();
            let read =
                branches.map(|(i, branch)| branch.read(&format!("{path}.failover[{i}]"), inner));
            Ok(Policy::Failover(read.collect::<Result<_, Error>>()?))
        }));
        read.extend(
            self.geo
                .as_ref()
                .map(|it| it.read(&format!("{path}.geo"), inner)),
        );
        read.extend(
            self.cidr
                .as_ref()
                .map(|it| it.read(&format!("{path}.cidr"), inner)),
        );
        match read.pop() {
            Some(only) if read.is_empty() => only,
            _ => Err(Error::invalid(path, ONE_OF)),
        }
    }
}

pub(crate) const ONE_OF: &str = "give exactly one of pool, nearest, weighted, failover, geo, cidr, \
                                 all, hash, capacity";

impl GeoNode {
    fn read(&self, path: &str, depth: usize) -> Result<Policy, Error> {
        let rules = self.rules.iter().enumerate().map(|(i, rule)| {
            let path = format!("{path}.rules[{i}]");
            let systems = rule.asn.iter().map(|number| {
                let what = format!("{number} is not the number of an autonomous system");
                let number = u32::try_from(*number).ok().filter(|number| *number > 0);
                number.ok_or_else(|| Error::invalid(format!("{path}.asn"), what))
            });
            Ok(GeoRule {
                countries: rule.country.clone(),
                continents: rule.continent.clone(),
                subdivisions: rule.subdivision.clone(),
                systems: systems.collect::<Result<_, Error>>()?,
                lines: rule.line.clone(),
                policy: rule.node.read_at(&path, depth)?,
            })
        });
        Ok(Policy::Geo(Geo {
            rules: rules.collect::<Result<_, Error>>()?,
            default: default(self.default.as_deref(), path, depth)?,
        }))
    }
}

impl CidrNode {
    fn read(&self, path: &str, depth: usize) -> Result<Policy, Error> {
        let rules = self.rules.iter().enumerate().map(|(i, rule)| {
            let path = format!("{path}.rules[{i}]");
            let networks = rule.networks.iter().enumerate().map(|(j, text)| {
                text.parse::<IpNet>().map_err(|_| {
                    let message = format!("{text:?} is not a prefix such as 192.0.2.0/24");
                    Error::invalid(format!("{path}.networks[{j}]"), message)
                })
            });
            Ok(CidrRule {
                networks: networks.collect::<Result<_, Error>>()?,
                policy: rule.node.read_at(&path, depth)?,
            })
        });
        Ok(Policy::Cidr(Cidr {
            rules: rules.collect::<Result<_, Error>>()?,
            default: default(self.default.as_deref(), path, depth)?,
        }))
    }
}

fn default(
    node: Option<&PolicyNode>,
    path: &str,
    depth: usize,
) -> Result<Option<Box<Policy>>, Error> {
    let read = node.map(|node| node.read_at(&format!("{path}.default"), depth));
    Ok(read.transpose()?.map(Box::new))
}

impl RequirementNode {
    fn read(&self, path: &str, place: usize) -> Result<Requirement, Error> {
        let name = self.name.clone().unwrap_or_else(|| place.to_string());
        let (target, probe) = match (&self.http, &self.tcp) {
            (Some(http), None) => http.read(&format!("{path}.http"))?,
            (None, Some(tcp)) => (
                target(&tcp.host),
                ProbeKind::Tcp(PortProbe { port: tcp.port }),
            ),
            _ => return Err(Error::invalid(path, "give exactly one of http, tcp")),
        };
        Ok(Requirement {
            name,
            target,
            probe,
        })
    }
}

impl UrlCheck {
    fn read(&self, path: &str) -> Result<(Target, ProbeKind), Error> {
        let wrong = || {
            let message = format!("{:?} is not http://host[:port]/path, or https", self.url);
            Error::invalid(format!("{path}.url"), message)
        };
        let url: http::Uri = self.url.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(host)) = (url.scheme_str(), url.host()) else {
            return Err(wrong());
        };
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let expect = self.expect.clone().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        let path_and_query = url.path_and_query().map_or("/", |it| it.as_str());
        let http = HttpProbe {
            port: url.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: path_and_query.to_owned(),
            host: None,
            expect_status: expect.read(path)?,
            expect_body: expect.body,
        };
        let probe = match tls {
            false => ProbeKind::Http(http),
            true => ProbeKind::Https(HttpsProbe {
                http,
                server_name: None,
                min_days_left: None,
            }),
        };
        Ok((target(host), probe))
    }
}

fn target(host: &str) -> Target {
    host.parse()
        .map_or_else(|_| Target::Hostname(host.to_owned()), Target::Ip)
}

impl PoolNode {
    fn read(&self) -> Pool {
        Pool {
            clusters: self
                .clusters
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            regions: self
                .regions
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            selector: self.selector.clone(),
        }
    }
}

impl NearestNode {
    fn read(&self) -> steering::Nearest {
        steering::Nearest {
            pool: self.pool.as_ref().map(PoolNode::read).unwrap_or_default(),
            bias: self.bias.clone(),
        }
    }
}

impl FailoverNode {
    fn read(&self, path: &str, depth: usize) -> Result<FailoverBranch, Error> {
        let takeover = self.takeover.clone().unwrap_or_default();
        let failback = self.failback.clone().unwrap_or_default();
        let delay = duration_millis(takeover.delay.as_ref(), &format!("{path}.takeover.delay"))?;
        let hold_down = duration_millis(
            failback.hold_down.as_ref(),
            &format!("{path}.failback.holdDown"),
        )?;
        let ramp = duration_millis(failback.ramp.as_ref(), &format!("{path}.failback.ramp"))?;
        let requires = takeover.requires.iter().enumerate();
        let requires =
            requires.map(|(i, it)| it.read(&format!("{path}.takeover.requires[{i}]"), i));
        Ok(FailoverBranch {
            name: self.name.clone(),
            policy: self.node.read_at(path, depth)?,
            min_healthy: self.min_healthy.unwrap_or(1),
            takeover: steering::Takeover {
                mode: takeover.mode.unwrap_or_default(),
                delay_millis: delay.unwrap_or(0),
                requires: requires.collect::<Result<_, Error>>()?,
            },
            failback: steering::Failback {
                mode: failback.mode,
                hold_down_millis: hold_down.unwrap_or(0),
                ramp_millis: ramp.unwrap_or(0),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(yaml: Value) -> Result<Policy, Error> {
        let node: PolicyNode = serde_json::from_value(yaml).unwrap();
        node.read("spec.policy")
    }

    #[test]
    fn two_sites_and_a_standby_read_as_a_failover_of_a_weighted_pair() {
        let policy = read(json!({"failover": [
            {"name": "city-a", "minHealthy": 1, "weighted": [
                {"weight": 50, "pool": {"clusters": ["dc1"]}},
                {"weight": 50, "pool": {"clusters": ["dc2"]}}]},
            {"name": "city-b", "pool": {"clusters": ["dc3"]},
                "takeover": {"mode": "Manual"}, "failback": {"holdDown": "5m"}}
        ]}))
        .unwrap();
        let Policy::Failover(branches) = policy else {
            panic!("{policy:?}");
        };
        assert!(matches!(&branches[0].policy, Policy::Weighted(pair) if pair.len() == 2));
        assert_eq!(branches[1].takeover.mode, Transition::Manual);
        assert_eq!(branches[1].failback.hold_down_millis, 300_000);
    }

    #[test]
    fn a_node_with_two_parts_is_refused_with_its_path() {
        let problem = read(json!({"weighted": [{"weight": 1, "pool": {}, "nearest": {}}]}));
        assert_eq!(
            problem.unwrap_err().to_string(),
            format!("spec.policy.weighted[0]: {ONE_OF}")
        );
    }

    #[test]
    fn every_kind_of_node_reads_and_what_is_wrong_in_it_has_its_path() {
        let policy = read(json!({"geo": {
            "rules": [
                {"country": ["CN"], "asn": [4134], "line": ["telecom"], "cidr": {
                    "rules": [{"networks": ["10.0.0.0/8"], "hash": {}}],
                    "default": {"all": {"max": 3}}}},
                {"continent": ["EU"], "capacity": {"bias": {"a": 10}, "needs": {"a": 4}}}],
            "default": {"nearest": {}}}}))
        .unwrap();
        let Policy::Geo(geo) = policy else {
            panic!("{policy:?}");
        };
        assert_eq!(
            (geo.rules[0].systems[0], geo.rules[0].lines.len()),
            (4134, 1)
        );
        let Policy::Capacity(capacity) = &geo.rules[1].policy else {
            panic!("{geo:?}");
        };
        assert_eq!((capacity.nearest.bias["a"], capacity.needs["a"]), (10, 4));
        let wrong = read(json!({"weighted": [{"weight": 1, "cidr": {"rules": [
            {"networks": ["10.0.0.0/8", "10.0.0.300/32"], "pool": {}}]}}]}));
        let message = wrong.unwrap_err().to_string();
        assert!(
            message.starts_with("spec.policy.weighted[0].cidr.rules[0].networks[1]:"),
            "{message}"
        );
    }

    #[test]
    fn what_a_takeover_requires_is_a_url_or_an_address() {
        let requires = |requires: Value| {
            read(
                json!({"failover": [{"name": "b", "pool": {}, "takeover": {"requires": [requires]},
                "failback": {"ramp": "10m"}}]}),
            )
        };
        let policy = requires(json!({"http": {"url": "https://db.example:8443/caught-up?x=1"}}));
        let Policy::Failover(branches) = policy.unwrap() else {
            panic!("it is a failover");
        };
        assert_eq!(branches[0].failback.ramp_millis, 600_000);
        let required = &branches[0].takeover.requires[0];
        assert_eq!(
            (required.name.as_str(), required.target.to_string().as_str()),
            ("0", "db.example")
        );
        let ProbeKind::Https(probe) = &required.probe else {
            panic!("{required:?}");
        };
        assert_eq!(
            (probe.http.port, probe.http.path.as_str()),
            (8443, "/caught-up?x=1")
        );
        for wrong in [
            json!({}),
            json!({"http": {"url": "ftp://x/"}}),
            json!({"http": {"url": "x"}}),
        ] {
            let message = requires(wrong).unwrap_err().to_string();
            assert!(
                message.starts_with("spec.policy.failover[0].takeover.requires[0]"),
                "{message}"
            );
        }
    }
}
