//! The standard `OTEL_*` variables: where to push, how, how often, and as whom.
//!
//! As the specification asks: an empty variable is an unset one, that of the signal comes before the general one, and a
//! number or a word that is not understood is warned of and left alone. What would send energy nowhere, or to whom it is
//! not meant (an address, a header, a resource), is an error.
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>,
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use noether_exposition::otlp::Temporality;
use percent_encoding::percent_decode_str;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    Http,
}

/// What the variables say.
#[derive(Clone, Debug)]
pub(super) struct Variables {
    /// Where requests go; of HTTP with the path.
    pub(super) endpoint: Uri,
    /// How they travel.
    pub(super) protocol: Protocol,
    /// What goes with each.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether they are compressed.
    pub(super) gzip: bool,
    /// How long one may take.
    pub(super) timeout: Duration,
    /// The time between two pushes.
    pub(super) interval: Duration,
    /// How long a push may take, with all that is tried again.
    pub(super) push_timeout: Duration,
    /// Totals or differences.
    pub(super) temporality: Temporality,
    /// Who vouches for the receiver.
    pub(super) certificate: Option<PathBuf>,
    /// By what the receiver knows us: a certificate and its key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// What is told of the resource, which overrides what the program knows itself.
    pub(super) resource: Vec<(String, String)>,
    /// What was left alone, and why.
    pub(super) warnings: Vec<String>,
}

/// Whether the variables ask for a push: somebody named an endpoint, and nobody switched it off.
pub(super) fn ask(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    let reader = Reader { lookup, warnings: Vec::new() };
    let exporters = reader.get("OTEL_METRICS_EXPORTER").unwrap_or_else(|| "otlp".into());
    reader.of_signal("ENDPOINT").is_some()
        && !disabled(lookup)
        && exporters.split(',').any(|exporter| exporter.trim() == "otlp")
}

/// Whether `OTEL_SDK_DISABLED` forbids every push.
pub(super) fn disabled(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    Reader { lookup, warnings: Vec::new() }.boolean("OTEL_SDK_DISABLED").unwrap_or(false)
}

/// Reads them. An error names the variable, its value where that is no secret, and the mend.
pub(super) fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Variables, String> {
    let mut reader = Reader { lookup, warnings: Vec::new() };
    let protocol = reader.protocol();
    let endpoint = reader.endpoint(protocol)?;
    let identity = reader.identity()?;
    Ok(Variables {
        protocol,
        endpoint,
        headers: reader.headers()?,
        gzip: reader.gzip(),
        timeout: reader.millis_of_signal("TIMEOUT", 10_000),
        interval: reader.millis("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
        push_timeout: reader.millis("OTEL_METRIC_EXPORT_TIMEOUT", 30_000),
        temporality: reader.temporality(),
        certificate: reader.of_signal("CERTIFICATE").map(|(_, path)| path.into()),
        identity,
        resource: reader.resource()?,
        warnings: reader.warnings,
    })
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The variable of metrics, else that of all signals; with its name.
    fn of_signal(&self, name: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_METRICS_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn ignore(&mut self, name: &str, value: &str, mend: &dyn Display) {
        self.warnings.push(format!("{name}: {value:?} is left alone; give it {mend}"));
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        match value.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.ignore(name, &value, &"true or false");
                None
            }
        }
    }

    fn millis(&mut self, name: &str, preset: u64) -> Duration {
        self.number(self.get(name).map(|value| (name.to_owned(), value)), preset)
    }

    fn millis_of_signal(&mut self, name: &str, preset: u64) -> Duration {
        self.number(self.of_signal(name), preset)
    }

    fn number(&mut self, given: Option<(String, String)>, preset: u64) -> Duration {
        let millis = given.and_then(|(name, value)| match value.parse::<u64>() {
            Ok(millis @ 1..) => Some(millis),
            _ => {
                self.ignore(&name, &value, &"a whole number of milliseconds above 0");
                None
            }
        });
        Duration::from_millis(millis.unwrap_or(preset))
    }

    fn protocol(&mut self) -> Protocol {
        match self.of_signal("PROTOCOL") {
            Some((_, value)) if value == "grpc" => Protocol::Grpc,
            Some((name, value)) if value != "http/protobuf" => {
                self.ignore(&name, &value, &"grpc or http/protobuf");
                Protocol::Http
            }
            _ => Protocol::Http,
        }
    }

    fn gzip(&mut self) -> bool {
        match self.of_signal("COMPRESSION") {
            Some((_, value)) if value == "gzip" => true,
            Some((name, value)) if value != "none" => {
                self.ignore(&name, &value, &"gzip or none");
                false
            }
            _ => false,
        }
    }

    fn temporality(&mut self) -> Temporality {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        let Some(value) = self.get(name) else { return Temporality::Cumulative };
        match value.to_ascii_lowercase().as_str() {
            "cumulative" => Temporality::Cumulative,
            "delta" => Temporality::Delta,
            "lowmemory" => Temporality::LowMemory,
            _ => {
                self.ignore(name, &value, &"cumulative, delta or lowmemory");
                Temporality::Cumulative
            }
        }
    }

    fn endpoint(&mut self, protocol: Protocol) -> Result<Uri, String> {
        let own = self.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").is_some();
        let preset = || {
            let port = if protocol == Protocol::Grpc { 4317 } else { 4318 };
            ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://localhost:{port}"))
        };
        let (name, value) = self.of_signal("ENDPOINT").unwrap_or_else(preset);
        // Its user part may hold a password: the value is shown without.
        let wrong = || {
            let (form, shown) = ("an address such as http://collector:4318", without_user(&value));
            format!("{name}: {shown:?} is no address of a collector; give it {form}")
        };
        let has_scheme = value.contains("://");
        let whole = match (has_scheme, protocol) {
            (true, _) => value.clone(),
            // gRPC knows addresses without a scheme; whether they are secure, another variable says.
            (false, Protocol::Grpc) => {
                let insecure = self.of_signal("INSECURE").map(|(name, _)| name);
                let insecure = insecure.and_then(|name| self.boolean(&name)).unwrap_or(false);
                format!("{}://{value}", if insecure { "http" } else { "https" })
            }
            (false, Protocol::Http) => return Err(wrong()),
        };
        let whole = match protocol {
            Protocol::Http if !own => format!("{}/v1/metrics", whole.trim_end_matches('/')),
            _ => whole,
        };
        let uri: Uri = whole.parse().map_err(|_| wrong())?;
        let sound = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty());
        if sound { Ok(uri) } else { Err(wrong()) }
    }

    fn identity(&self) -> Result<Option<(PathBuf, PathBuf)>, String> {
        match (self.of_signal("CLIENT_CERTIFICATE"), self.of_signal("CLIENT_KEY")) {
            (Some((_, certificate)), Some((_, key))) => Ok(Some((certificate.into(), key.into()))),
            (None, None) => Ok(None),
            (Some((name, _)), None) => Err(missing(&name, &name.replace("CLIENT_CERTIFICATE", "CLIENT_KEY"))),
            (None, Some((name, _))) => Err(missing(&name, &name.replace("CLIENT_KEY", "CLIENT_CERTIFICATE"))),
        }
    }

    /// Headers of all signals and those of metrics, which win.
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"] {
            for (key, value) in pairs(name, &self.get(name).unwrap_or_default())? {
                let wrong = |what: &str| format!("{name}: {key:?} {what}");
                let header = HeaderName::try_from(&key).map_err(|_| wrong("is no name of a header"))?;
                let mut value = HeaderValue::try_from(value)
                    .map_err(|_| wrong("has a value that no header can have; give it one line of ASCII"))?;
                value.set_sensitive(true);
                headers.retain(|(known, _)| *known != header);
                headers.push((header, value));
            }
        }
        Ok(headers)
    }

    fn resource(&self) -> Result<Vec<(String, String)>, String> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let mut resource = pairs(name, &self.get(name).unwrap_or_default())?;
        if let Some(service) = self.get("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".into(), service));
        }
        Ok(resource)
    }
}

fn missing(name: &str, other: &str) -> String {
    format!("{name} is set without {other}; set both or none")
}

/// `key=value,key=value`, the values percent-encoded where they must be.
fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let pair = |item: &str| {
        // Values may be secrets; the key tells enough.
        let (key, value) = item
            .split_once('=')
            .ok_or_else(|| format!("{name}: an item has no '='; give it the form key=value,key=value"))?;
        let value = percent_decode_str(value.trim()).decode_utf8();
        let value = value.map_err(|_| format!("{name}: the value of {key:?} is not UTF-8"))?;
        match key.trim() {
            "" => Err(format!("{name}: an item has no key; give it the form key=value,key=value")),
            key => Ok((key.to_owned(), value.into_owned())),
        }
    };
    items.map(pair).collect()
}

/// An address without the user and the password in it.
pub(super) fn without_user(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split('?').next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn well(variables: &[(&str, &str)]) -> Variables {
        read(&given(variables)).unwrap()
    }

    fn complaint(variables: &[(&str, &str)]) -> String {
        read(&given(variables)).unwrap_err()
    }

    #[test]
    fn without_any_the_defaults_of_the_specification_hold() {
        let variables = well(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "  ")]);
        assert_eq!(variables.endpoint, "http://localhost:4318/v1/metrics");
        assert_eq!((variables.protocol, variables.gzip), (Protocol::Http, false));
        assert_eq!(variables.timeout, Duration::from_secs(10));
        assert_eq!(
            (variables.interval, variables.push_timeout),
            (Duration::from_secs(60), Duration::from_secs(30))
        );
        assert_eq!(variables.temporality, Temporality::Cumulative);
        assert!(variables.headers.is_empty() && variables.warnings.is_empty(), "{variables:?}");
        assert_eq!(well(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).endpoint, "http://localhost:4317/");
    }

    #[test]
    fn the_signal_comes_before_the_general() {
        let variables = well(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:1/x/"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=x%20y"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "A=2"),
        ]);
        assert_eq!(variables.endpoint, "https://a:1/x/v1/metrics");
        assert_eq!(variables.timeout, Duration::from_millis(2));
        let headers: Vec<_> = variables.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(headers, [("b", &b"x y"[..]), ("a", b"2")]);
        let own = well(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://b:2/as/it/is")]);
        assert_eq!(own.endpoint, "http://b:2/as/it/is");
    }

    #[test]
    fn grpc_without_a_scheme_is_secure_unless_said_otherwise() {
        let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert_eq!(well(&[address, grpc]).endpoint, "https://collector:4317/");
        let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE");
        assert_eq!(well(&[address, grpc, insecure]).endpoint, "http://collector:4317/");
    }

    #[test]
    fn what_is_not_understood_is_warned_of_by_name() {
        let variables = well(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "-5"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
        ]);
        assert_eq!(variables.protocol, Protocol::Http);
        let all = variables.warnings.join("\n");
        for part in ["PROTOCOL: \"http/json\"", "\"brotli\"", "\"-5\"", "\"sometimes\""] {
            assert!(all.contains(part), "{all}");
        }
    }

    #[test]
    fn what_would_send_nowhere_is_an_error_that_keeps_secrets() {
        for address in ["collector:4318", "ftp://a", "http://", "http://a b", "unix:///run/x", "https://u:p@"]
        {
            let complaint = complaint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", address)]);
            assert!(complaint.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "), "{complaint}");
            assert!(!complaint.contains("u:p"), "{complaint}");
        }
        for headers in ["secret", "=secret", "a b=secret", "x=secret%0a", "x=%ff"] {
            let complaint = complaint(&[("OTEL_EXPORTER_OTLP_HEADERS", headers)]);
            assert!(
                complaint.contains("OTEL_EXPORTER_OTLP_HEADERS") && !complaint.contains("secret"),
                "{complaint}"
            );
        }
        let half = complaint(&[("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "/k")]);
        assert!(half.contains("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE"), "{half}");
        assert!(complaint(&[("OTEL_RESOURCE_ATTRIBUTES", "a=b,c")]).contains("OTEL_RESOURCE_ATTRIBUTES"));
    }

    #[test]
    fn who_is_asked_for_and_who_is_not() {
        let endpoint = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://a");
        assert!(!ask(&given(&[])));
        assert!(ask(&given(&[endpoint])));
        assert!(ask(&given(&[endpoint, ("OTEL_METRICS_EXPORTER", "console, otlp")])));
        assert!(!ask(&given(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")])));
        assert!(!ask(&given(&[endpoint, ("OTEL_SDK_DISABLED", "True")])));
        assert!(ask(&given(&[endpoint, ("OTEL_SDK_DISABLED", "yes")])), "only true is true");
    }

    #[test]
    fn the_service_has_a_name_of_its_own() {
        let variables = well(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, cluster=prod%2C1"),
            ("OTEL_SERVICE_NAME", "b"),
        ]);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(variables.resource, [pair("cluster", "prod,1"), pair("service.name", "b")]);
    }
}
