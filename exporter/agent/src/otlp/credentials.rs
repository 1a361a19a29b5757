//! The certificates and the key of a push, read anew for each: whoever renews them has nothing to restart.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use noether_sources::regular;

use super::variables::Variables;

/// The largest file of certificates, in bytes.
const LARGEST: u64 = 4 << 20;

/// What TLS needs, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// Who vouches for the receiver; `None`: the system's.
    pub(super) authorities: Option<Vec<u8>>,
    /// Our certificate and its key.
    pub(super) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Credentials {
    /// Reads the files. An error names the file and the mend.
    pub(super) fn read(variables: &Variables) -> Result<Self, String> {
        let authorities = variables.certificate.as_deref().map(certificates).transpose()?;
        let identity = variables.identity.as_ref().map(|(certificate, path)| {
            let key = bytes(path)?;
            if PrivateKeyDer::from_pem_slice(&key).is_err() {
                return Err(format!("{}: no private key in PEM; give it an unencrypted one", path.display()));
            }
            Ok((certificates(certificate)?, key))
        });
        Ok(Self { authorities, identity: identity.transpose()? })
    }
}

fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let pem = bytes(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        _ => Err(format!("{}: no certificate in PEM", path.display())),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    regular::read(path, LARGEST).map_err(|error| format!("{}: {error}", path.display()))
}
