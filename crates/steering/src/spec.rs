//! What users want: zones, global services with their endpoints, overrides.
//!
//! Plain values; crate `api` makes them from objects, and a checkpoint keeps them.

use crate::policy::Policy;
use ipnet::IpNet;
use model::{ClusterName, ObjectKey, ProbeKind, Region, Target};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// A zone that the embedded DNS server is authoritative for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneSpec {
    /// The Zone.
    pub key: ObjectKey,
    /// The zone's origin, such as `example.org`.
    pub domain: String,
    /// Its name servers; the first is the primary of the SOA.
    pub name_servers: Vec<NameServer>,
    /// Times of the SOA.
    #[serde(default)]
    pub soa: SoaTimers,
    /// TTL in seconds of records that say none.
    pub default_ttl_secs: u32,
    /// Static records, as the text of a zone file (RFC 1035 § 5).
    #[serde(default)]
    pub records: String,
    /// Who may have hosts in this zone; empty means every namespace.
    #[serde(default)]
    pub allowed_namespaces: Vec<NamespaceGrant>,
    /// The SOA's serial: `Zone.status.serial`, the same on every replica.
    pub serial: u32,
    /// What the serial stands for: `Zone.status.digest`.
    #[serde(default)]
    pub digest: Option<String>,
    /// Keys by which challenges in it may be changed (RFC 2136); nobody may when empty.
    #[serde(default)]
    pub update_keys: Vec<String>,
    /// Who may have the whole zone; nobody when empty.
    #[serde(default)]
    pub secondaries: Vec<SecondarySpec>,
    /// What other objects ask for in it; the engine's own to fill.
    #[serde(default)]
    pub published: Vec<PublishedRecord>,
}

/// What one object asks to be served: the records of a DNSEndpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedRecords {
    /// The object; its namespace is what zones allow or do not.
    pub key: ObjectKey,
    /// The records.
    pub records: Vec<PublishedRecord>,
}

/// A set of records of one name and one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedRecord {
    /// The name, with or without the root's dot.
    pub name: String,
    /// The type, such as `A` or `CNAME`.
    pub record_type: String,
    /// The TTL in seconds; the zone's when absent.
    #[serde(default)]
    pub ttl_secs: Option<u32>,
    /// The data, one text per record.
    pub targets: Vec<String>,
}

/// A secondary server of a zone: it fulfils all that is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondarySpec {
    /// It asks from one of these.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// It signs with the key of this name.
    #[serde(default)]
    pub key: Option<String>,
    /// Where it is told of a new serial.
    #[serde(default)]
    pub notify: Vec<SocketAddr>,
}

/// A name server of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameServer {
    /// Its host name.
    pub name: String,
    /// Its addresses, served when the name lies in the zone.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// The SOA's mailbox and times in seconds (RFC 1035 § 3.3.13, RFC 2308 § 4 for the minimum).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SoaTimers {
    /// The responsible mailbox as a name; absent means `hostmaster.<domain>`.
    pub mailbox: Option<String>,
    /// Seconds between a secondary's checks.
    pub refresh_secs: u32,
    /// Seconds between a secondary's failed checks.
    pub retry_secs: u32,
    /// Seconds after which a secondary stops answering.
    pub expire_secs: u32,
    /// Seconds that a negative answer may be cached.
    pub minimum_secs: u32,
}

impl Default for SoaTimers {
    /// RFC 1912 § 2.2 for the first three; a short negative TTL, since names come and go with
    /// objects.
    fn default() -> Self {
        Self {
            mailbox: None,
            refresh_secs: 7_200,
            retry_secs: 900,
            expire_secs: 1_209_600,
            minimum_secs: 60,
        }
    }
}

/// What a namespace may have in a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceGrant {
    /// The namespace, or `*` for all.
    pub namespace: String,
    /// Names it may claim: exact (`shop.example.org`) or everything below one (`*.shop.example.org`);
    /// empty means any name of the zone.
    #[serde(default)]
    pub names: Vec<String>,
}

/// A global service: one steered name, or several with the same answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// The GlobalService.
    pub key: ObjectKey,
    /// When it was created, in milliseconds since 1970; of two that claim a host the older has it.
    pub created_millis: u64,
    /// `metadata.generation`, told back in status and report.
    pub generation: u64,
    /// The names it is served under.
    pub hosts: Vec<String>,
    /// Bounds of the TTL.
    #[serde(default)]
    pub ttl: TtlRange,
    /// How its endpoints are probed.
    #[serde(default)]
    pub health_check: HealthCheck,
    /// Who gets which endpoint.
    #[serde(default)]
    pub policy: Policy,
    /// What to answer when nothing is healthy.
    #[serde(default)]
    pub when_all_down: WhenAllDown,
    /// What HTTPS records say besides the addresses; without it there are none.
    #[serde(default)]
    pub https: Option<HttpsSpec>,
    /// What is said at names of their own before each host.
    #[serde(default)]
    pub svcb: Vec<SvcbSpec>,
    /// Milliseconds over which a cluster that was drained gets its traffic back; also one that was
    /// down, where shares follow capacity. 0 is at once.
    #[serde(default = "usual_ramp_millis")]
    pub ramp_millis: u64,
    /// Milliseconds for which its names go on being answered after its object went, when they were asked within the
    /// hour. 0 is not at all.
    #[serde(default = "usual_withdraw_grace_millis")]
    pub withdraw_grace_millis: u64,
}

/// What HTTPS records of a service say (RFC 9460), besides hints of its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpsSpec {
    /// Protocols that it speaks, the best first, such as `h3` and `h2`.
    pub alpn: Vec<String>,
    /// Its port, when it is not 443.
    #[serde(default)]
    pub port: Option<u16>,
}

/// What a service binding at a prefix of each host says (RFC 9460 § 2.3), besides hints of its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SvcbSpec {
    /// The labels before the host, such as `_dns` or `_8443._https`.
    pub prefix: String,
    /// Protocols that it speaks, the best first, such as `dot` and `doq`.
    pub alpn: Vec<String>,
    /// Its port, when it is not the scheme's, nor in the prefix.
    #[serde(default)]
    pub port: Option<u16>,
    /// Where DNS over HTTPS is (RFC 9461 § 5), such as `/dns-query{?dns}`.
    #[serde(default)]
    pub doh_path: Option<String>,
}

impl SvcbSpec {
    /// Whether it is about HTTPS, which has a type of its own (RFC 9460 § 9.1).
    pub fn is_https(&self) -> bool {
        self.prefix.rsplit('.').next() == Some("_https")
    }
}

/// Half a minute: ten steps, none of which is a burst.
pub const RAMP_MILLIS: u64 = 30_000;

/// Ten minutes: time to see what was deleted, and to put it back.
pub const WITHDRAW_GRACE_MILLIS: u64 = 600_000;

const fn usual_withdraw_grace_millis() -> u64 {
    WITHDRAW_GRACE_MILLIS
}

const fn usual_ramp_millis() -> u64 {
    RAMP_MILLIS
}

/// Bounds of a TTL, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TtlRange {
    /// The least.
    pub min_secs: u32,
    /// The most.
    pub max_secs: u32,
}

impl Default for TtlRange {
    fn default() -> Self {
        Self {
            min_secs: 5,
            max_secs: 60,
        }
    }
}

/// How endpoints are probed, and how many results in a row make a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// What a probe does; `None` leaves the verdict to the member's readiness.
    pub probe: Option<ProbeKind>,
    /// Milliseconds between the beginnings of two probes.
    pub interval_millis: u64,
    /// Milliseconds until a probe without answer has failed.
    pub timeout_millis: u64,
    /// Successes in a row that bring an endpoint up; also those that forget earlier failures.
    pub up: u32,
    /// Failures, not cleared by `up` successes in a row, that take an endpoint down.
    pub down: u32,
}

impl Default for HealthCheck {
    /// No probe; times as a check would have them when only its kind is given.
    fn default() -> Self {
        Self {
            probe: None,
            interval_millis: 5_000,
            timeout_millis: 2_000,
            up: 2,
            down: 3,
        }
    }
}

/// The end of the ladder: what to answer when no endpoint that the policy allows is healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenAllDown {
    /// Those that were healthy last; all, when none ever was.
    #[default]
    LastKnownGood,
    /// All of them.
    All,
    /// These addresses, a last resort such as a page of apology.
    Address(Vec<IpAddr>),
    /// NODATA. Never NXDOMAIN, which would poison caches for the name and all below it.
    NoData,
}

/// An endpoint of a global service, as `GlobalService.status.endpoints` or a static list has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// The cluster, or the name given to a static endpoint.
    pub cluster: ClusterName,
    /// The address or hostname.
    pub target: Target,
    /// Its region, when a static endpoint says it; else the cluster's.
    #[serde(default)]
    pub region: Option<Region>,
    /// Ready replicas behind the service in that cluster, where the member told it.
    #[serde(default)]
    pub ready_replicas: Option<u32>,
    /// Replicas that the workload behind it wants to have, ready or not, where the member told it.
    #[serde(default)]
    pub wanted_replicas: Option<u32>,
    /// Weight: among the endpoints of its cluster, and of the cluster in a pool.
    #[serde(default = "one")]
    pub weight: u32,
}

const fn one() -> u32 {
    1
}

/// An operator's word over the health of endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideSpec {
    /// The Override or ClusterOverride.
    pub key: ObjectKey,
    /// What it is about.
    pub scope: OverrideScope,
    /// What it forces.
    pub force: Force,
    /// Why, in words.
    pub reason: String,
    /// Who.
    pub owner: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_millis: u64,
    /// What becomes of it then.
    pub on_expiry: OnExpiry,
    /// When it was created, in milliseconds since 1970: of several that together would leave nothing,
    /// the newest is refused.
    #[serde(default)]
    pub created_millis: u64,
}

/// What an override is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OverrideScope {
    /// One service's endpoints, all or those of one cluster.
    Service {
        /// The GlobalService.
        service: ObjectKey,
        /// Only in this cluster.
        cluster: Option<ClusterName>,
    },
    /// Every endpoint in a cluster.
    Cluster(ClusterName),
    /// Every endpoint in a region.
    Region(Region),
    /// A failover branch: `Up` takes it over, as a Manual takeover needs.
    Branch {
        /// The GlobalService.
        service: ObjectKey,
        /// The branch's name.
        branch: String,
    },
}

/// What an override forces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Force {
    /// Counts as up whatever probes say.
    Up,
    /// Gets no traffic, and none that the ladder would give.
    Down,
    /// Gets traffic only when nothing else is left.
    Draining,
}

/// What becomes of an override when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExpiry {
    /// It is as if it were not there.
    Release,
    /// It keeps its force until it is deleted, and the status says so.
    Keep,
}

/// Something wrong in a spec: where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecProblem {
    /// The path of the field, such as `policy.failover[1].name`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}
