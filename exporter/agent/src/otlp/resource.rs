//! Who pushes: the attributes of the resource. <https://opentelemetry.io/docs/specs/semconv/resource/>

use noether_exposition::otlp::attribute;
use opentelemetry_proto::tonic::resource::v1::Resource;

/// The resource of the host `name`; what is `given` wins.
///
/// `node` is the label that rules and dashboards join on, which a scrape configuration adds: a Prometheus that receives
/// this has to promote it (see docs/otlp.md).
pub(super) fn resource(name: &str, given: &[(String, String)]) -> Resource {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut own = vec![
        ("service.name", "noether"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", name),
        ("host.name", name),
        ("host.arch", arch),
        ("os.type", "linux"),
        ("node", name),
    ];
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        own.push(("k8s.node.name", name));
    }
    let own = own.into_iter().filter(|(key, _)| given.iter().all(|(known, _)| known != key));
    let given = given.iter().map(|(key, value)| (&**key, &**value));
    let attributes = own.chain(given).map(|(key, value)| attribute(key, value)).collect();
    Resource { attributes, ..Resource::default() }
}
