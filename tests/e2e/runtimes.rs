//! Real runtimes of this machine: containers of Podman, jobs of Slurm, measured by the model.

use std::fs;
use std::process;
use std::thread::sleep;
use std::time::Duration;

use noether_tests::exporter::Exporter;
use noether_tests::kernel::used;
use noether_tests::outcome::{alone, cannot_run, until, within};
use noether_tests::podman::{Container, Podman};
use noether_tests::scrape::Scrape;
use noether_tests::slurm::Slurm;

use crate::watch::Watch;

const BUSY: &str = "while :; do :; done";

fn exporter(interval: &str) -> Exporter {
    exporter_with(interval, "--slurm.jobs-folder=/nonexistent")
}

fn exporter_with(interval: &str, flag: &str) -> Exporter {
    let flags = ["--meter.rapl=off", "--meter.rapl_mmio=off", "--meter.model=on", flag].map(str::to_owned);
    Exporter::start(&[flags.as_slice(), &[format!("--sample.interval={interval}")]].concat())
}

fn podman(test: &str) -> Option<Podman> {
    Podman::start().map_err(|why| cannot_run(test, &why)).ok()
}

/// The first twelve digits of its id.
fn short<'c>(container: &'c Container<'_>) -> &'c str {
    &container.id()[..12]
}

fn container_seconds(scrape: &Scrape, container: &str) -> f64 {
    scrape.value("noether_container_cpu_seconds_total", &[("container", container)]).unwrap_or(0.0)
}

fn job_seconds(scrape: &Scrape, job: &str) -> f64 {
    scrape.value("noether_job_cpu_seconds_total", &[("job_id", job)]).unwrap_or(0.0)
}

/// What the containers below `parent` and their monitors have used.
fn both(parent: &str) -> [f64; 2] {
    let monitor = used(&format!("{parent}/conmon")).unwrap_or(0.0);
    [used(parent).unwrap_or(0.0) - monitor, monitor]
}

#[test]
fn a_podman_container_pays_from_its_first_moment_to_its_last() {
    let _guard = alone();
    let Some(podman) = podman("a_podman_container_pays_from_its_first_moment_to_its_last") else { return };
    let exporter = exporter("1s");
    let mut watch = Watch::new(&exporter);
    watch.settled();
    let parent = podman.parent();
    let nothing = both(parent);
    let container = podman.run(parent, BUSY);
    let (name, owner) = (short(&container).to_owned(), format!("container///{}", short(&container)));
    watch.until("it costs something", |scrape| scrape.joules(&owner, "cpu") > 0.0);

    let (before, from) = (watch.ticked(), container.used());
    watch.during(Duration::from_secs(5));
    let (after, to) = (watch.ticked(), container.used());
    let shown = container_seconds(&after, &name) - container_seconds(&before, &name);
    within(0.03, shown, to - from, "CPU seconds while it runs");
    assert!(after.joules(&owner, "cpu") > before.joules(&owner, "cpu"), "{}", after.text);
    let labels = [("container_id", container.id()), ("runtime", "podman"), ("container", &name)];
    assert_eq!(after.value("noether_container_info", &labels), Some(1.0), "{}", after.text);
    let owners = after.account("cpu").expect("an account").owners;
    assert!(owners.contains_key(&owner), "{owners:?}");
    assert!(!owners.keys().any(|owner| owner.contains("conmon")), "its monitor is no container: {owners:?}");

    // In the middle of an interval, so that much would be lost with the last moments.
    let dying = watch.ticked();
    sleep(Duration::from_millis(400));
    container.remove();
    watch.ticked();
    let last = watch.ticked();
    let [own, monitor] = [0, 1].map(|i| both(parent)[i] - nothing[i]);
    let shown = container_seconds(&last, &name);
    // What its monitor did in the moment of its end cannot be told from what it did itself.
    let fair = own * 0.99..=own * 1.01 + monitor;
    assert!(fair.contains(&shown), "CPU seconds of its whole life: found {shown}, expected {fair:?}");
    assert!(last.joules(&owner, "cpu") > dying.joules(&owner, "cpu"), "its last moments cost something too");
    watch.during(Duration::from_secs(2));
    let later = watch.ticked();
    assert_eq!(container_seconds(&later, &name), shown, "it stays with its final value");
    assert_eq!(later.joules(&owner, "cpu"), last.joules(&owner, "cpu"));
}

#[test]
fn a_podman_container_in_a_pods_cgroup_is_the_pods() {
    let _guard = alone();
    let Some(podman) = podman("a_podman_container_in_a_pods_cgroup_is_the_pods") else { return };
    let exporter = exporter("200ms");
    let mut watch = Watch::new(&exporter);
    watch.settled();
    let uid = format!("00000000-0000-4000-8000-{:012x}", process::id());
    let parent = format!("kubepods/burstable/pod{uid}");
    let container = podman.run(&parent, BUSY);
    let owner = format!("container//{uid}/{}", short(&container));
    watch.until("it costs something", |scrape| scrape.joules(&owner, "cpu") > 0.0);
    watch.during(Duration::from_secs(3));
    let (shown, own, pod) = (watch.ticked(), container.used(), used(&parent).expect("the pod's cgroup"));
    let labels = [("container_id", container.id()), ("runtime", "podman"), ("pod_uid", &uid)];
    assert_eq!(shown.value("noether_container_info", &labels), Some(1.0), "{}", shown.text);
    let seconds = |name: &str| {
        let labels = [("namespace", ""), ("pod", uid.as_str()), ("container", name)];
        shown.value("noether_container_cpu_seconds_total", &labels).unwrap_or(0.0)
    };
    within(0.03, seconds(short(&container)), own, "the container's CPU seconds");
    within(0.03, seconds(short(&container)) + seconds("POD"), pod, "the pod's CPU seconds, with its monitor");
}

/// A part of a processor's time, in short bursts.
const WORK: &str =
    "work() { while :; do n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; sleep 0.02; done; }; ";

/// A label of the one info series of a job.
fn info_of(scrape: &Scrape, job: &str, label: &str) -> Option<String> {
    let mut series = scrape.samples("noether_job_info").filter(|sample| sample.label("job_id") == job);
    let (one, other) = (series.next()?, series.next());
    assert!(other.is_none(), "two series of job {job}: {}", scrape.text);
    Some(one.label(label).to_owned()).filter(|value| !value.is_empty())
}

/// Checks that a job of root's has these names.
fn named(scrape: &Scrape, job: &str, names: &[(&str, &str)]) {
    for (label, value) in [("scheduler", "slurm"), ("user_id", "0")].iter().chain(names) {
        assert_eq!(info_of(scrape, job, label).as_deref(), Some(*value), "{label}: {}", scrape.text);
    }
}

#[test]
fn slurm_jobs_pay_by_their_cpu_time() {
    let _guard = alone();
    let mut slurm = match Slurm::start() {
        Ok(slurm) => slurm,
        Err(why) => return cannot_run("slurm_jobs_pay_by_their_cpu_time", &why),
    };
    let exporter = exporter_with("200ms", &format!("--slurm.jobs-folder={}", slurm.jobs_folder()));
    let mut watch = Watch::new(&exporter);
    watch.settled();
    let options = ["--job-name=fit a\"curve", "--account=physics"];
    // Its processes say that they are others'; the prolog does not.
    let forged = format!("exec env SLURM_JOB_USER=eve SLURM_JOB_PARTITION=others sh -c '{WORK} work'");
    // It wants so little that it gets that on a busy machine too, where the kernel gives each session the same.
    let forged = forged.replace("20000", "2500");
    let jobs = [slurm.batch(&options, &format!("{WORK} work & work & wait")), slurm.interactive(&forged)];
    let joules = |scrape: &Scrape| [0, 1].map(|i| scrape.joules(&format!("job/slurm/{}", jobs[i]), "cpu"));
    let seconds = |scrape: &Scrape| [0, 1].map(|i| job_seconds(scrape, &jobs[i]));
    let truth = || [0, 1].map(|i| used(&slurm.cgroup_of(&jobs[i])).expect("the job's cgroup"));
    watch.until("both cost something", |scrape| joules(scrape).iter().all(|joules| *joules > 0.0));

    let (before, from) = (watch.ticked(), truth());
    watch.during(Duration::from_secs(8));
    let (after, to) = (watch.ticked(), truth());
    let spent = [0, 1].map(|i| to[i] - from[i]);
    let charged = [0, 1].map(|i| joules(&after)[i] - joules(&before)[i]);
    for (job, name) in jobs.iter().zip(["fit a\"curve", "step0"]) {
        let labels = [("user", "root"), ("partition", "main"), ("job_name", name)];
        named(&after, job, &labels);
    }
    // Without the prolog's files, all is from the environment.
    let other = self::exporter("200ms");
    let info =
        [("user", "root"), ("account", "physics"), ("partition", "main"), ("job_name", "fit a\"curve")];
    let shown = other.scrape_until("the job is named", |scrape| info_of(scrape, &jobs[0], "user").is_some());
    named(&shown, &jobs[0], &info);
    drop(other);
    for (i, spent) in spent.iter().enumerate() {
        within(0.03, seconds(&after)[i] - seconds(&before)[i], *spent, "CPU seconds of a job");
    }
    assert!(spent[0] > 1.3 * spent[1], "two loops do far more than a lazy one: {spent:?}");
    within(0.03, charged[0] / charged[1], spent[0] / spent[1], "energy of one by the other's");

    for job in &jobs {
        slurm.cancel(job);
    }
    until("both are gone", || jobs.iter().all(|job| used(&slurm.cgroup_of(job)).is_none()).then_some(()));
    watch.ticked();
    let last = watch.ticked();
    let whole = used(&slurm.cgroup()).expect("the cgroup of all jobs");
    within(0.02, seconds(&last).iter().sum(), whole, "CPU seconds of both, to the last");
    watch.during(Duration::from_secs(1));
    let later = watch.ticked();
    assert_eq!((seconds(&later), joules(&later)), (seconds(&last), joules(&last)), "they stay as they ended");
    named(&later, &jobs[0], &info);
    let left = || fs::read_dir(slurm.jobs_folder()).expect("the folder").count();
    until("the epilog has cleaned up", || (left() == 0).then_some(()));
}
