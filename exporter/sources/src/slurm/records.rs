//! What is on record of a job, and what of it can be believed.
//!
//! A prolog's file is the administrator's. The environment of a process is its user's, who may write there what he
//! likes; only who owns the process is the kernel's word. So the file counts first, word by word, and the environment of
//! a process must fit its owner and what is known for certain.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use noether_core::text::fit;
use noether_core::workload::{Info, JobId, Key, Workload};

use super::component::{components, of_process};
use super::variables::{LONGEST_ENVIRONMENT, Variables};
use crate::file::beginning;

/// The label `scheduler`.
pub(super) const SCHEDULER: &str = "slurm";

/// Labels, and the variables that they come from.
const NAMES: [(&str, &str); 4] = [
    ("user", "SLURM_JOB_USER"),
    ("account", "SLURM_JOB_ACCOUNT"),
    ("partition", "SLURM_JOB_PARTITION"),
    ("job_name", "SLURM_JOB_NAME"),
];
pub(super) const NUMBER: &str = "SLURM_JOB_ID";
const SLUID: &str = "SLURM_JOB_SLUID";
const UID: &str = "SLURM_JOB_UID";

const ROOT: &str = "0";

/// No file of a prolog is longer.
const LONGEST_FILE: u64 = 64 << 10;

/// So many processes of a job are asked.
const MOST_PROCESSES: usize = 256;

/// So many characters of a name are shown.
const LONGEST_NAME: usize = 128;

/// Where records are.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) procfs: PathBuf,
    /// The prolog's files.
    pub(super) folder: PathBuf,
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    number: Option<Arc<str>>,
    uid: Option<Arc<str>>,
    /// Beside [`NAMES`].
    names: [Option<Arc<str>>; 4],
}

impl Known {
    /// What it is charged under, once its number is known.
    pub(super) fn key(&self) -> Option<Key> {
        Some(Key::job(SCHEDULER, self.number.as_deref()?))
    }

    /// All of its info.
    pub(super) fn info(&self, workload: &Workload) -> Info {
        let mut info = workload.info_by_id();
        if let Some(uid) = &self.uid
            && !info.iter().any(|(label, _)| *label == "user_id")
        {
            info.push(("user_id", Arc::clone(uid)));
        }
        let names = NAMES.iter().zip(&self.names);
        info.extend(names.filter_map(|((label, _), name)| Some((*label, Arc::clone(name.as_ref()?)))));
        info
    }

    /// What is not known now, but was.
    pub(super) fn complete_from(&mut self, earlier: &Self) {
        for (name, before) in self.names.iter_mut().zip(&earlier.names) {
            *name = name.take().or_else(|| before.clone());
        }
    }
}

impl Records {
    /// What is known of a job with these processes, and whether no more is to be expected.
    pub(super) fn look_up(&self, workload: &Workload, pids: &[u32]) -> (Option<Known>, bool) {
        let Some(mut certain) = Certain::of(workload) else { return (None, true) };
        let name = certain.number.as_deref().or(certain.sluid.as_deref());
        let mut file = name.and_then(|name| self.file(name)).filter(|file| certain.admits(file));
        if let Some(file) = &file {
            certain.add(file);
        }
        let says_all = |file: &Variables| NAMES.iter().all(|(_, variable)| file.of(variable).is_some());
        let complete = certain.number.is_some() && file.as_ref().is_some_and(says_all);
        // No process is asked for what the file says: see the reason for `crate::clerk`.
        let processes = pids.iter().take(if complete { 0 } else { MOST_PROCESSES });
        let told = processes.copied().find_map(|pid| self.told(pid, &certain));
        let told = told.map(|told| {
            certain = told.certain;
            file = file.take().or(told.file);
            told.environment
        });
        if file.is_none() && told.is_none() {
            return (None, false);
        }
        let name = |(_, variable): (&str, &str)| {
            let in_file = file.as_ref().and_then(|file| file.of(variable));
            // What the file says is empty is empty.
            tidy(in_file.or_else(|| told.as_ref()?.of(variable))?)
        };
        let known = Known { number: certain.number, uid: certain.uid, names: NAMES.map(name) };
        (Some(known), complete || told.is_some())
    }

    fn file(&self, name: &str) -> Option<Variables> {
        Some(Variables::of_file(&beginning(&self.folder.join(name), LONGEST_FILE)?))
    }

    /// What a process tells, if it can be believed.
    fn told(&self, pid: u32, certain: &Certain) -> Option<Told> {
        let folder = self.procfs.join(pid.to_string());
        // What belongs to somebody else, such as Slurm's own, is none of the job's.
        let owner: Arc<str> = fs::metadata(&folder).ok()?.uid().to_string().into();
        if certain.uid.as_ref().is_some_and(|uid| *uid != owner) {
            return None;
        }
        let environment = Variables::of_process(&beginning(&folder.join("environ"), LONGEST_ENVIRONMENT)?);
        let environment = of_own_component(environment, certain.number.as_deref())?;
        let number = id(environment.of(NUMBER)?)?;
        let file = if certain.number.is_none() { self.file(&number) } else { None };
        let number = Some(certain.number.clone().unwrap_or(number));
        let claimed = Certain { number, uid: Some(Arc::clone(&owner)), sluid: certain.sluid.clone() };
        // A number that is another user's, by the file that goes with it, is not its own.
        let fits = claimed.admits(&environment) && file.as_ref().is_none_or(|file| claimed.admits(file));
        // A program that runs as root at a user's wish makes nobody root's.
        let uid = if &*owner == ROOT { certain.uid.clone() } else { claimed.uid };
        fits.then_some(Told { environment, certain: Certain { uid, ..claimed }, file })
    }
}

/// The variables as the component of a heterogeneous job has them that the process is of: the one with this number, or where
/// that is not known, the one that the process seems to run in. `None` where nothing tells which.
fn of_own_component(environment: Variables, number: Option<&str>) -> Option<Variables> {
    let components = components(&environment);
    if components.is_empty() {
        return Some(environment);
    }
    let own = match number {
        Some(number) => components.iter().find(|one| *one.number == *number)?,
        None => of_process(&components, &environment)?,
    };
    Some(environment.narrowed_to(own.place))
}

/// What a process told, what follows from that, and the file of the job that it belongs to.
#[derive(Debug)]
struct Told {
    environment: Variables,
    certain: Certain,
    file: Option<Variables>,
}

/// What nobody but the kernel, Slurm or the prolog has said.
#[derive(Clone, Debug)]
struct Certain {
    number: Option<Arc<str>>,
    sluid: Option<Arc<str>>,
    uid: Option<Arc<str>>,
}

impl Certain {
    fn of(workload: &Workload) -> Option<Self> {
        let Workload::Job { id, user, .. } = workload else { return None };
        let (number, sluid) = match id {
            JobId::Number(number) => (Some(Arc::clone(number)), None),
            JobId::Sluid(sluid) => (None, Some(Arc::clone(sluid))),
        };
        Some(Self { number, sluid, uid: user.clone() })
    }

    /// Whether nothing in the record speaks against it.
    fn admits(&self, record: &Variables) -> bool {
        let certain = [(&self.number, NUMBER), (&self.sluid, SLUID), (&self.uid, UID)];
        certain.into_iter().all(|(value, variable)| match (value, record.of(variable)) {
            (Some(value), Some(said)) => said.is_empty() || value.as_bytes() == said,
            _ => true,
        })
    }

    fn add(&mut self, file: &Variables) {
        let said = |variable: &str| id(file.of(variable)?);
        self.number = self.number.take().or_else(|| said(NUMBER));
        self.uid = self.uid.take().or_else(|| said(UID));
    }
}

/// A number as Slurm and the kernel give them to jobs and users.
pub(super) fn id(value: &[u8]) -> Option<Arc<str>> {
    let number = u32::try_from(crate::file::number(value)?).ok()?;
    Some(number.to_string().into())
}

/// A name as it may be shown: not too long, without what cannot be seen or turns the rest around; `None` for none.
fn tidy(value: &[u8]) -> Option<Arc<str>> {
    let text = String::from_utf8_lossy(value);
    // What C prints for none.
    let text = Some(text.trim()).filter(|text| !text.is_empty() && *text != "(null)")?;
    Some(text.chars().map(fit).take(LONGEST_NAME).collect::<String>().into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Who owns processes where root runs the test.
    const SOMEBODY: u32 = 1000;

    /// A host whose processes belong to whoever runs the test, but not to root.
    pub(crate) struct Fixture {
        _root: tempfile::TempDir,
        pub(crate) records: Records,
    }

    impl Fixture {
        pub(crate) fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let records = Records { procfs: root.path().join("proc"), folder: root.path().join("jobs") };
            fs::create_dir(&records.folder).unwrap();
            Self { _root: root, records }
        }

        pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
            fs::write(self.records.folder.join(name), content).unwrap();
        }

        pub(crate) fn environment(&self, pid: u32, content: &[u8]) {
            let folder = self.records.procfs.join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("environ"), content).unwrap();
            if rustix::process::getuid().is_root() {
                std::os::unix::fs::chown(&folder, Some(SOMEBODY), None).unwrap();
            }
        }

        /// All of its info, `label=value` each, in front of that its number.
        fn said(&self, workload: &Workload, pids: &[u32]) -> String {
            let (known, _) = self.records.look_up(workload, pids);
            let Some(known) = known else { return "nothing".into() };
            let number = known.number.as_deref().unwrap_or("?").to_owned();
            let info = known.info(workload);
            let info = info.iter().filter(|(label, _)| *label != "sluid");
            info.fold(number, |line, (label, value)| format!("{line} {label}={value}"))
        }
    }

    pub(crate) fn number(number: &str, uid: Option<&str>) -> Workload {
        Workload::Job { scheduler: SCHEDULER, id: JobId::Number(number.into()), user: uid.map(Into::into) }
    }

    pub(crate) fn sluid(sluid: &str) -> Workload {
        Workload::Job { scheduler: SCHEDULER, id: JobId::Sluid(sluid.into()), user: None }
    }

    /// Who owns the fixture's processes.
    fn me() -> String {
        let uid = rustix::process::getuid();
        if uid.is_root() { SOMEBODY.to_string() } else { uid.as_raw().to_string() }
    }

    #[test]
    fn the_file_of_a_prolog_tells_it_all() {
        let fixture = Fixture::new();
        let all = "SLURM_JOB_ID=42\nSLURM_JOB_UID=1000\nSLURM_JOB_USER=ada\nSLURM_JOB_ACCOUNT=physics\n\
                   SLURM_JOB_PARTITION=main\nSLURM_JOB_NAME=a=b c\n";
        let expected = "42 user_id=1000 user=ada account=physics partition=main job_name=a=b c";
        for content in [all.to_owned(), all.replace('\n', "\r\n"), all.replace('\n', "\0")] {
            fixture.file("42", &content);
            for user in [None, Some("1000")] {
                assert_eq!(fixture.said(&number("42", user), &[]), expected);
            }
            assert!(fixture.records.look_up(&number("42", None), &[]).1, "there is no more to come");
        }
        assert_eq!(fixture.said(&number("42", Some("1001")), &[]), "nothing", "a stale file: another user's");
        assert_eq!(fixture.said(&number("43", None), &[]), "nothing");
        fixture.file("43", all);
        assert_eq!(fixture.said(&number("43", None), &[]), "nothing", "another job's");
    }

    #[test]
    fn the_environment_tells_what_the_file_does_not() {
        let fixture = Fixture::new();
        let environment = "PATH=/bin\0SLURM_JOB_ID=42\0SLURM_JOB_USER=eve\0SLURM_JOB_ACCOUNT=(null)\0\
                           SLURM_JOB_PARTITION=long\0SLURM_JOB_NAME=fit\0";
        fixture.environment(7, b"PATH=/bin\0");
        fixture.environment(8, environment.as_bytes());
        let uid = me();
        let job = number("42", Some(&uid));
        assert_eq!(
            fixture.said(&job, &[6, 7, 8]),
            format!("42 user_id={uid} user=eve partition=long job_name=fit")
        );
        fixture.file("42", "SLURM_JOB_USER=ada\nSLURM_JOB_PARTITION=\n");
        assert_eq!(fixture.said(&job, &[8]), format!("42 user_id={uid} user=ada job_name=fit"));
        assert_eq!(fixture.said(&job, &[]), format!("42 user_id={uid} user=ada"));
        assert!(!fixture.records.look_up(&job, &[7]).1, "the name is still to come");
    }

    #[test]
    fn an_environment_that_does_not_fit_is_not_believed() {
        let (fixture, uid) = (Fixture::new(), me());
        let job = number("42", Some(&uid));
        for wrong in [
            "SLURM_JOB_USER=eve\0",
            "SLURM_JOB_ID=41\0SLURM_JOB_USER=eve\0",
            "SLURM_JOB_ID=42x\0SLURM_JOB_USER=eve\0",
            "SLURM_JOB_ID=42\0SLURM_JOB_UID=4242\0SLURM_JOB_USER=eve\0",
        ] {
            fixture.environment(7, wrong.as_bytes());
            assert_eq!(fixture.said(&job, &[7]), "nothing", "{wrong:?}");
        }
        fixture.environment(7, b"SLURM_JOB_ID=42\0SLURM_JOB_USER=eve\0");
        assert_eq!(fixture.said(&number("42", Some("4242")), &[7]), "nothing", "another user's process");
        fixture.file("42", "SLURM_JOB_UID=4242\nSLURM_JOB_USER=ada\n");
        assert_eq!(fixture.said(&number("42", None), &[7]), "42 user_id=4242 user=ada");
    }

    #[test]
    fn who_can_run_a_program_as_root_is_not_root() {
        let fixture = Fixture::new();
        fixture.environment(7, b"SLURM_JOB_ID=42\0SLURM_JOB_UID=0\0SLURM_JOB_PARTITION=main\0");
        if std::os::unix::fs::chown(fixture.records.procfs.join("7"), Some(0), None).is_ok() {
            assert_eq!(fixture.said(&number("42", None), &[7]), "42 partition=main");
            assert_eq!(fixture.said(&number("42", Some("0")), &[7]), "42 user_id=0 partition=main");
            assert_eq!(fixture.said(&number("42", Some("1000")), &[7]), "nothing");
        }
    }

    #[test]
    fn a_sluid_has_a_number_by_its_file_or_by_its_processes() {
        let (fixture, uid) = (Fixture::new(), me());
        let job = sluid("s5K1KKYAYG5D00");
        fixture.environment(7, b"SLURM_JOB_ID=99\0SLURM_JOB_NAME=fit\0");
        assert_eq!(fixture.said(&job, &[7]), format!("99 user_id={uid} job_name=fit"));
        fixture.file("99", format!("SLURM_JOB_UID={uid}\nSLURM_JOB_USER=ada\n"));
        assert_eq!(fixture.said(&job, &[7]), format!("99 user_id={uid} user=ada job_name=fit"));
        fixture.file("99", "SLURM_JOB_UID=4242\nSLURM_JOB_USER=ada\n");
        assert_eq!(fixture.said(&job, &[7]), "nothing", "it pretends to be another user's job");
        fixture.environment(7, b"SLURM_JOB_ID=99\0SLURM_JOB_SLUID=s5K1KKYAYG5D01\0");
        assert_eq!(fixture.said(&job, &[7]), "nothing");
        fixture.file("s5K1KKYAYG5D00", "SLURM_JOB_ID=98\nSLURM_JOB_SLUID=\nSLURM_JOB_USER=ada\n");
        assert_eq!(fixture.said(&job, &[7]), "98 user=ada");
    }

    /// What every process of a job of two components has, as Slurm 22.05 sets it.
    const HETEROGENEOUS: &str = "SLURM_HET_SIZE=2\0SLURM_JOB_ID=1\0SLURM_JOB_USER=ada\0SLURM_JOB_NAME=beta\0\
        SLURM_JOB_PARTITION=second\0SLURM_JOB_ID_HET_GROUP_0=1\0SLURM_JOB_ID_HET_GROUP_1=2\0\
        SLURM_JOB_NAME_HET_GROUP_0=alpha\0SLURM_JOB_NAME_HET_GROUP_1=beta\0SLURM_JOB_PARTITION_HET_GROUP_0=main\0\
        SLURM_JOB_PARTITION_HET_GROUP_1=second\0SLURM_JOB_NODELIST_HET_GROUP_0=n1\0\
        SLURM_JOB_NODELIST_HET_GROUP_1=n[2-3]\0SLURM_STEP_ID=0\0";

    #[test]
    fn components_of_a_heterogeneous_job_have_their_own_names() {
        let (fixture, uid) = (Fixture::new(), me());
        fixture.environment(7, HETEROGENEOUS.as_bytes());
        let leader = format!("1 user_id={uid} user=ada partition=main job_name=alpha");
        let second = format!("2 user_id={uid} user=ada partition=second job_name=beta");
        assert_eq!(fixture.said(&number("1", None), &[7]), leader);
        assert_eq!(fixture.said(&number("2", None), &[7]), second);
        assert_eq!(fixture.said(&number("3", None), &[7]), "nothing");
        let (one, two) = (sluid("s5K1KKYAYG5D00"), sluid("s5K1KKYAYG5D01"));
        assert_eq!(fixture.said(&one, &[7]), "nothing", "nothing tells which component it is in");
        fixture.environment(8, format!("{HETEROGENEOUS}SLURMD_NODENAME=n1\0").as_bytes());
        fixture.environment(9, format!("{HETEROGENEOUS}SLURMD_NODENAME=n2\0").as_bytes());
        assert_eq!(fixture.said(&one, &[7, 8]), leader);
        assert_eq!(fixture.said(&two, &[7, 9]), second);
        // The leader's SLUID is inherited as its number is.
        let inherited = format!("{HETEROGENEOUS}SLURMD_NODENAME=n2\0SLURM_JOB_SLUID=s5K1KKYAYG5D00\0");
        fixture.environment(9, inherited.as_bytes());
        assert_eq!(fixture.said(&two, &[9]), second);
        fixture.file("2", "SLURM_JOB_ID=2\nSLURM_JOB_UID=4242\nSLURM_JOB_USER=eve\n");
        assert_eq!(fixture.said(&two, &[9]), "nothing", "it pretends to be another user's job");
    }

    #[test]
    fn numbers_are_those_of_jobs() {
        assert_eq!(id(b"4711").as_deref(), Some("4711"));
        for none in [&b""[..], b"\xff", b"12a", b"-1", b"+1", b"4294967296", b"../1"] {
            assert_eq!(id(none), None);
        }
    }

    #[test]
    fn hostile_values_are_tamed() {
        assert_eq!(tidy(" Ada L. \t".as_bytes()).as_deref(), Some("Ada L."));
        assert_eq!(tidy("é日本\"\\".as_bytes()).as_deref(), Some("é日本\"\\"));
        for none in ["", "  ", "(null)"] {
            assert_eq!(tidy(none.as_bytes()), None);
        }
        assert_eq!(
            tidy(b"a\nb\x1b[1mc\xffd\x7f").as_deref(),
            Some("a\u{fffd}b\u{fffd}[1mc\u{fffd}d\u{fffd}")
        );
        assert_eq!(tidy("a\u{202e}b\u{85}c".as_bytes()).as_deref(), Some("a\u{fffd}b\u{fffd}c"));
        assert_eq!(tidy("é".repeat(1000).as_bytes()).unwrap().chars().count(), LONGEST_NAME);
    }

    #[test]
    fn what_is_no_file_or_cannot_be_read_tells_nothing() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.records.folder.join("42")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            fixture.records.folder.join("43"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert_eq!(fixture.said(&number("42", None), &[1]), "nothing");
        assert_eq!(fixture.said(&number("43", None), &[1]), "nothing");
    }
}
