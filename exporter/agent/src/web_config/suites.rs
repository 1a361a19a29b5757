//! The names that Go has for versions, cipher suites and curves, and what stands behind them here.
//!
//! What the TLS library leaves out on purpose is known by name as well, so that its refusal can say what to use instead.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite, kx_group};

use super::Fault;
use super::section::Spot;
use crate::settings::suggest;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

/// Reads a version.
pub(super) fn version(spot: &Spot<'_>) -> Result<Version, Fault> {
    match spot.text {
        "TLS12" => Ok(Version::Tls12),
        "TLS13" => Ok(Version::Tls13),
        "TLS10" | "TLS11" => Err(spot.fault(&format!(
            "{:?} is not spoken here: TLS 1.0 and 1.1 are broken (RFC 8996); use TLS12 or TLS13",
            spot.text
        ))),
        other => Err(unknown(spot, "version", &["TLS12", "TLS13"], other)),
    }
}

/// The suites of TLS 1.2.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Those of TLS 1.3: not to be chosen from, in Go neither, but they may be listed.
const ALWAYS: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// Reads the name of a suite; `None` is one of TLS 1.3.
pub(super) fn suite(spot: &Spot<'_>) -> Result<Option<SupportedCipherSuite>, Fault> {
    let name = spot.text;
    if let Some((_, suite)) = SUITES.iter().find(|(known, _)| *known == name) {
        return Ok(Some(*suite));
    }
    if ALWAYS.contains(&name) {
        return Ok(None);
    }
    let flaw = [
        ("TLS_RSA_", "exchanges keys by RSA, without forward secrecy"),
        ("_RC4_", "uses RC4, which is broken (RFC 7465)"),
        ("_3DES_", "uses 3DES, which is broken (CVE-2016-2183)"),
        ("_CBC_", "uses CBC, which is open to padding oracles"),
    ];
    match flaw.iter().find(|(part, _)| name.contains(part)) {
        Some((_, why)) => {
            let instead = if name.contains("ECDSA") {
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
            } else {
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
            };
            Err(spot.fault(&format!("{name:?} {why}, and is not spoken here; use {instead}")))
        }
        None => {
            let names: Vec<_> = SUITES.iter().map(|(name, _)| *name).chain(ALWAYS).collect();
            Err(unknown(spot, "cipher suite", &names, name))
        }
    }
}

/// Reads the name of a curve.
pub(super) fn curve(spot: &Spot<'_>) -> Result<&'static dyn SupportedKxGroup, Fault> {
    match spot.text {
        "X25519" => Ok(kx_group::X25519),
        "CurveP256" => Ok(kx_group::SECP256R1),
        "CurveP384" => Ok(kx_group::SECP384R1),
        "CurveP521" | "X25519MLKEM768" => Err(spot.fault(&format!(
            "{:?} is not among the curves of this build; use X25519, CurveP256 or CurveP384",
            spot.text
        ))),
        other => Err(unknown(spot, "curve", &["X25519", "CurveP256", "CurveP384"], other)),
    }
}

fn unknown(spot: &Spot<'_>, what: &str, names: &[&str], wrong: &str) -> Fault {
    let nearest = suggest::clause(wrong, names.iter().copied());
    spot.fault(&format!("{wrong:?} is no {what}{nearest}; there are {}", names.join(", ")))
}
