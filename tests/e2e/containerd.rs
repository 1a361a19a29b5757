//! Real pods of a real containerd, named by a kubelet that is played; its own statistics are the judge of CPU time.

use std::process;
use std::time::Duration;

use noether_tests::containerd::{Containerd, Running};
use noether_tests::exporter::Exporter;
use noether_tests::kubernetes::{Cluster, Pod, PodsApi};
use noether_tests::outcome::{alone, cannot_run, within};
use noether_tests::podman::Podman;
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

const TEST: &str = "real_pods_pay_by_the_cpu_time_that_containerd_tells";

const BUSY: &str = "while :; do :; done";

/// A part of a processor's time, in short bursts.
const LAZY: &str = "while :; do n=0; while [ $n -lt 5000 ]; do n=$((n+1)); done; sleep 0.02; done";

/// What a kubelet says of the pod.
fn pod(name: &str, running: &Running) -> Pod {
    Pod {
        uid: running.uid.clone(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        labels: Vec::new(),
        annotations: Vec::new(),
        owner: None,
        phase: Some("Running".to_owned()),
        containers: vec![("app".to_owned(), running.container.clone())],
    }
}

fn labels<'l>(name: &'l str, container: &'l str) -> [(&'static str, &'l str); 3] {
    [("namespace", "shop"), ("pod", name), ("container", container)]
}

fn seconds(scrape: &Scrape, name: &str) -> f64 {
    scrape.value("noether_container_cpu_seconds_total", &labels(name, "app")).unwrap_or(0.0)
}

/// CPU seconds of the pods' containers, by containerd and by the kernel.
fn truth(containerd: &Containerd, pods: &[Running; 2]) -> [[f64; 2]; 2] {
    let told = containerd.statistics();
    let of = |pod: &Running| told.iter().find(|(id, _)| *id == pod.container).expect("its statistics").1;
    [[of(&pods[0]), of(&pods[1])], [pods[0].used(), pods[1].used()]]
}

#[test]
fn real_pods_pay_by_the_cpu_time_that_containerd_tells() {
    let _guard = alone();
    let podman = match Podman::start() {
        Ok(podman) => podman,
        Err(why) => return cannot_run(TEST, &why),
    };
    let containerd = match Containerd::start(&podman) {
        Ok(containerd) => containerd,
        Err(why) => return cannot_run(TEST, &why),
    };
    let folder = noether_tests::machine::scratch();
    let (socket, cluster) = (folder.path().join("pods-api.sock"), Cluster::default());
    let _api = PodsApi::start(&socket, "v1alpha1", &cluster);
    let flags = [
        "--meter.rapl=off",
        "--meter.rapl_mmio=off",
        "--meter.model=on",
        "--sample.interval=200ms",
        "--kubernetes=pods-api",
        &format!("--kubernetes.pods-api-socket={}", socket.display()),
    ];
    let exporter = Exporter::start(&flags.map(str::to_owned));
    let mut watch = Watch::new(&exporter);
    watch.settled();

    let uid = |n: u32| format!("0000000{n}-c0de-4000-8000-{:012x}", process::id());
    let names = ["busy", "lazy"];
    let run = |n: usize, script| containerd.run("shop", names[n], &uid(n as u32), script);
    let pods = match run(0, BUSY).and_then(|busy| Ok([busy, run(1, LAZY)?])) {
        Ok(pods) => pods,
        Err(why) => return cannot_run(TEST, &why),
    };
    names.iter().zip(&pods).for_each(|(name, running)| cluster.put(&pod(name, running)));
    let owners = names.map(|name| format!("container/shop/{name}/app"));
    let joules = |scrape: &Scrape| [0, 1].map(|i| scrape.joules(&owners[i], "cpu"));
    watch.until("both cost something under their names", |scrape| joules(scrape).iter().all(|j| *j > 0.0));

    let (before, from) = (watch.ticked(), truth(&containerd, &pods));
    watch.during(Duration::from_secs(8));
    let (after, to) = (watch.ticked(), truth(&containerd, &pods));
    let spent = [0, 1].map(|oracle| [0, 1].map(|i| to[oracle][i] - from[oracle][i]));
    for (i, name) in names.iter().enumerate() {
        let shown = seconds(&after, name) - seconds(&before, name);
        within(0.03, shown, spent[0][i], &format!("CPU seconds of {name}, containerd's"));
        within(0.03, shown, spent[1][i], &format!("CPU seconds of {name}, the kernel's"));
        within(0.03, seconds(&after, name), to[0][i], &format!("CPU seconds of {name}'s whole life"));
        let info = [labels(name, "app").as_slice(), &[("container_id", pods[i].container.as_str())]].concat();
        assert_eq!(after.value("noether_container_info", &info), Some(1.0), "{}", after.text);
        let own = after.value("noether_container_cpu_seconds_total", &labels(name, "POD"));
        assert!(own.is_some(), "the sandbox is the pod's: {}", after.text);
    }
    assert!(spent[0][0] > 1.3 * spent[0][1], "one does more than the other: {spent:?}");
    let charged = [0, 1].map(|i| joules(&after)[i] - joules(&before)[i]);
    within(0.03, charged[0] / charged[1], spent[0][0] / spent[0][1], "energy of one by the other's");

    let id = &pods[0].sandbox;
    containerd.remove(id).unwrap_or_else(|why| panic!("{why}"));
    cluster.delete(&pods[0].uid);
    watch.ticked();
    let last = watch.ticked();
    watch.during(Duration::from_secs(1));
    let later = watch.ticked();
    assert!(seconds(&last, "busy") >= to[1][0] * 0.97, "nothing of it is lost");
    assert_eq!(seconds(&later, "busy"), seconds(&last, "busy"), "it stays with its final value");
    assert!(joules(&later)[1] > joules(&last)[1], "the other goes on");
}
