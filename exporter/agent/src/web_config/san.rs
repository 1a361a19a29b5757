//! The subject alternative names of a certificate, as texts: what `client_allowed_sans` is compared with.
//!
//! A few steps through the DER (RFC 5280, 4.1 and 4.2.1.6) instead of an X.509 library for one field.

use std::net::{Ipv4Addr, Ipv6Addr};

/// `id-ce-subjectAltName`, 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
/// The extensions among the fields of a certificate.
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// DNS names, e-mail addresses, IP addresses and URIs; none where it is no certificate or has none.
pub(super) fn names(certificate: &[u8]) -> Vec<String> {
    let value = || {
        let fields = only(only(certificate, SEQUENCE)?, SEQUENCE)?;
        let extensions = only(only(fields, EXTENSIONS)?, SEQUENCE)?;
        let of_names = |extension: &[u8]| only(extension, OBJECT_ID) == Some(SUBJECT_ALTERNATIVE_NAME);
        let (_, extension) = Elements(extensions).find(|(tag, part)| *tag == SEQUENCE && of_names(part))?;
        only(only(extension, OCTETS)?, SEQUENCE)
    };
    Elements(value().unwrap_or_default()).filter_map(|(tag, name)| text(tag, name)).collect()
}

fn text(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        EMAIL | DNS | URI => str::from_utf8(name).ok().map(str::to_owned),
        IP => {
            let v4 = <[u8; 4]>::try_from(name).ok().map(|octets| Ipv4Addr::from(octets).to_string());
            let v6 = <[u8; 16]>::try_from(name).ok();
            v4.or_else(|| v6.map(|octets| Ipv6Addr::from(octets).to_canonical().to_string()))
        }
        _ => None,
    }
}

/// The first element with this tag.
fn only(der: &[u8], tag: u8) -> Option<&[u8]> {
    Elements(der).find(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// The elements that follow one another, each a tag and its content; ends where it is no DER.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([tag, length], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if length & 0x80 == 0 {
            (usize::from(*length), rest)
        } else {
            // Four octets of length are more than any certificate has.
            let (octets, rest) =
                rest.split_at_checked(usize::from(length & 0x7f)).filter(|(octets, _)| octets.len() <= 4)?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    #[test]
    fn names_of_all_kinds() {
        let mut params =
            CertificateParams::new(vec!["scraper.example".into(), "10.0.0.1".into(), "2001:db8::1".into()])
                .unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name("ops@example.org".try_into().unwrap()));
        params.subject_alt_names.push(SanType::URI("spiffe://example/prometheus".try_into().unwrap()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(
            names(certificate.der()),
            ["scraper.example", "10.0.0.1", "2001:db8::1", "ops@example.org", "spiffe://example/prometheus"]
        );
        for end in 0..certificate.der().len() {
            assert!(names(&certificate.der()[..end]).is_empty(), "{end}");
        }
        let none = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(names(none.der()).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics(der in prop::collection::vec(any::<u8>(), 0..80)) {
            names(&der);
            let _ = Elements(&der).count();
        }
    }
}
