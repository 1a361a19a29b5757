//! `docker/compose.yaml`: what it mounts is there, what it passes is taken, and its Prometheus scrapes Noether by our rules.
//! No Docker daemon runs here: the real parts are the exporter and Prometheus under the same flags and files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use noether_tests::exporter::run;
use noether_tests::outcome::cannot_run;
use noether_tests::prometheus::Prometheus;
use saphyr::{LoadableYamlNode, YamlOwned};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker")
}

fn load(name: &str) -> YamlOwned {
    let text = fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut documents = YamlOwned::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// A list of texts; empty where there is none.
fn texts(service: &YamlOwned, key: &str) -> Vec<String> {
    let list = service.as_mapping_get(key).and_then(YamlOwned::as_vec);
    let text = |item: &YamlOwned| item.as_str().unwrap_or_else(|| panic!("{key}: {item:?}")).to_owned();
    list.map(|list| list.iter().map(text).collect()).unwrap_or_default()
}

/// Source and target of each folder or file that a service mounts from the machine.
fn binds(service: &YamlOwned) -> Vec<(PathBuf, String)> {
    let volumes = service["volumes"].as_vec().expect("volumes").iter();
    let bound = volumes.filter(|volume| volume["type"].as_str() == Some("bind"));
    bound
        .map(|volume| {
            assert_eq!(volume["read_only"].as_bool(), Some(true), "{volume:?}");
            let text = |key: &str| volume[key].as_str().expect("text").to_owned();
            (folder().join(text("source")), text("target"))
        })
        .collect()
}

#[test]
fn every_mounted_path_exists() {
    let compose = load("compose.yaml");
    for (name, service) in compose["services"].as_mapping().expect("services") {
        for (source, target) in binds(service) {
            assert!(source.exists(), "{name:?}: {} for {target} is not there", source.display());
        }
    }
    let build = &compose["services"]["noether"]["build"];
    let context = folder().join(build["context"].as_str().expect("a context"));
    assert!(context.join(build["dockerfile"].as_str().expect("a file")).is_file());
}

#[test]
fn the_exporter_has_no_privilege_and_its_flags_exist() {
    let compose = load("compose.yaml");
    let noether = &compose["services"]["noether"];
    assert_eq!(texts(noether, "cap_drop"), ["ALL"]);
    assert_eq!(texts(noether, "security_opt"), ["no-new-privileges:true"]);
    assert_eq!((noether["read_only"].as_bool(), noether["user"].as_str()), (Some(true), Some("0:0")));
    for refused in ["privileged", "cap_add", "pid", "network_mode", "devices", "ports"] {
        assert!(noether.as_mapping_get(refused).is_none(), "{refused}");
    }
    // The mounts' targets are what the flags name; asked of this machine's own, the real program takes them.
    let mut flags = texts(noether, "command");
    assert_eq!(flags.remove(0), "node");
    for (source, target) in binds(noether) {
        let found = flags.iter_mut().find(|flag| flag.ends_with(&format!("={target}")));
        let flag = found.unwrap_or_else(|| panic!("no flag says {target}"));
        *flag = format!("{}={}", flag.trim_end_matches(&format!("={target}")), source.display());
    }
    let output = run(&[&["doctor".to_owned(), "--format=json".to_owned()], flags.as_slice()].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {said}", output.status);
    let reference = noether::settings::reference();
    for variable in texts(noether, "environment") {
        assert!(reference.contains(&format!("`{variable}`")), "{variable} is no setting");
    }
}

#[test]
fn its_prometheus_takes_our_rules_and_scrapes_noether() {
    let compose = load("compose.yaml");
    let services = &compose["services"];
    let scrape = &load("prometheus.yml")["scrape_configs"][0];
    let target = format!("noether:{}", texts(&services["noether"], "expose")[0]);
    assert_eq!(texts(&scrape["static_configs"][0], "targets"), [target]);
    assert_eq!(scrape["honor_labels"].as_bool(), Some(true));
    let source = &load("grafana/datasources.yaml")["datasources"][0];
    let port = &texts(&services["prometheus"], "ports")[0];
    let inside = port.rsplit(':').next().expect("a port");
    assert_eq!(source["url"].as_str(), Some(format!("http://prometheus:{inside}").as_str()));
    let provided = &load("grafana/dashboards.yaml")["providers"][0]["options"]["path"];
    let grafana = binds(&services["grafana"]);
    assert!(grafana.iter().any(|(_, target)| Some(target.as_str()) == provided.as_str()), "{grafana:?}");

    if !Prometheus::installed() {
        let why = "promtool is not installed (Debian package prometheus)";
        return cannot_run("its_prometheus_takes_our_rules_and_scrapes_noether", why);
    }
    // The files where compose puts them.
    let etc = noether_tests::machine::scratch();
    for (source, target) in binds(&services["prometheus"]) {
        let place = target.strip_prefix("/etc/prometheus/").expect("a place that is looked at");
        std::os::unix::fs::symlink(source.canonicalize().expect("a path"), etc.path().join(place))
            .expect("a link");
    }
    let config = etc.path().join("prometheus.yml");
    let output = Command::new("promtool").args(["check", "config"]).arg(&config).output().expect("promtool");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    let rules = fs::read_dir(folder().join("../dashboards/rules")).expect("the rules").count();
    assert_eq!(said.matches("rules found").count(), rules, "{said}");
}
