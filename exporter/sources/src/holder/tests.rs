//! Who holds what, tick by tick.

use std::fs;

use noether_core::gpu::{Clock, Device, Gauges, Instance};
use noether_core::reading::{Component, Domain, Place, Quality, Role};
use noether_core::sample::{Reserved, Sockets};
use noether_core::workload::JobId;

use super::*;

const UUID: &str = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";

fn cgroup(workload: Workload) -> Cgroup {
    Cgroup {
        present: true,
        parent: None,
        top_level: false,
        workload: Some(Arc::new(workload)),
        cpu: None,
        memory: None,
        sockets: Sockets::ALL,
        reserved: Reserved::default(),
        overlap: None,
        birth: Birth::Now,
        gone: false,
    }
}

fn job() -> Workload {
    Workload::Job { scheduler: "slurm", id: JobId::Number("7".into()), user: None }
}

fn container(id: &str) -> Workload {
    Workload::Container { id: id.into(), runtime: "containerd", pod: Some("uid".into()) }
}

fn pod() -> Workload {
    Workload::Pod { uid: "uid".into(), qos: "Burstable" }
}

/// The labels of a container that keeps a device for others.
fn reserving() -> Key {
    Key::container("kai-resource-reservation", "gpu-reservation-1", "resource-reservation")
}

/// Names of containers by their ids: all are the container `app` of the pod `train`, but those whose name is not known.
#[derive(Debug)]
struct Known;

impl Names for Known {
    fn identify(&self, workload: &Workload) -> Identity {
        match workload {
            Workload::Container { id, .. } if &**id == "unknown" => Identity::NotYet,
            Workload::Container { id, .. } if &**id == "reserving" => Identity::Known(reserving(), vec![]),
            Workload::Container { .. } => Identity::Known(Key::container("ml", "train", "app"), vec![]),
            Workload::Pod { .. } => Identity::Known(Key::container("ml", "train", "POD"), vec![]),
            _ => Identity::Never,
        }
    }
}

/// A machine, tick by tick.
struct Watch {
    root: tempfile::TempDir,
    holders: Holders,
    cgroups: Vec<Cgroup>,
    grants: Arc<Grants>,
    assignments: Arc<Assignments>,
    now: Moment,
}

impl Watch {
    fn new(workloads: Vec<Workload>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (procfs, devices) = (root.path().join("proc"), root.path().join("devices"));
        let holders = Holders {
            records: Records { procfs, devices },
            clerk: None,
            cases: BTreeMap::new(),
            met: 0,
            grants: Arc::default(),
            assignments: Arc::default(),
            holdings: vec![],
            devices: vec![],
            seen: false,
            news: false,
            changed: false,
            generation: 0,
            complaints: vec![],
            complained: BTreeSet::new(),
        };
        let cgroups = workloads.into_iter().map(cgroup).collect();
        let now = Moment::from_boot(Duration::from_secs(1000));
        Self { root, holders, cgroups, grants: Arc::default(), assignments: Arc::default(), now }
    }

    fn environment(&self, content: &str) {
        let folder = self.root.path().join("proc/8");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environ"), content).unwrap();
    }

    fn grant(&mut self, container: &str, devices: &[Name]) {
        let key = Key::container("ml", "train", container);
        self.grants = Arc::new([(key, devices.to_vec())].into_iter().collect());
    }

    /// A tick a second after the one before, and the answers to what is asked in it: who holds what.
    fn tick(&mut self) -> Vec<(Name, Workload, Authority)> {
        self.now = self.now.after(Duration::from_secs(1));
        self.holders.meet(&self.cgroups);
        for cgroup in &mut self.cgroups {
            cgroup.birth = Birth::Earlier;
            cgroup.present &= !cgroup.gone;
            cgroup.gone = false;
        }
        self.holders.join(&self.grants, &self.assignments, &Known, self.now);
        self.holders.ask(true, self.now, |_| vec![8], |id| format!("path-{id}").into());
        while self.holders.cases.values().any(|case| case.open) {
            let answer = self.holders.clerk.as_ref().unwrap().answer();
            answer.into_iter().for_each(|answer| self.holders.hear(answer));
        }
        let told = self.holders.holdings().iter();
        told.map(|one| (one.device.clone(), (*one.holder).clone(), one.by)).collect()
    }

    fn end(&mut self, place: usize) {
        self.cgroups[place].gone = true;
    }
}

#[test]
fn a_holder_is_known_once_it_tells_and_forgotten_when_it_is_gone() {
    let mut watch = Watch::new(vec![job()]);
    assert_eq!(watch.tick(), []);
    watch.environment("SLURM_JOB_GPUS=3\0");
    let expected = [(Name::File(3), job(), Authority::Slurm)];
    assert_eq!(watch.tick(), expected);
    watch.environment("SLURM_JOB_GPUS=4\0");
    assert_eq!((0..9).map(|_| watch.tick()).next_back().unwrap(), expected, "it is not asked again");
    watch.end(0);
    assert_eq!(watch.tick(), []);
}

#[test]
fn what_never_tells_is_asked_ever_more_seldom() {
    let mut watch = Watch::new(vec![job()]);
    let asked = |watch: &Watch| watch.holders.cases[&0].looking.questions;
    (0..8).for_each(|_| _ = watch.tick());
    assert_eq!(asked(&watch), 5);
    (0..1000).for_each(|_| _ = watch.tick());
    assert_eq!(asked(&watch), QUESTIONS);
}

#[test]
fn nobody_is_asked_before_there_is_a_device() {
    let mut watch = Watch::new(vec![job()]);
    watch.holders.meet(&watch.cgroups);
    watch.holders.ask(false, watch.now, |_| panic!("asked"), |_| PathBuf::new());
    assert!(watch.holders.clerk.is_none());
}

#[test]
fn the_kubelets_word_is_joined_by_labels() {
    let mut watch = Watch::new(vec![pod(), container("aa")]);
    watch.environment("NVIDIA_VISIBLE_DEVICES=5\0");
    assert_eq!(watch.tick(), [(Name::Index(5), container("aa"), Authority::Environment)]);
    assert!(watch.holders.news() && !watch.holders.news());
    let shares = [Name::Uuid(UUID.into()), Name::Uuid(UUID.into())];
    watch.grant("app", &shares);
    let expected = shares.map(|name| (name, container("aa"), Authority::Kubelet));
    assert_eq!(watch.tick(), expected, "and the environment says nothing more");
    // It starts anew: what is between is its pod's, and the new one takes over.
    watch.end(1);
    assert_eq!(watch.tick()[0].1, pod());
    watch.cgroups[1] = cgroup(container("bb"));
    assert_eq!(watch.tick()[0].1, container("bb"));
    // The next one is there before the last one has gone.
    watch.cgroups.push(cgroup(container("cc")));
    let told = watch.tick();
    assert_eq!((told.len(), told[0].1.clone()), (2, container("cc")));
    // The pod has ended, and the kubelet has not noticed yet.
    (0..3).for_each(|place| watch.end(place));
    assert_eq!(watch.tick(), []);
}

#[test]
fn a_container_without_a_name_leaves_its_device_to_its_pod() {
    let mut watch = Watch::new(vec![pod(), container("unknown")]);
    watch.grant("app", &[Name::Minor(0)]);
    assert_eq!(watch.tick(), [(Name::Minor(0), pod(), Authority::Kubelet)]);
    let mut watch = Watch::new(vec![container("unknown")]);
    watch.grant("app", &[Name::Minor(0)]);
    assert_eq!(watch.tick(), []);
}

/// A whole device of this number with this id.
fn look(number: u32, uuid: &str) -> Arc<Look> {
    let domain = Domain {
        meter: "nvml",
        name: format!("gpu-{number}").into(),
        component: Component::Gpu,
        role: Role::Part,
        quality: Quality::Measured,
        place: Place { socket: None, die: None, device: None },
        max_power: None,
        generation: 0,
        may_mirror: false,
    };
    let device = Device {
        domain: Arc::new(domain),
        gpu: number.to_string().into(),
        index: number,
        uuid: uuid.into(),
        model: "".into(),
        driver: "".into(),
        pci: "".into(),
        minor: Some(number),
    };
    Arc::new(Look {
        device: Arc::new(device),
        at: Moment::from_boot(Duration::ZERO),
        time: Duration::from_secs(1),
        gauges: Gauges::default(),
        slices: 0,
        instances: vec![Instance::default()],
        clock: Clock::Sm,
    })
}

const OTHER: &str = "GPU-bc94e532-1820-8ee8-ceaa-704166369c7c";

/// The kubelet took a replica of one device; the scheduler had chosen the other.
#[test]
fn where_a_scheduler_shares_devices_its_own_word_counts() {
    let uuid = |id: &str| Name::Uuid(id.into());
    let key = Key::container("ml", "train", "app");
    let give = |watch: &mut Watch, id: &str| {
        watch.grants = Arc::new(Grants::of_ids("ml", "train", "app", &[id]));
    };
    let held =
        |told: Vec<(Name, Workload, Authority)>| told.into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
    let mut watch = Watch::new(vec![pod(), container("aa")]);
    watch.holders.see(&[look(0, UUID), look(1, OTHER)]);
    give(&mut watch, &format!("{UUID}-3"));
    assert_eq!(held(watch.tick()), [uuid(UUID)], "nobody else says anything");
    watch.environment(&format!("NVIDIA_VISIBLE_DEVICES={OTHER}\0"));
    (0..3).for_each(|_| _ = watch.tick());
    assert_eq!(watch.tick(), [(uuid(OTHER), container("aa"), Authority::Environment)]);
    watch.assignments = Arc::new([(key.clone(), vec![uuid(UUID)])].into_iter().collect());
    assert_eq!(
        watch.tick(),
        [(uuid(UUID), container("aa"), Authority::Kubelet)],
        "the annotation is the scheduler's"
    );

    // A whole device, as the kubelet's own: only where both others agree.
    give(&mut watch, UUID);
    assert_eq!(held(watch.tick()), [uuid(UUID)]);
    watch.assignments = Arc::default();
    assert_eq!(held(watch.tick()), [uuid(UUID)], "an environment alone may be the image's");
    watch.assignments = Arc::new([(key, vec![uuid(OTHER)])].into_iter().collect());
    assert_eq!(held(watch.tick()), [uuid(OTHER)]);

    // The kubelet's device is none of this machine's.
    watch.assignments = Arc::default();
    give(&mut watch, "GPU-00000000-0000-0000-0000-000000000000");
    assert_eq!(held(watch.tick()), [uuid(OTHER)]);
}

#[test]
fn a_pod_that_keeps_a_device_for_others_holds_it_last() {
    let mut watch = Watch::new(vec![container("reserving")]);
    watch.grants = Arc::new([(reserving(), vec![Name::Uuid(UUID.into())])].into_iter().collect());
    assert_eq!(watch.tick()[0].2, Authority::Reservation);
}

#[test]
fn no_environment_fills_the_memory_and_it_is_said_once() {
    let mut watch = Watch::new(vec![job(), container("aa")]);
    watch.holders.see(&[look(0, UUID), look(1, OTHER)]);
    let list = format!("1,{}", "0-99999999,".repeat(11_800));
    watch.environment(&format!("SLURM_JOB_GPUS={list}\0NVIDIA_VISIBLE_DEVICES=1,{list}\0"));
    let expected = [Name::File(0), Name::File(1)].map(|name| (name, job(), Authority::Slurm));
    assert_eq!(watch.tick()[..2], expected, "what is there is held");
    assert!(watch.tick().len() <= 3);
    let complaints = watch.holders.complaints().join("\n");
    assert!(complaints.contains("SLURM_JOB_GPUS in the environment of slurm/7"), "{complaints}");
    assert!(complaints.contains("NVIDIA_VISIBLE_DEVICES in the environment of /uid/aa"), "{complaints}");
    (0..9).for_each(|_| _ = watch.tick());
    assert!(watch.holders.complaints().is_empty());
}
