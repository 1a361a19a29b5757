//! The settings from outside: what is typed against what comes out, message by message.

use std::cell::Cell;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use noether_core::granularity::Granularity;
use noether_core::reading::Component;
use noether_core::units::Power;
use noether_sources::grid::{Credential, Secret};
use noether_sources::kubernetes::AllowList;
use proptest::prelude::*;

use super::*;

type Parsed = Result<(Order, Settings), Misuse>;

const PATH: &str = "/etc/noether.yaml";

/// Reads the three sources; `file` is what stands in `/etc/noether.yaml`.
fn all(arguments: &[&str], environment: &[(&str, &str)], file: Option<&[u8]>) -> Parsed {
    let arguments = ["noether"].iter().chain(arguments).map(OsString::from);
    let variables = environment.iter().map(|(name, value)| (name.into(), value.into()));
    parse(arguments, variables, |path| {
        assert_eq!(path, Path::new(PATH));
        file.map(Into::into).ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}

fn typed(arguments: &[&str]) -> Parsed {
    all(arguments, &[], None)
}

fn set(name: &str, value: &str) -> Parsed {
    all(&[], &[(name, value)], None)
}

fn filed(file: &str) -> Parsed {
    all(&["--config.file=/etc/noether.yaml"], &[], Some(file.as_bytes()))
}

fn settings(parsed: Parsed) -> Settings {
    parsed.unwrap_or_else(|misuse| panic!("{misuse}")).1
}

/// Whether it ends with 64 and a message with all these parts.
#[track_caller]
fn refused(parsed: Parsed, parts: &[&str]) {
    let misuse = parsed.expect_err("this had to be refused");
    let message = misuse.to_string();
    assert_eq!(misuse.exit_code(), 64, "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let (order, settings) = typed(&[]).unwrap();
    assert_eq!(order, Order { command: Command::Node, words: vec![] });
    let expected = Settings {
        config_file: None,
        node_name: None,
        format: Format::Text,
        web_config_file: None,
        systemd_socket: false,
        listen_addresses: vec![ListenAddress::Tcp { host: None, port: 18823 }],
        telemetry_path: "/metrics".into(),
        max_connections: 512,
        procfs: "/proc".into(),
        sysfs: "/sys".into(),
        cgroupfs: "/sys/fs/cgroup".into(),
        rootfs: "/".into(),
        sample_interval: Duration::from_secs(1),
        granularity: Granularity::FINEST,
        meters: ["rapl", "rapl_mmio", "nvml", "amdgpu", "i915", "xe", "model"]
            .map(|name| (name, Switch::Auto))
            .into(),
        nvml_library: "libnvidia-ml.so.1".into(),
        linger: Duration::from_secs(300),
        zero_hold: Duration::from_secs(150),
        max_workloads: 5000,
        systemd_units: Switch::Auto,
        kubernetes: Kubernetes {
            source: NameSource::Auto,
            pods_api_socket: None,
            pod_resources_socket: None,
            kubelet_url: None,
            kubelet_ca_file: None,
            api_url: None,
            ca_file: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt".into(),
            token_file: "/var/run/secrets/kubernetes.io/serviceaccount/token".into(),
            allowed: AllowList::default(),
        },
        identity_timeout: Duration::from_secs(60),
        jobs_folder: "/run/noether/jobs".into(),
        idle: IdlePolicy::Usage,
        idle_watts: vec![],
        grid: GridSettings {
            zones: vec![],
            providers: vec![],
            max_age: Duration::from_secs(3 * 3600),
            bases: Bases::All,
        },
        pue: None,
        usd_per_kwh: None,
        social_costs: vec![],
        budgets: vec![],
        otlp: Switch::Auto,
        otlp_hardware: false,
        sandbox: Switch::Auto,
        log_format: Format::Text,
        log_level: LogLevel::Info,
    };
    assert_eq!(settings, expected);
}

#[test]
fn commands() {
    assert_eq!(typed(&["node", "--node.name=a"]).unwrap().0.command, Command::Node);
    let (order, settings) = typed(&["doctor", "--format", "json"]).unwrap();
    assert_eq!((order.command, settings.format), (Command::Doctor, Format::Json));
    let (order, _) = typed(&["zones", "new", "york"]).unwrap();
    assert_eq!(order, Order { command: Command::Zones, words: vec!["new".into(), "york".into()] });
    refused(typed(&["docter"]), &["docter", "no such command", "grid, doctor", "did you mean doctor?"]);
    refused(typed(&["grids"]), &["grids", "no such command"]);
    refused(typed(&["node", "doctor"]), &["doctor"]);
    refused(typed(&[""]), &[]);
    refused(typed(&["--log.level=info", "doctor"]), &["doctor"]);
    refused(typed(&["node", "--format=json"]), &["--format", "noether doctor"]);
    refused(typed(&["--format=json"]), &["--format", "noether doctor"]);
    refused(typed(&["doctor", "--sample.interval=1s"]), &["--sample.interval", "noether node"]);
    for program in [vec![], vec![OsString::from_vec(vec![0xff])]] {
        assert!(parse(program.into_iter(), std::iter::empty(), |_| Ok(vec![])).is_ok());
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for asked in
        [&["--help"][..], &["-h"], &["node", "--help"], &["doctor", "--help"], &["help"], &["--version"]]
    {
        let misuse = typed(asked).unwrap_err();
        assert_eq!(misuse.exit_code(), 0, "{misuse}");
    }
    for asked in [&["--version"][..], &["-V"], &["doctor", "--version"]] {
        let version = concat!("noether ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(typed(asked).unwrap_err().to_string(), version);
    }
    for command in Command::ALL {
        let help = typed(&[command.name(), "--help"]).unwrap_err().to_string();
        for flag in FLAGS.iter() {
            let offered = flag.commands.contains(&command) && !flag.secret;
            let shown = [" <", "[="].iter().any(|next| help.contains(&format!("--{}{next}", flag.name)));
            assert_eq!(shown, offered, "{} {help}", flag.name);
            assert!(!offered || help.contains(&*flag.help), "{}", flag.name);
        }
    }
    let help = typed(&["--help"]).unwrap_err().to_string();
    assert!(help.contains("doctor") && help.contains("--web.listen-address"), "{help}");
}

#[test]
fn a_switch_may_stand_alone() {
    let on = |arguments: &[&str]| typed(arguments).map(|(_, settings)| settings.systemd_socket);
    assert_eq!(on(&[]), Ok(false));
    assert_eq!(on(&["--web.systemd-socket"]), Ok(true));
    assert_eq!(on(&["--web.systemd-socket=false"]), Ok(false));
    assert!(on(&["--web.systemd-socket=maybe"]).unwrap_err().to_string().contains("true, false"));
    assert!(on(&["--web.systemd-socket", "--web.systemd-socket"]).is_err());
}

#[test]
fn the_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let flag = Some("--workload.linger=1s");
    let variable = Some(("NOETHER_WORKLOAD_LINGER", "2s"));
    let file = Some("workload: {linger: 3s}");
    for (flag, variable, file, seconds) in [
        (flag, variable, file, 1),
        (flag, None, file, 1),
        (flag, variable, None, 1),
        (None, variable, file, 2),
        (None, variable, None, 2),
        (None, None, file, 3),
        (None, None, None, 300),
    ] {
        let mut arguments = vec!["--config.file", PATH];
        arguments.extend(flag);
        let variables: Vec<_> = variable.into_iter().collect();
        let settings = settings(all(&arguments, &variables, Some(file.unwrap_or("").as_bytes())));
        assert_eq!(settings.linger, Duration::from_secs(seconds), "{flag:?} {variable:?} {file:?}");
    }
}

#[test]
fn every_flag_is_read_alike_from_all_three() {
    for (name, value) in [
        ("node.name", "a"),
        ("web.listen-address", "127.0.0.1:0"),
        ("web.telemetry-path", "/energy"),
        ("web.max-connections", "7"),
        ("path.procfs", "f/proc"),
        ("path.sysfs", "f/sys"),
        ("path.cgroupfs", "f/cgroup"),
        ("path.rootfs", "f"),
        ("sample.interval", "200ms"),
        ("meter.rapl", "off"),
        ("meter.rapl_mmio", "off"),
        ("meter.model", "on"),
        ("workload.linger", "1h30m"),
        ("workload.zero-hold", "0"),
        ("workload.max", "0"),
        ("systemd.units", "on"),
        ("kubernetes.pods-api-socket", "f/sock"),
        ("kubernetes.kubelet-url", "https://a:10250"),
        ("kubernetes.kubelet-ca-file", "f/kubelet.crt"),
        ("kubernetes.api-url", "https://a:6443"),
        ("kubernetes.ca-file", "f/ca.crt"),
        ("kubernetes.token-file", "f/token"),
        ("kubernetes.pod-labels", "app.kubernetes.io/name"),
        ("kubernetes.pod-annotations", "a.b/c"),
        ("kubernetes.identity-timeout", "2m"),
        ("slurm.jobs-folder", "/run/jobs"),
        ("attribution.idle", "requests"),
        ("attribution.idle-watts", "cpu=35"),
        ("grid.zone", "DE"),
        ("grid.provider", "uk"),
        ("grid.max-age", "1h"),
        ("grid.basis", "direct"),
        ("energy.price", "0.25"),
        ("carbon.social-cost", "USA:50=190"),
        ("log.format", "json"),
        ("log.level", "debug"),
    ] {
        let flag = flags::find(name).unwrap();
        let by_flag = settings(typed(&[&format!("--{name}={value}")]));
        let by_variable = settings(set(&flag.environment(), value));
        let (section, key) = name.split_once('.').unwrap();
        let item = if flag.repeatable { format!("\n  - {value:?}") } else { value.into() };
        let by_file = settings(filed(&format!("{section}:\n  {key}: {item}\n")));
        assert_ne!(by_flag, settings(typed(&[])), "{name}");
        assert_eq!(by_flag, by_variable, "{name}");
        assert_eq!(Settings { config_file: None, ..by_file }, by_flag, "{name}");
    }
    assert_eq!(settings(set("NOETHER_FORMAT", "json")).format, Format::Json);
    assert_eq!(settings(filed("format: json")).format, Format::Json);
}

#[test]
fn lists() {
    let expected = [":1", "[::1]:2"];
    let addresses =
        |parsed| -> Vec<_> { settings(parsed).listen_addresses.iter().map(ToString::to_string).collect() };
    assert_eq!(addresses(typed(&["--web.listen-address", ":1", "--web.listen-address=[::1]:2"])), expected);
    assert_eq!(addresses(set("NOETHER_WEB_LISTEN_ADDRESS", ":1, [::1]:2")), expected);
    assert_eq!(addresses(filed("web: {listen-address: [\":1\", \"[::1]:2\"]}")), expected);
    assert_eq!(addresses(filed("web:\n  listen-address:\n  - :1\n  - '[::1]:2'\n")), expected);

    let watts = settings(set("NOETHER_ATTRIBUTION_IDLE_WATTS", "cpu=35,dram=2.5")).idle_watts;
    let power = Power::from_watts;
    assert_eq!(watts, [(Component::Cpu, power(35.0)), (Component::Dram, power(2.5))]);

    // A list is replaced whole, by an empty one too.
    let file = Some(&b"attribution: {idle-watts: [cpu=1, gpu=2]}"[..]);
    let arguments = &["--config.file=/etc/noether.yaml"];
    let replaced = all(arguments, &[("NOETHER_ATTRIBUTION_IDLE_WATTS", "cpu=3")], file);
    assert_eq!(settings(replaced).idle_watts, [(Component::Cpu, power(3.0))]);
    let emptied = all(arguments, &[("NOETHER_ATTRIBUTION_IDLE_WATTS", "")], file);
    assert_eq!(settings(emptied).idle_watts, []);

    refused(set("NOETHER_WEB_LISTEN_ADDRESS", ""), &["NOETHER_WEB_LISTEN_ADDRESS", "empty list"]);
    refused(set("NOETHER_WEB_LISTEN_ADDRESS", ":1,,:2"), &["NOETHER_WEB_LISTEN_ADDRESS", "\"\"", ":18823"]);
    refused(filed("web:\n  listen-address: []"), &["noether.yaml:2: web.listen-address", "empty list"]);
    refused(
        typed(&["--attribution.idle-watts=cpu=1", "--attribution.idle-watts=cpu=2"]),
        &["--attribution.idle-watts", "cpu twice"],
    );
}

#[test]
fn the_grid() {
    let of = |arguments: &[&str]| settings(typed(arguments)).grid;
    let codes = |grid: &GridSettings| -> Vec<_> { grid.zones.iter().map(|zone| zone.code.clone()).collect() };
    assert_eq!(codes(&of(&["grid", "--grid.zone=DE", "--grid.zone=US-CA"])), ["DE", "US-CA"]);
    let place = |command| settings(typed(&[command])).listen_addresses.first().map(ToString::to_string);
    assert_eq!((place("node").as_deref(), place("grid").as_deref()), (Some(":18823"), Some(":18824")));

    let grid = of(&["grid", "--grid.provider=uk", "--grid.url=http://a?b=c", "--grid.token-file=/t"]);
    let uk = grid.providers.first().unwrap();
    let file = Credential::File("/t".into());
    assert_eq!((uk.url.as_deref(), &uk.credential), (Some("http://a?b=c"), &file));
    let two = &["grid", "--grid.provider=uk", "--grid.provider=eia", "--grid.url=eia=http://a"];
    assert_eq!(of(two).providers.last().unwrap().url.as_deref(), Some("http://a"));
    let secret = all(&["--grid.provider=eia"], &[("NOETHER_GRID_TOKEN", "s3cret")], None);
    let grid = settings(secret).grid;
    assert_eq!(grid.providers.first().unwrap().credential, Credential::Given(Secret::new("s3cret")));
    assert!(!format!("{grid:?}").contains("s3cret"));
    // What no table knows is right where it has a value of its own.
    assert_eq!(
        codes(&of(&["--grid.provider=static", "--grid.static=my-dam=5", "--grid.zone=my-dam"])),
        ["my-dam"]
    );

    // A node lies wherever it lies: what nobody is known to serve is a warning.
    for (zone, is_known) in [
        ("GB-LONDON", true),
        ("GB-13", true),
        ("CAISO_NORTH", true),
        ("PJM_DC", true),
        ("DE", true),
        ("US-CA", true),
        ("my-dam", false),
        ("DEE", false),
    ] {
        let grid = of(&["node", &format!("--grid.zone={zone}")]);
        assert_eq!(codes(&grid), [zone]);
        assert_eq!(grid.unserved().next().is_none(), is_known, "{zone}");
    }
    assert_eq!(of(&["--grid.provider=file", "--grid.url=/x", "--grid.zone=my-dam"]).unserved().count(), 0);

    let all_zones = of(&[
        "grid",
        "--grid.provider=static",
        "--grid.zone=DE",
        "--grid.zone=FR",
        "--grid.static=7",
        "--grid.static=FR=8",
    ]);
    assert_eq!(all_zones.providers.first().unwrap().url.as_deref(), Some("DE=7,FR=8"));

    for (arguments, parts) in [
        (&["grid", "--grid.zone=Germny"][..], &["--grid.zone", "Germny", "DE"][..]),
        (&["grid", "--grid.provider=rte", "--grid.zone=GB-LONDON"], &["--grid.zone", "GB-LONDON"]),
        (&["--grid.zone="], &["--grid.zone"]),
        (&["--grid.zone=DE", "--grid.zone=FR"], &["--grid.zone", "one", "noether grid"]),
        (&["grid", "--grid.zone=DE", "--grid.zone=DE"], &["--grid.zone", "once"]),
        (&["--grid.provider=electricitymap"], &["--grid.provider", "did you mean electricitymaps?"]),
        (&["--grid.provider=uk", "--grid.provider=uk"], &["--grid.provider", "twice"]),
        (&["--grid.url=http://a"], &["--grid.url", "--grid.provider"]),
        (&["--grid.provider=uk", "--grid.provider=eia", "--grid.url=http://a"], &["--grid.url", "PROVIDER="]),
        (&["--grid.provider=uk", "--grid.url=eia=http://a"], &["--grid.url", "eia", "not asked"]),
        (&["--grid.token=s3cret"], &["--grid.token", "secret", "NOETHER_GRID_TOKEN"]),
        (&["--grid.static=DE=-1"], &["--grid.static", "250.7"]),
        (&["--grid.static=DE=99999"], &["--grid.static", "250.7"]),
        (&["--grid.static=7"], &["--grid.static", "--grid.provider=static"]),
        (&["--grid.max-age=soon"], &["--grid.max-age"]),
        (&["--pue=0.5"], &["--pue", "1.58"]),
        (&["--energy.price=-1"], &["--energy.price"]),
        (&["--budget=namespace=ml energy-kwh=1"], &["--budget", "noether grid"]),
        (&["--carbon.social-cost=USA:50=1", "--carbon.social-cost=USA:50=2"], &["USA:50 twice"]),
    ] {
        refused(typed(arguments), parts);
    }
}

#[test]
fn budgets() {
    let listed = "budget:\n- namespace: ml\n  energy-kwh: 500\n  period: month\n- job_id=42 energy-kwh=0.5\n";
    let file = Some(listed.as_bytes());
    let by_file = settings(all(&["grid", "--config.file", PATH], &[], file)).budgets;
    let first = "--budget=namespace=ml energy-kwh=500";
    assert_eq!(by_file, settings(typed(&["grid", first, "--budget=job_id=42 energy-kwh=0.5"])).budgets);
    assert_eq!(by_file.len(), 2);
    refused(
        filed("budget:\n- namespace: ml\n  energy-kwh: [1]\n"),
        &["yaml:3: budget", "energy-kwh", "plain"],
    );
    refused(filed("budget:\n- namespace: ml\n  energy-kwh: much\n"), &["yaml:2: budget", "energy-kwh=much"]);
    refused(filed("budget: {namespace: ml}\n"), &["yaml:1: budget"]);
    refused(typed(&["grid", first, first]), &["--budget", "namespace=ml has two for one month"]);
    assert_eq!(settings(filed("pue: 1.58")).pue.map(noether_core::carbon::Pue::ratio), Some(1.58));
}

#[test]
fn cgroupfs_lies_below_sysfs_unless_it_is_given() {
    assert_eq!(settings(typed(&["--path.sysfs=/f/sys"])).cgroupfs, PathBuf::from("/f/sys/fs/cgroup"));
    let both = settings(typed(&["--path.sysfs=/f/sys", "--path.cgroupfs=/c"]));
    assert_eq!((both.sysfs, both.cgroupfs), ("/f/sys".into(), "/c".into()));
}

#[test]
fn wrong_arguments() {
    for (arguments, parts) in [
        (&["--web.listen-adress=:1"][..], &["--web.listen-adress", "did you mean --web.listen-address?"][..]),
        (&["--listen-address", ":1"], &["--listen-address", "did you mean --web.listen-address?"]),
        (&["--meter.rapl-mmio=on"], &["did you mean --meter.rapl_mmio?"]),
        (&["--web.port=1"], &["--web.port", "the nearest is --web.", "noether --help"]),
        (&["--xyzzy"], &["--xyzzy", "the nearest is --"]),
        (&["-x"], &["-x", "neither a flag nor a command"]),
        (&["node", "x"], &["x", "neither a flag nor a command"]),
        (&["--web.listen"], &["--web.listen"]),
        (&["--sample.interval"], &["--sample.interval"]),
        (&["--sample.interval="], &["--sample.interval", "\"\"", "1m30s"]),
        (&["--sample.interval=1"], &["--sample.interval", "\"1\"", "1m30s"]),
        (
            &["--sample.interval=50ms"],
            &["--sample.interval", "\"50ms\"", "100ms", "PLATYPUS", "CVE-2020-8694"],
        ),
        (&["--sample.interval=61m"], &["--sample.interval", "\"61m\"", "1h", "wrap"]),
        (&["--sample.interval=1s", "--sample.interval=2s"], &["--sample.interval", "1s", "2s", "once"]),
        (&["--config.file=/a", "--config.file=/b"], &["--config.file", "once"]),
        (&["--config.file="], &["--config.file", "\"\""]),
        (&["--web.listen-address=18823"], &["--web.listen-address", "\"18823\"", ":18823"]),
        (&["--web.telemetry-path=metrics"], &["--web.telemetry-path", "\"metrics\"", "/metrics"]),
        (&["--web.max-connections=0"], &["--web.max-connections", "\"0\"", "from 1"]),
        (&["--workload.max=many"], &["--workload.max", "\"many\"", "whole number"]),
        (&["--meter.rapl=yes"], &["--meter.rapl", "\"yes\"", "auto, on, off"]),
        (&["--log.level=wran"], &["--log.level", "\"wran\"", "did you mean warn?"]),
        (&["--attribution.idle=used"], &["--attribution.idle", "\"used\"", "usage, requests, none"]),
        (&["--attribution.idle-watts=cpu"], &["--attribution.idle-watts", "\"cpu\"", "cpu=35"]),
        (&["--path.procfs="], &["--path.procfs", "\"\"", "/proc"]),
        (&["--node.name="], &["--node.name", "\"\""]),
    ] {
        refused(typed(arguments), parts);
    }
}

#[test]
fn wrong_variables() {
    for (name, value, parts) in [
        (
            "NOETHER_WEB_LISTEN_ADRESS",
            ":1",
            &["NOETHER_WEB_LISTEN_ADRESS", "mean NOETHER_WEB_LISTEN_ADDRESS?"][..],
        ),
        ("NOETHER_web_listen_address", ":1", &["NOETHER_web_listen_address"]),
        ("NOETHER_", "", &["NOETHER_:"]),
        ("NOETHER_XYZZY", "hush", &["NOETHER_XYZZY", "the nearest is NOETHER_"]),
        ("NOETHER_SAMPLE_INTERVAL", "", &["NOETHER_SAMPLE_INTERVAL", "\"\"", "1m30s"]),
        ("NOETHER_SAMPLE_INTERVAL", "1s,2s", &["NOETHER_SAMPLE_INTERVAL", "\"1s,2s\""]),
        ("NOETHER_METER_RAPL", "1", &["NOETHER_METER_RAPL", "\"1\"", "auto, on, off"]),
    ] {
        refused(set(name, value), parts);
    }
    assert!(!set("NOETHER_XYZZY", "hush").unwrap_err().to_string().contains("hush"));
    let twice = [("NOETHER_NODE_NAME", "a"), ("NOETHER_NODE_NAME", "b")];
    refused(all(&[], &twice, None), &["NOETHER_NODE_NAME", "once"]);
}

#[test]
fn variables_that_are_not_ours_are_left_alone() {
    let others = [
        ("PATH", ""),
        ("XNOETHER_A", ""),
        ("NOETHER", "x"),
        ("noether_a", ""),
        ("NOETHER_SERVICE_HOST", "10.0.0.1"),
    ];
    assert_eq!(settings(all(&[], &others, None)), settings(typed(&[])));
}

#[test]
fn what_is_not_utf8_is_refused_where_it_counts() {
    let bad = || OsString::from_vec(vec![b'a', 0xff]);
    let flag = |mut head: OsString| {
        head.push(bad());
        let arguments: [OsString; 2] = ["noether".into(), head];
        parse(arguments.into_iter(), std::iter::empty(), |_| Ok(vec![]))
    };
    refused(flag("--path.procfs=".into()), &["--path.procfs", "UTF-8"]);
    refused(flag("--".into()), &[]);
    refused(flag("".into()), &[]);
    let variable =
        |name: OsString| parse(["noether".into()].into_iter(), [(name, bad())].into_iter(), |_| Ok(vec![]));
    refused(variable("NOETHER_NODE_NAME".into()), &["NOETHER_NODE_NAME", "UTF-8"]);
    refused(variable(OsString::from_vec(b"NOETHER_\xff".to_vec())), &["NOETHER_"]);
    assert!(variable("LANG".into()).is_ok() && variable(bad()).is_ok());
    let file = all(&["--config.file", PATH], &[], Some(b"web:\n  telemetry-path: /\xff\n"));
    refused(file, &["/etc/noether.yaml:2", "UTF-8"]);
}

#[test]
fn the_file_is_named_by_flag_or_variable_and_has_to_be_there() {
    refused(typed(&["--config.file", PATH]), &["--config.file", PATH, "cannot be read", "not found"]);
    refused(set("NOETHER_CONFIG_FILE", PATH), &["NOETHER_CONFIG_FILE", PATH, "cannot be read"]);
    let denied =
        parse(["noether", "--config.file=x"].into_iter().map(Into::into), std::iter::empty(), |_| {
            Err(io::ErrorKind::PermissionDenied.into())
        });
    refused(denied, &["--config.file", "\"x\"", "permission denied"]);
    let read = Cell::new(0);
    let none = parse(["noether".into()].into_iter(), std::iter::empty(), |_| {
        read.set(read.get() + 1);
        Ok(vec![])
    });
    assert!(none.is_ok() && read.get() == 0);
    let by_variable = all(&[], &[("NOETHER_CONFIG_FILE", PATH)], Some(b"node: {name: a}"));
    assert_eq!(settings(by_variable).node_name.as_deref(), Some("a"));
}

#[test]
fn a_file_that_says_nothing_is_fine() {
    let plain = Settings { config_file: Some(PATH.into()), ..settings(typed(&[])) };
    for file in [
        "",
        "\n\n",
        "# nothing\n",
        "---\n",
        "---\n...\n",
        "{}",
        "~",
        "null\n",
        "web:\n",
        "web: ~",
        "web: {}",
        "\u{feff}",
    ] {
        assert_eq!(settings(filed(file)), plain, "{file:?}");
    }
}

#[test]
fn scalars_of_the_file_are_their_text() {
    let file = "\u{feff}---\n# a comment\nsystemd: {units: off}\nnode: {name: 1e3}\nworkload:\n  max: \"7\" # quoted\r\n";
    let settings = settings(filed(file));
    assert_eq!(settings.systemd_units, Switch::Off);
    assert_eq!(settings.node_name.as_deref(), Some("1e3"));
    assert_eq!(settings.max_workloads, 7);
}

#[test]
fn wrong_files() {
    for (file, parts) in [
        // Unknown keys.
        (
            "web:\n  listen-adress: [':1']\n",
            &["yaml:2: web.listen-adress", "no such key", "mean web.listen-address?"][..],
        ),
        ("\n\nwbe:\n  listen-address: [':1']\n", &["yaml:3: wbe", "did you mean web?"]),
        ("listen-address: [':1']", &["yaml:1: listen-address", "did you mean web.listen-address?"]),
        ("Web: {}", &["yaml:1: Web", "did you mean web?"]),
        ("web:\n  listen-address:\n  - :1\n  tls: {}\n", &["yaml:4: web.tls", "no such key"]),
        ("config: {file: /etc/other.yaml}", &["yaml:1: config.file", "itself"]),
        (
            "web.listen-address: [':1']",
            &["yaml:1: web.listen-address", "nest it", "web: {listen-address: …}"],
        ),
        ("'': 1", &["yaml:1: ", "no such key"]),
        ("<<: {web: {}}", &["yaml:1: <<", "no such key"]),
        // Doubled keys.
        ("log: {level: info}\nlog: {format: json}\n", &["yaml:2: log", "twice", "line 1"]),
        ("log:\n  level: info\n  format: json\n  level: warn\n", &["yaml:4: log.level", "twice", "line 2"]),
        ("log: {level: info, level: info}", &["yaml:1: log.level", "twice"]),
        ("log: {level: info, \"level\": info}", &["yaml:1: log.level", "twice"]),
        // Wrong types and values.
        ("web: 1", &["yaml:1: web", "\"1\"", "no section", "listen-address"]),
        ("web: [a]", &["yaml:1: web", "a list", "no section"]),
        (
            "web:\n  listen-address: :1\n",
            &["yaml:2: web.listen-address", "\":1\"", "no list", "[ADDRESS, …]"],
        ),
        ("web:\n  listen-address: {a: b}\n", &["yaml:2: web.listen-address", "a mapping", "no list"]),
        ("web:\n  listen-address:\n  - [':1']\n", &["yaml:3: web.listen-address", "plain value"]),
        ("web:\n  listen-address:\n  - :1\n  - b: c\n", &["yaml:4: web.listen-address", "plain value"]),
        ("web:\n  listen-address:\n  - :1\n  -\n", &["yaml:4: web.listen-address", "no value"]),
        (
            "web:\n  listen-address:\n  - :1\n  - nowhere\n",
            &["yaml:4: web.listen-address", "\"nowhere\"", ":18823"],
        ),
        ("sample:\n  interval: [1s]\n", &["yaml:2: sample.interval", "a list", "DURATION"]),
        ("sample:\n  interval: {a: 1s}\n", &["yaml:2: sample.interval", "a mapping", "DURATION"]),
        ("sample:\n  interval:\n", &["yaml:2: sample.interval", "has no value", "DURATION"]),
        ("sample:\n  interval: null\n", &["yaml:2: sample.interval", "has no value"]),
        ("sample:\n  interval: ''\n", &["yaml:2: sample.interval", "\"\"", "1m30s"]),
        ("sample:\n  interval: 1\n", &["yaml:2: sample.interval", "\"1\"", "1m30s"]),
        ("sample:\n  interval: 10ms\n", &["yaml:2: sample.interval", "PLATYPUS"]),
        ("workload:\n  max: 1.5\n", &["yaml:2: workload.max", "\"1.5\"", "whole number"]),
        ("systemd: {units: true}", &["yaml:1: systemd.units", "\"true\"", "auto, on, off"]),
        // The rest of YAML.
        ("- web\n- path\n", &["yaml:1:", "expected keys"]),
        ("web", &["yaml:1:", "expected keys"]),
        ("node: {name: a}\n---\nnode: {name: b}\n", &["yaml:2:", "second document"]),
        ("node: &a {name: b}\n", &["yaml:1: node", "anchors"]),
        ("node:\n  name: &a b\nlog:\n  level: *a\n", &["yaml:2: node.name", "anchors"]),
        ("node: {name: *a}\n", &["yaml:1"]),
        ("node: {name: !!str b}\n", &["yaml:1: node.name", "tags"]),
        ("? [a, b]\n: c\n", &["yaml:1:", "plain word"]),
        ("? {a: b}\n: c\n", &["yaml:1:", "plain word"]),
        ("node:\n\tname: a\n", &["yaml:2:", "not YAML"]),
        ("node: {name: a\n", &["yaml:", "not YAML"]),
        ("node: 'a\n", &["yaml:", "not YAML"]),
        ("web:\n  telemetry-path: /a\n sample: {}\n", &["yaml:3:", "not YAML"]),
        ("node: {name: a\0b}", &["yaml:1"]),
    ] {
        refused(filed(file), &[parts, &[PATH]].concat());
    }
}

#[test]
fn a_wrong_line_is_refused_even_where_a_flag_hides_it() {
    let hidden =
        all(&["--config.file", PATH, "--workload.linger=1s"], &[], Some(b"workload:\n  linger: soon\n"));
    refused(hidden, &["yaml:2: workload.linger", "soon"]);
    // A command checks the settings of the others as well: the doctor has to find what would stop the node.
    refused(all(&["doctor"], &[("NOETHER_SAMPLE_INTERVAL", "x")], None), &["NOETHER_SAMPLE_INTERVAL"]);
}

#[test]
fn depth_does_not_exhaust_the_stack() {
    for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "web: ".repeat(100_000)] {
        refused(filed(&deep), &[PATH]);
        refused(filed(&format!("web:\n  listen-address:\n  - {deep}")), &[PATH]);
    }
}

proptest! {
    #[test]
    fn no_file_panics(text in r#"(web|sample|interval|listen-address|:1|1s|[-:{}\[\]?&*!|>'"%@`#,.~ \n\t\r])*|(?s).*"#) {
        let _ = filed(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = all(&["--config.file", PATH], &[], Some(&bytes));
    }

    #[test]
    fn no_arguments_panic(arguments in proptest::collection::vec("(--)?(node|doctor|format|web|[.=-]|sample.interval|.)*", 0..4)) {
        let arguments: Vec<_> = arguments.iter().filter(|text| !text.contains("config")).map(String::as_str).collect();
        let _ = typed(&arguments);
    }

    #[test]
    fn no_variables_panic(name in "(NOETHER_)?(WEB|_|LISTEN|PORT|[0-9]|TCP|.)*", value in ".*") {
        let _ = set(&name, &value);
    }
}

#[test]
fn a_setting_whose_name_is_a_section_too_is_written_either_way() {
    let api = NameSource::Api;
    assert_eq!(settings(typed(&["--kubernetes=api"])).kubernetes.source, api);
    assert_eq!(settings(set("NOETHER_KUBERNETES", "api")).kubernetes.source, api);
    assert_eq!(settings(filed("kubernetes: api")).kubernetes.source, api);
    let both = settings(filed("kubernetes:\n  source: api\n  identity-timeout: 2m\n"));
    assert_eq!((both.kubernetes.source, both.identity_timeout), (api, Duration::from_secs(120)));
    assert_eq!(settings(filed("kubernetes:\n  # source: api\n")).kubernetes.source, NameSource::Auto);
    refused(filed("kubernetes: api\nkubernetes:\n  identity-timeout: 2m\n"), &["kubernetes", "given twice"]);
    refused(filed("kubernetes:\n  source: api\n  source: off\n"), &["kubernetes.source", "given twice"]);
    refused(filed("kubernetes:\n  source: pod-api\n"), &[":2:", "\"pod-api\"", "did you mean pods-api?"]);
    refused(filed("kubernetes: [api]"), &["a list is no single value", "auto|pods-api|kubelet|api|off"]);
    refused(typed(&["--kubernetes.source=api"]), &["kubernetes.source"]);
    let labels = ["--kubernetes.pod-labels=a.b", "--kubernetes.pod-labels=a-b"];
    refused(typed(&labels), &["--kubernetes.pod-labels", "label_a_b"]);
}
