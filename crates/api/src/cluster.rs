//! KubeFedCluster: a member.

use crate::health_check::HealthCheckSpec;
use crate::{Condition, Error, schema};
use ipnet::IpNet;
use k8s_openapi::ByteString;
use kube::CustomResource;
use model::{ClusterPlace, Location, Resources, Target, quantity_millis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steering::ClusterCheck;

/// A member cluster: where its API is, with which credentials, and where on earth it stands.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "core.kubefed.io",
    version = "v1beta1",
    kind = "KubeFedCluster",
    plural = "kubefedclusters",
    singular = "kubefedcluster",
    namespaced,
    shortname = "kfc",
    status = "KubeFedClusterStatus",
    derive = "PartialEq",
    doc = "A member cluster of the federation.",
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "kubernetes-version", "type": "string", "jsonPath": ".status.kubernetesVersion"}"#,
    printcolumn = r#"{"name": "free-cpu", "type": "string", "priority": 1, "jsonPath": ".status.capacity.free.cpu"}"#,
    printcolumn = r#"{"name": "free-memory", "type": "string", "priority": 1, "jsonPath": ".status.capacity.free.memory"}"#,
    printcolumn = r#"{"name": "region", "type": "string", "jsonPath": ".status.region"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.disabledTLSValidations) || !('*' in self.disabledTLSValidations) || self.disabledTLSValidations.size() == 1", "message": "disabledTLSValidations: \"*\" turns every check off and must be the only entry"}, {"rule": "!has(self.proxyURL) || self.proxyURL == '' || self.proxyURL.matches('^(http|https|socks5|socks5h)://')", "message": "proxyURL: http, https, socks5 or socks5h, as in http://proxy.example:3128"}]))]
pub struct KubeFedClusterSpec {
    /// The API server: `https://host:port`, or hostname, hostname:port, IP or IP:port.
    #[schemars(length(min = 1, max = 2048))]
    pub api_endpoint: String,
    /// PEM certificates that the API server's certificate must chain to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bytes")]
    pub ca_bundle: Option<ByteString>,
    /// The Secret, in the same namespace, with `token`, or `tls.crt` and `tls.key`, or `kubeconfig`.
    pub secret_ref: LocalSecretReference,
    /// Checks of the server's certificate to leave out: `SubjectName`, `ValidityPeriod`, or `*` alone.
    #[serde(
        default,
        rename = "disabledTLSValidations",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(length(max = 3))]
    pub disabled_tls_validations: Vec<TlsValidation>,
    /// A proxy on the way to the API server: `http://[user:password@]host:port`, `https` or `socks5`.
    #[serde(default, rename = "proxyURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub proxy_url: Option<String>,
    /// Its region; absent, the one that its nodes' labels name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub region: Option<String>,
    /// Its zones; absent, those that its nodes' labels name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub zones: Vec<String>,
    /// Its city; two members of one city are one failure domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub city: Option<String>,
    /// Its coordinates; absent, those of its region where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Coordinates>,
    /// Networks of its nodes and Pods; absent, the private ones that its nodes tell of. Clients whose addresses are private (RFC 1918, RFC 6598, RFC 4193) and within are
    /// where this member is; one that several members name says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 4, max = 43)))]
    pub networks: Vec<String>,
    /// What shows that its data plane works, for workloads that no GlobalService leads to: while it
    /// answers, an API that does not moves no replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_plane_check: Option<DataPlaneCheck>,
    /// Whether it is emptied: traffic leaves first, then, as others become ready, the replicas that
    /// preferences divide.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
    /// Whether nothing is written to it: neither made, changed nor deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// An address in a member, and how it is probed.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.healthCheck.http) || has(self.healthCheck.https) || has(self.healthCheck.tcp) || has(self.healthCheck.grpc)", "message": "healthCheck: give one of http, https, tcp, grpc"}]))]
pub struct DataPlaneCheck {
    /// An address or a host name that only this member answers, such as its load balancer's.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
    /// How it is probed.
    pub health_check: HealthCheckSpec,
}

/// A Secret of the same namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSecretReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A check of a server's certificate that may be left out.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsValidation {
    /// All of them.
    #[serde(rename = "*")]
    All,
    /// That the certificate names the endpoint.
    SubjectName,
    /// That the certificate has begun and not expired.
    ValidityPeriod,
}

/// A point on the earth, in degrees.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinates {
    /// North is positive.
    #[schemars(range(min = -90.0, max = 90.0))]
    pub latitude: f64,
    /// East is positive.
    #[schemars(range(min = -180.0, max = 180.0))]
    pub longitude: f64,
}

/// What is known of a member.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeFedClusterStatus {
    /// `Ready`, `Offline`, `ConfigMalformed`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The API server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// A digest of the types that its API serves: it changes when one comes or goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub api_enablements: Option<String>,
    /// What its nodes have, and what of it is free; written when a tenth of it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<ClusterCapacity>,
    /// The zones of its nodes, or those of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub zones: Vec<String>,
    /// The private networks of its nodes and Pods, as its nodes tell; they count where the spec names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 43)))]
    pub networks: Vec<String>,
    /// The region of its nodes, or the spec's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What a member's nodes have, as far as they take Pods.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCapacity {
    /// Nodes that take Pods: ready, not cordoned, not tainted against them.
    pub nodes: i64,
    /// What these have together.
    pub allocatable: ResourceAmounts,
    /// What of it no Pod has asked for; absent when Pods may not be listed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<ResourceAmounts>,
}

/// Amounts, as Kubernetes writes them.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceAmounts {
    /// Processors.
    #[schemars(length(max = 32))]
    pub cpu: String,
    /// Memory.
    #[schemars(length(max = 32))]
    pub memory: String,
    /// Pods.
    #[schemars(length(max = 32))]
    pub pods: String,
}

impl From<Resources> for ResourceAmounts {
    fn from(amounts: Resources) -> Self {
        let cpu = amounts.cpu_millis;
        Self {
            cpu: match cpu % 1000 {
                0 => (cpu / 1000).to_string(),
                _ => format!("{cpu}m"),
            },
            memory: format!("{}Mi", amounts.memory_bytes >> 20),
            pods: amounts.pods.to_string(),
        }
    }
}

impl ResourceAmounts {
    /// As numbers.
    pub fn read(&self) -> Resources {
        let millis = |text: &str| quantity_millis(text).unwrap_or(0);
        Resources {
            cpu_millis: millis(&self.cpu),
            memory_bytes: millis(&self.memory) / 1000,
            pods: millis(&self.pods) / 1000,
        }
    }
}

impl KubeFedCluster {
    /// Whether the member's API was last found healthy.
    pub fn is_ready(&self) -> bool {
        let conditions = self
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice());
        crate::condition::find(conditions.unwrap_or_default(), "Ready")
            .is_some_and(|ready| ready.status == "True")
    }

    /// What shows that its data plane works.
    ///
    /// # Errors
    /// [`Error`] with the field that does not read.
    pub fn check(&self) -> Result<Option<ClusterCheck>, Error> {
        let Some(check) = &self.spec.data_plane_check else {
            return Ok(None);
        };
        let path = "spec.dataPlaneCheck";
        Ok(Some(ClusterCheck {
            target: match check.address.parse() {
                Ok(ip) => Target::Ip(ip),
                Err(_) => Target::Hostname(check.address.clone()),
            },
            health: check.health_check.read(&format!("{path}.healthCheck"))?,
        }))
    }

    /// Where it stands: the spec's word first, then what its nodes said.
    ///
    /// # Errors
    /// [`Error`] for coordinates outside the earth.
    pub fn place(&self) -> Result<ClusterPlace, Error> {
        let status = self.status.clone().unwrap_or_default();
        let location = self.spec.location.map(|point| Location {
            latitude: point.latitude,
            longitude: point.longitude,
        });
        if location.is_some_and(|location| !location.is_valid()) {
            return Err(Error::invalid(
                "spec.location",
                "latitude is within -90 and 90, longitude within -180 and 180",
            ));
        }
        let networks = self.spec.networks.iter().enumerate().map(|(i, text)| {
            let network = text.parse::<IpNet>().map(|network| network.trunc());
            let message = format!("{text:?} is not a network such as 10.1.0.0/16");
            network.map_err(|_| Error::invalid(format!("spec.networks[{i}]"), message))
        });
        let mut networks = networks.collect::<Result<Vec<_>, _>>()?;
        if networks.is_empty() {
            // Written by meridian: what does not read was written by somebody else.
            let told = status.networks.iter();
            networks.extend(told.filter_map(|text| text.parse::<IpNet>().ok()));
        }
        let zones = match self.spec.zones.is_empty() {
            true => status.zones,
            false => self.spec.zones.clone(),
        };
        Ok(ClusterPlace {
            name: self.metadata.name.clone().unwrap_or_default().into(),
            labels: self.metadata.labels.clone().unwrap_or_default(),
            region: self.spec.region.clone().or(status.region).map(Into::into),
            city: self.spec.city.clone(),
            zones,
            location,
            networks,
        })
    }
}
