//! TLS to a member: whom it must be vouched for by, as whom we come, and which checks are left out.
//!
//! | left out | what is still checked |
//! |---|---|
//! | nothing | chain, period of validity, name |
//! | `SubjectName` | chain, period of validity |
//! | `ValidityPeriod` | chain as it was while it was valid, name |
//! | `*` | that the server holds the key of whatever certificate it shows |

use api::TlsValidation;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore};
use rustls::{OtherError, SignatureScheme};
use std::sync::Arc;

/// Certificates of a chain may each be out of their period; each costs one more look.
const LOOKS_MAX: usize = 8;

/// Who vouches for a member's certificate, and what of it is not looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// The authorities; absent, those that this machine trusts.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
    /// The checks that are left out.
    pub(super) left_out: Vec<TlsValidation>,
}

/// A client certificate, its chain, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The settings of a member's connections.
pub(super) fn client_config(
    trust: Trust,
    identity: Option<Identity>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(trust, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// The settings of a connection to whom this machine trusts.
pub(super) fn of_this_machine() -> Result<ClientConfig, Error> {
    client_config(Trust::default(), None)
}

fn verifier(
    trust: Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    if trust.left_out.contains(&TlsValidation::All) {
        // Nobody is asked, so that nobody need be known.
        return Ok(lenient(None, trust.left_out, provider));
    }
    let strict: Arc<dyn ServerCertVerifier> = match trust.authorities {
        None => Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(
            provider,
        ))?),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority)?;
            }
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            let built = builder.build();
            built.map_err(|error| Error::Other(OtherError(Arc::new(error))))?
        }
    };
    Ok(match trust.left_out.is_empty() {
        true => strict,
        false => lenient(Some(strict), trust.left_out, provider),
    })
}

fn lenient(
    strict: Option<Arc<dyn ServerCertVerifier>>,
    left_out: Vec<TlsValidation>,
    provider: &Arc<CryptoProvider>,
) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Lenient {
        strict,
        left_out,
        algorithms: provider.signature_verification_algorithms,
    })
}

/// Asks a strict verifier, and forgives what is left out. That the server holds its certificate's key
/// is never left out.
#[derive(Debug)]
struct Lenient {
    /// Absent, every certificate is taken (`*`).
    strict: Option<Arc<dyn ServerCertVerifier>>,
    left_out: Vec<TlsValidation>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Lenient {
    /// The moment at which to look again, when only the time was wrong.
    fn another_time(&self, error: &Error) -> Option<UnixTime> {
        if !self.left_out.contains(&TlsValidation::ValidityPeriod) {
            return None;
        }
        match error {
            Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
                Some(*not_after)
            }
            Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before, ..
            }) => Some(*not_before),
            _ => None,
        }
    }

    /// The name is what is looked at last: all else was found good.
    fn forgives_name(&self, error: &Error) -> bool {
        let name = matches!(
            error,
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            )
        );
        name && self.left_out.contains(&TlsValidation::SubjectName)
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        mut now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(strict) = &self.strict else {
            return Ok(ServerCertVerified::assertion());
        };
        for _ in 1..LOOKS_MAX {
            let looked = strict.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            );
            match looked {
                Err(error) if self.forgives_name(&error) => {
                    return Ok(ServerCertVerified::assertion());
                }
                Err(error) => match self.another_time(&error) {
                    Some(time) => now = time,
                    None => return Err(error),
                },
                Ok(verified) => return Ok(verified),
            }
        }
        strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
    };
    use std::time::Duration;

    const NOW: Duration = Duration::from_secs(1_800_000_000); // January 2027
    const GOOD: (i32, i32) = (2026, 2030);
    const EXPIRED: (i32, i32) = (2020, 2021);
    const TO_COME: (i32, i32) = (2028, 2030);

    fn authority((from, until): (i32, i32)) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// Whether a certificate of `a.example` that is valid in a period is taken of a server of a name.
    fn check(
        issuer: &CertifiedIssuer<'static, KeyPair>,
        believed: &CertifiedIssuer<'static, KeyPair>,
        (from, until): (i32, i32),
        name: &str,
        left_out: &[TlsValidation],
    ) -> Result<(), Error> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        let trust = Trust {
            authorities: Some(vec![believed.der().clone()]),
            left_out: left_out.to_vec(),
        };
        let verifier = verifier(trust, &Arc::new(ring::default_provider())).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(NOW);
        let verified = verifier.verify_server_cert(certificate.der(), &[], &name, &[], now);
        verified.map(|_| ())
    }

    #[test]
    fn one_check_is_left_out_and_the_others_stand() {
        use TlsValidation::{All, SubjectName, ValidityPeriod};
        let (ours, theirs) = (authority(GOOD), authority(GOOD));
        let (good, expired, to_come) = (GOOD, EXPIRED, TO_COME);
        let (name, other) = ("a.example", "b.example");
        for (believed, period, name, left_out, taken) in [
            (&ours, good, name, &[][..], true),
            (&ours, good, other, &[], false),
            (&ours, expired, name, &[], false),
            (&theirs, good, name, &[], false),
            (&ours, good, other, &[SubjectName], true),
            (&ours, good, "10.0.0.1", &[SubjectName], true),
            (&ours, expired, name, &[SubjectName], false),
            (&ours, expired, other, &[SubjectName], false),
            (&theirs, good, other, &[SubjectName], false),
            (&ours, expired, name, &[ValidityPeriod], true),
            (&ours, to_come, name, &[ValidityPeriod], true),
            (&ours, expired, other, &[ValidityPeriod], false),
            (&theirs, expired, name, &[ValidityPeriod], false),
            (&ours, expired, other, &[SubjectName, ValidityPeriod], true),
            (
                &theirs,
                expired,
                other,
                &[SubjectName, ValidityPeriod],
                false,
            ),
            (&theirs, expired, other, &[All], true),
        ] {
            let found = check(&ours, believed, period, name, left_out);
            assert_eq!(
                found.is_ok(),
                taken,
                "{period:?} {name} {left_out:?}: {found:?}"
            );
        }
    }

    #[test]
    fn an_authority_out_of_its_period_is_forgiven_too() {
        for period in [EXPIRED, TO_COME] {
            let ours = authority(period);
            let left_out = [TlsValidation::ValidityPeriod];
            assert!(check(&ours, &ours, period, "a.example", &left_out).is_ok());
        }
    }
}
