//! Whole configurations: right ones, and every way in which one can be wrong.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};

use super::*;

/// Files beside the configuration, in memory.
struct Folder(BTreeMap<PathBuf, Vec<u8>>);

impl Folder {
    fn new() -> Self {
        let [key, other] =
            [KeyPair::generate().unwrap(), KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()];
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let torn = certificate.pem().replace("-----END", "----");
        let files = [
            ("a.crt", certificate.pem()),
            ("a.key", key.serialize_pem()),
            ("other.key", other.serialize_pem()),
            ("encrypted.key", encrypted.into()),
            ("torn.crt", torn),
            ("empty", String::new()),
        ];
        Self(
            files
                .into_iter()
                .map(|(name, text)| (PathBuf::from("/etc/web").join(name), text.into_bytes()))
                .collect(),
        )
    }

    fn load(&self, text: &str) -> Result<WebConfig, String> {
        let path = Path::new("/etc/web/web.yml");
        WebConfig::load(path, &mut |asked| {
            if asked == path {
                return Ok(text.into());
            }
            self.0.get(asked).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }
}

const TLS: &str = "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n";
const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

#[test]
fn everything_at_once() {
    let folder = Folder::new();
    let config = folder
        .load(&format!(
            "{TLS}  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: /etc/web/a.crt
  client_allowed_sans: [localhost]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: off
  headers:
    Content-Security-Policy: default-src 'none'
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: '0'
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: {HASH}
  bob: \"{HASH}\"
rate_limit:
  interval: 1s
  burst: 20
"
        ))
        .unwrap();
    let tls = config.tls.unwrap();
    assert!(tls.requires_certificate && !tls.server.ignore_client_order);
    assert_eq!(tls.server.alpn_protocols, [b"http/1.1".to_vec()]);
    let suites: Vec<_> =
        tls.server.crypto_provider().cipher_suites.iter().map(|s| s.suite().as_str().unwrap()).collect();
    assert_eq!(suites.len(), 4, "{suites:?}");
    assert_eq!((config.headers.len(), config.users.len()), (5, 2));
    assert_eq!(config.rate, Some(Rate { interval: std::time::Duration::from_secs(1), burst: 20 }));
}

#[test]
fn little_is_enough() {
    let folder = Folder::new();
    for text in [
        "",
        "tls_server_config: {}",
        "tls_server_config:\n",
        "rate_limit: {interval: 0, burst: 1}",
        "basic_auth_users: {}",
    ] {
        let config = folder.load(text).unwrap();
        assert!(config.tls.is_none() && config.users.is_empty() && config.rate.is_none(), "{text}");
    }
    let tls = folder.load(TLS).unwrap().tls.unwrap();
    assert!(tls.server.ignore_client_order && !tls.requires_certificate);
    assert_eq!(tls.server.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    let key = String::from_utf8(folder.0[Path::new("/etc/web/a.key")].clone()).unwrap();
    let indented = key.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let inline = format!("tls_server_config:\n  cert_file: a.crt\n  key: |\n{indented}");
    assert!(folder.load(&inline).unwrap().tls.is_some());
    for (policy, requires) in [
        ("NoClientCert", false),
        ("RequestClientCert", false),
        ("RequireAnyClientCert", true),
        ("RequireClientCert", true),
        ("VerifyClientCertIfGiven\n  client_ca_file: a.crt", false),
        ("RequireAndVerifyClientCert\n  client_ca_file: a.crt", true),
    ] {
        let tls = folder.load(&format!("{TLS}  client_auth_type: {policy}")).unwrap().tls.unwrap();
        assert_eq!(tls.requires_certificate, requires, "{policy}");
    }
}

/// The text, where it is wrong, and a part of what is said about that.
#[rustfmt::skip] // One row each.
const MALFORMED: &[(&str, &str, &str)] = &[
    ("tls_server_confg: {}", ":1: tls_server_confg:", "did you mean tls_server_config?"),
    ("tls_config: {}", ":1: tls_config:", "there are tls_server_config, http_server_config"),
    ("tls_server_config:\n  cert_flie: a.crt", ":2: tls_server_config.cert_flie:", "did you mean cert_file?"),
    ("http_server_config:\n  http3: true", ":2: http_server_config.http3:", "did you mean http2?"),
    ("rate_limit:\n  brust: 1", ":2: rate_limit.brust:", "did you mean burst?"),
    ("rate_limit: {interval: 1s, burst: 2}\nrate_limit: {}", ":2: rate_limit:", "given twice, first in line 1"),
    ("basic_auth_users:\n  a: x\n  a: y", ":3: basic_auth_users.a:", "given twice, first in line 2"),
    ("TLS  cert_file: b.crt", ":4: tls_server_config.cert_file:", "given twice"),
    ("tls_server_config: [a]", ":1: tls_server_config:", "a list where a mapping belongs"),
    ("tls_server_config: yes", ":1: tls_server_config:", "a single value where a mapping belongs"),
    ("basic_auth_users: [alice]", ":1: basic_auth_users:", "a list where a mapping belongs"),
    ("- a", ":1:", "expected keys such as"),
    ("just words", ":1:", "expected keys such as"),
    ("a: [", ":2:", "is not YAML"),
    ("rate_limit: &x {}", ":1: rate_limit:", "anchors"),
    ("---\n{}\n---\n{}", ":3:", "second document"),
    ("tls_server_config:\n  key_file: a.key", ":1: tls_server_config:", "neither cert_file nor cert"),
    ("tls_server_config:\n  cert_file: a.crt", ":1: tls_server_config:", "neither key_file nor key"),
    ("tls_server_config:\n  min_version: TLS12", ":1: tls_server_config:", "neither cert_file nor cert"),
    ("tls_server_config: {cert_file: no.crt, key_file: a.key}", ":1: tls_server_config.cert_file:", "\"/etc/web/no.crt\" cannot be read"),
    ("tls_server_config: {cert_file: empty, key_file: a.key}", ":1: tls_server_config.cert_file:", "no certificate in PEM"),
    ("tls_server_config: {cert_file: torn.crt, key_file: a.key}", ":1: tls_server_config.cert_file:", "is no PEM"),
    ("tls_server_config: {cert_file: a.key, key_file: a.key}", ":1: tls_server_config.cert_file:", "no certificate in PEM"),
    ("tls_server_config: {cert_file: a.crt, key_file: a.crt}", ":1: tls_server_config.key_file:", "no private key in PEM"),
    ("tls_server_config: {cert_file: a.crt, key_file: other.key}", ":1: tls_server_config.key_file:", "does not fit the certificate"),
    ("tls_server_config: {cert_file: a.crt, key_file: encrypted.key}", ":1: tls_server_config.key_file:", "encrypted"),
    ("tls_server_config: {cert_file: a.crt, key: nonsense}", ":1: tls_server_config.key:", "no private key in PEM"),
    ("TLS  cert: x", ":4: tls_server_config.cert:", "beside cert_file"),
    ("TLS  key: x", ":4: tls_server_config.key:", "beside key_file"),
    ("TLS  client_auth_type: RequireAndVerify", ":4: tls_server_config.client_auth_type:", "did you mean RequireAndVerifyClientCert?"),
    ("TLS  client_auth_type: VerifyClientCertIfGiven", ":4: tls_server_config.client_auth_type:", "needs client_ca_file"),
    ("TLS  client_auth_type: RequireAndVerifyClientCert", ":4: tls_server_config.client_auth_type:", "needs client_ca_file"),
    ("TLS  client_ca_file: a.crt", ":4: tls_server_config.client_ca_file:", "no effect without client_auth_type"),
    ("TLS  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: empty", ":5: tls_server_config.client_ca_file:", "no certificate in PEM"),
    ("TLS  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: a.crt\n  client_ca: x", ":6: tls_server_config.client_ca:", "beside client_ca_file"),
    ("TLS  client_allowed_sans: [a]", ":4: tls_server_config.client_allowed_sans:", "RequireAndVerifyClientCert"),
    ("TLS  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []", ":5: tls_server_config.client_allowed_sans:", "lets nobody in"),
    ("TLS  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: a", ":5: tls_server_config.client_allowed_sans:", "where a list belongs"),
    ("TLS  client_auth_type: RequireAnyClientCert\n  client_allowed_sans:\n    - {a: b}", ":6: tls_server_config.client_allowed_sans:", "an item is no text"),
    ("TLS  min_version: TLS10", ":4: tls_server_config.min_version:", "use TLS12 or TLS13"),
    ("TLS  min_version: TLS11", ":4: tls_server_config.min_version:", "RFC 8996"),
    ("TLS  max_version: TLS11", ":4: tls_server_config.max_version:", "use TLS12 or TLS13"),
    ("TLS  min_version: 1.2", ":4: tls_server_config.min_version:", "there are TLS12, TLS13"),
    ("TLS  min_version: [TLS12]", ":4: tls_server_config.min_version:", "a list where a text belongs"),
    ("TLS  min_version: TLS13\n  max_version: TLS12", ":4: tls_server_config.min_version:", "above max_version"),
    ("TLS  cipher_suites: TLS_AES_128_GCM_SHA256", ":4: tls_server_config.cipher_suites:", "where a list belongs"),
    ("TLS  cipher_suites:\n  - TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", ":5: tls_server_config.cipher_suites:", "uses CBC"),
    ("TLS  cipher_suites:\n  - TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", ":5: tls_server_config.cipher_suites:", "use TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("TLS  cipher_suites:\n  - TLS_RSA_WITH_AES_128_GCM_SHA256", ":5: tls_server_config.cipher_suites:", "exchanges keys by RSA"),
    ("TLS  cipher_suites:\n  - TLS_ECDHE_RSA_WITH_RC4_128_SHA", ":5: tls_server_config.cipher_suites:", "RC4"),
    ("TLS  cipher_suites:\n  - TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", ":5: tls_server_config.cipher_suites:", "3DES"),
    ("TLS  cipher_suites:\n  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA257", ":5: tls_server_config.cipher_suites:", "did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?"),
    ("TLS  max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]", ":5: tls_server_config.cipher_suites:", "suites of TLS 1.3 only"),
    ("TLS  curve_preferences: [CurveP521]", ":4: tls_server_config.curve_preferences:", "use X25519, CurveP256 or CurveP384"),
    ("TLS  curve_preferences: [P256]", ":4: tls_server_config.curve_preferences:", "is no curve"),
    ("TLS  prefer_server_cipher_suites: maybe", ":4: tls_server_config.prefer_server_cipher_suites:", "not true or false"),
    ("http_server_config: {http2: 1}", ":1: http_server_config.http2:", "\"1\" is not true or false"),
    ("http_server_config: {http2: 'true'}", ":1: http_server_config.http2:", "leave out the quotes"),
    ("http_server_config:\n  headers:\n    X-Other: a", ":3: http_server_config.headers.X-Other:", "no such key"),
    ("http_server_config:\n  headers:\n    x-frame-options: deny", ":3: http_server_config.headers.x-frame-options:", "did you mean X-Frame-Options?"),
    ("http_server_config:\n  headers:\n    X-Frame-Options: allow", ":3: http_server_config.headers.X-Frame-Options:", "is not deny or sameorigin"),
    ("http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nb\"", ":3: http_server_config.headers.X-XSS-Protection:", "cannot stand in a header"),
    ("http_server_config: {headers: [a]}", ":1: http_server_config.headers:", "a list where a mapping belongs"),
    ("basic_auth_users:\n  alice: secret", ":2: basic_auth_users.alice:", "no bcrypt hash"),
    ("basic_auth_users:\n  alice:", ":2: basic_auth_users.alice:", "no value where a bcrypt hash belongs"),
    ("basic_auth_users:\n  alice: [a]", ":2: basic_auth_users.alice:", "a list where a bcrypt hash belongs"),
    ("basic_auth_users:\n  alice: $2y$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG", ":2: basic_auth_users.alice:", "the cost 31"),
    ("basic_auth_users:\n  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7z", ":2: basic_auth_users.alice:", "no bcrypt hash"),
    ("basic_auth_users:\n  'a:b': x", ":2: basic_auth_users.a:b:", "no user's name"),
    ("rate_limit: {interval: 5, burst: 1}", ":1: rate_limit.interval:", "such as 1s"),
    ("rate_limit: {interval: -1s, burst: 1}", ":1: rate_limit.interval:", "such as 1s"),
    ("rate_limit: {interval: 1s}", ":1: rate_limit.interval:", "lets nobody in without burst"),
    ("rate_limit: {burst: 3}", ":1: rate_limit.burst:", "no effect without interval"),
    ("rate_limit: {interval: 1s, burst: 0}", ":1: rate_limit.burst:", "from 1 on"),
    ("rate_limit: {interval: 1s, burst: many}", ":1: rate_limit.burst:", "from 1 on"),
    ("rate_limit: {interval: 1s, burst: '3'}", ":1: rate_limit.burst:", "leave out the quotes"),
];

#[test]
fn malformed_ones_are_refused_with_line_and_key() {
    let folder = Folder::new();
    for (text, place, part) in MALFORMED {
        let text = text.strip_prefix("TLS").map_or_else(|| (*text).to_owned(), |rest| format!("{TLS}{rest}"));
        let error = folder.load(&text).map(|_| ()).expect_err(&text);
        let begins = error.strip_prefix("/etc/web/web.yml").is_some_and(|rest| rest.starts_with(place));
        assert!(begins && error.contains(part), "{text}\n  says: {error}\n  expected: {place} … {part}");
    }
}

#[test]
fn a_password_or_key_is_never_repeated() {
    let folder = Folder::new();
    for text in ["basic_auth_users: {alice: hunter2}", "tls_server_config: {cert_file: a.crt, key: hunter2}"]
    {
        let error = folder.load(text).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_no_text() {
    let error = WebConfig::load(Path::new("w"), &mut |_| Ok(b"a: b\nc: \xff".to_vec())).unwrap_err();
    assert_eq!(error, "w:2: is not UTF-8 here");
    let error = WebConfig::load(Path::new("w"), &mut |_| Err(io::ErrorKind::NotFound.into())).unwrap_err();
    assert!(error.starts_with("w: cannot be read: "), "{error}");
}
