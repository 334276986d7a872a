//! How an observer is reached and known without the host: annotations of its Lease.

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use std::collections::BTreeMap;
use steering::Contact;

/// Where it takes reports directly.
const ADDRESS: &str = "gslb.meridian.dev/observer-address";
/// The SHA-256 of its certificate, in hex.
const CERTIFICATE: &str = "gslb.meridian.dev/observer-certificate";
/// Hex digits of a SHA-256.
const DIGITS: usize = 64;
/// A host name of 253 characters with a port.
const ADDRESS_MAX: usize = 260;

/// The annotations that say it.
pub(super) fn annotations(contact: &Contact) -> BTreeMap<&'static str, &str> {
    let address = contact.address.as_deref();
    let address = address.map(|address| (ADDRESS, address));
    let certificate = [(CERTIFICATE, contact.certificate.as_str())];
    certificate.into_iter().chain(address).collect()
}

/// What a Lease says; nothing where it names no certificate.
pub(super) fn contact_of(lease: &Lease) -> Option<Contact> {
    let said = lease.annotations();
    let certificate = said.get(CERTIFICATE)?.to_lowercase();
    let is_digest =
        certificate.len() == DIGITS && certificate.bytes().all(|c| c.is_ascii_hexdigit());
    let address = said.get(ADDRESS).filter(|it| it.len() <= ADDRESS_MAX);
    is_digest.then(|| Contact {
        address: address.cloned(),
        certificate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_read_as_it_was_written_and_no_digest_is_none() {
        let check = |contact: Contact, expected: Option<&Contact>| {
            let mut lease = Lease::default();
            let said = annotations(&contact).into_iter();
            let said = said.map(|(name, value)| (name.to_owned(), value.to_owned()));
            lease.metadata.annotations = Some(said.collect());
            assert_eq!(contact_of(&lease).as_ref(), expected);
        };
        let of = |address: Option<&str>, certificate: &str| Contact {
            address: address.map(str::to_owned),
            certificate: certificate.to_owned(),
        };
        let (dials, listens) = (
            of(None, &"0a".repeat(32)),
            of(Some("192.0.2.53:8530"), &"0a".repeat(32)),
        );
        check(dials.clone(), Some(&dials));
        check(listens.clone(), Some(&listens));
        check(of(Some("192.0.2.53:8530"), "none"), None);
        assert_eq!(contact_of(&Lease::default()), None);
    }
}
