//! The environment: `NOETHER_WEB_LISTEN_ADDRESS` for `--web.listen-address`, lists with commas.

use std::ffi::OsString;

use super::flags::{FLAGS, Flag};
use super::given::{Given, Layer, Origin, Raw};
use super::{Misuse, suggest};

const PREFIX: &str = "NOETHER_";

/// Reads the variables that begin with `NOETHER_`. A wrong one is an error, since most are slips of the pen.
pub(super) fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Layer, Misuse> {
    let mut layer = Layer::new();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let Some(flag) = FLAGS.iter().find(|flag| flag.environment() == name) else {
            if is_service_link(&name, &value.to_string_lossy()) {
                continue;
            }
            return Err(unknown(&name));
        };
        if layer.insert(&flag.name, given(flag, &value)?).is_some() {
            return Err(Misuse::at(&Origin::Environment, &flag.name, "set twice; set it once"));
        }
    }
    Ok(layer)
}

fn given(flag: &Flag, value: &OsString) -> Result<Given, Misuse> {
    let text = value.to_str().ok_or_else(|| {
        let complaint = format!("{value:?} is not UTF-8; give it {}", flag.kind.placeholder());
        Misuse::at(&Origin::Environment, &flag.name, &complaint)
    })?;
    let origin = Origin::Environment;
    if !flag.repeatable {
        return Ok(Given::one(text, origin));
    }
    // Set but empty is the empty list, not a list of one empty text.
    let items = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
    let values = items.map(|item| Raw { text: item.to_owned(), origin: Origin::Environment }).collect();
    Ok(Given { origin, values })
}

/// Whether Kubernetes set it: every pod gets such variables for each service of its namespace, so a service called
/// `noether` or `noether-…` must not end the program.
///
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_service_link(name: &str, value: &str) -> bool {
    // `<SERVICE>_SERVICE_HOST`, `<SERVICE>_SERVICE_PORT[_<NAME>]`, `<SERVICE>_PORT=tcp://…` and
    // `<SERVICE>_PORT_<number>_<protocol>[_PROTO|_PORT|_ADDR]`; but `NOETHER_PORT=9100` is somebody's mistake.
    let after_port = name.rsplit_once("_PORT_").map(|(_, rest)| rest);
    let docker = after_port.and_then(|rest| rest.split_once('_')).is_some_and(|(number, protocol)| {
        number.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(&protocol)
    });
    let stem = ["_PROTO", "_PORT", "_ADDR"].iter().find_map(|end| name.strip_suffix(end));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.contains("://"))
        || docker
        || stem.is_some_and(|stem| stem.contains("_PORT_") && is_service_link(stem, value))
}

fn unknown(name: &str) -> Misuse {
    let rest = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let known: Vec<String> = FLAGS.iter().map(|flag| rest(&flag.environment())).collect();
    let nearest = suggest::hint(&rest(name), PREFIX, known.iter().map(String::as_str));
    // Its value stays out of the message: a variable of an unknown name may hold a secret.
    Misuse::Wrong(format!("{name}: no setting has this environment variable{nearest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_of_kubernetes_are_no_settings() {
        for name in [
            "NOETHER_SERVICE_HOST",
            "NOETHER_SERVICE_PORT",
            "NOETHER_SERVICE_PORT_METRICS",
            "NOETHER_PORT",
            "NOETHER_PORT_18823_TCP",
            "NOETHER_PORT_18823_TCP_ADDR",
            "NOETHER_GRID_PORT_18824_TCP_PORT",
            "NOETHER_GRID_PORT_18824_TCP_PROTO",
        ] {
            assert!(is_service_link(name, "tcp://10.0.0.1:18823"), "{name}");
        }
        for name in ["NOETHER_WEB_LISTEN_ADR", "NOETHER_PORTS", "NOETHER_PORT_X_TCP", "NOETHER_NODE_ADDR"] {
            assert!(!is_service_link(name, "tcp://10.0.0.1:18823"), "{name}");
        }
        assert!(!is_service_link("NOETHER_PORT", "9100") && !is_service_link("NOETHER_WEB_PORT", "9100"));
    }
}
