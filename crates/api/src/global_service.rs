//! GlobalService: steered names, their endpoints, their health check and who gets which answer.

use crate::{
    Condition, Error, HealthCheckSpec, PolicyNode, config::duration_millis, key_of, schema,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, core::Duration};
use model::Target;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use steering::{
    EndpointStatus, HttpsSpec, RAMP_MILLIS, ServiceSpec, SvcbSpec, TtlRange, WITHDRAW_GRACE_MILLIS,
    WhenAllDown,
};

/// One steered name, or several with the same answers.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gslb.meridian.dev",
    version = "v1alpha1",
    kind = "GlobalService",
    plural = "globalservices",
    singular = "globalservice",
    namespaced,
    shortname = "gsvc",
    status = "GlobalServiceStatus",
    derive = "PartialEq",
    doc = "A global name, answered by where the client is and what is healthy.",
    printcolumn = r#"{"name": "hosts", "type": "string", "jsonPath": ".spec.hosts"}"#,
    printcolumn = r#"{"name": "healthy", "type": "string", "jsonPath": ".status.summary.healthy"}"#,
    printcolumn = r#"{"name": "active", "type": "string", "jsonPath": ".status.summary.active"}"#,
    printcolumn = r#"{"name": "since", "type": "date", "jsonPath": ".status.summary.since"}"#,
    printcolumn = r#"{"name": "served", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Served')].status"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GlobalServiceSpec {
    /// The names.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub hosts: Vec<String>,
    /// Where the endpoints come from.
    pub endpoints: EndpointSource,
    /// Bounds of the TTL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TtlBounds>,
    /// How endpoints are probed; absent, the members' own readiness decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckSpec>,
    /// Who gets which endpoint; the nearest of all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyNode>,
    /// Over how long a cluster that was drained gets its traffic back, a tenth at a time; also one
    /// that was down, where shares follow capacity. 30s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub ramp: Option<Duration>,
    /// How long names that were asked within the hour go on being answered after this object is deleted; 10m when
    /// absent, 0s is not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub withdraw_grace: Option<Duration>,
    /// What to answer when nothing is healthy: `LastKnownGood` (when absent), `All`, `NoData`, or
    /// `Address` with `lastResort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_all_down: Option<WhenAllDownMode>,
    /// The addresses that `whenAllDown: Address` answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 2, max = 45)))]
    pub last_resort: Vec<String>,
    /// Answers HTTPS records (RFC 9460) as well: how to speak with the service, and hints of the addresses
    /// that the same client is steered to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<HttpsRecord>,
    /// Answers service bindings (RFC 9460) at names before each host as well, with hints like those of `https`:
    /// HTTPS records for other ports, SVCB records for other schemes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["prefix"]))]
    pub svcb: Vec<SvcbRecord>,
}

/// What HTTPS records say besides addresses.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpsRecord {
    /// Protocols that it speaks, the best first, such as `h3` and `h2`.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(min = 1, max = 32), regex(pattern = r"^[!-~]+$"))
    )]
    pub alpn: Vec<String>,
    /// Its port, when it is not 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// What a service binding says besides addresses.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SvcbRecord {
    /// What stands before the host: `_8443._https` for HTTPS on another port, `_dns` for DNS (RFC 9461),
    /// or another scheme's.
    #[schemars(
        length(min = 2, max = 128),
        regex(pattern = r"^_[A-Za-z0-9-]+(\._[A-Za-z0-9-]+){0,2}$")
    )]
    pub prefix: String,
    /// Protocols that it speaks, the best first, such as `dot` and `doq`.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(min = 1, max = 32), regex(pattern = r"^[!-~]+$"))
    )]
    pub alpn: Vec<String>,
    /// Its port, when it is neither the scheme's nor in the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Where DNS over HTTPS is, such as `/dns-query{?dns}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^/[!-~]*$"))]
    pub doh_path: Option<String>,
}

/// Where endpoints come from: exactly one of these.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "[has(self.service), has(self.ingress), has(self.gateway), has(self.httpRoute), has(self.static)].exists_one(given, given)", "message": "give exactly one of service, ingress, gateway, httpRoute, static"}]))]
pub struct EndpointSource {
    /// A Service of type LoadBalancer or NodePort, of the same namespace, in every member that has
    /// it. Of a NodePort, the addresses of nodes that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<NamedSource>,
    /// An Ingress of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<NamedSource>,
    /// A Gateway (gateway.networking.k8s.io) of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<NamedSource>,
    /// An HTTPRoute (gateway.networking.k8s.io) of the same namespace: the addresses of those of its
    /// Gateways, of any namespace, that accept it, and the ready replicas behind its backends.
    #[serde(default, rename = "httpRoute", skip_serializing_if = "Option::is_none")]
    pub http_route: Option<NamedSource>,
    /// A fixed list.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub fixed: Option<Vec<StaticEndpoint>>,
}

/// An object by name.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedSource {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// An endpoint that is written down.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.addresses) != has(self.hostname)", "message": "give either addresses or hostname"}]))]
pub struct StaticEndpoint {
    /// The cluster it belongs to, or any name that policies should call it.
    #[schemars(length(min = 1, max = 253))]
    pub cluster: String,
    /// Its region; that of the cluster when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub region: Option<String>,
    /// Its addresses, IPv4 and IPv6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 2, max = 45)))]
    pub addresses: Vec<String>,
    /// Its host name, answered as CNAME; at a zone's origin and beside other records, as its addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname: Option<String>,
    /// Its share among the endpoints of its cluster; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub weight: Option<i32>,
}

/// Bounds of the TTL.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TtlBounds {
    /// The least; 5s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub min: Option<Duration>,
    /// The most; 60s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max: Option<Duration>,
}

/// What to answer when nothing is healthy.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenAllDownMode {
    /// Those that were healthy last.
    #[default]
    LastKnownGood,
    /// All of them.
    All,
    /// The addresses of `lastResort`.
    Address,
    /// No records, never NXDOMAIN.
    NoData,
}

/// What members told of the endpoints, and how the name is served.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GlobalServiceStatus {
    /// The generation that it speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// The whole in one line, as `kubectl get` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ServiceSummary>,
    /// Per cluster, what its Service offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub endpoints: Vec<ClusterEndpoints>,
    /// Each endpoint's health, all signals combined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4000))]
    pub health: Vec<EndpointHealthStatus>,
    /// Each failover branch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub branches: Vec<BranchStatusEntry>,
    /// `Served`: every host has a zone that allows it.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A service in one line.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceSummary {
    /// Endpoints that get their traffic, of all: `2/3`.
    pub healthy: String,
    /// The failover branches that answer, outer ones first; with none, the clusters that do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub active: String,
    /// Since when nothing of it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::required_time")]
    pub since: Option<Time>,
}

/// What a cluster's Service offers.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterEndpoints {
    /// The cluster.
    pub cluster: String,
    /// Addresses of its load balancer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub addresses: Vec<String>,
    /// Host names of its load balancer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<String>,
    /// Ready addresses behind the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Addresses behind the Service, ready or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_replicas: Option<i32>,
}

/// An endpoint's health.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointHealthStatus {
    /// The cluster.
    pub cluster: String,
    /// The address or host name.
    pub target: String,
    /// `Healthy`, `Unknown`, `Degraded`, `Down` or `Excluded`.
    pub standing: String,
    /// Since when.
    #[schemars(schema_with = "schema::required_time")]
    pub since: Time,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A failover branch's state.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchStatusEntry {
    /// The branch.
    pub name: String,
    /// `Active`, `Standby`, `Unable` or `Waiting`.
    pub state: String,
    /// Since when.
    #[schemars(schema_with = "schema::required_time")]
    pub since: Time,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it requires to take over and does not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<String>,
}

impl GlobalService {
    /// The service as steering takes it.
    ///
    /// # Errors
    /// [`Error`] with the path of the field that does not read.
    pub fn read(&self) -> Result<ServiceSpec, Error> {
        let spec = &self.spec;
        let created = self.metadata.creation_timestamp.as_ref();
        let created = created.map_or(0, |time| time.0.as_millisecond());
        let policy = spec.policy.as_ref().map(|node| node.read("spec.policy"));
        let health_check = spec.health_check.as_ref();
        let health_check = health_check.map(|check| check.read("spec.healthCheck"));
        Ok(ServiceSpec {
            key: key_of(&self.metadata),
            created_millis: u64::try_from(created).unwrap_or(0),
            generation: u64::try_from(self.metadata.generation.unwrap_or(0)).unwrap_or(0),
            hosts: spec.hosts.clone(),
            ttl: spec
                .ttl
                .as_ref()
                .map_or_else(|| Ok(TtlRange::default()), TtlBounds::read)?,
            health_check: health_check.transpose()?.unwrap_or_default(),
            policy: policy.transpose()?.unwrap_or_default(),
            when_all_down: self.read_when_all_down()?,
            https: spec.https.as_ref().map(HttpsRecord::read).transpose()?,
            svcb: (spec.svcb.iter().enumerate().map(SvcbRecord::read)).collect::<Result<_, _>>()?,
            ramp_millis: duration_millis(spec.ramp.as_ref(), "spec.ramp")?.unwrap_or(RAMP_MILLIS),
            withdraw_grace_millis: duration_millis(
                spec.withdraw_grace.as_ref(),
                "spec.withdrawGrace",
            )?
            .unwrap_or(WITHDRAW_GRACE_MILLIS),
        })
    }

    /// Its endpoints: those written down, or those that the leader found in members.
    ///
    /// # Errors
    /// [`Error`] with the path of the address that does not read.
    pub fn read_endpoints(&self) -> Result<Vec<EndpointStatus>, Error> {
        let mut endpoints = Vec::new();
        for (i, fixed) in self.spec.endpoints.fixed.iter().flatten().enumerate() {
            let path = format!("spec.endpoints.static[{i}]");
            for target in targets(&fixed.addresses, fixed.hostname.as_slice(), &path)? {
                endpoints.push(EndpointStatus {
                    cluster: fixed.cluster.as_str().into(),
                    target,
                    region: fixed.region.as_deref().map(Into::into),
                    ready_replicas: None,
                    wanted_replicas: None,
                    weight: fixed
                        .weight
                        .and_then(|weight| u32::try_from(weight).ok())
                        .unwrap_or(1),
                });
            }
        }
        let found = self.status.iter().flat_map(|status| &status.endpoints);
        for (i, found) in found
            .enumerate()
            .filter(|_| self.spec.endpoints.fixed.is_none())
        {
            let path = format!("status.endpoints[{i}]");
            for target in targets(&found.addresses, &found.hostnames, &path)? {
                endpoints.push(EndpointStatus {
                    cluster: found.cluster.as_str().into(),
                    target,
                    region: None,
                    ready_replicas: found.ready_replicas.and_then(|n| u32::try_from(n).ok()),
                    wanted_replicas: found.wanted_replicas.and_then(|n| u32::try_from(n).ok()),
                    weight: 1,
                });
            }
        }
        Ok(endpoints)
    }

    fn read_when_all_down(&self) -> Result<WhenAllDown, Error> {
        Ok(match self.spec.when_all_down.unwrap_or_default() {
            WhenAllDownMode::LastKnownGood => WhenAllDown::LastKnownGood,
            WhenAllDownMode::All => WhenAllDown::All,
            WhenAllDownMode::NoData => WhenAllDown::NoData,
            WhenAllDownMode::Address if self.spec.last_resort.is_empty() => {
                return Err(Error::missing("spec.lastResort"));
            }
            WhenAllDownMode::Address => {
                WhenAllDown::Address(addresses(&self.spec.last_resort, "spec.lastResort")?)
            }
        })
    }
}

impl HttpsRecord {
    fn read(&self) -> Result<HttpsSpec, Error> {
        Ok(HttpsSpec {
            alpn: self.alpn.clone(),
            port: self
                .port
                .map(|it| port(it, "spec.https.port"))
                .transpose()?,
        })
    }
}

impl SvcbRecord {
    fn read((at, it): (usize, &Self)) -> Result<SvcbSpec, Error> {
        let path = format!("spec.svcb[{at}].port");
        Ok(SvcbSpec {
            prefix: it.prefix.to_ascii_lowercase(),
            alpn: it.alpn.clone(),
            port: it.port.map(|it| port(it, &path)).transpose()?,
            doh_path: it.doh_path.clone(),
        })
    }
}

fn port(number: i32, path: &str) -> Result<u16, Error> {
    u16::try_from(number).map_err(|_| Error::invalid(path, "1 to 65535"))
}

impl TtlBounds {
    fn read(&self) -> Result<TtlRange, Error> {
        let usual = TtlRange::default();
        let seconds = |duration: &Option<Duration>, path: &str, usual: u32| {
            let millis = duration_millis(duration.as_ref(), path)?;
            millis.map_or(Ok(usual), |millis| {
                u32::try_from(millis / 1000)
                    .ok()
                    .filter(|seconds| *seconds <= 604_800)
                    .ok_or_else(|| Error::invalid(path, "at most 604800 seconds"))
            })
        };
        let read = TtlRange {
            min_secs: seconds(&self.min, "spec.ttl.min", usual.min_secs)?,
            max_secs: seconds(&self.max, "spec.ttl.max", usual.max_secs)?,
        };
        match read.min_secs <= read.max_secs {
            true => Ok(read),
            false => Err(Error::invalid(
                "spec.ttl",
                format!("min ({}s) is above max ({}s)", read.min_secs, read.max_secs),
            )),
        }
    }
}

/// Addresses as numbers.
pub(crate) fn addresses(texts: &[String], path: &str) -> Result<Vec<IpAddr>, Error> {
    let read = texts.iter().enumerate().map(|(i, text)| {
        text.parse().map_err(|_| {
            let message = format!("{text:?} is not an IPv4 or IPv6 address");
            Error::invalid(format!("{path}[{i}]"), message)
        })
    });
    read.collect()
}

fn targets(ips: &[String], hostnames: &[String], path: &str) -> Result<Vec<Target>, Error> {
    let ips = addresses(ips, &format!("{path}.addresses"))?;
    let names = hostnames.iter().map(|name| Target::Hostname(name.clone()));
    Ok(ips.into_iter().map(Target::Ip).chain(names).collect())
}
