//! DNSEndpoint, KubeFed's and ExternalDNS's: records that somebody asks for, served as they stand.

use crate::Error;
use kube::CustomResource;
use model::ObjectKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use steering::{PublishedRecord, PublishedRecords};

/// Records to be served, as KubeFed wrote them for ExternalDNS.
#[derive(
    CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize,
)]
#[kube(
    group = "multiclusterdns.kubefed.io",
    version = "v1alpha1",
    kind = "DNSEndpoint",
    plural = "dnsendpoints",
    singular = "dnsendpoint",
    namespaced,
    derive = "PartialEq",
    doc = "DNS records, served by meridian from the zone that allows their namespace, and read by ExternalDNS.",
    printcolumn = r#"{"name": "names", "type": "string", "jsonPath": ".spec.endpoints[*].dnsName"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
pub struct DNSEndpointSpec {
    /// The records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub endpoints: Vec<DnsRecordSet>,
}

/// The same in ExternalDNS's own group, where its definition is installed.
#[derive(
    CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize,
)]
#[kube(
    group = "externaldns.k8s.io",
    version = "v1alpha1",
    kind = "DNSEndpoint",
    root = "ExternalDNSEndpoint",
    plural = "dnsendpoints",
    singular = "dnsendpoint",
    namespaced,
    derive = "PartialEq"
)]
pub struct ExternalDNSEndpointSpec {
    /// The records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub endpoints: Vec<DnsRecordSet>,
}

/// A set of records of one name and one type; the fields are ExternalDNS's.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecordSet {
    /// The name.
    #[serde(default)]
    #[schemars(length(max = 254))]
    pub dns_name: String,
    /// The data, one text per record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(max = 4096)))]
    pub targets: Vec<String>,
    /// The type, such as `A`, `AAAA` or `CNAME`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub record_type: String,
    /// The TTL in seconds; the zone's when absent or 0.
    #[serde(default, rename = "recordTTL", skip_serializing_if = "Option::is_none")]
    pub record_ttl: Option<i64>,
    /// What programs note of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 100))]
    pub labels: BTreeMap<String, String>,
}

impl DNSEndpoint {
    /// The records as steering takes them.
    ///
    /// # Errors
    /// [`Error`] with the path of the field that does not read.
    pub fn read(&self) -> Result<PublishedRecords, Error> {
        read(&self.metadata, "", &self.spec.endpoints)
    }
}

impl ExternalDNSEndpoint {
    /// The records as steering takes them.
    ///
    /// # Errors
    /// [`Error`] with the path of the field that does not read.
    pub fn read(&self) -> Result<PublishedRecords, Error> {
        read(&self.metadata, EXTERNAL, &self.spec.endpoints)
    }

    /// The key that its records have: objects of two groups may share a name.
    pub fn key_of(key: &ObjectKey) -> ObjectKey {
        ObjectKey::new(&key.namespace, &format!("{}{EXTERNAL}", key.name))
    }
}

/// No object's name has a slash.
const EXTERNAL: &str = "/externaldns.k8s.io";

fn read(
    metadata: &kube::core::ObjectMeta,
    group: &str,
    sets: &[DnsRecordSet],
) -> Result<PublishedRecords, Error> {
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let mut records = Vec::with_capacity(sets.len());
    for (i, set) in sets.iter().enumerate() {
        let ttl = set.record_ttl.filter(|ttl| *ttl != 0);
        let ttl = ttl.map(|ttl| {
            let path = format!("spec.endpoints[{i}].recordTTL");
            u32::try_from(ttl)
                .ok()
                .filter(|ttl| i32::try_from(*ttl).is_ok())
                .ok_or_else(|| Error::invalid(path, "0 to 2147483647 seconds"))
        });
        records.push(PublishedRecord {
            name: set.dns_name.clone(),
            record_type: set.record_type.to_ascii_uppercase(),
            ttl_secs: ttl.transpose()?,
            targets: set.targets.clone(),
        });
    }
    Ok(PublishedRecords {
        key: ObjectKey::new(namespace, &format!("{name}{group}")),
        records,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn both_groups_read_alike_and_are_told_apart() {
        let spec = json!({"endpoints": [{"dnsName": "a.example.org", "recordType": "a",
            "recordTTL": 0, "targets": ["192.0.2.1"], "providerSpecific": [{"name": "x"}]}]});
        let metadata = json!({"namespace": "shop", "name": "a"});
        let object = |api: &str| json!({"apiVersion": api, "kind": "DNSEndpoint", "metadata": metadata, "spec": spec});
        let ours: DNSEndpoint =
            from_value(object("multiclusterdns.kubefed.io/v1alpha1")).expect("an object");
        let theirs: ExternalDNSEndpoint =
            from_value(object("externaldns.k8s.io/v1alpha1")).expect("an object");
        let (ours, theirs) = (ours.read().expect("right"), theirs.read().expect("right"));
        assert_eq!(ours.records, theirs.records);
        assert_ne!(ours.key, theirs.key);
        assert_eq!(theirs.key, ExternalDNSEndpoint::key_of(&ours.key));
        assert_eq!(
            (
                ours.records[0].record_type.as_str(),
                ours.records[0].ttl_secs
            ),
            ("A", None)
        );
    }

    #[test]
    fn a_ttl_beyond_its_bounds_is_named() {
        let object = json!({"apiVersion": "multiclusterdns.kubefed.io/v1alpha1",
            "kind": "DNSEndpoint", "metadata": {"name": "a"},
            "spec": {"endpoints": [{"recordTTL": -1}]}});
        let object: DNSEndpoint = from_value(object).expect("an object");
        let error = object.read().expect_err("wrong").to_string();
        assert!(error.contains("spec.endpoints[0].recordTTL"), "{error}");
    }
}
