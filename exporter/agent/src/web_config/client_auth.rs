//! What is asked of clients' certificates: Go's five policies, and the names that are let in.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::Fault;
use super::san;
use super::section::Spot;
use crate::settings::suggest;

/// What is asked of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Nothing.
    None,
    /// To send one, if it has one; whichever it is.
    Request,
    /// To send one, whichever it is.
    RequireAny,
    /// That it is of our CA, if it sends one.
    VerifyIfGiven,
    /// To send one that is of our CA.
    RequireAndVerify,
}

const POLICIES: [(&str, Policy); 6] = [
    ("NoClientCert", Policy::None),
    ("RequestClientCert", Policy::Request),
    ("RequireAnyClientCert", Policy::RequireAny),
    ("VerifyClientCertIfGiven", Policy::VerifyIfGiven),
    ("RequireAndVerifyClientCert", Policy::RequireAndVerify),
    // The toolkit's own, from before it had Go's name for it.
    ("RequireClientCert", Policy::RequireAny),
];

impl Policy {
    /// Reads `client_auth_type`.
    pub(super) fn parse(spot: &Spot<'_>) -> Result<Self, Fault> {
        let found = POLICIES.iter().find(|(name, _)| *name == spot.text);
        found.map(|(_, policy)| *policy).ok_or_else(|| {
            let names = || POLICIES.iter().map(|(name, _)| *name).take(5);
            let nearest = suggest::clause(spot.text, names());
            let all = names().collect::<Vec<_>>().join(", ");
            spot.fault(&format!("{:?} is no client_auth_type{nearest}; there are {all}", spot.text))
        })
    }

    pub(super) const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether nobody gets in without a certificate.
    pub(super) const fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    /// Who checks certificates by this policy; `None` where nobody does.
    pub(super) fn verifier(
        self,
        roots: RootCertStore,
        allowed: BTreeSet<String>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, VerifierBuilderError> {
        let chains = || WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let algorithms = provider.signature_verification_algorithms;
        let verifier: Arc<dyn ClientCertVerifier> = match self {
            Self::None => return Ok(None),
            Self::Request => Arc::new(Whichever { mandatory: false, algorithms }),
            Self::RequireAny => Arc::new(Whichever { mandatory: true, algorithms }),
            Self::VerifyIfGiven => chains().allow_unauthenticated().build()?,
            Self::RequireAndVerify => chains().build()?,
        };
        Ok(Some(if allowed.is_empty() { verifier } else { Arc::new(Named { inner: verifier, allowed }) }))
    }
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
struct Whichever {
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Whichever {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes of those that another takes the ones with an allowed name.
#[derive(Debug)]
struct Named {
    inner: Arc<dyn ClientCertVerifier>,
    allowed: BTreeSet<String>,
}

impl ClientCertVerifier for Named {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, intermediates, now)?;
        if san::names(certificate).iter().any(|name| self.allowed.contains(name)) {
            return Ok(verified);
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
