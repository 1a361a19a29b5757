//! `tls_server_config`: its keys, the files that they name, and what the TLS library makes of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::client_auth::Policy;
use super::section::{Section, Spot};
use super::suites::{Version, curve, suite, version};
use super::{Fault, Read};

const NAME: &str = "tls_server_config";

const KEYS: [&str; 13] = [
    "cert_file",
    "key_file",
    "cert",
    "key",
    "client_auth_type",
    "client_ca_file",
    "client_ca",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For the library.
    pub server: Arc<ServerConfig>,
    /// Whether nobody gets in without a certificate of its own.
    pub requires_certificate: bool,
}

/// Reads the section; `None` where it is not there or empty.
pub(super) fn server(
    root: &Section<'_>,
    http2: bool,
    folder: &Path,
    read: &mut Read<'_>,
) -> Result<Option<Tls>, Fault> {
    let section = root.below(NAME, NAME, &KEYS)?;
    if KEYS.iter().all(|key| section.entry(key).is_none()) {
        return Ok(None);
    }
    let (mut provider, versions) = algorithms(&section)?;
    if let Some(curves) = section.texts("curve_preferences")? {
        provider.kx_groups = curves.iter().map(curve).collect::<Result<_, _>>()?;
    }
    let provider = Arc::new(provider);
    let (policy, roots, allowed) = clients(&section, folder, read)?;
    let missing = |keys: &str| {
        let line = root.entry(NAME).map_or(0, |entry| entry.line);
        Fault::new(line, NAME, &format!("has neither {keys}; TLS needs both a certificate and its key"))
    };
    let certificate = material(&section, "cert_file", "cert", folder, read)?
        .ok_or_else(|| missing("cert_file nor cert"))?;
    let key =
        material(&section, "key_file", "key", folder, read)?.ok_or_else(|| missing("key_file nor key"))?;
    let (chain, private) = (certificate.certificates()?, key.private_key()?);

    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| Fault::new(0, NAME, &error.to_string()))?;
    let verifier = policy.verifier(roots, allowed, &provider).map_err(|error| {
        Fault::new(0, "tls_server_config.client_ca_file", &format!("gives no verifier: {error}"))
    })?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let unfit = |error| {
        key.spot
            .fault(&format!("does not fit the certificate, or is of a kind that is not supported: {error}"))
    };
    let mut config = builder.with_single_cert(chain, private).map_err(unfit)?;
    config.ignore_client_order = section.boolean("prefer_server_cipher_suites", true)?;
    config.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(Some(Tls { server: Arc::new(config), requires_certificate: policy.requires() }))
}

/// Versions and cipher suites.
fn algorithms(
    section: &Section<'_>,
) -> Result<(CryptoProvider, Vec<&'static SupportedProtocolVersion>), Fault> {
    let least = section.text("min_version")?;
    let most = section.text("max_version")?;
    let low = least.as_ref().map(version).transpose()?.unwrap_or(Version::Tls12);
    let high = most.as_ref().map(version).transpose()?.unwrap_or(Version::Tls13);
    if let Some(spot) = least.filter(|_| low > high) {
        return Err(spot.fault(&format!("{} is above max_version; let it be at most that", spot.text)));
    }
    let mut provider = ring::default_provider();
    let mut old = low == Version::Tls12;
    if let Some(spots) = section.texts("cipher_suites")? {
        let chosen: Vec<_> =
            spots.iter().map(suite).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        if let (true, Version::Tls12, Some(spot)) = (chosen.is_empty(), high, spots.first()) {
            return Err(
                spot.fault("lists suites of TLS 1.3 only, and max_version is TLS12; list one of TLS 1.2")
            );
        }
        old &= !chosen.is_empty();
        // Those of TLS 1.3 always stay: in Go they cannot be chosen either.
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.extend::<Vec<SupportedCipherSuite>>(chosen);
    }
    let versions = [(high == Version::Tls13, &TLS13), (old, &TLS12)];
    Ok((provider, versions.into_iter().filter(|(spoken, _)| *spoken).map(|(_, version)| version).collect()))
}

/// What is asked of clients: the policy, the CAs and the allowed names, which have to fit one another.
fn clients(
    section: &Section<'_>,
    folder: &Path,
    read: &mut Read<'_>,
) -> Result<(Policy, RootCertStore, BTreeSet<String>), Fault> {
    let spot = section.text("client_auth_type")?;
    let policy = spot.as_ref().map(Policy::parse).transpose()?.unwrap_or(Policy::None);
    let mut roots = RootCertStore::empty();
    match (material(section, "client_ca_file", "client_ca", folder, read)?, spot) {
        (Some(ca), _) if policy == Policy::None => {
            return Err(ca.spot.fault("has no effect without client_auth_type: RequireAndVerifyClientCert"));
        }
        (Some(ca), _) => {
            for certificate in ca.certificates()? {
                roots
                    .add(certificate)
                    .map_err(|error| ca.spot.fault(&format!("holds no usable CA: {error}")))?;
            }
        }
        (None, Some(spot)) if policy.verifies() => {
            return Err(
                spot.fault(&format!("{} needs client_ca_file or client_ca, the CA to verify by", spot.text))
            );
        }
        (None, _) => {}
    }
    let allowed = section.texts("client_allowed_sans")?.unwrap_or_default();
    if let Some(entry) = section.entry("client_allowed_sans") {
        if allowed.is_empty() {
            return Err(section
                .fault(entry, "is an empty list, which lets nobody in; name one, or leave the key out"));
        }
        if !policy.requires() {
            let complaint =
                "lets in who sends no certificate; it needs client_auth_type: RequireAndVerifyClientCert";
            return Err(section.fault(entry, complaint));
        }
    }
    Ok((policy, roots, allowed.iter().map(|spot| spot.text.to_owned()).collect()))
}

/// PEM from a file or from the configuration itself.
struct Material<'a> {
    spot: Spot<'a>,
    pem: Vec<u8>,
    /// The file, in the words of a message.
    place: String,
}

fn material<'a>(
    section: &Section<'a>,
    file: &str,
    inline: &str,
    folder: &Path,
    read: &mut Read<'_>,
) -> Result<Option<Material<'a>>, Fault> {
    match (section.text(file)?, section.text(inline)?) {
        (Some(_), Some(spot)) => Err(spot.fault(&format!("is given beside {file}; give one of the two"))),
        (None, Some(spot)) => Ok(Some(Material { spot, pem: spot.text.into(), place: "the text".into() })),
        (Some(spot), None) => {
            let path = folder.join(spot.text);
            let place = format!("{:?}", path.display().to_string());
            let pem = read(&path).map_err(|error| spot.fault(&format!("{place} cannot be read: {error}")))?;
            Ok(Some(Material { spot, pem, place }))
        }
        (None, None) => Ok(None),
    }
}

impl Material<'_> {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Fault> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.pem).collect();
        match found {
            Ok(chain) if !chain.is_empty() => Ok(chain),
            Ok(_) => Err(self
                .spot
                .fault(&format!("{} holds no certificate in PEM (BEGIN CERTIFICATE)", self.place))),
            Err(error) => Err(self.spot.fault(&format!("{} is no PEM: {error}", self.place))),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Fault> {
        PrivateKeyDer::from_pem_slice(&self.pem).map_err(|error| {
            let text = String::from_utf8_lossy(&self.pem);
            let encrypted = text.contains("ENCRYPTED");
            let complaint = match error {
                _ if encrypted => {
                    "is encrypted; a server has nobody to ask for the password: decrypt it (openssl pkey)"
                        .into()
                }
                pem::Error::NoItemsFound => "holds no private key in PEM (BEGIN PRIVATE KEY)".into(),
                error => format!("is no PEM: {error}"),
            };
            self.spot.fault(&format!("{} {complaint}", self.place))
        })
    }
}
