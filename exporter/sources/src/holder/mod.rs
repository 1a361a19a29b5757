//! Who was given which GPU: as the kubelet tells it, else Slurm, else the kernel's device cgroup, else the environment of a
//! container's processes.
//!
//! Where a scheduler shares GPUs by itself (HAMi, Volcano, gpushare), the kubelet knows that a container was given one, but not
//! which: that is in the pod's annotation, else in the environment that the plugin gave to the container. A pod that only
//! keeps a GPU for others (KAI, Run:ai) holds it where nobody else does.
//!
//! What the kubelet tells is fetched by [`crate::kubernetes::pod_resources`], and joined here with the containers that live,
//! by the labels that they go under. The rest is looked up by a thread of its own.

mod clerk;
pub(crate) mod device_list;
mod device_names;
pub(crate) mod environment;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu::{Authority, Holding, Look, Name};
use noether_core::reading::Moment;
use noether_core::roster::Names;
use noether_core::sample::{Birth, Cgroup, CgroupId};
use noether_core::workload::{Identity, Key, Workload};

use crate::Machine;
use crate::kubernetes::Assignments;
use crate::kubernetes::pod_resources::Grants;
use clerk::{Answer, Clerk, Question, Records};

/// How often a workload is asked about, and the pause after the first time. Each pause is twice the one before: a runtime's
/// own first process has another environment, and a name may come late.
const QUESTIONS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// So many workloads are asked about in a tick.
const AT_ONCE: usize = 16;

/// So many holdings are kept, those of the nearest authorities: 5000 containers may each name every device of the machine.
const MOST_HOLDINGS: usize = 16_384;

/// The namespaces of pods that keep a GPU for those that share it.
/// <https://github.com/kai-scheduler/KAI-Scheduler/tree/main/docs/gpu-sharing>
const RESERVING: [&str; 2] = ["kai-resource-reservation", "runai-reservation"];

/// What is held by whom.
#[derive(Debug)]
pub struct Holders {
    records: Records,
    /// There is none before there is a device.
    clerk: Option<Clerk>,
    /// The living cgroups of those who may hold something.
    cases: BTreeMap<CgroupId, Case>,
    /// How many there ever were.
    met: u64,
    grants: Arc<Grants>,
    assignments: Arc<Assignments>,
    holdings: Vec<Holding>,
    /// The newest look at each device.
    devices: Vec<Arc<Look>>,
    /// Whether any device was seen yet.
    seen: bool,
    /// Whether a pod or a container has come of which the kubelet may know more.
    news: bool,
    changed: bool,
    /// The generation of the names by which cases were joined.
    generation: u64,
    /// What was left out of lists that were too long, each said once.
    complaints: Vec<String>,
    complained: BTreeSet<&'static str>,
}

/// Somebody who may hold something.
#[derive(Debug)]
struct Case {
    workload: Arc<Workload>,
    /// Which one of all it is, in the order of their coming.
    number: u64,
    /// The labels that it goes under, once they are known.
    key: Option<Key>,
    naming: Schedule,
    looking: Schedule,
    /// Asked, but not answered yet.
    open: bool,
    told: Vec<(Name, Authority)>,
}

/// When something is asked next.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    due: Moment,
    questions: u32,
}

impl Holders {
    /// Nobody known yet.
    pub fn new(machine: &Machine) -> Self {
        Self {
            records: Records::new(machine),
            clerk: None,
            cases: BTreeMap::new(),
            met: 0,
            grants: Arc::default(),
            assignments: Arc::default(),
            holdings: Vec::new(),
            devices: Vec::new(),
            seen: false,
            news: false,
            changed: false,
            generation: 0,
            complaints: Vec::new(),
            complained: BTreeSet::new(),
        }
    }

    /// Takes note of what was found, and of the jobs, pods and containers that are new or gone among the cgroups of a tick.
    pub fn meet(&mut self, cgroups: &[Cgroup]) {
        while let Some(answer) = self.clerk.as_ref().and_then(Clerk::answer) {
            self.hear(answer);
        }
        for (id, cgroup) in (0..).zip(cgroups) {
            if cgroup.birth == Birth::Earlier && !cgroup.gone {
                continue;
            }
            self.changed |= self.cases.remove(&id).is_some_and(|case| case.holds(&self.grants));
            let workload = cgroup.workload.as_ref().filter(|_| cgroup.present && !cgroup.gone);
            if let Some(workload) = workload.filter(|workload| may_hold(workload)) {
                self.met += 1;
                self.news |= !matches!(**workload, Workload::Job { .. });
                self.cases.insert(id, Case::new(workload, self.met));
            }
        }
    }

    /// Whether pods or containers have come since the last time that this was asked.
    pub fn news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Takes note of the devices that there are: a name that is none of theirs gives nothing to anybody.
    pub fn see(&mut self, looks: &[Arc<Look>]) {
        for look in looks {
            match self.devices.iter_mut().find(|known| known.device.domain == look.device.domain) {
                Some(known) => {
                    self.changed |= !known.is_cut_as(look);
                    *known = Arc::clone(look);
                }
                None => {
                    self.devices.push(Arc::clone(look));
                    self.changed = true;
                }
            }
        }
    }

    /// Joins what the kubelet tells with who lives, by the labels that `names` tells, and what `assignments` say of those of
    /// whom the kubelet does not know which device they have.
    pub fn join(
        &mut self,
        grants: &Arc<Grants>,
        assignments: &Arc<Assignments>,
        names: &dyn Names,
        now: Moment,
    ) {
        if !Arc::ptr_eq(&self.grants, grants) {
            self.grants = Arc::clone(grants);
            self.changed = true;
            if grants.is_cut() {
                let more = "the kubelet gives away more devices than any machine has: the rest is ignored";
                self.complain("PodResources", || more.into());
            }
        }
        if !Arc::ptr_eq(&self.assignments, assignments) {
            self.changed |= self.assignments != *assignments;
            self.assignments = Arc::clone(assignments);
        }
        if self.grants.is_empty() {
            return;
        }
        // Names may come at any time, and what went under one name may turn out to be something else.
        let anew = std::mem::replace(&mut self.generation, names.generation()) != names.generation();
        for case in self.cases.values_mut().filter(|case| case.is_of_kubernetes()) {
            if !(anew || case.key.is_none() && case.naming.is_due(now)) {
                continue;
            }
            case.naming.asked(now);
            if let Identity::Known(key, _) = names.identify(&case.workload)
                && case.key.as_ref() != Some(&key)
            {
                case.key = Some(key);
                self.changed = true;
            }
        }
    }

    /// What was left out of lists that were too long, since the last time that this was asked.
    pub fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    /// Has those looked up that are due, on another thread, once any device was seen; `pids` tells the processes of a cgroup,
    /// `path` where it is below the root of its hierarchy.
    pub fn ask(
        &mut self,
        seen: bool,
        now: Moment,
        pids: impl Fn(CgroupId) -> Vec<u32>,
        path: impl Fn(CgroupId) -> PathBuf,
    ) {
        self.seen |= seen;
        if !self.seen {
            return;
        }
        let due = |case: &Case| !case.open && !case.is_pod() && case.looking.is_due(now);
        let cases = self.cases.iter_mut().map(|(id, case)| (*id, case));
        for (id, case) in cases.filter(|(_, case)| due(case)).take(AT_ONCE) {
            if self.clerk.is_none() {
                self.clerk = clerk::start(self.records.clone(), AT_ONCE).ok();
            }
            let question =
                Question { id, path: path(id), workload: Arc::clone(&case.workload), pids: pids(id) };
            if !self.clerk.as_ref().is_some_and(|clerk| clerk.ask(question)) {
                // It has enough to do: the rest is asked at a later tick.
                return;
            }
            case.looking.asked(now);
            case.open = true;
        }
    }

    /// What is held by whom, as far as it is known.
    pub fn holdings(&mut self) -> &[Holding] {
        if std::mem::take(&mut self.changed) {
            self.gather();
        }
        &self.holdings
    }

    fn hear(&mut self, answer: Answer) {
        let Answer { id, workload, found } = answer;
        if let Some(variable) = found.too_long {
            self.complain(variable, || {
                format!("{} (said once, whoever else does so)", too_long(variable, &workload))
            });
        }
        let case = self.cases.get_mut(&id).filter(|case| Arc::ptr_eq(&case.workload, &workload));
        if let Some(case) = case {
            case.open = false;
            case.looking.questions = if found.complete { QUESTIONS } else { case.looking.questions };
            self.changed |= case.told != found.devices;
            case.told = found.devices;
        }
    }

    fn complain(&mut self, cause: &'static str, complaint: impl FnOnce() -> String) {
        if self.complained.insert(cause) {
            self.complaints.push(complaint());
        }
    }

    fn gather(&mut self) {
        let mut holdings = Vec::new();
        let named = self.named();
        for (key, devices) in self.grants.iter() {
            // A container that is not there, because it starts anew or its name is not known yet, is its pod's.
            let container = named.get(key).copied();
            if let Some(case) = container.or_else(|| named.get(&of_pod(key)?).copied()) {
                let given = self.given(key, devices, container);
                holdings.extend(given.into_iter().map(|given| case.holding(given)));
            }
        }
        for case in self.cases.values().filter(|case| !case.is_granted(&self.grants)) {
            holdings.extend(case.told.iter().map(|told| case.holding(told.clone())));
        }
        holdings.retain(|holding| self.is_there(&holding.device));
        if holdings.len() > MOST_HOLDINGS {
            holdings.sort_by_key(|holding| holding.by);
            holdings.truncate(MOST_HOLDINGS);
            let more = format!("more than {MOST_HOLDINGS} times a GPU is held: the rest is ignored");
            self.complain("holdings", || more);
        }
        self.holdings = holdings;
    }

    /// What a container was really given, of which the kubelet has `devices`. It knows which, unless a scheduler shares GPUs
    /// by itself: then the pod's annotation counts, else the environment that the scheduler's plugin gave to the container.
    /// Where the kubelet's device is a whole one that is there, the two have to agree against it: a pod's author may write
    /// either.
    fn given(&self, key: &Key, devices: &[Name], container: Option<&Case>) -> Vec<(Name, Authority)> {
        let by = |authority| move |device: &Name| (device.clone(), authority);
        let of_kubelet = if is_reserving(key) { Authority::Reservation } else { Authority::Kubelet };
        let there =
            |devices: &[Name]| !devices.is_empty() && devices.iter().any(|device| self.is_there(device));
        let told: Vec<&Name> =
            container.into_iter().flat_map(|case| &case.told).map(|(device, _)| device).collect();
        let assigned = self.assignments.of(key).filter(|assigned| there(assigned));
        let unknown = self.grants.stand_in(key) || !there(devices);
        match assigned {
            Some(assigned) if unknown || told.iter().eq(&assigned.iter().collect::<BTreeSet<_>>()) => {
                assigned.iter().map(by(of_kubelet)).collect()
            }
            _ if unknown && told.iter().any(|device| self.is_there(device)) => {
                container.map(|case| case.told.clone()).unwrap_or_default()
            }
            _ => devices.iter().map(by(of_kubelet)).collect(),
        }
    }

    /// Whether there is such a device. While none was seen, all may be there.
    fn is_there(&self, device: &Name) -> bool {
        self.devices.is_empty() || self.devices.iter().any(|look| look.is_named(device))
    }

    /// Who goes under which labels. Of two, the one that came last: the other is what is left of its predecessor.
    fn named(&self) -> BTreeMap<&Key, &Case> {
        let mut named: BTreeMap<&Key, &Case> = BTreeMap::new();
        for case in self.cases.values() {
            if let Some(key) = &case.key
                && named.get(key).is_none_or(|other| other.number < case.number)
            {
                named.insert(key, case);
            }
        }
        named
    }
}

impl Case {
    fn new(workload: &Arc<Workload>, number: u64) -> Self {
        let schedule = Schedule { due: Moment::from_boot(Duration::ZERO), questions: 0 };
        Self {
            workload: Arc::clone(workload),
            number,
            key: None,
            naming: schedule,
            looking: schedule,
            open: false,
            told: Vec::new(),
        }
    }

    fn is_pod(&self) -> bool {
        matches!(*self.workload, Workload::Pod { .. })
    }

    fn is_of_kubernetes(&self) -> bool {
        matches!(*self.workload, Workload::Pod { .. } | Workload::Container { .. })
    }

    /// Whether the kubelet says what it was given.
    fn is_granted(&self, grants: &Grants) -> bool {
        self.key.as_ref().is_some_and(|key| grants.of(key).is_some())
    }

    /// Whether anything may change when it goes.
    fn holds(&self, grants: &Grants) -> bool {
        !self.told.is_empty() || (self.key.is_some() && !grants.is_empty())
    }

    fn holding(&self, (device, by): (Name, Authority)) -> Holding {
        Holding { device, holder: Arc::clone(&self.workload), by }
    }
}

impl Schedule {
    fn is_due(&self, now: Moment) -> bool {
        self.questions < QUESTIONS && self.due <= now
    }

    fn asked(&mut self, now: Moment) {
        self.due = now.after(FIRST_PAUSE * (1 << self.questions.min(QUESTIONS)));
        self.questions += 1;
    }
}

fn may_hold(workload: &Workload) -> bool {
    !matches!(workload, Workload::Unit { .. } | Workload::Vm { .. })
}

fn too_long(variable: &str, workload: &Workload) -> String {
    let who = workload.key_by_id().values.join("/");
    format!(
        "{variable} in the environment of {who} lists more devices than a machine can have: the rest is ignored"
    )
}

/// Whose environments list more devices than a machine can have, in words; `pids` tells the processes of a cgroup, `path` where
/// it is below the root of its hierarchy.
pub fn long_lists(
    machine: &Machine,
    workloads: &[(CgroupId, Arc<Workload>)],
    pids: impl Fn(CgroupId) -> Vec<u32>,
    path: impl Fn(CgroupId) -> PathBuf,
) -> Vec<String> {
    let records = Records::new(machine);
    let holders = workloads.iter().filter(|(_, workload)| may_hold(workload));
    let found = holders.filter_map(|(id, workload)| {
        let found = records.look_up(workload, &path(*id), &pids(*id));
        Some(too_long(found.too_long?, workload))
    });
    found.collect()
}

/// Whether the pod only keeps a device for others.
fn is_reserving(key: &Key) -> bool {
    key.values.first().is_some_and(|namespace| RESERVING.contains(&&**namespace))
}

/// The labels of a container's pod.
fn of_pod(container: &Key) -> Option<Key> {
    let [namespace, pod, _] = container.values.as_slice() else { return None };
    Some(Key::container(namespace, pod, "POD"))
}

#[cfg(test)]
mod tests;
