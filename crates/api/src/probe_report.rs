//! ProbeReport: one observer's view of the endpoints.

use crate::Error;
use kube::CustomResource;
use model::{EndpointId, ObjectKey, Target, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use steering::{NamedCluster, ProbeReportValue, ReportedVerdict};

/// What one observer, a DNS replica or a witness, sees. Written by that observer alone.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gslb.meridian.dev",
    version = "v1alpha1",
    kind = "ProbeReport",
    plural = "probereports",
    singular = "probereport",
    namespaced,
    derive = "PartialEq",
    doc = "One observer's view of the endpoints of all global services.",
    printcolumn = r#"{"name": "domain", "type": "string", "jsonPath": ".spec.domain"}"#,
    printcolumn = r#"{"name": "abstains", "type": "boolean", "jsonPath": ".spec.abstains"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProbeReportSpec {
    /// Its failure domain: a city, else a region.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub domain: String,
    /// When the report was made, in milliseconds since 1970.
    pub at_millis: i64,
    /// It lost most of its targets at once and suspects itself.
    #[serde(default)]
    pub abstains: bool,
    /// What it thinks of each endpoint that it probes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000))]
    pub verdicts: Vec<VerdictEntry>,
    /// The generation of each GlobalService that it serves, by `namespace/name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 10000))]
    pub generations: BTreeMap<String, i64>,
    /// Per cluster, when its answers last named it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub named: Vec<NamedClusterEntry>,
    /// The revision of the Secret of ACME challenges that it serves.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub challenges: i64,
    /// The hostnames that it has to know the addresses of and does not, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 4096))]
    pub unresolved: BTreeMap<String, String>,
}

/// A verdict on an endpoint.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictEntry {
    /// The GlobalService, `namespace/name`.
    #[schemars(length(max = 317))]
    pub service: String,
    /// The cluster.
    #[schemars(length(max = 253))]
    pub cluster: String,
    /// The address or host name.
    #[schemars(length(max = 253))]
    pub target: String,
    /// What its own probes say.
    pub verdict: VerdictWord,
    /// Since when, in milliseconds since 1970.
    pub since_millis: i64,
    /// The last failure, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// It is down for want of answers in time alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Its probes no longer end: the verdict is unknown, and it is not counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

/// Up, down or not known.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerdictWord {
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// Nobody can say.
    Unknown,
}

/// How long a cluster may still be in caches.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedClusterEntry {
    /// The cluster.
    #[schemars(length(max = 253))]
    pub cluster: String,
    /// The services whose answers name it now, `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000), inner(length(max = 317)))]
    pub services: Vec<String>,
    /// When the last snapshot that named it was replaced; absent while one still does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_millis: Option<i64>,
    /// The greatest TTL that those answers had, in seconds.
    pub ttl_secs_max: i64,
}

impl From<&ProbeReportValue> for ProbeReportSpec {
    fn from(value: &ProbeReportValue) -> Self {
        Self {
            domain: value.domain.clone(),
            at_millis: signed(value.at_millis),
            abstains: value.abstains,
            verdicts: value.verdicts.iter().map(VerdictEntry::from).collect(),
            generations: value
                .generations
                .iter()
                .map(|(service, generation)| (service.clone(), signed(*generation)))
                .collect(),
            named: value.named.iter().map(NamedClusterEntry::from).collect(),
            challenges: signed(value.challenges),
            unresolved: value.unresolved.clone(),
        }
    }
}

impl From<&ReportedVerdict> for VerdictEntry {
    fn from(reported: &ReportedVerdict) -> Self {
        Self {
            service: reported.endpoint.service.to_string(),
            cluster: reported.endpoint.cluster.to_string(),
            target: reported.endpoint.target.to_string(),
            verdict: match reported.verdict {
                Verdict::Up => VerdictWord::Up,
                Verdict::Down => VerdictWord::Down,
                Verdict::Unknown => VerdictWord::Unknown,
            },
            since_millis: signed(reported.since_millis),
            reason: reported.reason.clone(),
            late: reported.late,
            overdue: reported.overdue,
        }
    }
}

impl From<&NamedCluster> for NamedClusterEntry {
    fn from(named: &NamedCluster) -> Self {
        Self {
            cluster: named.cluster.to_string(),
            services: named.services.iter().map(ToString::to_string).collect(),
            until_millis: named.until_millis.map(signed),
            ttl_secs_max: i64::from(named.ttl_secs_max),
        }
    }
}

impl ProbeReport {
    /// The report as steering takes it; the observer is the object's name.
    ///
    /// # Errors
    /// [`Error`] for a service that is not `namespace/name`, or a negative time.
    pub fn read(&self) -> Result<ProbeReportValue, Error> {
        let spec = &self.spec;
        let mut verdicts = Vec::with_capacity(spec.verdicts.len());
        for (i, entry) in spec.verdicts.iter().enumerate() {
            let path = format!("spec.verdicts[{i}]");
            verdicts.push(ReportedVerdict {
                endpoint: EndpointId {
                    service: key(&entry.service, &format!("{path}.service"))?,
                    cluster: entry.cluster.as_str().into(),
                    target: match entry.target.parse() {
                        Ok(ip) => Target::Ip(ip),
                        Err(_) => Target::Hostname(entry.target.clone()),
                    },
                },
                verdict: match entry.verdict {
                    VerdictWord::Up => Verdict::Up,
                    VerdictWord::Down => Verdict::Down,
                    VerdictWord::Unknown => Verdict::Unknown,
                },
                since_millis: unsigned(entry.since_millis, &format!("{path}.sinceMillis"))?,
                reason: entry.reason.clone(),
                late: entry.late,
                overdue: entry.overdue,
            });
        }
        let mut generations = BTreeMap::new();
        for (service, generation) in &spec.generations {
            let path = format!("spec.generations[{service}]");
            generations.insert(service.clone(), unsigned(*generation, &path)?);
        }
        Ok(ProbeReportValue {
            observer: self.metadata.name.clone().unwrap_or_default().into(),
            domain: spec.domain.clone(),
            at_millis: unsigned(spec.at_millis, "spec.atMillis")?,
            abstains: spec.abstains,
            verdicts,
            generations,
            named: self.read_named()?,
            challenges: unsigned(spec.challenges, "spec.challenges")?,
            unresolved: spec.unresolved.clone(),
        })
    }

    fn read_named(&self) -> Result<Vec<NamedCluster>, Error> {
        let mut read = Vec::with_capacity(self.spec.named.len());
        for (i, entry) in self.spec.named.iter().enumerate() {
            let path = format!("spec.named[{i}]");
            let services = entry.services.iter();
            let services = services.map(|service| key(service, &format!("{path}.services")));
            let until = entry.until_millis;
            let until = until.map(|millis| unsigned(millis, &format!("{path}.untilMillis")));
            read.push(NamedCluster {
                cluster: entry.cluster.as_str().into(),
                services: services.collect::<Result<_, Error>>()?,
                until_millis: until.transpose()?,
                ttl_secs_max: u32::try_from(entry.ttl_secs_max).map_err(|_| {
                    Error::invalid(format!("{path}.ttlSecsMax"), "0 to 4294967295 seconds")
                })?,
            });
        }
        Ok(read)
    }
}

fn key(text: &str, path: &str) -> Result<ObjectKey, Error> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or_else(|| Error::invalid(path, format!("{text:?} is not namespace/name")))?;
    Ok(ObjectKey::new(namespace, name))
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64, path: &str) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::invalid(path, format!("{number} is negative")))
}
