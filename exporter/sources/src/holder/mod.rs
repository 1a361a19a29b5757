//! Who was given which GPU: as the kubelet tells it, else Slurm, else the kernel's device cgroup, else the environment of a
//! container's processes.
//!
//! What the kubelet tells is fetched by [`crate::kubernetes::pod_resources`], and joined here with the containers that live,
//! by the labels that they go under. The rest is looked up by a thread of its own.

mod clerk;
mod device_list;
mod environment;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu::{Authority, Holding, Name};
use noether_core::reading::Moment;
use noether_core::roster::Names;
use noether_core::sample::{Birth, Cgroup, CgroupId};
use noether_core::workload::{Identity, Key, Workload};

use crate::Machine;
use crate::kubernetes::pod_resources::Grants;
use clerk::{Answer, Clerk, Question, Records};

/// How often a workload is asked about, and the pause after the first time. Each pause is twice the one before: a runtime's
/// own first process has another environment, and a name may come late.
const QUESTIONS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// So many workloads are asked about in a tick.
const AT_ONCE: usize = 16;

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
    holdings: Vec<Holding>,
    /// Whether any device was seen yet.
    seen: bool,
    /// Whether a pod or a container has come of which the kubelet may know more.
    news: bool,
    changed: bool,
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
        let records = Records { procfs: machine.procfs.clone(), devices: machine.cgroupfs.join("devices") };
        Self {
            records,
            clerk: None,
            cases: BTreeMap::new(),
            met: 0,
            grants: Arc::default(),
            holdings: Vec::new(),
            seen: false,
            news: false,
            changed: false,
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

    /// Joins what the kubelet tells with who lives, by the labels that `names` tells.
    pub fn join(&mut self, grants: &Arc<Grants>, names: &dyn Names, now: Moment) {
        if !Arc::ptr_eq(&self.grants, grants) {
            self.grants = Arc::clone(grants);
            self.changed = true;
        }
        if self.grants.is_empty() {
            return;
        }
        let unnamed = self.cases.values_mut().filter(|case| case.key.is_none() && case.is_of_kubernetes());
        for case in unnamed.filter(|case| case.naming.is_due(now)) {
            case.naming.asked(now);
            if let Identity::Known(key, _) = names.identify(&case.workload) {
                case.key = Some(key);
                self.changed = true;
            }
        }
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
        let case = self.cases.get_mut(&id).filter(|case| Arc::ptr_eq(&case.workload, &workload));
        if let Some(case) = case {
            case.open = false;
            case.looking.questions = if found.complete { QUESTIONS } else { case.looking.questions };
            self.changed |= case.told != found.devices;
            case.told = found.devices;
        }
    }

    fn gather(&mut self) {
        let mut holdings = Vec::new();
        let named = self.named();
        for (key, devices) in self.grants.iter() {
            // A container that is not there, because it starts anew or its name is not known yet, is its pod's.
            if let Some(case) = named.get(key).or_else(|| named.get(&of_pod(key)?)) {
                let granted = devices.iter().map(|device| (device.clone(), Authority::Kubelet));
                holdings.extend(granted.map(|given| case.holding(given)));
            }
        }
        for case in self.cases.values().filter(|case| !case.is_granted(&self.grants)) {
            holdings.extend(case.told.iter().map(|told| case.holding(told.clone())));
        }
        self.holdings = holdings;
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

/// The labels of a container's pod.
fn of_pod(container: &Key) -> Option<Key> {
    let [namespace, pod, _] = container.values.as_slice() else { return None };
    Some(Key::container(namespace, pod, "POD"))
}

#[cfg(test)]
mod tests;
