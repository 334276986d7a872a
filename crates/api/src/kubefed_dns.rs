//! KubeFed's names: Domain, ServiceDNSRecord and IngressDNSRecord, as KubeFed v0.6 had them.

use crate::{Condition, DnsRecordSet, key_of, schema};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::{NamespaceResourceScope, ObjectMeta};
use kube::{CustomResource, Resource};
use model::Target;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use steering::federation_names::{ClusterBalancer, NamedRecords, ServiceNames, USUAL_TTL_SECS};

/// The group of KubeFed's names.
const GROUP: &str = "multiclusterdns.kubefed.io";
/// Its version.
const VERSION: &str = "v1alpha1";
/// On records of a Service whose name is another's: the Service, as KubeFed told it.
const SERVICE_LABEL: &str = "serviceName";
/// Record sets of one DNSEndpoint; its schema has the same bound.
pub const RECORD_SETS_MAX: usize = 1_000;

/// The domain that a federation has names in. Its fields are not within a spec, as in KubeFed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Domain {
    /// Its object's metadata; the name is part of the names.
    pub metadata: ObjectMeta,
    /// The domain.
    #[serde(default)]
    pub domain: String,
    /// Its name server, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_server: Option<String>,
}

/// Names for a federated Service: global, of its region and of its zone.
#[derive(
    CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize,
)]
#[kube(
    group = "multiclusterdns.kubefed.io",
    version = "v1alpha1",
    kind = "ServiceDNSRecord",
    plural = "servicednsrecords",
    singular = "servicednsrecord",
    namespaced,
    status = "ServiceDNSRecordStatus",
    derive = "PartialEq",
    doc = "Names for the Service of the same name in all members: global, by region and by zone.",
    printcolumn = r#"{"name": "domain", "type": "string", "jsonPath": ".status.domain"}"#,
    printcolumn = r#"{"name": "published", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Published')].status"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDNSRecordSpec {
    /// The Domain, in meridian's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub domain_ref: String,
    /// The TTL in seconds; 180 when absent or 0.
    #[serde(default, rename = "recordTTL", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub record_ttl: Option<i64>,
    /// One more name right below the domain, a CNAME to the global one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub dns_prefix: Option<String>,
    /// What stands in names for the Service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub external_name: Option<String>,
    /// Whether a cluster counts in which nothing is ready behind the Service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_service_without_endpoints: bool,
}

/// What members offer, and whether there are records of it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDNSRecordStatus {
    /// The domain of the Domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254))]
    pub domain: Option<String>,
    /// What each cluster offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5000))]
    pub dns: Vec<ClusterDns>,
    /// `Published`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What a cluster offers.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDns {
    /// The cluster.
    #[serde(default)]
    pub cluster: String,
    /// Its load balancer.
    #[serde(default)]
    pub load_balancer: BalancerStatus,
    /// Its zones; those of an Ingress's are not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub zones: Vec<String>,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// As Services and Ingresses have it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerStatus {
    /// Where it is reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub ingress: Vec<BalancerIngress>,
}

/// An address or a host name.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerIngress {
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Its host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

/// Names for an Ingress: its hosts, with the addresses of all members.
#[derive(
    CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize,
)]
#[kube(
    group = "multiclusterdns.kubefed.io",
    version = "v1alpha1",
    kind = "IngressDNSRecord",
    plural = "ingressdnsrecords",
    singular = "ingressdnsrecord",
    namespaced,
    status = "IngressDNSRecordStatus",
    derive = "PartialEq",
    doc = "Names for the Ingress of the same name in all members.",
    printcolumn = r#"{"name": "hosts", "type": "string", "jsonPath": ".spec.hosts"}"#,
    printcolumn = r#"{"name": "published", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Published')].status"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct IngressDNSRecordSpec {
    /// The names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), inner(length(max = 253)))]
    pub hosts: Vec<String>,
    /// The TTL in seconds; 180 when absent or 0.
    #[serde(default, rename = "recordTTL", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub record_ttl: Option<i64>,
}

/// What members offer, and whether there are records of it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressDNSRecordStatus {
    /// What each cluster offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5000))]
    pub dns: Vec<ClusterDns>,
    /// `Published`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Resource for Domain {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Domain".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "domains".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Domain {
    /// Its definition.
    pub fn crd() -> CustomResourceDefinition {
        let text = |length: usize, description: &str| json!({"type": "string", "maxLength": length, "description": description});
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("domains.{GROUP}")},
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": {"kind": "Domain", "plural": "domains", "singular": "domain"},
                "versions": [{
                    "name": VERSION,
                    "served": true,
                    "storage": true,
                    "additionalPrinterColumns": [
                        {"name": "domain", "type": "string", "jsonPath": ".domain"},
                        {"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
                    ],
                    "schema": {"openAPIV3Schema": {
                        "type": "object",
                        "description": "A domain that names of federated Services are in.",
                        "required": ["domain"],
                        "properties": {
                            "domain": text(253, "The domain."),
                            "nameServer": text(253, "Its name server, for people to read."),
                        }
                    }}
                }]
            }
        });
        serde_json::from_value(crd).expect("the CRD has the shape of a CRD")
    }
}

impl ServiceDNSRecord {
    /// What its names are made of.
    pub fn names(&self, domain: &str) -> ServiceNames {
        let spec = &self.spec;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        ServiceNames {
            key: key_of(&self.metadata),
            domain_ref: spec.domain_ref.clone(),
            domain: domain.to_owned(),
            external_name: given(&spec.external_name),
            dns_prefix: given(&spec.dns_prefix),
            ttl_secs: ttl_secs(spec.record_ttl),
        }
    }

    /// Records as a DNSEndpoint has them: those of a Service under another name say whose they are.
    pub fn record_sets(&self, names: &ServiceNames, found: &NamedRecords) -> Vec<DnsRecordSet> {
        let short = names.dns_prefix.as_ref();
        let short = short.map(|it| format!("{it}.{}", names.domain).to_ascii_lowercase());
        let mut sets = record_sets(found);
        let renamed = names.external_name.is_some();
        for set in sets.iter_mut().filter(|_| renamed) {
            if Some(&set.dns_name) != short.as_ref() {
                let label = (SERVICE_LABEL.to_owned(), names.key.name.to_string());
                set.labels = BTreeMap::from([label]);
            }
        }
        sets
    }
}

impl IngressDNSRecord {
    /// The TTL of its records.
    pub fn ttl_secs(&self) -> u32 {
        ttl_secs(self.spec.record_ttl)
    }
}

impl ClusterDns {
    /// As a status has it.
    pub fn of(balancer: &ClusterBalancer) -> Self {
        let ingress = balancer.targets.iter().map(|target| match target {
            Target::Ip(ip) => BalancerIngress {
                ip: Some(ip.to_string()),
                hostname: None,
            },
            Target::Hostname(name) => BalancerIngress {
                ip: None,
                hostname: Some(name.clone()),
            },
        });
        Self {
            cluster: balancer.cluster.to_string(),
            load_balancer: BalancerStatus {
                ingress: ingress.collect(),
            },
            zones: balancer.zones.clone(),
            region: balancer.region.clone(),
        }
    }

    /// As steering takes it; an address that does not read is a host name to nobody.
    pub fn read(&self) -> ClusterBalancer {
        let mut targets = Vec::new();
        for it in &self.load_balancer.ingress {
            let ip = it.ip.as_ref().and_then(|ip| ip.parse().ok());
            targets.extend(ip.map(Target::Ip));
            let hostname = it.hostname.as_ref().filter(|name| !name.is_empty());
            targets.extend(hostname.cloned().map(Target::Hostname));
        }
        ClusterBalancer {
            cluster: self.cluster.as_str().into(),
            region: self.region.clone().filter(|region| !region.is_empty()),
            zones: self.zones.clone(),
            targets,
        }
    }
}

/// Records as a DNSEndpoint has them.
pub fn record_sets(found: &NamedRecords) -> Vec<DnsRecordSet> {
    let sets = found.records.iter().take(RECORD_SETS_MAX);
    sets.map(|record| DnsRecordSet {
        dns_name: record.name.clone(),
        targets: record.targets.clone(),
        record_type: record.record_type.clone(),
        record_ttl: record.ttl_secs.map(i64::from),
        labels: BTreeMap::new(),
    })
    .collect()
}

fn ttl_secs(given: Option<i64>) -> u32 {
    let given = given.and_then(|ttl| u32::try_from(ttl).ok());
    given.filter(|ttl| *ttl != 0).unwrap_or(USUAL_TTL_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;
    use steering::federation_names::{Resolved, service_records};

    #[test]
    fn kubefeds_manifests_read_and_give_kubefeds_records() {
        let domain: Domain = from_value(json!({
            "apiVersion": "multiclusterdns.kubefed.io/v1alpha1", "kind": "Domain",
            "metadata": {"namespace": "kube-federation-system", "name": "test-domain"},
            "domain": "your.domain.name"}))
        .expect("a Domain");
        let record: ServiceDNSRecord = from_value(json!({
            "apiVersion": "multiclusterdns.kubefed.io/v1alpha1", "kind": "ServiceDNSRecord",
            "metadata": {"namespace": "test-namespace", "name": "test-service"},
            "spec": {"domainRef": "test-domain", "recordTTL": 300, "dnsPrefix": "short",
                "externalName": "other", "allowServiceWithoutEndpoints": true},
            "status": {"domain": "your.domain.name", "dns": [
                {"cluster": "cluster1", "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]},
                 "region": "us-west1", "zones": ["us-west1-b"]}]}}))
        .expect("a ServiceDNSRecord");
        let status = record.status.clone().expect("a status");
        let clusters: Vec<_> = status.dns.iter().map(ClusterDns::read).collect();
        assert_eq!(ClusterDns::of(&clusters[0]), status.dns[0]);
        let names = record.names(&domain.domain);
        let found = service_records(&names, &clusters, &Resolved::new());
        let sets = record.record_sets(&names, &found);
        let told: Vec<_> = sets
            .iter()
            .map(|set| {
                let of = set.labels.get(SERVICE_LABEL).map(String::as_str);
                (set.dns_name.as_str(), set.record_type.as_str(), of)
            })
            .collect();
        let service = Some("test-service");
        let p = "other.test-namespace.test-domain.svc";
        assert_eq!(
            told,
            [
                (
                    &*format!("{p}.us-west1-b.us-west1.your.domain.name"),
                    "A",
                    service
                ),
                (&*format!("{p}.us-west1.your.domain.name"), "A", service),
                (&*format!("{p}.your.domain.name"), "A", service),
                ("short.your.domain.name", "CNAME", None),
            ]
        );
        assert!(sets.iter().all(|set| set.record_ttl == Some(300)));
    }

    #[test]
    fn without_a_ttl_it_is_kubefeds() {
        for given in [None, Some(0)] {
            let spec = IngressDNSRecordSpec {
                hosts: vec![],
                record_ttl: given,
            };
            assert_eq!(IngressDNSRecord::new("a", spec).ttl_secs(), 180);
        }
    }
}
