//! Who holds a GPU: the kubelet's word over its socket, device cgroups and environments, on the stub of NVML.

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::{Exporter, run};
use noether_tests::kubernetes::pods_api::mute;
use noether_tests::kubernetes::{Claim, Cluster, Pod, PodResources, PodsApi};
use noether_tests::machine::hardware::Hierarchy;
use noether_tests::machine::load::{container_id, pod_uid};
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::nvml::{Driver, Instance, Mig, Sample, enter, process};
use noether_tests::outcome::{together, until, within};
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

const QUICK: &str = "--sample.interval=200ms";

fn pod(number: u32) -> Pod {
    Pod::running("ml", &format!("train-{number}"), number, number)
}

/// A node of a cluster: pods with names, GPUs, and a kubelet that gives them away.
struct Node {
    machine: Machine,
    driver: Driver,
    cluster: Cluster,
    _names: PodsApi,
    kubelet: Option<PodResources>,
}

impl Node {
    /// The pods are numbered from 1 on, and the process with the pod's number runs in its container.
    fn new(gpus: u32, pods: u32) -> Self {
        let loads = (1..=pods).map(|number| pod(number).load(number, number)).collect();
        let machine = Machine::new(Hardware::vm(), loads);
        let cluster = Cluster::default();
        let names = machine.root().join("var/lib/kubelet/pods-api/pods-api.sock");
        let names = PodsApi::start(&names, "v1alpha1", &cluster);
        let driver = Driver::new(machine.folder(), gpus);
        let mut node = Self { machine, driver, cluster, _names: names, kubelet: None };
        for number in 1..=pods {
            node.cluster.put(&pod(number));
            enter(&mut node.machine, number, &Load::pod(number, number).path);
        }
        node.kubelet = Some(PodResources::start(&node.socket()));
        node
    }

    fn socket(&self) -> PathBuf {
        self.machine.root().join("var/lib/kubelet/pod-resources/kubelet.sock")
    }

    fn kubelet(&self) -> &PodResources {
        self.kubelet.as_ref().expect("a kubelet")
    }

    /// A pod that comes while the exporter runs.
    fn arrive(&mut self, number: u32) {
        self.machine.add(pod(number).load(number, number));
        enter(&mut self.machine, number, &Load::pod(number, number).path);
        self.cluster.put(&pod(number));
        self.machine.advance(0.1);
    }

    fn uuid(&self, gpu: usize) -> String {
        self.driver.state.gpus[gpu].uuid.clone()
    }

    fn start(&self) -> Exporter {
        self.driver.exporter(self.machine.flags(), &[QUICK])
    }

    /// GPUs draw so many joules each.
    fn draw(&mut self, joules: &[u64]) {
        for (gpu, joules) in self.driver.state.gpus.iter_mut().zip(joules) {
            gpu.energy_mj = gpu.energy_mj.map(|energy| energy + joules * 1000);
        }
        self.driver.write();
    }
}

/// What the pod's container is charged.
fn joules(scrape: &Scrape, number: u32) -> f64 {
    scrape.joules(&pod(number).owner_of("app"), "gpu")
}

fn nobodys(scrape: &Scrape) -> f64 {
    scrape.account("gpu").unwrap().unattributed as f64 / 1e6
}

fn total(scrape: &Scrape) -> f64 {
    scrape.account("gpu").map_or(0.0, |account| account.node as f64 / 1e6)
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 0.01, "{what}: {found} J, expected {expected} J");
}

/// Waits until the GPU's energy goes by this method.
fn by(watch: &mut Watch, gpu: &'static str, method: &'static str) -> Scrape {
    let labels = [("gpu", gpu), ("method", method)];
    watch.until(&format!("GPU {gpu} goes by {method}"), |scrape| {
        scrape.value("noether_gpu_attribution_info", &labels).is_some()
            && scrape.account("gpu").is_ok_and(|account| account.pending == 0)
    })
}

/// Waits until so much more than before is shown, and none of it held back.
fn shows(watch: &mut Watch, before: f64, more: f64) -> Scrape {
    watch.until("the interval is shown", |scrape| {
        let account = scrape.account("gpu").unwrap();
        account.node as f64 / 1e6 >= before + more - 0.001 && account.pending == 0
    })
}

fn up(scrape: &Scrape) -> Option<f64> {
    scrape.value("noether_source_up", &[("source", "pod_resources")])
}

fn errors(scrape: &Scrape, reason: &str) -> f64 {
    let labels = [("source", "pod_resources"), ("reason", reason)];
    scrape.value("noether_source_errors_total", &labels).unwrap_or(0.0)
}

/// A device that is held and not used is its holder's, also while the kubelet restarts.
#[test]
fn an_idle_device_is_its_pods_through_a_restart_of_the_kubelet() {
    let _guard = together();
    let mut node = Node::new(2, 2);
    node.kubelet().give(&pod(1), "app", "nvidia.com/gpu", &[&node.uuid(1)]);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "1", "holder");
    let scrape = by(&mut watch, "0", "none");
    assert_eq!(up(&scrape), Some(1.0));
    let before = total(&scrape);
    node.draw(&[10, 20]);
    let scrape = shows(&mut watch, before, 30.0);
    near(joules(&scrape, 1), 20.0, "the holder");
    near(nobodys(&scrape), 10.0, "nobody");

    node.kubelet = None;
    // A container that comes has the kubelet asked at once.
    node.arrive(3);
    watch.until("the kubelet is seen to be gone", |scrape| up(scrape) == Some(0.0));
    node.draw(&[0, 20]);
    let scrape = shows(&mut watch, before, 50.0);
    near(joules(&scrape, 1), 40.0, "the holder, whoever tells");

    let kubelet = PodResources::start(&node.socket());
    kubelet.give(&pod(1), "app", "nvidia.com/gpu", &[&node.uuid(1)]);
    kubelet.give(&pod(2), "app", "nvidia.com/gpu", &[&node.uuid(0)]);
    node.kubelet = Some(kubelet);
    let scrape = by(&mut watch, "0", "holder");
    assert_eq!(up(&scrape), Some(1.0));
    node.draw(&[10, 20]);
    let scrape = shows(&mut watch, before, 80.0);
    near(joules(&scrape, 1), 60.0, "the one");
    near(joules(&scrape, 2), 10.0, "the other");
    near(nobodys(&scrape), 10.0, "nobody");
    assert_eq!(
        exporter.log().matches("holders of GPUs come from the kubelet").count(),
        2,
        "{}",
        exporter.log()
    );
}

/// Replicas of one device: used three to one, and held two to one.
#[test]
fn two_pods_share_a_device_in_time() {
    let _guard = together();
    let mut node = Node::new(1, 2);
    let uuid = node.uuid(0);
    let replica = |number: u32| format!("{uuid}::{number}");
    node.kubelet().give(&pod(1), "app", "nvidia.com/gpu.shared", &[&replica(0), &replica(2)]);
    node.kubelet().give(&pod(2), "app", "nvidia.com/gpu.shared", &[&replica(1)]);
    node.driver.gpu(0).compute = vec![process(1, 100), process(2, 5000)];
    node.driver.write();
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    let before = total(&by(&mut watch, "0", "holder"));
    let first = node.driver.gpu(0).energy_mj.unwrap();
    for step in 1..=40_u64 {
        let at_us = step * 100_000;
        let sample = |pid, at_us, sm| Sample { pid, at_us, sm, ..Sample::default() };
        let gpu = node.driver.gpu(0);
        let kept = gpu.samples.take().unwrap().into_iter().filter(|one| one.at_us + 1_000_000 > at_us);
        gpu.samples = Some(kept.chain([sample(1, at_us, 60), sample(2, at_us + 7, 20)]).collect());
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + 20_000 + step % 7 * 3_000);
        node.driver.write();
        watch.scrape();
        sleep(Duration::from_millis(100));
    }
    let counted = (node.driver.gpu(0).energy_mj.unwrap() - first) as f64 / 1e3;
    let scrape = shows(&mut watch, before, counted);
    let [one, two] = [1, 2].map(|number| joules(&scrape, number));
    within(0.01, one / two, 3.0, "three to one");
    assert!(
        (total(&scrape) - before - counted).abs() < 1e-6,
        "{} is not {before} + {counted}",
        total(&scrape)
    );
    assert!((one + two + nobodys(&scrape) - total(&scrape)).abs() < 1e-6, "{one} and {two} of {counted}");

    // Nobody works any more: by replicas.
    by(&mut watch, "0", "holder");
    node.draw(&[30]);
    let scrape = shows(&mut watch, before + counted, 30.0);
    near(joules(&scrape, 1) - one, 20.0, "two replicas");
    near(joules(&scrape, 2) - two, 10.0, "one replica");
}

/// Instances by their ids, by their ids as replicas, and by a claim's name of them; the part of a free one is nobody's.
#[test]
fn instances_are_their_holders() {
    let _guard = together();
    let mut node = Node::new(1, 3);
    let instances: Vec<_> = [3, 1, 2, 1]
        .into_iter()
        .zip(0..)
        .map(|(slices, place)| Some(Instance::new(0, place, slices)))
        .collect();
    let ids: Vec<String> = instances.iter().flatten().map(|one| one.uuid.clone()).collect();
    node.driver.gpu(0).mig = Some(Mig { most: 7, instances });
    node.driver.write();
    node.kubelet().give(&pod(1), "app", "nvidia.com/mig-3g.15gb", &[&ids[0]]);
    node.kubelet().give(&pod(2), "app", "nvidia.com/mig-1g.5gb.shared", &[&format!("{}::0", ids[1])]);
    let claim =
        Claim { driver: "gpu.nvidia.com".into(), device: "gpu-0-mig-2g10gb-14-4".into(), cdi: String::new() };
    node.kubelet().claim(&pod(3), "app", &claim);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    let before = total(&by(&mut watch, "0", "holder"));
    node.draw(&[70]);
    let scrape = shows(&mut watch, before, 70.0);
    for (number, expected) in [(1, 30.0), (2, 10.0), (3, 20.0)] {
        near(joules(&scrape, number), expected, &format!("pod {number}"));
    }
    near(nobodys(&scrape), before + 10.0, "nobody");
}

/// A claim names a device by the number of its file, which need not be its index; or the runtime's name for it does.
#[test]
fn claims_are_their_pods() {
    let _guard = together();
    let mut node = Node::new(2, 2);
    for (gpu, minor) in [(0, 1), (1, 0)] {
        node.driver.gpu(gpu).minor = Some(minor);
    }
    node.driver.write();
    let claim = Claim { driver: "gpu.nvidia.com".into(), device: "gpu-1".into(), cdi: String::new() };
    node.kubelet().claim(&pod(1), "app", &claim);
    let cdi = "k8s.gpu.nvidia.com/device=7a1f0c6e-6b5a-4a54-9f3c-0d9a3e2b1c4d-gpu-0".to_owned();
    node.kubelet().claim(&pod(2), "app", &Claim { cdi, ..Claim::default() });
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "holder");
    let before = total(&by(&mut watch, "1", "holder"));
    node.draw(&[10, 20]);
    let scrape = shows(&mut watch, before, 30.0);
    near(joules(&scrape, 1), 10.0, "by the driver's name");
    near(joules(&scrape, 2), 20.0, "by the runtime's name");
}

/// A claim of the instance with the media engines takes that one alone, and one of a plain instance takes no other.
#[test]
fn a_claim_takes_the_instance_of_its_own_profile() {
    let _guard = together();
    let mut node = Node::new(1, 2);
    let instance =
        |place, profile: &str| Some(Instance { profile: profile.into(), ..Instance::new(0, place, 1) });
    let instances = vec![
        instance(0, "1g.10gb"),
        instance(1, "1g.10gb+me"),
        instance(2, "1g.20gb"),
        instance(3, "1g.10gb+gfx"),
    ];
    node.driver.gpu(0).mig = Some(Mig { most: 4, instances });
    node.driver.write();
    for (number, device) in [(1, "gpu-0-mig-1g10gb-me-20-1"), (2, "gpu-0-mig-1g10gb-19-0")] {
        let claim = Claim { driver: "gpu.nvidia.com".into(), device: device.into(), cdi: String::new() };
        node.kubelet().claim(&pod(number), "app", &claim);
    }
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    let before = total(&by(&mut watch, "0", "holder"));
    let earlier = watch.scrape();
    node.draw(&[60]);
    let scrape = shows(&mut watch, before, 60.0);
    let more = |number: u32| joules(&scrape, number) - joules(&earlier, number);
    near(more(1), more(2), "one instance each");
    assert!(more(1) > 14.9, "{}", more(1));
}

/// A scheduler that shares GPUs has chosen others than the replicas that the kubelet took: its annotation counts, or where the
/// source of names has none, what its plugin wrote into the container's environment.
#[test]
fn a_sharing_schedulers_choice_counts() {
    let _guard = together();
    let mut node = Node::new(3, 2);
    let mut annotated = pod(1);
    annotated.annotations =
        vec![("hami.io/vgpu-devices-allocated".into(), format!("{},NVIDIA,3000,30:;", node.uuid(1)))];
    node.cluster.put(&annotated);
    let environment = |gpu: usize| format!("PATH=/bin\0NVIDIA_VISIBLE_DEVICES={}\0", node.uuid(gpu));
    let (first, second) = (environment(1), environment(2));
    node.machine.tree().put("proc/1000/environ", &first);
    node.machine.tree().put("proc/1001/environ", &second);
    for (number, replica) in [(1, "3"), (2, "0")] {
        node.kubelet().give(&pod(number), "app", "nvidia.com/gpu", &[&format!("{}-{replica}", node.uuid(0))]);
    }
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "1", "holder");
    by(&mut watch, "2", "holder");
    let scrape = by(&mut watch, "0", "none");
    let before = total(&scrape);
    let (one, two, nobody) = (joules(&scrape, 1), joules(&scrape, 2), nobodys(&scrape));
    node.draw(&[10, 20, 30]);
    let scrape = shows(&mut watch, before, 60.0);
    near(joules(&scrape, 1) - one, 20.0, "by the annotation");
    near(joules(&scrape, 2) - two, 30.0, "by the environment");
    near(nobodys(&scrape) - nobody, 10.0, "the one that the kubelet took");
}

/// In a cgroup namespace of its own, as in a pod that shares the host's processes, an exporter reads paths of others that begin
/// with `/..` and lack what both have in common; with kind, a kubelet lies below a folder of its own besides.
#[test]
fn a_process_seen_from_another_cgroup_namespace_is_its_pods() {
    let _guard = together();
    let mut node = Node::new(1, 0);
    let (uid, id) = (pod_uid(1), container_id(1));
    let slice = format!("kubelet-kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
    let below = format!("kubelet-kubepods-burstable.slice/{slice}/cri-containerd-{id}.scope");
    let load =
        Load::at(&format!("kubelet.slice/kubelet-kubepods.slice/{below}")).owner(&pod(1).owner_of("app"));
    node.machine.add(load);
    node.machine.advance(0.1);
    node.cluster.put(&pod(1));
    for (pid, ups) in [(7, "/../../.."), (8, "/../../../../kubelet-kubepods.slice")] {
        node.machine.tree().put(&format!("proc/{pid}/cgroup"), &format!("0::{ups}/{below}\n"));
    }
    // A driver that samples no use: by the memory that both hold.
    (node.driver.gpu(0).samples, node.driver.gpu(0).compute) = (None, vec![process(7, 100), process(8, 50)]);
    node.driver.write();
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "memory");
    watch.ticked();
    let scrape = watch.ticked();
    let (before, earlier) = (total(&scrape), joules(&scrape, 1));
    node.draw(&[30]);
    let scrape = shows(&mut watch, before, 30.0);
    near(joules(&scrape, 1) - earlier, 30.0, "the pod of both processes");
}

/// A card of AMD by its PCI address, and one of Intel by its name.
#[test]
fn cards_in_sysfs_are_their_pods() {
    let _guard = together();
    let mut node = Node::new(0, 2);
    let cards = [("card0", "amdgpu", "0000:03:00.0"), ("card1", "xe", "0000:04:00.0")];
    let mut put = |path: String, content: &str| node.machine.tree().put(&path, &format!("{content}\n"));
    for (card, driver, address) in cards {
        let device = format!("sys/class/drm/{card}/device");
        put(format!("{device}/uevent"), &format!("PCI_SLOT_NAME={address}"));
        put(format!("{device}/mem_info_vram_vendor"), "samsung");
        put(format!("{device}/hwmon/hwmon3/name"), driver);
        put(format!("{device}/hwmon/hwmon3/power1_cap"), "300000000");
    }
    put("sys/class/drm/card0/device/hwmon/hwmon3/power1_average".into(), "20000000");
    put("sys/class/drm/card1/device/hwmon/hwmon3/energy1_input".into(), "1000000");
    node.kubelet().give(&pod(1), "app", "amd.com/gpu", &["0000:03:00.0"]);
    node.kubelet().give(&pod(2), "app", "gpu.intel.com/xe", &["card1-0"]);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "card0", "holder");
    let scrape = by(&mut watch, "card1", "holder");
    let (nobody, earlier) = (nobodys(&scrape), joules(&scrape, 1));
    node.machine.tree().put("sys/class/drm/card1/device/hwmon/hwmon3/energy1_input", "31000000\n");
    let scrape = watch
        .until("both are charged", |scrape| joules(scrape, 2) > 29.0 && joules(scrape, 1) > earlier + 10.0);
    near(joules(&scrape, 2), 30.0, "the one by its counter");
    near(nobodys(&scrape), nobody, "nobody, from then on");
}

/// From a container that ends to its pod, to nobody, to the next pod: no counter falls, and nothing is lost.
#[test]
fn a_pod_that_ends_hands_over() {
    let _guard = together();
    let mut node = Node::new(1, 0);
    let uuid = node.uuid(0);
    node.machine.add(pod(1).load(1, 1).lives(0.1, 1.0));
    node.cluster.put(&pod(1));
    node.kubelet().give(&pod(1), "app", "nvidia.com/gpu", &[&uuid]);
    node.machine.advance(0.2);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    let before = total(&by(&mut watch, "0", "holder"));
    node.draw(&[10]);
    let scrape = shows(&mut watch, before, 10.0);
    near(joules(&scrape, 1), 10.0, "the holder");

    // It crashed, and waits for its restart: the pod holds the device.
    node.machine.advance(5.0);
    let own = pod(1).owner_of("POD");
    let mut drawn = 10;
    let scrape = watch.until("the pod itself pays", |scrape| {
        node.draw(&[1]);
        drawn += 1;
        scrape.joules(&own, "gpu") > 0.0
    });
    near(joules(&scrape, 1), 10.0, "the container, at its end");

    // The pod has ended.
    node.kubelet().take_back(&pod(1));
    node.cluster.delete(&pod(1).uid);
    by(&mut watch, "0", "none");
    let scrape = watch.ticked();
    let (before_next, of_pod) = (total(&scrape), scrape.joules(&own, "gpu"));
    node.draw(&[5]);
    let scrape = shows(&mut watch, before_next, 5.0);
    near(scrape.joules(&own, "gpu"), of_pod, "the pod that ended");

    node.kubelet().give(&pod(2), "app", "nvidia.com/gpu", &[&uuid]);
    node.arrive(2);
    by(&mut watch, "0", "holder");
    let (scrape, before_next) = (watch.ticked(), total(&watch.scrape()));
    let earlier = joules(&scrape, 2);
    node.draw(&[20]);
    let scrape = shows(&mut watch, before_next, 20.0);
    near(joules(&scrape, 2) - earlier, 20.0, "the next pod");
    near(total(&scrape) - before, (drawn + 5 + 20) as f64, "all that was drawn");
}

/// The law at every scrape and no counter falls, whatever the kubelet says, and when.
#[test]
fn the_law_holds_whatever_the_kubelet_says() {
    let _guard = together();
    let mut node = Node::new(2, 3);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "none");
    let mut dice: u64 = 11;
    let mut below = |limit: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % limit
    };
    for step in 0..80_u32 {
        node.draw(&[below(9), below(9)]);
        let number = 1 + below(4) as u32;
        match (below(8), &node.kubelet) {
            (0, Some(_)) if step > 20 => node.kubelet = None,
            (_, None) => node.kubelet = Some(PodResources::start(&node.socket())),
            (1, Some(kubelet)) => kubelet.take_back(&pod(number)),
            (2, Some(kubelet)) => kubelet.answer_instead(Some(&[0x0a, 0xff])),
            (3, Some(kubelet)) => kubelet.answer_instead(None),
            (_, Some(kubelet)) => {
                let gpu = below(2) as usize;
                kubelet.give(
                    &pod(number),
                    "app",
                    "nvidia.com/gpu",
                    &[&format!("{}::{step}", node.uuid(gpu))],
                );
            }
        }
        // Whoever comes has the kubelet asked again.
        if step % 10 == 0 {
            node.machine.add(
                pod(100 + step)
                    .load(100 + step, 100 + step)
                    .lives(node.machine.now(), node.machine.now() + 1.0),
            );
        }
        node.machine.advance(0.1);
        sleep(Duration::from_millis(80));
        watch.scrape();
    }
    if node.kubelet.is_none() {
        node.kubelet = Some(PodResources::start(&node.socket()));
    }
    let uuid = node.uuid(0);
    node.kubelet().answer_instead(None);
    node.kubelet().give(&pod(2), "app", "nvidia.com/gpu", &[&uuid]);
    by(&mut watch, "0", "holder");
    let before = total(&watch.scrape());
    node.draw(&[10, 10]);
    let scrape = shows(&mut watch, before, 20.0);
    assert!(joules(&scrape, 2) > 0.0);
}

/// What is no answer changes nothing, and is counted.
#[test]
fn nonsense_changes_nothing() {
    let _guard = together();
    let mut node = Node::new(1, 1);
    node.kubelet().give(&pod(1), "app", "nvidia.com/gpu", &[&node.uuid(0)]);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "holder");
    node.kubelet().answer_instead(Some(&[0x0a, 0x7f, 1]));
    node.arrive(2);
    let scrape = watch.until("it is counted", |scrape| errors(scrape, "malformed") > 0.0);
    assert_eq!(up(&scrape), Some(0.0));
    let before = total(&scrape);
    node.draw(&[10]);
    let scrape = shows(&mut watch, before, 10.0);
    near(joules(&scrape, 1), 10.0, "the holder");
    assert!(exporter.log().contains("holders of GPUs: List of PodResources"), "{}", exporter.log());
}

/// A kubelet that takes the question and never answers is given up in time, and holds up nothing.
#[test]
fn a_kubelet_that_says_nothing_delays_no_tick() {
    let _guard = together();
    let mut node = Node::new(1, 1);
    node.kubelet = None;
    let silent = mute(&node.socket()).expect("a socket");
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "none");
    let scrape = watch.until("it is given up", |scrape| errors(scrape, "io") > 0.0);
    // The five seconds that were waited are 25 ticks.
    let missed = scrape.value("noether_ticks_missed_total", &[]);
    assert!(missed.is_some_and(|missed| missed < 20.0), "{missed:?} ticks missed");
    drop(silent);
    std::fs::remove_file(node.socket()).expect("the socket");
    let kubelet = PodResources::start(&node.socket());
    kubelet.give(&pod(1), "app", "nvidia.com/gpu", &[&node.uuid(0)]);
    by(&mut watch, "0", "holder");
}

/// No socket is an ordinary state: one line, no series; and without a GPU, nobody is asked.
#[test]
fn no_socket_is_one_line_and_no_gpu_is_no_question() {
    let _guard = together();
    let mut node = Node::new(1, 1);
    node.kubelet = None;
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "none");
    let said = || exporter.log().matches("no kubelet tells who holds GPUs").count();
    until("the log says so", || (said() == 1).then_some(()));
    watch.during(Duration::from_secs(4));
    assert_eq!((said(), up(&watch.scrape())), (1, None), "{}", exporter.log());
    assert!(!exporter.log().contains("WARN"), "{}", exporter.log());

    let node = Node::new(0, 1);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    watch.during(Duration::from_secs(2));
    assert_eq!((node.kubelet().asked(), up(&watch.scrape())), (0, None));
}

/// The kubelet is not asked more often than it must be: at first, for whoever comes, and every ten seconds or so.
#[test]
fn the_kubelet_is_asked_seldom() {
    let _guard = together();
    let mut node = Node::new(1, 1);
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "none");
    until("it is asked", || (node.kubelet().asked() > 0).then_some(()));
    let (before, begun) = (node.kubelet().asked(), Instant::now());
    for number in 2..40 {
        node.arrive(number);
        sleep(Duration::from_millis(50));
        watch.scrape();
    }
    watch.during(Duration::from_secs(2));
    let (asked, seconds) = (node.kubelet().asked() - before, begun.elapsed().as_secs() as usize);
    // Once a second at most, and once at either end.
    assert!((1..=seconds + 2).contains(&asked), "asked {asked} times for 38 containers within {seconds} s");
}

/// On cgroup v1, what the kernel lets a container open counts; its image's wish for all does not.
#[test]
fn a_device_cgroup_tells_which() {
    let _guard = together();
    let loads = vec![Load::docker(1), Load::docker(2), Load::docker(3)];
    let mut machine = Machine::new(Hardware::vm().hierarchy(Hierarchy::V1), loads.clone());
    let lists = ["c 195:255 rw\nc 195:5 rw\nc 195:254 rw\n", "c 1:3 rwm\n", "a *:* rwm\n"];
    for ((pid, load), list) in (1000..).zip(&loads).zip(lists) {
        machine.tree().put(&format!("sys/fs/cgroup/devices/{}/devices.list", load.path), list);
        let wish = if pid == 1002 { "NVIDIA_VISIBLE_DEVICES=0\0" } else { "NVIDIA_VISIBLE_DEVICES=all\0" };
        machine.tree().put(&format!("proc/{pid}/environ"), wish);
    }
    let mut driver = Driver::new(machine.folder(), 3);
    for (gpu, minor) in [(0, 3), (1, 4), (2, 5)] {
        driver.gpu(gpu).minor = Some(minor);
    }
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "holder");
    by(&mut watch, "2", "holder");
    let before = total(&by(&mut watch, "1", "none"));
    for (gpu, joules) in [(0, 10), (1, 20), (2, 30)] {
        let gpu = driver.gpu(gpu);
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + joules * 1000);
    }
    driver.write();
    let scrape = shows(&mut watch, before, 60.0);
    let of = |seed: usize| scrape.joules(loads[seed].owner.as_ref().unwrap(), "gpu");
    near(of(0), 30.0, "the one with its file");
    near(of(1), 0.0, "the one with none, whatever its image says");
    near(of(2), 10.0, "the privileged one, by its environment");
    near(nobodys(&scrape), 20.0, "nobody");
}

/// Slurm's numbers are those of the device files, which need not be the indices; instances go by their ids.
#[test]
fn slurms_numbers_are_those_of_the_files() {
    let _guard = together();
    let job = |number: u32| {
        Load::at(&format!("system.slice/slurmstepd.scope/job_{number}")).owner(&format!("job/slurm/{number}"))
    };
    let mut machine = Machine::new(Hardware::vm(), vec![job(7), job(8)]);
    let mut driver = Driver::new(machine.folder(), 3);
    for (gpu, minor) in [(0, 2), (1, 0), (2, 1)] {
        driver.gpu(gpu).minor = Some(minor);
    }
    let instances: Vec<_> =
        [(0, 1), (1, 3)].map(|(place, slices)| Some(Instance::new(2, place, slices))).into();
    let id = instances[1].as_ref().map(|one| one.uuid.clone()).expect("an instance");
    driver.gpu(2).mig = Some(Mig { most: 7, instances });
    driver.write();
    machine.tree().put("proc/1000/environ", "SLURM_JOB_GPUS=2\0CUDA_VISIBLE_DEVICES=0\0");
    machine.tree().put("proc/1001/environ", &format!("SLURM_JOB_GPUS=30\0CUDA_VISIBLE_DEVICES={id}\0"));
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "holder");
    by(&mut watch, "1", "none");
    let before = total(&by(&mut watch, "2", "holder"));
    for (gpu, joules) in [(0, 10), (1, 20), (2, 70)] {
        let gpu = driver.gpu(gpu);
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + joules * 1000);
    }
    driver.write();
    let scrape = shows(&mut watch, before, 100.0);
    near(scrape.joules("job/slurm/7", "gpu"), 10.0, "the job of the GPU");
    near(scrape.joules("job/slurm/8", "gpu"), 30.0, "the job of the instance");
    near(nobodys(&scrape), 60.0, "nobody, and the free slices");
}

/// An environment that nobody ever finishes writing holds up neither the tick nor those who come after.
#[test]
fn an_environment_that_does_not_answer_delays_no_tick() {
    let _guard = together();
    let loads = vec![Load::docker(1), Load::docker(2)];
    let mut machine = Machine::new(Hardware::vm(), loads.clone());
    machine.tree().folder("proc/1000");
    let fifo = machine.root().join("proc/1000/environ");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    machine.tree().put("proc/1001/environ", "NVIDIA_VISIBLE_DEVICES=0\0");
    let driver = Driver::new(machine.folder(), 1);
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "0", "holder");
    watch.ticked();
    watch.ticked();
}

/// A container outside of pods by its environment, beside a pod whose kubelet speaks: of one device the kubelet's word counts.
#[test]
fn the_nearest_word_counts() {
    let _guard = together();
    let mut node = Node::new(2, 1);
    let docker = Load::docker(9);
    node.machine.add(docker.clone());
    node.machine.advance(0.1);
    node.kubelet().give(&pod(1), "app", "nvidia.com/gpu", &[&node.uuid(0)]);
    node.machine.tree().put("proc/1001/environ", "NVIDIA_VISIBLE_DEVICES=all\0");
    let exporter = node.start();
    let mut watch = Watch::new(&exporter);
    by(&mut watch, "1", "holder");
    until("the kubelet was asked", || (node.kubelet().asked() > 0).then_some(()));
    watch.until("its word is there", |scrape| up(scrape) == Some(1.0));
    watch.ticked();
    let scrape = watch.ticked();
    let (before, earlier) = (total(&scrape), joules(&scrape, 1));
    let of_docker = |scrape: &Scrape| scrape.joules(docker.owner.as_ref().unwrap(), "gpu");
    let first = of_docker(&scrape);
    node.draw(&[10, 20]);
    let scrape = shows(&mut watch, before, 30.0);
    near(joules(&scrape, 1) - earlier, 10.0, "the pod");
    near(of_docker(&scrape) - first, 20.0, "the one that wants all");
}

#[test]
fn doctor_asks_the_kubelet() {
    let _guard = together();
    let mut node = Node::new(1, 1);
    node.kubelet().give(&pod(1), "app", "nvidia.com/gpu", &["GPU-1::0", "GPU-1::1"]);
    let doctor = |node: &Node, more: &str| {
        let flags = node.machine.flags().into_iter().chain([more.to_owned()]).filter(|flag| !flag.is_empty());
        let output = run(&std::iter::once("doctor".to_owned()).chain(flags).collect::<Vec<_>>());
        let text = String::from_utf8(output.stdout).expect("text");
        let line = text.lines().find(|line| line.contains("holders")).unwrap_or_default().to_owned();
        (line, text)
    };
    let (line, text) = doctor(&node, "");
    assert!(
        line.starts_with("ok") && line.contains("gives 2 GPUs or shares of one to 1 containers"),
        "{text}"
    );
    node.kubelet().answer_instead(Some(b"nonsense"));
    let (line, text) = doctor(&node, "");
    assert!(line.starts_with("warning") && text.contains("mount the socket's folder"), "{text}");
    let (line, text) = doctor(&node, "--kubernetes=off");
    assert!(line.starts_with("absent") && line.contains("--kubernetes=off"), "{text}");
    node.kubelet = None;
    let (line, text) = doctor(&node, "");
    assert!(line.starts_with("absent") && line.contains("pod-resources/kubelet.sock"), "{text}");
}
