//! The certificate that the webhook shows, and the authority that API servers believe it by.
//!
//! The leader keeps both in a Secret of the system namespace, and writes the authority into the
//! ValidatingWebhookConfiguration `meridian`; replicas with the role `webhook` follow the Secret.
//!
//! | step | when | what API servers believe | what is shown |
//! |---|---|---|---|
//! | first | there is none | the authority | a certificate of it |
//! | renew | a third of the certificate's life is left, or other names are wanted | the same | a new one |
//! | announce | a third of the authority's life is left | the new authority and the old | as before |
//! | change | both are believed since the last look | both | a certificate of the new |
//! | forget | that was a day ago | the new | the same |
//!
//! # Guarantees
//! What is shown is vouched for by what is believed, at every moment: nobody is refused meanwhile.
//! # Assumptions
//! API servers take a configuration that was changed up within [`LOOK_EVERY`].
//! # Caveats
//! Without a ValidatingWebhookConfiguration `meridian` nothing is made. A control plane of one
//! namespace makes none: that configuration is the whole cluster's.

use crate::Error;
use crate::context::Context;
use crate::kept_secret::{self, look_while_leading};
use ::api::ConfigScope;
use federation::digest;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{Timestamp, tz::TimeZone};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The Secret.
pub(crate) const WEBHOOK_SECRET_NAME: &str = "meridian-webhook";
/// The ValidatingWebhookConfiguration.
const CONFIGURATION: &str = "meridian";
/// Its type, so that nobody takes it for credentials.
const SECRET_TYPE: &str = "meridian.dev/webhook";
/// Who writes the authority into the configuration.
const MANAGER: &str = "meridian-webhook";
/// Between two looks; also how long API servers are given to take a change up.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);

const DAY_SECS: i64 = 24 * 3600;
/// How long certificates and authorities are valid.
const LEAF_SECS: i64 = 90 * DAY_SECS;
const AUTHORITY_SECS: i64 = 3 * 365 * DAY_SECS;

/// An authority, in PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Authority {
    certificate: String,
    key: String,
    name: String,
    ends_secs: i64,
}

/// A certificate, in PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Leaf {
    certificate: String,
    key: String,
    names: BTreeSet<String>,
    /// Digest of the authority's certificate.
    by: String,
    made_secs: i64,
    ends_secs: i64,
}

// Private keys are shown to nobody.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authority").field(&self.name).finish()
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Leaf").field(&self.names).finish()
    }
}

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    authority: Authority,
    /// The certificate of the authority before.
    before: Option<String>,
    leaf: Leaf,
}

/// Whether API servers have had time to believe what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Believed {
    Yes,
    NotYet,
}

impl Kept {
    fn first(names: &BTreeSet<String>, now: i64) -> Result<Self, rcgen::Error> {
        let authority = Authority::new(now)?;
        Ok(Self {
            leaf: authority.sign(names, now)?,
            authority,
            before: None,
        })
    }

    /// The next step, when one is due.
    fn next(
        &self,
        names: &BTreeSet<String>,
        believed: Believed,
        now: i64,
    ) -> Result<Option<Self>, rcgen::Error> {
        let mut next = self.clone();
        let of_authority = self.leaf.by == digest(&self.authority.certificate);
        if self.authority.ends_secs - now < AUTHORITY_SECS / 3 && of_authority {
            next.before = Some(self.authority.certificate.clone());
            next.authority = Authority::new(now)?;
            return Ok(Some(next));
        }
        let ends = self.leaf.ends_secs - now < LEAF_SECS / 3;
        if !of_authority || ends || self.leaf.names != *names {
            if !of_authority && believed == Believed::NotYet {
                return Ok(None);
            }
            next.leaf = self.authority.sign(names, now)?;
            return Ok(Some(next));
        }
        if self.before.is_some() && now - self.leaf.made_secs > DAY_SECS {
            next.before = None;
            return Ok(Some(next));
        }
        Ok(None)
    }

    /// Whom API servers are to believe, in PEM.
    fn bundle(&self) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        format!("{}{before}", self.authority.certificate)
    }

    pub(crate) fn read(secret: &Secret) -> Option<Self> {
        let kept = secret.data.as_ref()?.get("kept")?;
        serde_json::from_slice(&kept.0).ok()
    }

    /// What is shown: the chain and the key, in PEM.
    pub(crate) fn shown(&self) -> (&str, &str) {
        (&self.leaf.certificate, &self.leaf.key)
    }

    fn write(&self) -> Result<Secret, serde_json::Error> {
        let kept = ("kept".to_owned(), ByteString(serde_json::to_vec(self)?));
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(WEBHOOK_SECRET_NAME.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some([kept].into()),
            ..Secret::default()
        })
    }
}

impl Authority {
    fn new(now: i64) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        // Two authorities of one name would be taken for each other.
        let name = format!("meridian-webhook-{now}");
        let ends_secs = now + AUTHORITY_SECS;
        let certificate = parameters(&name, (now, ends_secs)).self_signed(&key)?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            name,
            ends_secs,
        })
    }

    fn sign(&self, names: &BTreeSet<String>, now: i64) -> Result<Leaf, rcgen::Error> {
        let parameters = parameters(
            &self.name,
            (self.ends_secs - AUTHORITY_SECS, self.ends_secs),
        );
        let issuer = Issuer::new(parameters, KeyPair::from_pem(&self.key)?);
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        leaf.distinguished_name
            .push(DnType::CommonName, "meridian-webhook");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let ends_secs = now + LEAF_SECS;
        set_period(&mut leaf, (now, ends_secs));
        Ok(Leaf {
            certificate: leaf.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
            names: names.clone(),
            by: digest(&self.certificate),
            made_secs: now,
            ends_secs,
        })
    }
}

/// An authority's own, the same each time.
fn parameters(name: &str, period: (i64, i64)) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    set_period(&mut parameters, period);
    parameters
}

/// Year, month and day; whole days are exact enough.
fn day(secs: i64) -> (i32, u8, u8) {
    let at = Timestamp::from_second(secs).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = at.to_zoned(TimeZone::UTC).date();
    let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
    (date.year().into(), month, day)
}

/// From the day before to the day after: clocks differ.
fn set_period(parameters: &mut CertificateParams, (begins, ends): (i64, i64)) {
    let (year, month, first) = day(begins - DAY_SECS);
    parameters.not_before = date_time_ymd(year, month, first);
    let (year, month, last) = day(ends + DAY_SECS);
    parameters.not_after = date_time_ymd(year, month, last);
}

/// Keeps the Secret and the configuration while this process leads.
pub(crate) async fn run(context: Arc<Context>) {
    if context.host.scope == ConfigScope::Namespaced {
        return;
    }
    let what = "the webhook's certificate";
    look_while_leading(&context, LOOK_EVERY, what, look).await;
}

async fn look(context: &Context) -> Result<(), Error> {
    let client = &context.host.client;
    let configurations = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let found = timeout(DEADLINE, configurations.get_opt(CONFIGURATION)).await;
    let Some(configuration) = found.map_err(|_| Error::HostTimedOut)?? else {
        return Ok(());
    };
    let names = names(&configuration);
    let found = kept_secret::find(context, WEBHOOK_SECRET_NAME).await?;
    let now = context.clock.now().as_second();
    let kept = found.as_ref().and_then(Kept::read);
    let next = match &kept {
        Some(kept) => {
            let believed = match missing(&configuration, &kept.bundle()).is_empty() {
                true => Believed::Yes,
                false => Believed::NotYet,
            };
            kept.next(&names, believed, now)
        }
        None => Kept::first(&names, now).map(Some),
    };
    let malformed = |why: String| Error::malformed("webhook certificate", why);
    let next = next.map_err(|why| malformed(why.to_string()))?;
    if let Some(next) = &next {
        let secret = next.write().map_err(|why| malformed(why.to_string()))?;
        kept_secret::write(context, found.as_ref(), secret).await?;
        tracing::info!(names = ?next.leaf.names, "the webhook has another certificate");
    }
    let Some(kept) = next.or(kept) else {
        return Ok(());
    };
    announce(context, &configurations, &configuration, &kept.bundle()).await
}

/// The names under which API servers ask for the webhook.
fn names(configuration: &ValidatingWebhookConfiguration) -> BTreeSet<String> {
    let webhooks = configuration.webhooks.iter().flatten();
    let names = webhooks.filter_map(|webhook| {
        let client = &webhook.client_config;
        match (&client.service, &client.url) {
            (Some(service), _) => Some(format!("{}.{}.svc", service.name, service.namespace)),
            (None, Some(url)) => {
                let url: http::Uri = url.parse().ok()?;
                let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
                Some(host.to_owned())
            }
            (None, None) => None,
        }
    });
    names.collect()
}

/// The webhooks that are to believe something else than they do.
fn missing(configuration: &ValidatingWebhookConfiguration, bundle: &str) -> Vec<String> {
    let webhooks = configuration.webhooks.iter().flatten();
    let missing = webhooks.filter(|webhook| {
        let believed = webhook.client_config.ca_bundle.as_ref();
        believed.is_none_or(|believed| believed.0 != bundle.as_bytes())
    });
    missing.map(|webhook| webhook.name.clone()).collect()
}

/// Every webhook of the configuration is applied: what is left out would be taken back.
async fn announce(
    context: &Context,
    configurations: &Api<ValidatingWebhookConfiguration>,
    configuration: &ValidatingWebhookConfiguration,
    bundle: &str,
) -> Result<(), Error> {
    if missing(configuration, bundle).is_empty() {
        return Ok(());
    }
    if !context.leadership.may_write(DEADLINE) {
        return Err(Error::NotLeading);
    }
    let bundle = ByteString(bundle.as_bytes().to_vec());
    let webhooks = configuration.webhooks.iter().flatten();
    let webhooks: Vec<_> = webhooks
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    // Of this very object: one that was deleted is not made again.
    let applied = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION, "uid": configuration.metadata.uid},
        "webhooks": webhooks,
    });
    let (parameters, applied) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&applied));
    let patch = configurations.patch(CONFIGURATION, &parameters, &applied);
    timeout(DEADLINE, patch)
        .await
        .map_err(|_| Error::HostTimedOut)??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    const NOW: i64 = 1_800_000_000;

    fn named(name: &str) -> BTreeSet<String> {
        [name.to_owned()].into()
    }

    /// Whether who believes a bundle takes what is shown.
    fn is_taken(bundle: &str, kept: &Kept, name: &str, now: i64) -> bool {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(authority.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let leaf = CertificateDer::from_pem_slice(kept.shown().0.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
        let verifier = verifier.build().unwrap();
        use rustls::client::danger::ServerCertVerifier;
        verifier
            .verify_server_cert(&leaf, &[], &name, &[], now)
            .is_ok()
    }

    #[test]
    fn over_ten_years_what_is_shown_is_always_believed() {
        let name = "meridian-webhook.kube-federation-system.svc";
        let names = named(name);
        let mut kept = Kept::first(&names, NOW).unwrap();
        let mut believed = kept.bundle();
        let (mut leaves, mut authorities) = (BTreeSet::new(), BTreeSet::new());
        for day in 0..3650 {
            let now = NOW + day * DAY_SECS;
            for _ in 0..2 {
                let is_believed = match believed == kept.bundle() {
                    true => Believed::Yes,
                    false => Believed::NotYet,
                };
                if let Some(next) = kept.next(&names, is_believed, now).unwrap() {
                    // Replicas follow at once, API servers later.
                    assert!(is_taken(&believed, &next, name, now), "day {day}");
                    kept = next;
                }
                believed = kept.bundle();
                assert!(is_taken(&believed, &kept, name, now), "day {day}");
            }
            leaves.insert(kept.leaf.certificate.clone());
            authorities.insert(kept.authority.certificate.clone());
        }
        assert!((55..75).contains(&leaves.len()), "{}", leaves.len());
        assert!((5..7).contains(&authorities.len()), "{}", authorities.len());
        assert_eq!(
            believed.matches("BEGIN CERTIFICATE").count(),
            1,
            "old ones are forgotten"
        );
    }

    #[test]
    fn other_names_make_another_certificate_and_what_is_kept_reads_again() {
        let kept = Kept::first(&named("127.0.0.1"), NOW).unwrap();
        assert!(is_taken(&kept.bundle(), &kept, "127.0.0.1", NOW));
        let unchanged = kept.next(&named("127.0.0.1"), Believed::Yes, NOW).unwrap();
        assert_eq!(unchanged, None);
        let moved = kept.next(&named("hook.example"), Believed::Yes, NOW);
        let moved = moved.unwrap().expect("another name");
        assert!(is_taken(&kept.bundle(), &moved, "hook.example", NOW));
        let secret = moved.write().unwrap();
        assert_eq!(Kept::read(&secret), Some(moved));
        assert_eq!(Kept::read(&Secret::default()), None);
    }
}
