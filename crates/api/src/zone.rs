//! Zone: what the embedded DNS server is authoritative for.

use crate::{Condition, Error, config::duration_millis, key_of, schema};
use ipnet::IpNet;
use kube::{CustomResource, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use steering::{NamespaceGrant, SecondarySpec, SoaTimers, ZoneSpec as SteeringZone};

/// TTL of records that say none, in seconds.
const DEFAULT_TTL_SECS: i32 = 300;
/// Where DNS is asked and told (RFC 1035 § 4.2).
const DNS_PORT: u16 = 53;

/// A zone, in the system namespace.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gslb.meridian.dev",
    version = "v1alpha1",
    kind = "Zone",
    plural = "zones",
    singular = "zone",
    namespaced,
    status = "ZoneStatus",
    derive = "PartialEq",
    doc = "A DNS zone that meridian is authoritative for.",
    printcolumn = r#"{"name": "domain", "type": "string", "jsonPath": ".spec.domain"}"#,
    printcolumn = r#"{"name": "serial", "type": "integer", "jsonPath": ".status.serial"}"#,
    printcolumn = r#"{"name": "served", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Served')].status"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ZoneSpec {
    /// The zone's origin, such as `example.org`.
    #[schemars(length(min = 1, max = 253))]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "domain cannot change; make another Zone"}]))]
    pub domain: String,
    /// Its name servers; the first is the primary of the SOA.
    #[schemars(length(min = 1, max = 13))]
    pub name_servers: Vec<ZoneNameServer>,
    /// Mailbox and times of the SOA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soa: Option<ZoneSoa>,
    /// TTL in seconds of records that say none; 300 when absent.
    #[serde(
        default,
        rename = "defaultTTL",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 0, max = 604_800))]
    pub default_ttl: Option<i32>,
    /// Static records, as the text of a zone file (RFC 1035 § 5); names are relative to the domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 524_288))]
    pub records: String,
    /// Namespaces whose GlobalServices may have any name of the zone. With `nameGrants` absent too,
    /// every namespace may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 63)))]
    pub allowed_namespaces: Vec<String>,
    /// Namespaces that may have some names only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub name_grants: Vec<NameGrant>,
    /// Who may have the zone as a whole (AXFR, IXFR); nobody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<ZoneTransfer>,
    /// Who may put TXT records at `_acme-challenge` names by UPDATE (RFC 2136), as ACME clients do;
    /// nobody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<ZoneUpdate>,
}

/// Who may have the zone as a whole.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneTransfer {
    /// Secondary servers. Of steered names they hold one answer for everybody, untouched by health.
    #[schemars(length(min = 1, max = 32))]
    pub secondaries: Vec<ZoneSecondary>,
}

/// Who may change challenges.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneUpdate {
    /// Keys that UPDATEs are signed with (TSIG): entries of the Secret `meridian-tsig-keys` in the system
    /// namespace.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 62)))]
    pub keys: Vec<String>,
}

/// A secondary server: it asks from one of the networks and signs with the key, as far as they are
/// given.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.key) || has(self.networks)", "message": "give a key, networks, or both"}]))]
pub struct ZoneSecondary {
    /// Where it asks from, such as `192.0.2.53` or `2001:db8::/48`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 2, max = 49)))]
    pub networks: Vec<String>,
    /// The key that it signs with (TSIG): an entry of the Secret `meridian-tsig-keys` in the system
    /// namespace, whose value is `hmac-sha256:` and the key in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 62))]
    pub key: Option<String>,
    /// Where it is told of a new serial (NOTIFY), such as `192.0.2.53` or `[2001:db8::53]:5353`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 2, max = 53)))]
    pub notify: Vec<String>,
}

/// A name server of the zone.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneNameServer {
    /// Its host name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its addresses, served when the name lies in the zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 2, max = 45)))]
    pub addresses: Vec<String>,
}

/// Mailbox and times of the SOA (RFC 1035 § 3.3.13).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneSoa {
    /// The responsible mailbox as a name; `hostmaster.<domain>` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub mailbox: Option<String>,
    /// Time between a secondary's checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub refresh: Option<Duration>,
    /// Time between a secondary's failed checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub retry: Option<Duration>,
    /// Time after which a secondary stops answering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub expire: Option<Duration>,
    /// How long a negative answer may be cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub minimum: Option<Duration>,
}

/// Names of the zone for one namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameGrant {
    /// The namespace, or `*` for all.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Exact names, or everything below one: `*.shop.example.org`.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 253)))]
    pub names: Vec<String>,
}

/// How the zone is served.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneStatus {
    /// The generation that it speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// The SOA's serial on every replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<i64>,
    /// Digest of what the serial stands for; another digest gets another serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `Served`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Zone {
    /// The zone as steering takes it. Without a serial in the status it is 1, which no replica keeps.
    ///
    /// # Errors
    /// [`Error`] with the path of the field that does not read.
    pub fn read(&self) -> Result<SteeringZone, Error> {
        let spec = &self.spec;
        let mut name_servers = Vec::with_capacity(spec.name_servers.len());
        for (i, server) in spec.name_servers.iter().enumerate() {
            let path = format!("spec.nameServers[{i}].addresses");
            name_servers.push(steering::NameServer {
                name: server.name.clone(),
                addresses: crate::global_service::addresses(&server.addresses, &path)?,
            });
        }
        let whole = spec
            .allowed_namespaces
            .iter()
            .map(|namespace| NamespaceGrant {
                namespace: namespace.clone(),
                names: Vec::new(),
            });
        let some = spec.name_grants.iter().map(|grant| NamespaceGrant {
            namespace: grant.namespace.clone(),
            names: grant.names.clone(),
        });
        let ttl = spec.default_ttl.unwrap_or(DEFAULT_TTL_SECS);
        let status = self.status.as_ref();
        let serial = status.and_then(|status| status.serial);
        let secondaries = spec.transfer.iter().flat_map(|it| &it.secondaries);
        let secondaries = secondaries
            .enumerate()
            .map(|(i, secondary)| secondary.read(&format!("spec.transfer.secondaries[{i}]")));
        Ok(SteeringZone {
            key: key_of(&self.metadata),
            domain: spec.domain.clone(),
            name_servers,
            soa: spec
                .soa
                .as_ref()
                .map_or_else(|| Ok(SoaTimers::default()), ZoneSoa::read)?,
            default_ttl_secs: u32::try_from(ttl)
                .map_err(|_| Error::invalid("spec.defaultTTL", "0 to 604800 seconds"))?,
            records: spec.records.clone(),
            allowed_namespaces: whole.chain(some).collect(),
            serial: serial
                .and_then(|serial| u32::try_from(serial).ok())
                .unwrap_or(1),
            digest: status.and_then(|status| status.digest.clone()),
            update_keys: spec.update.iter().flat_map(|it| it.keys.clone()).collect(),
            secondaries: secondaries.collect::<Result<_, _>>()?,
            published: Vec::new(),
        })
    }
}

impl ZoneSecondary {
    fn read(&self, path: &str) -> Result<SecondarySpec, Error> {
        if self.key.is_none() && self.networks.is_empty() {
            return Err(Error::invalid(path, "give a key, networks, or both"));
        }
        let network = |(i, text): (usize, &String)| {
            let one = text.parse::<IpAddr>().map(IpNet::from);
            one.or_else(|_| text.parse()).map_err(|_| {
                let message = format!("{text:?} is not an address or a network");
                Error::invalid(format!("{path}.networks[{i}]"), message)
            })
        };
        let notify = |(i, text): (usize, &String)| {
            let plain = text
                .parse::<IpAddr>()
                .map(|ip| SocketAddr::new(ip, DNS_PORT));
            plain.or_else(|_| text.parse()).map_err(|_| {
                let message = format!("{text:?} is not an address, or one with a port");
                Error::invalid(format!("{path}.notify[{i}]"), message)
            })
        };
        let networks = self.networks.iter().enumerate().map(network);
        let notify = self.notify.iter().enumerate().map(notify);
        Ok(SecondarySpec {
            networks: networks.collect::<Result<_, _>>()?,
            key: self.key.clone(),
            notify: notify.collect::<Result<_, _>>()?,
        })
    }
}

impl ZoneSoa {
    fn read(&self) -> Result<SoaTimers, Error> {
        let usual = SoaTimers::default();
        let seconds = |duration: &Option<Duration>, name: &str, usual: u32| {
            let path = format!("spec.soa.{name}");
            match duration_millis(duration.as_ref(), &path)? {
                None => Ok(usual),
                Some(millis) => u32::try_from(millis / 1000)
                    .map_err(|_| Error::invalid(path, "at most 4294967295 seconds")),
            }
        };
        Ok(SoaTimers {
            mailbox: self.mailbox.clone(),
            refresh_secs: seconds(&self.refresh, "refresh", usual.refresh_secs)?,
            retry_secs: seconds(&self.retry, "retry", usual.retry_secs)?,
            expire_secs: seconds(&self.expire, "expire", usual.expire_secs)?,
            minimum_secs: seconds(&self.minimum, "minimum", usual.minimum_secs)?,
        })
    }
}
