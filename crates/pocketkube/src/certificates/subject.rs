//! The subject of a certificate (RFC 5280 section 4.1.2.6) in DER (X.690): reading it, and putting
//! another one in.
//!
//! ```text
//! Certificate    SEQUENCE { TBSCertificate, signatureAlgorithm, signature BIT STRING }
//! TBSCertificate SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, … }
//! Name           SEQUENCE of SET of SEQUENCE { OBJECT IDENTIFIER, text }
//! ```

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const BIT_STRING: u8 = 0x03;

/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// id-at-organizationName, 2.5.4.10.
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];

/// Place of the subject among the parts of a TBSCertificate.
const SUBJECT_PLACE: usize = 5;

/// What a subject says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) common_name: String,
    pub(super) organizations: Vec<String>,
}

/// The subject of a certificate.
pub(super) fn read(certificate: &[u8]) -> Option<Subject> {
    let (whole, _) = element(certificate)?;
    let (signed, _) = element(whole.body)?;
    let subject = *elements(signed.body)?.get(SUBJECT_PLACE)?;
    let mut found = Subject::default();
    for set in elements(subject.body)? {
        for pair in elements(set.body)? {
            let [kind, text] = elements(pair.body)?.try_into().ok()?;
            let text = String::from_utf8_lossy(text.body).into_owned();
            if kind.body == COMMON_NAME {
                found.common_name = text;
            } else if kind.body == ORGANIZATION {
                found.organizations.push(text);
            }
        }
    }
    Some(found)
}

/// The same certificate with another subject, signed anew.
pub(super) fn replace<E>(
    certificate: &[u8],
    common_name: &str,
    organizations: &[&str],
    sign: impl Fn(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    const MADE: &str = "the library made a certificate";
    let (whole, _) = element(certificate).expect(MADE);
    let parts = elements(whole.body).expect(MADE);
    let [signed, algorithm, _] = parts.try_into().expect(MADE);
    let mut body = Vec::new();
    for (place, part) in elements(signed.body).expect(MADE).iter().enumerate() {
        match place {
            SUBJECT_PLACE => body.extend(name(common_name, organizations)),
            _ => body.extend_from_slice(part.whole),
        }
    }
    let signed = wrapped(SEQUENCE, &body);
    // A bit string begins with the number of bits unused in its last byte.
    let mut signature = vec![0];
    signature.extend(sign(&signed)?);
    let signature = wrapped(BIT_STRING, &signature);
    let body = [signed.as_slice(), algorithm.whole, &signature].concat();
    Ok(wrapped(SEQUENCE, &body))
}

fn name(common_name: &str, organizations: &[&str]) -> Vec<u8> {
    let entry = |kind: &[u8], text: &str| {
        let pair = [
            wrapped(OBJECT_IDENTIFIER, kind),
            wrapped(UTF8_STRING, text.as_bytes()),
        ];
        wrapped(SET, &wrapped(SEQUENCE, &pair.concat()))
    };
    let mut entries: Vec<u8> = organizations
        .iter()
        .flat_map(|text| entry(&ORGANIZATION, text))
        .collect();
    entries.extend(entry(&COMMON_NAME, common_name));
    wrapped(SEQUENCE, &entries)
}

/// One element: its contents, and all of it.
#[derive(Debug, Clone, Copy)]
struct Element<'a> {
    body: &'a [u8],
    whole: &'a [u8],
}

/// The first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let first = *bytes.get(1)?;
    let (head, length) = match usize::from(first) {
        short @ 0..=0x7f => (2, short),
        long => {
            let count = long & 0x7f;
            let digits = bytes.get(2..2 + count)?;
            // More than four gigabytes is no certificate.
            if count > 4 {
                return None;
            }
            let fold = |length: usize, digit: &u8| (length << 8) | usize::from(*digit);
            (2 + count, digits.iter().fold(0, fold))
        }
    };
    let whole = bytes.get(..head + length)?;
    let found = Element {
        body: &whole[head..],
        whole,
    };
    Some((found, &bytes[head + length..]))
}

fn elements(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (next, rest) = element(bytes)?;
        found.push(next);
        bytes = rest;
    }
    Some(found)
}

fn wrapped(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let digits: Vec<u8> = body
                .len()
                .to_be_bytes()
                .into_iter()
                .skip_while(|digit| *digit == 0)
                .collect();
            bytes.push(0x80 | u8::try_from(digits.len()).expect("a length has at most 8 bytes"));
            bytes.extend(digits);
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_short_and_long() {
        assert_eq!(wrapped(SET, &[1, 2]), [SET, 2, 1, 2]);
        let long = wrapped(SET, &[7; 300]);
        assert_eq!(long[..4], [SET, 0x82, 1, 44]);
        let (found, rest) = element(&long).unwrap();
        assert_eq!((found.body.len(), rest.len()), (300, 0));
    }

    #[test]
    fn what_is_cut_off_is_no_certificate() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[SEQUENCE, 0x85, 1, 1, 1, 1, 1]), None);
        assert_eq!(read(&[SEQUENCE, 4, SEQUENCE]), None);
    }
}
