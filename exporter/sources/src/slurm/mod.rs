//! What Slurm's jobs are called: from the file that a prolog wrote, else from the environment of their processes.
//!
//! A job's folder names it by its number, from 26.05 on by its SLUID; users know it by `SLURM_JOB_ID`.
//! <https://slurm.schedmd.com/prolog_epilog.html>,
//! <https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES>

mod clerk;
pub(crate) mod component;
mod hostlist;
mod records;
pub(crate) mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use noether_core::reading::Moment;
use noether_core::roster::Names;
use noether_core::sample::{Birth, Cgroup, CgroupId};
use noether_core::workload::{Identity, Info, JobId, Key, Workload};

use crate::Machine;
use clerk::{Answer, Clerk, Question};
use records::{Known, Records};

/// What is remembered of so many jobs; beyond, those that have ended are forgotten.
const MOST: usize = 10_000;

/// How often a job is asked about, and the pause after the first time. Each pause is twice the one before: the last
/// question comes after two hours, for allocations in which nothing is started for long.
const QUESTIONS: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// So many jobs are asked about in a tick.
const AT_ONCE: usize = 16;

/// What is known of Slurm's jobs. Of all other workloads nothing ever is: they go under their ids.
#[derive(Debug)]
pub struct Jobs {
    records: Records,
    /// There is none before there is a job.
    clerk: Option<Clerk>,
    /// The jobs' living cgroups.
    cases: BTreeMap<CgroupId, Case>,
    known: BTreeMap<Arc<Workload>, Known>,
    news: Vec<(Key, Info)>,
    /// How often anything became known.
    generation: u64,
}

/// A cgroup of a job, and when it is asked about next.
#[derive(Debug)]
struct Case {
    workload: Arc<Workload>,
    due: Moment,
    questions: u32,
    /// Asked, but not answered yet.
    open: bool,
}

impl Jobs {
    /// Nothing known yet. Files of a prolog lie in `folder` of the host, each under its job's number.
    pub fn new(machine: &Machine, folder: &Path) -> Self {
        let folder = machine.rootfs.join(folder.strip_prefix("/").unwrap_or(folder));
        Self {
            records: Records { procfs: machine.procfs.clone(), folder },
            clerk: None,
            cases: BTreeMap::new(),
            known: BTreeMap::new(),
            news: Vec::new(),
            generation: 0,
        }
    }

    /// Takes note of what has become known, and of the jobs that are new or gone among the cgroups of a tick.
    pub fn meet(&mut self, cgroups: &[Cgroup]) {
        self.news.clear();
        while let Some(answer) = self.clerk.as_ref().and_then(Clerk::answer) {
            self.hear(answer);
        }
        for (id, cgroup) in (0..).zip(cgroups) {
            if cgroup.birth == Birth::Earlier && !cgroup.gone {
                continue;
            }
            self.cases.remove(&id);
            let job = cgroup.workload.as_ref().filter(|workload| is_job(workload));
            if let Some(workload) = job.filter(|_| cgroup.present && !cgroup.gone) {
                self.cases.insert(id, Case::new(workload));
            }
        }
    }

    /// Has the records of the jobs that are due looked up, on another thread; `pids` tells the processes of a cgroup.
    pub fn ask(&mut self, now: Moment, pids: impl Fn(CgroupId) -> Vec<u32>) {
        for (id, case) in self.cases.iter_mut().filter(|(_, case)| case.is_due(now)).take(AT_ONCE) {
            if self.clerk.is_none() {
                self.clerk = clerk::start(self.records.clone(), AT_ONCE).ok();
            }
            let question = Question { id: *id, workload: Arc::clone(&case.workload), pids: pids(*id) };
            if !self.clerk.as_ref().is_some_and(|clerk| clerk.ask(question)) {
                // It has enough to do: the rest is asked at a later tick.
                return;
            }
            case.asked(now);
        }
    }

    fn hear(&mut self, answer: Answer) {
        let Answer { id, workload, known, complete } = answer;
        let case = self.cases.get_mut(&id).filter(|case| Arc::ptr_eq(&case.workload, &workload));
        if let Some(case) = case {
            case.open = false;
            case.questions = if complete { QUESTIONS } else { case.questions };
        }
        if let Some(mut known) = known {
            if let Some(earlier) = self.known.get(&workload).filter(|_| !complete) {
                known.complete_from(earlier);
            }
            self.learn(&workload, known);
        }
    }

    fn learn(&mut self, workload: &Arc<Workload>, known: Known) {
        if self.known.get(workload) == Some(&known) {
            return;
        }
        self.generation += 1;
        // It may have gone under its SLUID by now.
        let keys: BTreeSet<_> = known.key().into_iter().chain([workload.key_by_id()]).collect();
        let info = known.info(workload);
        self.news.extend(keys.into_iter().map(|key| (key, info.clone())));
        if self.known.len() >= MOST {
            let living: BTreeSet<_> = self.cases.values().map(|case| &case.workload).collect();
            self.known.retain(|workload, _| living.contains(workload));
        }
        self.known.insert(Arc::clone(workload), known);
    }
}

impl Case {
    fn new(workload: &Arc<Workload>) -> Self {
        let due = Moment::from_boot(Duration::ZERO);
        Self { workload: Arc::clone(workload), due, questions: 0, open: false }
    }

    fn is_due(&self, now: Moment) -> bool {
        !self.open && self.questions < QUESTIONS && self.due <= now
    }

    fn asked(&mut self, now: Moment) {
        self.due = now.after(FIRST_PAUSE * (1 << self.questions));
        self.questions += 1;
        self.open = true;
    }
}

impl Names for Jobs {
    fn identify(&self, workload: &Workload) -> Identity {
        let known = self.known.get(workload);
        match known.and_then(|known| Some((known.key()?, known.info(workload)))) {
            Some((key, info)) => Identity::Known(key, info),
            // Its key is known, whatever else is not: no energy waits.
            None if !is_job(workload) || has_number(workload) => Identity::Never,
            None => Identity::NotYet,
        }
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn news(&self) -> &[(Key, Info)] {
        &self.news
    }
}

/// Whether it is a job of Slurm.
fn is_job(workload: &Workload) -> bool {
    matches!(workload, Workload::Job { scheduler: records::SCHEDULER, .. })
}

fn has_number(workload: &Workload) -> bool {
    matches!(workload, Workload::Job { id: JobId::Number(_), .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::sample::{Reserved, Sockets};
    use records::tests::{Fixture, number, sluid};

    fn cgroup(workload: &Workload) -> Cgroup {
        Cgroup {
            present: true,
            parent: None,
            top_level: false,
            workload: Some(Arc::new(workload.clone())),
            cpu: None,
            memory: None,
            sockets: Sockets::ALL,
            reserved: Reserved::default(),
            overlap: None,
            birth: Birth::Now,
            gone: false,
        }
    }

    /// The jobs of a host, tick by tick.
    struct Watch {
        jobs: Jobs,
        cgroups: Vec<Cgroup>,
        now: Moment,
    }

    impl Watch {
        fn new(fixture: &Fixture, workloads: &[&Workload]) -> Self {
            let records = fixture.records.clone();
            let jobs = Jobs {
                records,
                clerk: None,
                cases: BTreeMap::new(),
                known: BTreeMap::new(),
                news: vec![],
                generation: 0,
            };
            let cgroups = workloads.iter().map(|workload| cgroup(workload)).collect();
            Self { jobs, cgroups, now: Moment::from_boot(Duration::from_secs(1000)) }
        }

        /// A tick after `pause`, and the answers to what is asked in it; how many questions there were.
        fn tick(&mut self, pause: Duration, pids: &[u32]) -> u32 {
            self.now = self.now.after(pause);
            let before = self.asked();
            self.jobs.meet(&self.cgroups);
            self.cgroups.iter_mut().for_each(|cgroup| cgroup.birth = Birth::Earlier);
            self.jobs.ask(self.now, |_| pids.to_vec());
            let asked = self.asked().saturating_sub(before);
            while self.jobs.cases.values().any(|case| case.open) {
                let answer = self.jobs.clerk.as_ref().unwrap().answer();
                answer.into_iter().for_each(|answer| self.jobs.hear(answer));
            }
            asked
        }

        fn asked(&self) -> u32 {
            self.jobs.cases.values().map(|case| case.questions).sum()
        }
    }

    fn user(identity: Identity) -> Option<Arc<str>> {
        let Identity::Known(_, info) = identity else { return None };
        info.into_iter().find(|(label, _)| *label == "user").map(|(_, value)| value)
    }

    const TICK: Duration = Duration::from_secs(1);

    #[test]
    fn a_job_with_a_number_starts_at_once_and_its_names_follow() {
        let (fixture, job) = (Fixture::new(), number("42", None));
        let mut watch = Watch::new(&fixture, &[&job]);
        watch.tick(TICK, &[]);
        assert_eq!(watch.jobs.identify(&job), Identity::Never);
        fixture.file("42", "SLURM_JOB_USER=ada\n");
        watch.tick(TICK, &[]);
        assert_eq!(user(watch.jobs.identify(&job)).as_deref(), Some("ada"));
        assert_eq!(watch.jobs.news().len(), 1);
        assert_eq!(watch.jobs.news()[0].0, Key::job("slurm", "42"));
        watch.tick(TICK * 8, &[]);
        assert!(watch.jobs.news().is_empty(), "what is known already is no news");
        assert_eq!(watch.jobs.identify(&Workload::Vm { name: "a".into() }), Identity::Never);
    }

    #[test]
    fn a_sluid_waits_for_its_number_and_the_key_that_it_got_meanwhile_is_named_too() {
        let (fixture, job) = (Fixture::new(), sluid("s5K1KKYAYG5D00"));
        let mut watch = Watch::new(&fixture, &[&job]);
        watch.tick(TICK, &[7, 8]);
        assert_eq!(watch.jobs.identify(&job), Identity::NotYet);
        fixture.environment(8, b"A=1\0SLURM_JOB_ID=99\0SLURM_JOB_USER=ada\0");
        watch.tick(TICK, &[7, 8]);
        let Identity::Known(key, _) = watch.jobs.identify(&job) else { panic!("not known") };
        assert_eq!(key, Key::job("slurm", "99"));
        let keys: Vec<_> = watch.jobs.news().iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, [Key::job("slurm", "99"), Key::job("slurm", "s5K1KKYAYG5D00")]);
    }

    #[test]
    fn questions_become_rare_and_end() {
        let (fixture, job) = (Fixture::new(), number("42", None));
        let mut watch = Watch::new(&fixture, &[&job]);
        let first: u32 = (0..16).map(|_| watch.tick(TICK, &[])).sum();
        assert_eq!(first, 6);
        let all = first + (0..300).map(|_| watch.tick(TICK * 60, &[])).sum::<u32>();
        assert_eq!(all, QUESTIONS);
        // What its processes say is the end of it, too.
        fixture.environment(7, b"SLURM_JOB_ID=43\0SLURM_JOB_USER=ada\0");
        let mut watch = Watch::new(&fixture, &[&number("43", None)]);
        assert_eq!((0..300).map(|_| watch.tick(TICK * 60, &[7])).sum::<u32>(), 1);
    }

    #[test]
    fn few_are_asked_about_at_once() {
        let fixture = Fixture::new();
        let jobs: Vec<_> = (0..40).map(|id| number(&id.to_string(), None)).collect();
        let mut watch = Watch::new(&fixture, &jobs.iter().collect::<Vec<_>>());
        assert!(watch.tick(TICK, &[]) <= 16);
        (0..20).for_each(|_| _ = watch.tick(Duration::from_millis(1), &[]));
        assert_eq!(watch.asked(), 40, "each once");
    }

    #[test]
    fn an_ended_job_is_remembered_and_a_new_one_of_its_number_is_asked_about_anew() {
        let (fixture, job) = (Fixture::new(), number("42", None));
        fixture.file("42", "SLURM_JOB_USER=ada\nSLURM_JOB_PARTITION=main\n");
        let mut watch = Watch::new(&fixture, &[&job]);
        watch.tick(TICK, &[]);
        watch.cgroups[0].gone = true;
        watch.tick(TICK, &[]);
        assert!(watch.jobs.cases.is_empty());
        assert_eq!(user(watch.jobs.identify(&job)).as_deref(), Some("ada"));
        fixture.file("42", "SLURM_JOB_USER=bob\n");
        watch.cgroups[0] = cgroup(&job);
        assert_eq!(watch.tick(TICK, &[]), 1);
        assert_eq!(user(watch.jobs.identify(&job)).as_deref(), Some("bob"));
    }
}
