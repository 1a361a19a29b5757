//! One tick after another, on a thread of its own: what blocks is read here, and nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use noether_core::granularity::SHORTEST_INTERVAL;
use noether_core::ledger::Publication;
use noether_core::node::Node;
use noether_core::reading::{Fault, Moment};
use noether_core::roster::Names;
use noether_core::sample::{NodeUsage, Sample};
use noether_core::snapshot::Generation;
use noether_core::vitals::{Histogram, SourceRow};
use noether_sources::cgroup::{CgroupTree, Options, SocketsOf, UNCOUNTED_REMEDY, uncounted_text};
use noether_sources::holder::Holders;
use noether_sources::kubernetes::pod_resources::PodResources;
use noether_sources::kubernetes::{Assignments, Kubernetes};
use noether_sources::meter::Probe;
use noether_sources::processors::Processors;
use noether_sources::scope::ScopeWatch;
use noether_sources::slurm::Jobs;
use noether_sources::topology::{CpuList, Packages};
use noether_sources::{Error, Machine};

use crate::aside::Aside;
use crate::clock;
use crate::fast::{self, Answer, Question};
use crate::grid_board::GridBoard;
use crate::http::Facts;
use crate::log::Once;
use crate::meter_log;
use crate::meters::{Meters, is_on, timed};
use crate::names::InTurn;
use crate::published::{Page, Published};
use crate::pulse::Stage;
use crate::settings::{IdlePolicy, Settings};
use crate::units::UnitSwitch;
use crate::vitals::Process;

/// How often sources are looked for that appeared, vanished or were replaced.
const RESCAN: Duration = Duration::from_secs(10);
/// How long a tick waits for what is read at each tick, where half an interval is longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the first tick waits for it.
const FIRST: Duration = Duration::from_secs(20);

/// What the tick asks of the server: the newest generation that all clients have, and what it counted.
pub trait Audience: Send {
    /// The newest generation that every active client has fetched.
    fn acknowledged(&self, now: Moment) -> Option<Generation>;
    /// What the server counted.
    fn facts(&self) -> Facts;
}

/// What is shown of a source of usage.
struct Told {
    row: SourceRow,
}

impl Told {
    fn new(name: &'static str) -> Self {
        let errors = Fault::ALL.map(|fault| (fault.label(), 0)).into();
        Self { row: SourceRow { source: name, up: false, read: Histogram::default(), errors } }
    }

    /// What was read of it, and how long that took; counts and logs what went wrong.
    fn take<R>(&mut self, once: &mut Once, (result, took): (Result<R, Error>, Duration)) -> Option<R> {
        self.row.read.observe(took);
        self.row.up = result.is_ok();
        result.map_err(|error| self.fail(once, &error)).ok()
    }

    fn fail(&mut self, once: &mut Once, error: &Error) {
        let reason = error.fault().label();
        if let Some((_, count)) = self.row.errors.iter_mut().find(|(known, _)| *known == reason) {
            *count += 1;
        }
        once.error(clock::now(), error);
    }
}

/// Everything that is read, and what it adds up to.
pub struct Crank {
    machine: Machine,
    settings: Settings,
    meters: Meters,
    fast: Aside<Question, Answer>,
    /// What was read when it was opened: the first tick's.
    first: Option<Answer>,
    stat: Told,
    meminfo: Told,
    tree: Option<CgroupTree>,
    cgroups: Told,
    /// The errors of that source before it could be opened: the tree counts its own.
    cgroup_errors: Vec<(&'static str, u64)>,
    units: UnitSwitch,
    jobs: Jobs,
    holders: Holders,
    kubernetes: Option<Kubernetes>,
    pod_resources: Option<PodResources>,
    processors: Processors,
    scope: ScopeWatch,
    usage: NodeUsage,
    node: Node,
    once: Once,
    generation: Generation,
    missed: u64,
    /// The time between two ticks: the one that is set, or the longest in which no counter can wrap unseen.
    interval: Duration,
    /// When the meters were last read.
    read: Moment,
    rescanned: Moment,
    stages: [(&'static str, Histogram); 3],
    process: Process,
    grid: Arc<GridBoard>,
    spare: Option<Arc<Page>>,
}

impl Crank {
    /// Opens all that is there. `descriptors` is how many may be open at once.
    pub fn new(machine: Machine, settings: Settings, descriptors: u64, grid: Arc<GridBoard>) -> Self {
        let is_fast = |probe: &Probe| !probe.slow && is_on(&settings.meters, probe);
        let mut crank = Self {
            meters: Meters::start(&machine, &settings.meters, settings.sample_interval),
            fast: fast::start(&machine, fast::probes(is_fast)),
            first: None,
            stat: Told::new("stat"),
            meminfo: Told::new("meminfo"),
            tree: None,
            cgroups: Told::new("cgroup"),
            cgroup_errors: Vec::new(),
            units: UnitSwitch::new(settings.systemd_units),
            jobs: Jobs::new(&machine, &settings.jobs_folder),
            holders: Holders::new(&machine),
            kubernetes: None,
            pod_resources: None,
            processors: Processors::default(),
            scope: ScopeWatch::default(),
            usage: NodeUsage::default(),
            node: Node::new(&settings.policy()),
            once: Once::default(),
            generation: Generation::default(),
            missed: 0,
            interval: settings.sample_interval,
            read: clock::now(),
            rescanned: clock::now(),
            stages: ["read", "account", "publish"].map(|stage| (stage, Histogram::default())),
            process: Process::new(descriptors),
            grid,
            spare: None,
            machine,
            settings,
        };
        crank.read_for_the_first_time();
        crank.open_cgroups();
        crank
    }

    /// The same, with names of pods, and with what the kubelet tells of who holds which GPU.
    #[must_use]
    pub fn with_kubernetes(
        mut self,
        kubernetes: Option<Kubernetes>,
        pod_resources: Option<PodResources>,
    ) -> Self {
        (self.kubernetes, self.pod_resources) = (kubernetes, pod_resources);
        self
    }

    /// Ticks for ever. After a late tick, the ticks that are over are left out; their energy is in the next.
    pub fn run(mut self, published: &Published, audience: &dyn Audience) {
        let mut due = clock::now();
        loop {
            self.turn(published, audience);
            let missed;
            (due, missed) = next(due, self.interval, self.read, clock::now());
            self.missed += u64::from(missed);
            self.wait(due.since(clock::now()));
        }
    }

    /// One tick.
    pub fn turn(&mut self, published: &Published, audience: &dyn Audience) {
        let began = clock::now();
        let pulse = published.pulse();
        pulse.enters(Stage::Reading);
        let rescan = began.since(self.rescanned) >= RESCAN;
        if rescan {
            self.rescan(began);
        }
        if let Some(tree) = self.tree.as_mut().filter(|_| self.units.has_news()) {
            self.units.follow(tree, began);
        }
        self.read_node(rescan);
        pulse.enters(Stage::Cgroups);
        let at = clock::now();
        let mut faults = Vec::new();
        let once = &mut self.once;
        let tree = self.tree.as_mut();
        let cgroups =
            timed(&mut self.cgroups.row.read, || tree.map(|tree| tree.read(&mut faults)).unwrap_or_default());
        self.units.meet(cgroups);
        self.jobs.meet(cgroups);
        self.holders.meet(cgroups);
        let read = clock::now();
        pulse.enters(Stage::Accounting);
        let mut page = self.spare.take().and_then(Arc::into_inner).unwrap_or_default();
        self.generation = Generation(self.generation.0 + 1);
        let acknowledged = audience.acknowledged(read);
        let publication = Publication { generation: self.generation, at, acknowledged };
        let kubernetes = self.kubernetes.as_ref().map(|kubernetes| kubernetes as &dyn Names);
        let names = InTurn([Some(&self.jobs as &dyn Names), kubernetes]);
        let gpus = !self.meters.looks.is_empty();
        if let Some(pod_resources) = &self.pod_resources {
            let assignments = self.kubernetes.as_ref().map(Kubernetes::assignments).unwrap_or_default();
            hold(&mut self.holders, pod_resources, &assignments, gpus, &names, at);
        }
        self.holders.see(&self.meters.looks);
        self.holders.complaints().iter().for_each(|complaint| tracing::warn!("{complaint}"));
        let sample = Sample {
            at,
            domains: &self.meters.readings,
            node: &self.usage,
            cgroups,
            gpus: &self.meters.looks,
            holdings: self.holders.holdings(),
        };
        self.node.advance(&sample, &names, &publication, &mut page.snapshot);
        meter_log::log_left_out(once, at, self.node.left_out());
        faults.iter().for_each(|error| once.error(at, error));
        meter_log::log_still(once, at, &page.snapshot.still);
        if page.snapshot.folded > 0 {
            let max = self.settings.max_workloads;
            let text = format!(
                "there are more workloads than --workload.max={max}: the others are charged to container=\"_folded\"; raise it to tell them apart"
            );
            once.warn(at, "more workloads than --workload.max".into(), &text);
        }
        once.settle(at, self.interval);
        if let Some(tree) = &self.tree {
            self.jobs.ask(at, |id| tree.pids(id));
            self.holders.ask(gpus, at, |id| tree.pids(id), |id| tree.path_below(id));
        }
        let accounted = clock::now();
        self.tell(&mut page, &audience.facts());
        self.spare = published.replace(Arc::new(page));
        pulse.ticked();
        let ends = [began, read, accounted, clock::now()];
        for ((_, stage), pair) in self.stages.iter_mut().zip(ends.windows(2)) {
            if let [from, to] = pair {
                stage.observe(to.since(*from));
            }
        }
    }

    /// Opens all that a tick reads. Nothing is shown before it was read, unless it hangs for long.
    fn read_for_the_first_time(&mut self) {
        let (answer, hangs) = self.fast.insist(|| Question { rescan: true }, FIRST);
        let now = clock::now();
        hangs.iter().for_each(|hang| self.once.warn(now, hang.to_string(), hang));
        if let Some(packages) = answer.as_ref().and_then(|answer| answer.packages.as_ref()) {
            self.learn_topology(packages, false);
        }
        if let Some(sighting) = answer.as_ref().and_then(|answer| answer.sighting.as_ref()) {
            self.scope.begin(sighting);
        }
        self.first = answer;
    }

    /// Asks for what is read at each tick. A tick goes on without what does not come in time; it is in a later one then, with
    /// the instants at which it was read.
    fn read_node(&mut self, rescan: bool) {
        let patience = (self.interval / 2).min(PATIENCE);
        let (answers, hang) = match self.first.take() {
            Some(first) => (vec![first], None),
            None => self.fast.ask(Question { rescan }, patience),
        };
        let now = clock::now();
        if let Some(hang) = hang {
            self.once.warn(now, hang.to_string(), &hang);
        }
        let mut faults = Vec::new();
        self.meters.begin_tick();
        if answers.is_empty() {
            self.meters.no_answer();
            (self.stat.row.up, self.meminfo.row.up) = (false, false);
        }
        self.usage.changed = false;
        for answer in answers {
            self.take(answer, &mut faults);
        }
        self.meters.take_slow(&mut faults);
        if self.meters.has_hosts() {
            let text = format!("meter rapl: {}", self.scope.scope());
            self.once.warn(now, "the scope of rapl".into(), &text);
            self.scope.widen(now, self.processors.topology(), &mut self.usage);
        }
        self.limit_interval();
        self.read = now;
        meter_log::log(&mut self.once, now, faults);
        let memory = self.meters.has_dram();
        if let Some(tree) = &mut self.tree {
            tree.want_memory(memory);
        }
    }

    fn take(&mut self, answer: Answer, faults: &mut Vec<(&'static Probe, Error)>) {
        let once = &mut self.once;
        answer.troubles.iter().for_each(|error| once.error(answer.read, error));
        let cpu = self.stat.take(once, answer.cpu);
        if let Some(memory) = self.meminfo.take(once, answer.memory) {
            (self.usage.memory_held, self.usage.memory_total) = (memory.held(), memory.total);
            if let Some(tree) = &mut self.tree {
                tree.want_huge_pages(memory.huge_pages);
            }
        }
        for meter in answer.meters {
            self.meters.take(meter, faults);
        }
        if let Some(cpu) = &cpu {
            self.processors.advance(cpu);
        }
        let changed = cpu.is_some() && self.processors.changed();
        if let Some(sighting) = &answer.sighting {
            self.scope.observe(sighting);
        }
        if let Some(packages) = answer.packages {
            self.learn_topology(&packages, changed);
        }
        self.usage.changed |= changed;
        self.usage.cpus = self.processors.online();
        self.usage.busy.clear();
        self.usage.busy.extend_from_slice(self.processors.busy());
    }

    /// Who came online may sit on a socket that was not known, and the cpusets of workloads may lead elsewhere by now.
    /// `changed` tells whether the kernel has changed them, as it does when processors come and go.
    fn learn_topology(&mut self, packages: &Packages, changed: bool) {
        let news = self.processors.learn(packages) || changed;
        self.usage.packages = self.processors.topology().packages().to_vec();
        if let (true, Some(sockets), Some(tree)) = (news, self.sockets_of(), &mut self.tree) {
            tree.set_sockets(sockets);
        }
    }

    /// Where there are several sockets, those that a cpuset leads to.
    fn sockets_of(&self) -> Option<SocketsOf> {
        let topology = self.processors.topology().clone();
        let sockets =
            move |cpus: &str| topology.sockets_of(&CpuList::parse(cpus.as_bytes()).unwrap_or_default());
        (self.processors.topology().sockets() > 1).then(|| Box::new(sockets) as _)
    }

    fn wait(&mut self, time: Duration) {
        match &mut self.tree {
            Some(tree) => tree.wait(time),
            None => std::thread::sleep(time),
        }
    }

    fn rescan(&mut self, now: Moment) {
        self.rescanned = now;
        match &mut self.tree {
            None => self.open_cgroups(),
            Some(tree) => {
                self.cgroups.row.up = tree.follow_mounts();
                self.units.follow(tree, now);
            }
        }
        warn_of_uncounted_jobs(&mut self.once, self.tree.as_ref(), now);
        self.process.recount();
    }

    /// Keeps the interval short enough for the counters that are there now.
    fn limit_interval(&mut self) {
        let wanted = self.settings.sample_interval;
        let longest = self.meters.longest_interval();
        let interval = longest.as_ref().map_or(wanted, |longest| wanted.min(longest.interval));
        if let Some(longest) =
            longest.filter(|longest| interval < wanted && longest.interval != self.interval)
        {
            tracing::warn!(
                "--sample.interval={wanted:?} is too long: {longest}; the meters are read every {interval:?}"
            );
        }
        self.interval = interval;
    }

    fn open_cgroups(&mut self) {
        let options = Options {
            recognise: self.units.recogniser(),
            sockets: self.sockets_of(),
            memory: false,
            reserved: self.settings.idle == IdlePolicy::Requests,
            inotify: true,
            max_descriptors: held_descriptors(self.process.most_descriptors(), self.settings.max_connections),
        };
        match CgroupTree::open(&self.machine, options) {
            Ok(mut tree) => {
                self.units.follow(&mut tree, clock::now());
                self.cgroup_errors = self.cgroups.row.errors.clone();
                (self.tree, self.cgroups.row.up) = (Some(tree), true);
            }
            Err(error) => self.cgroups.fail(&mut self.once, &error),
        }
    }

    /// Writes what the exporter tells of itself.
    fn tell(&mut self, page: &mut Page, facts: &Facts) {
        let vitals = &mut page.vitals;
        if let Some(tree) = &self.tree {
            for (fault, count) in tree.fault_counts() {
                let errors = &mut self.cgroups.row.errors;
                let before = self.cgroup_errors.iter().find(|(reason, _)| *reason == fault.label());
                if let Some((_, known)) = errors.iter_mut().find(|(reason, _)| *reason == fault.label()) {
                    *known = count + before.map_or(0, |(_, before)| *before);
                }
            }
        }
        vitals.sources.clear();
        vitals.sources.extend(self.meters.rows());
        vitals.sources.extend([&self.stat.row, &self.meminfo.row, &self.cgroups.row].map(Clone::clone));
        vitals.sources.extend(self.kubernetes.as_ref().and_then(Kubernetes::row));
        vitals.sources.extend(self.pod_resources.as_ref().and_then(PodResources::row));
        vitals.stages.clear();
        vitals.stages.extend(self.stages);
        vitals.missed = self.missed;
        vitals.last_tick = clock::unix();
        self.process.tell(vitals, facts);
        self.grid.tell(vitals.last_tick, &mut page.grid);
        if let Some(kubernetes) = &self.kubernetes {
            // Those of pods' annotations: each node tells its own.
            page.grid.budgets = kubernetes.budgets();
        }
    }
}

fn warn_of_uncounted_jobs(once: &mut Once, tree: Option<&CgroupTree>, now: Moment) {
    let jobs = tree.map_or(0, CgroupTree::jobs_without_cpu_time);
    if jobs > 0 {
        let text = format!("{}: {UNCOUNTED_REMEDY}", uncounted_text(jobs));
        once.warn(now, "Slurm jobs without a folder in cpuacct".into(), &text);
    }
}

/// Takes over what the kubelet tells of holders; it is asked where there are GPUs, and when a container has come.
fn hold(
    holders: &mut Holders,
    pod_resources: &PodResources,
    assignments: &Arc<Assignments>,
    gpus: bool,
    names: &dyn Names,
    at: Moment,
) {
    if gpus {
        pod_resources.want();
    }
    if holders.news() {
        pod_resources.ring();
    }
    holders.join(&pod_resources.grants(), assignments, names, at);
}

/// When the tick after the one that was `due` is due, and how many are left out for that: one that is over by `now` is.
/// Meters that were read at `read` are not read again before the shortest interval has passed, however late that was.
fn next(due: Moment, interval: Duration, read: Moment, now: Moment) -> (Moment, u32) {
    let due = due.after(interval);
    let missed = u32::try_from(now.since(due).as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
    (due.after(interval.saturating_mul(missed)).max(read.after(SHORTEST_INTERVAL)), missed)
}

/// How many descriptors cgroups may hold: what connections and everything else leave.
fn held_descriptors(all: u64, connections: usize) -> usize {
    usize::try_from(all).unwrap_or(usize::MAX).saturating_sub(connections + 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_late_meters_are_not_read_too_soon_again() {
        let at = |milliseconds| Moment::from_boot(Duration::from_millis(milliseconds));
        let second = Duration::from_secs(1);
        assert_eq!(next(at(1000), second, at(1001), at(1005)), (at(2000), 0));
        // The tick took long after it had read, and long before.
        assert_eq!(next(at(1000), second, at(1001), at(1990)), (at(2000), 0));
        assert_eq!(next(at(1000), second, at(1950), at(1990)), (at(2050), 0));
        assert_eq!(next(at(1000), second, at(3950), at(3990)), (at(4050), 1));
        assert_eq!(next(at(1000), second, at(1001), at(3990)), (at(3000), 1));
        // An hour asleep is no tick that was left out, and the pace goes on from the time that it is then.
        let awake = |seconds| Moment::new(Duration::from_secs(3600 + seconds), Duration::from_secs(seconds));
        assert_eq!(next(at(1000), second, awake(1), awake(3)), (awake(1).after(SHORTEST_INTERVAL), 1));
        let shortest = SHORTEST_INTERVAL;
        assert_eq!(next(at(1000), shortest, at(1002), at(1005)), (at(1102), 0));
    }
}
