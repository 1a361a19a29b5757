//! OTLP over gRPC. <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::credentials::Credentials;
use super::refusal::{Reason, Refusal};
use super::variables::Variables;
use super::{Arrival, innermost, shown};

/// A client for one receiver.
#[derive(Debug)]
pub(super) struct Grpc {
    client: MetricsServiceClient<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
}

impl Grpc {
    /// Does not connect yet, but needs a runtime around it.
    pub(super) fn new(variables: &Variables, credentials: &Credentials) -> Result<Self, String> {
        let endpoint = endpoint(variables, credentials).map_err(|error| innermost(&error))?;
        let mut client = MetricsServiceClient::new(endpoint.connect_lazy());
        if variables.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let headers = variables.headers.iter().cloned().collect();
        let client = client.accept_compressed(CompressionEncoding::Gzip);
        Ok(Self { client, metadata: MetadataMap::from_headers(headers), timeout: variables.timeout })
    }

    /// Sends one request.
    pub(super) async fn send(&mut self, request: ExportMetricsServiceRequest) -> Result<Arrival, Refusal> {
        let mut request = Request::new(request);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        match tokio::time::timeout(self.timeout, self.client.export(request)).await {
            Ok(Ok(response)) => Ok(Arrival::of(response.into_inner())),
            Ok(Err(status)) => Err(refused(&status)),
            Err(_) => Err(Refusal::passing(Reason::Timeout, "no answer in time")),
        }
    }
}

fn endpoint(variables: &Variables, credentials: &Credentials) -> Result<Endpoint, tonic::transport::Error> {
    // A second call changes nothing: whichever provider of cryptography is there already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = Endpoint::from_shared(variables.endpoint.to_string())?
        .user_agent(concat!("noether/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(variables.timeout);
    if variables.endpoint.scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let mut tls = match &credentials.authorities {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = &credentials.identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    endpoint.tls_config(tls)
}

/// What a status means, and whether it passes: <https://opentelemetry.io/docs/specs/otlp/#failures>
fn refused(status: &Status) -> Refusal {
    let (reason, passing) = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => (Reason::Unauthorized, false),
        Code::Unavailable => (Reason::Unreachable, true),
        Code::DeadlineExceeded => (Reason::Timeout, true),
        Code::Cancelled | Code::Aborted | Code::OutOfRange | Code::DataLoss => (Reason::Refused, true),
        // It passes only where the receiver says when, but a try more than it asked for does less harm than a lost push.
        Code::ResourceExhausted => (Reason::Busy, true),
        _ => (Reason::Refused, false),
    };
    let cause = std::error::Error::source(status).map(innermost);
    let text = format!("status {:?}, {}", status.code(), shown(status.message().as_bytes()));
    Refusal { reason, text: cause.unwrap_or(text), passing, after: None }
}
