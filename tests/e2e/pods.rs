//! Pods by name: each source as it really speaks, well and badly; and a thousand pods within a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::{Exporter, run};
use noether_tests::kubernetes::pods_api::mute;
use noether_tests::kubernetes::{Authority, Cluster, Mood, Pod, PodsApi, Web};
use noether_tests::machine::load::{container_id, pod_uid};
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::outcome::together;
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

/// A machine with one meter on which these pods run, each with its number as seed.
fn machine(pods: &[(&Pod, u32)]) -> Machine {
    let loads = pods.iter().map(|(pod, number)| pod.load(*number, *number).cpu(&[0.1])).collect();
    Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), loads)
}

fn pod(number: u32) -> Pod {
    Pod::running("shop", &format!("pod-{number}"), number, number)
}

/// The default place of the Pods API on this machine.
fn socket(machine: &Machine) -> PathBuf {
    machine.root().join("var/lib/kubelet/pods-api/pods-api.sock")
}

fn start(machine: &Machine, flags: &[&str]) -> Exporter {
    let mut all = machine.flags();
    all.retain(|flag| flags.iter().all(|own| own.split('=').next() != flag.split('=').next()));
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    all.push("--sample.interval=200ms".into());
    Exporter::start(&all)
}

/// What containers go by, those of the pods' own time left out.
fn shown(scrape: &Scrape) -> BTreeSet<String> {
    let samples = scrape.samples("noether_container_cpu_seconds_total");
    let name = |label| move |sample: &noether_tests::scrape::Sample| sample.label(label).to_owned();
    samples
        .filter(|sample| sample.label("container") != "POD")
        .map(|sample| ["namespace", "pod", "container"].map(|label| name(label)(sample)).join("/"))
        .collect()
}

fn is_shown(scrape: &Scrape, pod: &Pod) -> bool {
    shown(scrape).contains(&format!("{}/{}/app", pod.namespace, pod.name))
}

fn up(scrape: &Scrape) -> Option<f64> {
    scrape.value("noether_source_up", &[("source", "kubernetes")])
}

fn errors(scrape: &Scrape, reason: &str) -> f64 {
    let labels = [("source", "kubernetes"), ("reason", reason)];
    scrape.value("noether_source_errors_total", &labels).expect("a counter of errors")
}

/// At most one list and one watch on each connection.
fn sparing(cluster: &Cluster) {
    let mut calls: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for call in cluster.calls() {
        *calls.entry((call.connection, call.what)).or_default() += 1;
    }
    assert!(calls.values().all(|count| *count == 1), "{calls:?}");
}

#[test]
fn the_kubelets_socket_names_pods_and_is_found_again_after_a_restart() {
    let _guard = together();
    let mut web = pod(1);
    web.labels = vec![("pod-template-hash".into(), "5f".into()), ("say".into(), "\"a\"\nb\\".into())];
    web.owner = Some(("ReplicaSet".into(), "web-5f".into()));
    web.annotations = vec![("noether.dev/energy-budget-kwh".into(), "plenty".into())];
    let mut without_status = pod(2);
    without_status.phase = None;
    let long = Pod { name: "n".repeat(253), ..pod(3) };
    let mut machine = machine(&[(&web, 1), (&without_status, 2), (&long, 3)]);
    let cluster = Cluster::default();
    for pod in [&web, &without_status, &long] {
        cluster.put(pod);
    }
    let socket = socket(&machine);
    let api = PodsApi::start(&socket, "v1alpha1", &cluster);
    let exporter = start(&machine, &["--kubernetes.pod-labels=say", "--kubernetes.identity-timeout=3s"]);
    let mut watch = Watch::new(&exporter);
    let scrape =
        watch.until("both pods have names", |scrape| is_shown(scrape, &web) && is_shown(scrape, &long));
    assert_eq!(up(&scrape), Some(1.0));
    assert!(!is_shown(&scrape, &without_status), "its container's name is not known");
    let info: Vec<_> = scrape.samples("noether_pod_info").filter(|one| one.label("pod") == "pod-1").collect();
    let [info] = info.as_slice() else { panic!("{info:?}") };
    let labels = ["pod_uid", "qos", "priority_class", "workload_kind", "workload", "label_say"];
    let uid = pod_uid(1);
    assert_eq!(
        labels.map(|label| info.label(label)),
        [&*uid, "Burstable", "high", "Deployment", "web", "\"a\"\nb\\"]
    );
    let of_web = [("pod", "pod-1"), ("container", "app"), ("image", "registry/app:1")];
    assert_eq!(scrape.value("noether_container_info", &of_web), Some(1.0));
    // A container that nobody names goes under its ids in the end.
    let id = format!("/{}/{}", pod_uid(2), &container_id(2)[..12]);
    watch.until("the time is over", |scrape| shown(scrape).contains(&id));

    drop(api);
    watch.until("the kubelet is seen to be gone", |scrape| up(scrape) == Some(0.0));
    let late = pod(4);
    cluster.put(&late);
    machine.add(late.load(4, 4));
    machine.advance(0.1);
    let _api = PodsApi::start(&socket, "v1", &cluster);
    watch.until("the kubelet is back, with another package", |scrape| is_shown(scrape, &late));
    sparing(&cluster);
    let log = exporter.log();
    let mistake = "pod shop/pod-1: annotation noether.dev/energy-budget-kwh: \\\"plenty\\\"";
    let mistakes = log.matches(mistake).count() + log.matches(&mistake.replace('\\', "")).count();
    assert_eq!(mistakes, 1, "{log}");
}

/// A kubelet or API server with what an exporter needs to ask it.
struct Site {
    authority: Authority,
    folder: PathBuf,
    web: Web,
}

impl Site {
    fn new(machine: &Machine, cluster: &Cluster, token: &str) -> Self {
        let (authority, folder) = (Authority::default(), machine.folder().to_owned());
        authority.write(&folder, "ca.crt");
        fs::write(folder.join("token"), token).unwrap();
        let web = Web::start(authority.acceptor(), cluster);
        Self { authority, folder, web }
    }

    fn flags(&self, source: &str) -> Vec<String> {
        let at = |name: &str| self.folder.join(name).display().to_string();
        vec![
            format!("--kubernetes={source}"),
            format!("--kubernetes.kubelet-url={}", self.web.url()),
            format!("--kubernetes.api-url={}", self.web.url()),
            format!("--kubernetes.token-file={}", at("token")),
            format!("--kubernetes.ca-file={}", at("ca.crt")),
            "--node.name=node-1".to_owned(),
        ]
    }

    fn start(&self, machine: &Machine, source: &str, more: &[&str]) -> Exporter {
        let flags = self.flags(source);
        start(machine, &flags.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    }
}

#[test]
fn the_kubelet_is_asked_with_the_token_of_the_day_and_not_for_each_id() {
    let _guard = together();
    let (first, second, third) = (pod(1), pod(2), pod(3));
    let mut machine = machine(&[(&first, 1)]);
    let cluster = Cluster::default();
    cluster.put(&first);
    let site = Site::new(&machine, &cluster, "of yesterday");
    let exporter = site.start(&machine, "kubelet", &[]);
    let mut watch = Watch::new(&exporter);
    let refused = watch.until("the token is refused", |scrape| errors(scrape, "permission") > 0.0);
    assert_eq!((up(&refused), shown(&refused).len()), (Some(0.0), 0), "it is waited for");
    fs::write(site.folder.join("token"), "secret\n").unwrap();
    watch.until("the new token is taken", |scrape| is_shown(scrape, &first));
    assert_eq!(exporter.log().matches("HTTP status 401").count(), 1, "said once: {}", exporter.log());

    cluster.mood(Mood::Status(500));
    machine.add(second.load(2, 2));
    machine.advance(0.1);
    cluster.put(&second);
    watch.until("an error is counted", |scrape| errors(scrape, "io") > 0.0);
    cluster.mood(Mood::Well);
    watch.until("the second pod has its name", |scrape| is_shown(scrape, &second) && up(scrape) == Some(1.0));

    cluster.mood(Mood::Hang);
    machine.add(third.load(3, 3));
    machine.advance(0.1);
    cluster.put(&third);
    watch.during(Duration::from_secs(2));
    cluster.mood(Mood::Well);
    watch.until("the third pod has its name", |scrape| is_shown(scrape, &third));

    // Ids that nobody knows.
    for number in 100..150 {
        machine.add(Load::pod(number, number));
    }
    let before = cluster.count("/pods");
    machine.advance(0.1);
    watch.during(Duration::from_secs(5));
    let asked = cluster.count("/pods") - before;
    assert!((1..=4).contains(&asked), "asked {asked} times for 50 ids in 5 s");
}

#[test]
fn a_kubelet_that_nobody_vouches_for_is_not_told_the_token() {
    let _guard = together();
    let only = pod(1);
    let machine = machine(&[(&only, 1)]);
    let cluster = Cluster::default();
    cluster.put(&only);
    let site = Site::new(&machine, &cluster, "secret");
    let other = Authority::default().write(&site.folder, "other.crt");
    let ca = format!("--kubernetes.kubelet-ca-file={}", other.display());
    let exporter = site.start(&machine, "kubelet", &[&ca, "--kubernetes.identity-timeout=2s"]);
    let id = format!("/{}/{}", pod_uid(1), &container_id(1)[..12]);
    let mut watch = Watch::new(&exporter);
    watch.until("the container goes under its ids", |scrape| shown(scrape).contains(&id));
    assert_eq!(cluster.calls(), [], "the connection did not come about");
    assert!(exporter.log().contains("certificate"), "{}", exporter.log());
}

#[test]
fn the_api_server_is_listed_once_and_watched() {
    let _guard = together();
    let (first, second, third, fourth) = (pod(1), pod(2), pod(3), pod(4));
    let mut machine = machine(&[(&first, 1)]);
    let cluster = Cluster::default();
    cluster.put(&first);
    let site = Site::new(&machine, &cluster, "secret");
    let exporter = site.start(&machine, "api", &[]);
    let mut watch = Watch::new(&exporter);
    watch.until("the first pod has its name", |scrape| is_shown(scrape, &first));
    let mut arrive = |pod: &Pod, number: u32, after: &dyn Fn()| {
        machine.add(pod.load(number, number));
        machine.advance(0.1);
        after();
        cluster.put(&pod.clone().pending());
        cluster.put(pod);
    };
    arrive(&second, 2, &|| ());
    watch.until("the second pod has its name", |scrape| is_shown(scrape, &second));
    let lists = || cluster.count("resourceVersion=0");
    assert_eq!((lists(), cluster.count("watch=1")), (1, 1));
    assert!(cluster.calls().iter().all(|call| call.what.contains("fieldSelector=spec.nodeName%3Dnode-1")));

    // The server goes and comes back: the watch goes on from where it was.
    let address = site.web.address().to_owned();
    let Site { authority, web, folder: _ } = site;
    drop(web);
    let web = Web::start_at(&address, authority.acceptor(), &cluster);
    arrive(&third, 3, &|| ());
    watch.until("the third pod has its name", |scrape| is_shown(scrape, &third));
    assert_eq!(lists(), 1);

    // What it wants to go on from is forgotten: it lists again.
    drop(web);
    cluster.compact();
    let _web = Web::start_at(&address, authority.acceptor(), &cluster);
    arrive(&fourth, 4, &|| ());
    watch.until("the fourth pod has its name", |scrape| is_shown(scrape, &fourth));
    assert_eq!(lists(), 2);
    sparing(&cluster);
}

#[test]
fn the_first_source_that_answers_is_taken() {
    let _guard = together();
    let only = pod(1);
    let machine = machine(&[(&only, 1)]);
    let (cluster, kubelet) = (Cluster::default(), Cluster::default());
    cluster.put(&only);
    kubelet.mood(Mood::Status(403));
    let _api = PodsApi::refusing(&socket(&machine), &Cluster::default(), tonic::Code::Unimplemented);
    let site = Site::new(&machine, &cluster, "secret");
    let refusing = Web::start(site.authority.acceptor(), &kubelet);
    let url = format!("--kubernetes.kubelet-url={}", refusing.url());
    let mut flags = site.flags("auto");
    flags.retain(|flag| !flag.starts_with("--kubernetes.kubelet-url"));
    flags.push(url);
    let exporter = start(&machine, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    exporter.scrape_until("the pod has its name", |scrape| is_shown(scrape, &only));
    let log = exporter.log();
    assert!(log.contains("in none of the packages") && log.contains("HTTP status 403"), "{log}");
    assert!(log.contains("names of pods come from the API server"), "{log}");
}

#[test]
fn a_socket_on_which_nobody_answers_is_left_for_the_next_source() {
    let _guard = together();
    let only = pod(1);
    let machine = machine(&[(&only, 1)]);
    let cluster = Cluster::default();
    cluster.put(&only);
    let _mute = mute(&socket(&machine)).unwrap();
    let site = Site::new(&machine, &cluster, "secret");
    let exporter = site.start(&machine, "auto", &[]);
    let mut watch = Watch::new(&exporter);
    watch.until("the pod has its name", |scrape| is_shown(scrape, &only));
    assert_eq!((cluster.count("/pods"), cluster.count("watch=1")), (1, 0), "the kubelet told it");

    let own = |flag: &String| !flag.starts_with("--kubernetes.token-file");
    let flags = machine.flags().into_iter().filter(own).chain(site.flags("auto"));
    let output = run(&std::iter::once("doctor".to_owned()).chain(flags).collect::<Vec<_>>());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("no answer within 5s"), "{said}");
    assert!(said.contains(&format!("the kubelet at {} tells the names of 1 pods", site.web.url())), "{said}");
}

#[test]
fn where_nobody_can_tell_pods_go_under_their_ids_at_once() {
    let _guard = together();
    let only = pod(1);
    let machine = machine(&[(&only, 1)]);
    let id = format!("/{}/{}", pod_uid(1), &container_id(1)[..12]);
    for flags in [&["--kubernetes=off"][..], &[]] {
        let exporter = start(&machine, flags);
        let scrape = exporter.scrape();
        assert!(shown(&scrape).contains(&id), "{:?}", shown(&scrape));
        assert_eq!(up(&scrape), None);
    }
}

/// What a pod of the crowd does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is named while it lives.
    Named,
    /// Its container's id is told only after it has ended.
    Late,
    /// Its container's id is never told.
    Never,
}

impl Fate {
    const fn of(number: u32) -> Self {
        match number % 20 {
            7 => Self::Late,
            13 => Self::Never,
            _ => Self::Named,
        }
    }
}

const CROWD: u32 = 1000;
const WITHIN: f64 = 60.0;
const LIFE: f64 = 2.0;

/// Each works otherwise, so that no two can be mistaken for each other unseen.
fn work(number: u32) -> f64 {
    0.01 + 0.04 * f64::from(number) / f64::from(CROWD)
}

fn born(number: u32) -> f64 {
    1.0 + f64::from(number) * (WITHIN - LIFE - 1.0) / f64::from(CROWD)
}

/// Every tenth pod has a sandbox with a cgroup of its own, which no source tells of.
const fn has_sandbox(number: u32) -> bool {
    number.is_multiple_of(10)
}

const SANDBOX: f64 = 0.002;

/// They are of five namespaces.
fn of_the_crowd(number: u32) -> Pod {
    let namespace = format!("namespace-{}", number % 5);
    Pod::running(&namespace, &format!("crowd-{number}"), number, number)
}

/// Tells the cluster what happened to a pod between two instants of the machine.
fn tell(cluster: &Cluster, number: u32, from: f64, to: f64) {
    let happens = |at: f64| (from..to).contains(&(born(number) + at));
    let (pod, fate) = (of_the_crowd(number), Fate::of(number));
    if happens(0.0) {
        cluster.put(&pod.clone().pending());
    }
    if happens(0.4) && fate == Fate::Named {
        cluster.put(&pod);
    }
    if happens(LIFE + 0.4) {
        let ended = pod.clone().phase("Succeeded");
        cluster.put(&if fate == Fate::Never { ended.pending() } else { ended });
    }
    if happens(LIFE + 1.4) {
        cluster.delete(&pod.uid);
    }
}

#[test]
fn a_thousand_pods_that_come_and_go_within_a_minute() {
    let _guard = together();
    let mut machine = Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), Vec::new());
    for number in 0..CROWD {
        let load = of_the_crowd(number).load(number, number);
        machine.add(load.cpu(&[work(number)]).lives(born(number), born(number) + LIFE));
        if has_sandbox(number) {
            let load = of_the_crowd(number).load(number, CROWD + number);
            machine.add(load.cpu(&[SANDBOX]).lives(born(number), born(number) + LIFE));
        }
    }
    let cluster = Cluster::default();
    let _api = PodsApi::start(&socket(&machine), "v1alpha1", &cluster);
    let exporter = start(&machine, &["--kubernetes.identity-timeout=10s"]);
    let mut watch = Watch::new(&exporter);
    let allowed = Allowed::default();
    let begun = Instant::now();
    let mut next = Duration::ZERO;
    while machine.now() < WITHIN + 4.0 {
        let (from, to) = (machine.now(), begun.elapsed().as_secs_f64());
        machine.advance_to(to);
        (0..CROWD).for_each(|number| tell(&cluster, number, from, to));
        if begun.elapsed() >= next {
            allowed.judge(&watch.scrape());
            next = begun.elapsed() + Duration::from_secs(1);
        }
        sleep(Duration::from_millis(50));
    }
    let last = watch.until("every pod has its name, or its ids", |scrape| {
        allowed.judge(scrape);
        shown(scrape).len() == CROWD as usize && crate::watch::settled(scrape)
    });
    assert_eq!(cluster.count("ListPods"), 1, "one list");
    assert_eq!(cluster.count("WatchPods"), 1, "and one watch");
    judge_work(&last, &machine);
}

/// The only names under which anything may ever be shown.
#[derive(Debug)]
struct Allowed(BTreeSet<String>);

impl Default for Allowed {
    fn default() -> Self {
        Self((0..CROWD).map(expected).collect())
    }
}

/// Under which name a pod's container is to be found in the end.
fn expected(number: u32) -> String {
    let pod = of_the_crowd(number);
    match Fate::of(number) {
        Fate::Never => format!("/{}/{}", pod_uid(number), &container_id(number)[..12]),
        _ => format!("{}/{}/app", pod.namespace, pod.name),
    }
}

impl Allowed {
    fn judge(&self, scrape: &Scrape) {
        for name in shown(scrape) {
            assert!(self.0.contains(&name), "{name} is a wrong name, or half of one");
        }
    }
}

/// The CPU time of each is its own, and the energy of all is theirs.
fn judge_work(scrape: &Scrape, machine: &Machine) {
    let value = |name: &str, number: u32| {
        let name_of = expected(number);
        let [namespace, pod, container]: [&str; 3] =
            name_of.split('/').collect::<Vec<_>>().try_into().expect("three labels");
        let labels = [("namespace", namespace), ("pod", pod), ("container", container)];
        let samples = scrape.samples(name).filter(|one| labels.iter().all(|(l, v)| one.label(l) == *v));
        samples.map(noether_tests::scrape::Sample::value).sum::<f64>()
    };
    let sandboxes: f64 = scrape
        .samples("noether_container_cpu_seconds_total")
        .filter(|sample| sample.label("container") == "POD")
        .map(noether_tests::scrape::Sample::value)
        .sum();
    let truth = f64::from(CROWD / 10) * SANDBOX * LIFE;
    assert!((sandboxes / truth - 1.0).abs() < 0.05, "the sandboxes have {sandboxes} s of {truth}");
    let mut right = 0;
    for number in 0..CROWD {
        let (found, truth) = (value("noether_container_cpu_seconds_total", number), work(number) * LIFE);
        assert!(found <= truth * 1.02 + 1e-3, "pod {number} has {found} s of CPU time, and used {truth}");
        right += u32::from(found >= truth * 0.98);
    }
    // A last look at a cgroup that is being removed may come too late; what it used then is shared by the last rates.
    assert!(right >= CROWD * 98 / 100, "only {right} of {CROWD} pods have all their CPU time");
    let energy: f64 = (0..CROWD).map(|number| value("noether_container_energy_joules_total", number)).sum();
    let truth: f64 = machine.truth().owners.values().map(|joules| joules[0]).sum();
    assert!((energy / truth - 1.0).abs() < 0.05, "the pods have {energy} J, in truth {truth} J");
}
