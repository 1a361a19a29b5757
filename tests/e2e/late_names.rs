//! Names that come after the time in which they are waited for, and names that are another node's.

use std::fs;
use std::time::Duration;

use noether_tests::exporter::{Exporter, run};
use noether_tests::kubernetes::{Authority, Cluster, Mood, Pod, PodResources, PodsApi, Web};
use noether_tests::machine::load::{container_id, pod_uid};
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::nvml::{Driver, enter};
use noether_tests::outcome::{together, within};
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

fn pod(number: u32) -> Pod {
    Pod::running("shop", &format!("pod-{number}"), number, number)
}

fn by_id(number: u32) -> String {
    format!("container//{}/{}", pod_uid(number), &container_id(number)[..12])
}

/// A cluster's API server, and the flags with which an exporter on `node` asks it.
struct Site {
    _web: Web,
    flags: Vec<String>,
}

impl Site {
    fn new(machine: &Machine, cluster: &Cluster, node: &str) -> Self {
        let (authority, folder) = (Authority::default(), machine.folder());
        authority.write(folder, "ca.crt");
        fs::write(folder.join("token"), "secret").unwrap();
        let web = Web::start(authority.acceptor(), cluster);
        let own = [
            "--kubernetes=api".to_owned(),
            format!("--kubernetes.api-url={}", web.url()),
            format!("--kubernetes.token-file={}", folder.join("token").display()),
            format!("--kubernetes.ca-file={}", folder.join("ca.crt").display()),
            format!("--node.name={node}"),
            "--sample.interval=200ms".to_owned(),
        ];
        let others = machine.flags().into_iter().filter(|flag| !flag.starts_with("--kubernetes.token-file"));
        Self { _web: web, flags: others.chain(own).collect() }
    }
}

/// What is shown of the processors, and what a workload has of it.
fn joules(scrape: &Scrape, owner: &str) -> f64 {
    scrape.joules(owner, "cpu")
}

/// No API server while the names are waited for, and for longer: then the pods go by their names, in series that begin at 0.
#[test]
fn names_that_come_late_are_taken() {
    let _guard = together();
    let pods = [pod(1), pod(2)];
    let loads = pods.iter().zip([1, 2]).map(|(pod, number)| pod.load(number, number).cpu(&[0.5])).collect();
    let mut machine = Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), loads);
    let cluster = Cluster::default();
    pods.iter().for_each(|pod| cluster.put(pod));
    cluster.mood(Mood::Status(503));
    let site = Site::new(&machine, &cluster, "node-1");
    let more = ["--kubernetes.identity-timeout=2s", "--workload.linger=3s"].map(String::from);
    let exporter = Exporter::start(&site.flags.iter().cloned().chain(more).collect::<Vec<_>>());
    let mut watch = Watch::new(&exporter);
    let mut work = |watch: &mut Watch, what: &str, good: &dyn Fn(&Scrape) -> bool| {
        watch.until(what, |scrape| {
            machine.advance(0.2);
            good(scrape)
        })
    };
    let scrape = work(&mut watch, "the pods go under their ids", &|scrape| {
        (1..=2).all(|number| joules(scrape, &by_id(number)) > 20.0)
    });
    assert_eq!(joules(&scrape, &pods[0].owner_of("app")), 0.0);

    cluster.mood(Mood::Well);
    let first = work(&mut watch, "a series begins under each name", &|scrape| {
        pods.iter().all(|pod| {
            let labels = [("namespace", "shop"), ("pod", &*pod.name), ("container", "app")];
            scrape.value("noether_container_cpu_seconds_total", &labels).is_some()
        })
    });
    let ends = [1, 2].map(|number| joules(&first, &by_id(number)));
    let scrape = work(&mut watch, "they go on under their names", &|scrape| {
        pods.iter().all(|pod| joules(scrape, &pod.owner_of("app")) > 20.0)
    });
    for (number, end) in (1..).zip(ends) {
        assert!(
            joules(&scrape, &by_id(number)) - end < 10.0,
            "what was under the id stays, and no more comes"
        );
    }
    let scrape = work(&mut watch, "the series under the ids have ended", &|scrape| {
        let ids = |sample: &noether_tests::scrape::Sample| sample.label("namespace").is_empty();
        !scrape.samples("noether_container_cpu_seconds_total").any(ids)
            && scrape.account("cpu").unwrap().pending == 0
    });
    let account = scrape.account("cpu").unwrap();
    assert!(account.retired > 0);
    // Both worked the same all the time.
    let [one, two] = [0, 1].map(|at: usize| joules(&scrape, &pods[at].owner_of("app")));
    within(0.03, one, two, "the one as the other");
}

/// A pod whose names come late holds its GPU under them.
#[test]
fn a_holder_is_joined_however_late_its_name_comes() {
    let _guard = together();
    let pod = pod(1);
    let mut machine = Machine::new(Hardware::vm(), vec![pod.load(1, 1)]);
    let mut driver = Driver::new(machine.folder(), 1);
    enter(&mut machine, 1, &Load::pod(1, 1).path);
    let kubelet = PodResources::start(&machine.root().join("var/lib/kubelet/pod-resources/kubelet.sock"));
    kubelet.give(&pod, "app", "nvidia.com/gpu", &[&driver.state.gpus[0].uuid]);
    let cluster = Cluster::default();
    cluster.put(&pod);
    cluster.mood(Mood::Status(503));
    let site = Site::new(&machine, &cluster, "node-1");
    let exporter = driver.exporter(site.flags.clone(), &["--kubernetes.identity-timeout=1s"]);
    let mut watch = Watch::new(&exporter);
    let method = |scrape: &Scrape, method: &str| {
        let labels = [("gpu", "0"), ("method", method)];
        scrape.value("noether_gpu_attribution_info", &labels).is_some()
    };
    watch.until("the pod goes under its ids", |scrape| {
        let labels = [("pod", &*pod_uid(1)), ("container", &container_id(1)[..12])];
        scrape.value("noether_container_cpu_seconds_total", &labels).is_some() && method(scrape, "none")
    });
    watch.during(Duration::from_secs(3));
    cluster.mood(Mood::Well);
    watch.until("it holds its GPU", |scrape| {
        method(scrape, "holder") && scrape.account("gpu").is_ok_and(|account| account.pending == 0)
    });
    watch.ticked();
    let before = watch.ticked();
    let shown = |scrape: &Scrape| scrape.account("gpu").unwrap().node as f64 / 1e6;
    driver.gpu(0).energy_mj = driver.gpu(0).energy_mj.map(|energy| energy + 20_000);
    driver.write();
    let scrape = watch.until("the energy is shown", |scrape| shown(scrape) >= shown(&before) + 19.99);
    let held = |scrape: &Scrape| scrape.joules(&pod.owner_of("app"), "gpu");
    within(0.01, held(&scrape) - held(&before), 20.0, "under its name");
}

/// A source of names that was not there at all when the exporter started.
#[test]
fn a_source_that_appears_later_names_who_is_there() {
    let _guard = together();
    let pod = pod(1);
    let mut machine =
        Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), vec![pod.load(1, 1).cpu(&[0.5])]);
    let flags = machine.flags().into_iter();
    let more = ["--kubernetes=pods-api", "--kubernetes.identity-timeout=1s", "--sample.interval=200ms"];
    let exporter = Exporter::start(&flags.chain(more.map(String::from)).collect::<Vec<_>>());
    let mut watch = Watch::new(&exporter);
    watch.until("the pod goes under its ids", |scrape| {
        machine.advance(0.2);
        joules(scrape, &by_id(1)) > 10.0
    });
    let cluster = Cluster::default();
    cluster.put(&pod);
    let socket = machine.root().join("var/lib/kubelet/pods-api/pods-api.sock");
    let _names = PodsApi::start(&socket, "v1alpha1", &cluster);
    watch.until("it goes under its name", |scrape| {
        machine.advance(0.2);
        joules(scrape, &pod.owner_of("app")) > 10.0
    });
}

/// An image that takes longer to pull than a name is waited for: its sandbox is its pod's.
#[test]
fn the_sandbox_of_a_pod_that_takes_long_to_start_is_its_pods() {
    let _guard = together();
    let pod = pod(1);
    let sandbox = Load::pod(1, 77).cpu(&[0.2]);
    let mut machine = Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), vec![sandbox]);
    let cluster = Cluster::default();
    cluster.put(&pod.clone().pending());
    let socket = machine.root().join("var/lib/kubelet/pods-api/pods-api.sock");
    let _names = PodsApi::start(&socket, "v1alpha1", &cluster);
    let flags = machine.flags().into_iter();
    let more = ["--kubernetes.identity-timeout=3s", "--workload.linger=3s", "--sample.interval=200ms"];
    let exporter = Exporter::start(&flags.chain(more.map(String::from)).collect::<Vec<_>>());
    let mut watch = Watch::new(&exporter);
    let nameless = format!("container//{}/{}", pod_uid(1), &container_id(77)[..12]);
    watch.until("its time is over", |scrape| {
        machine.advance(0.2);
        joules(scrape, &nameless) > 0.0
    });
    // Meanwhile it might have been a container of which the kubelet is late to report.
    watch.during(Duration::from_secs(25));
    let own = pod.owner_of("POD");
    watch.until("it is its pod's", |scrape| {
        machine.advance(0.2);
        joules(scrape, &own) > 5.0
    });
    machine.add(pod.load(1, 1).from(machine.now()).cpu(&[0.5]));
    machine.advance(0.1);
    cluster.put(&pod);
    watch.until("the container has its name, and the sandbox keeps its own", |scrape| {
        machine.advance(0.2);
        joules(scrape, &pod.owner_of("app")) > 5.0 && joules(scrape, &nameless) == 0.0
    });
}

/// The cluster calls this node otherwise, or another node so.
#[test]
fn a_node_name_unlike_the_clusters_is_said() {
    let _guard = together();
    let (own, other) = (pod(1), pod(2));
    for elsewhere in [false, true] {
        let machine =
            Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), vec![own.load(1, 1).cpu(&[0.5])]);
        let cluster = Cluster::default();
        if elsewhere {
            cluster.put(&other);
        }
        let site = Site::new(&machine, &cluster, "worker-7.example.com");
        let exporter = Exporter::start(&site.flags);
        let mut watch = Watch::new(&exporter);
        watch.until("it is said", |_| exporter.log().contains("--node.name"));
        let log = exporter.log();
        let line = log.lines().find(|line| line.contains("--node.name")).unwrap_or_default();
        assert!(line.contains("WARN") && line.contains("worker-7.example.com"), "{log}");
        watch.during(Duration::from_secs(3));
        assert_eq!(exporter.log().matches("none of which runs here").count(), 1, "{}", exporter.log());
        let doctor = std::iter::once("doctor".to_owned()).chain(site.flags.iter().cloned());
        let output = run(&doctor.filter(|flag| !flag.starts_with("--sample")).collect::<Vec<_>>());
        let text = String::from_utf8(output.stdout).expect("text");
        let line = text.lines().find(|line| line.contains("worker-7.example.com")).unwrap_or_default();
        assert!(line.starts_with("warning") && text.contains("--node.name"), "{text}");
    }
}
