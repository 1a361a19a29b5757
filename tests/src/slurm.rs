//! A Slurm cluster of one node, on cgroup v1, with a key, ports, sockets and state of its own.

use std::env;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::kernel::clear;
use crate::outcome::{PATIENCE, installed, until};

/// A running cluster. Its jobs are cancelled and its daemons ended when it is dropped.
#[derive(Debug)]
pub struct Slurm {
    node: String,
    /// `munged`, `slurmctld` and `slurmd`, in this order.
    daemons: Vec<Child>,
    clients: Vec<Child>,
    // Dropped last: it removes the folder.
    folder: TempDir,
}

impl Slurm {
    /// Starts the daemons and waits until the node takes jobs; or says why there is no cluster here.
    pub fn start() -> Result<Self, String> {
        let commands = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue", "sinfo"];
        if let Some(missing) = commands.into_iter().find(|name| !installed(name)) {
            return Err(format!("{missing} is not installed"));
        }
        if !getuid().is_root() {
            return Err("slurmd needs root".to_owned());
        }
        if !["freezer", "cpuacct"].iter().all(|name| Path::new("/sys/fs/cgroup").join(name).is_dir()) {
            return Err("Slurm's cgroups of version 1 need the controllers freezer and cpuacct".to_owned());
        }
        // No other run of this test has this name, so the cgroups are its own.
        let node = format!("noether{}", process::id());
        let mut slurm =
            Self { node, daemons: Vec::new(), clients: Vec::new(), folder: crate::machine::scratch() };
        slurm.configure();
        slurm.launch()?;
        Ok(slurm)
    }

    /// Submits a shell script as a batch job; its number.
    pub fn batch(&self, options: &[&str], script: &str) -> String {
        let usual = ["--parsable", "--chdir=/", "--output=/dev/null", "--wrap", script];
        let said = self.ask("sbatch", &[options, &usual].concat());
        said.unwrap_or_else(|why| panic!("{why}")).trim().to_owned()
    }

    /// Runs a shell script as a job of one interactive step; its number.
    pub fn interactive(&mut self, script: &str) -> String {
        let name = format!("step{}", self.clients.len());
        let mut command = self.command("srun");
        command.args(["--chdir=/", "--mpi=none", "--job-name", &name, "sh", "-c", script]);
        self.clients.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("srun starts"));
        until("srun has its job", || {
            let id = self.ask("squeue", &["--noheader", "--format=%A", "--name", &name]).ok()?;
            Some(id.trim().to_owned()).filter(|id| !id.is_empty())
        })
    }

    /// Where its prolog writes what jobs are called.
    pub fn jobs_folder(&self) -> String {
        self.path("jobs")
    }

    /// Kills a job.
    pub fn cancel(&self, job: &str) {
        self.ask("scancel", &[job]).unwrap_or_else(|why| panic!("{why}"));
    }

    /// The cgroup of all jobs of the node.
    pub fn cgroup(&self) -> String {
        format!("slurm_{}", self.node)
    }

    /// The cgroup of a job of root's.
    pub fn cgroup_of(&self, job: &str) -> String {
        format!("{}/uid_0/job_{job}", self.cgroup())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn configure(&self) {
        let mut key = [0; 128];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key)).expect("a key");
        fs::write(self.path("key"), key).expect("the key");
        fs::set_permissions(self.path("key"), Permissions::from_mode(0o400)).expect("chmod");
        fs::create_dir(self.path("state")).expect("a folder");
        fs::create_dir(self.path("spool")).expect("a folder");
        let free = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let ports = [free(), free()].map(|socket| socket.local_addr().expect("an address").port());
        fs::write(self.path("slurm.conf"), self.configuration(ports)).expect("slurm.conf");
        self.scripts();
        let cgroup = "CgroupMountpoint=/sys/fs/cgroup\nCgroupPlugin=cgroup/v1\nCgroupAutomount=no\n";
        fs::write(self.path("cgroup.conf"), cgroup).expect("cgroup.conf");
    }

    /// The prolog and the epilog that the documentation proposes, with this cluster's folder.
    fn scripts(&self) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/slurm.md");
        let page = fs::read_to_string(page).expect("docs/slurm.md");
        let scripts = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        for (name, script) in ["prolog", "epilog"].into_iter().zip(scripts) {
            let script = script.replace("/run/noether/jobs", &self.jobs_folder());
            fs::write(self.path(name), script).expect("a script");
            fs::set_permissions(self.path(name), Permissions::from_mode(0o755)).expect("chmod");
        }
    }

    /// Both daemons on the loopback address; more processors than there may be, so that every job starts at once.
    fn configuration(&self, [controller, daemon]: [u16; 2]) -> String {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("the host's name");
        let host = host.trim().split('.').next().unwrap_or_default();
        let (folder, node) = (self.folder.path().display(), &self.node);
        format!(
            "ClusterName=noether\n\
             SlurmctldHost={host}(127.0.0.1)\n\
             SlurmctldPort={controller}\n\
             SlurmdPort={daemon}\n\
             CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\n\
             SlurmUser=root\n\
             SlurmdUser=root\n\
             AuthType=auth/munge\n\
             AuthInfo=socket={folder}/munge.socket\n\
             CredType=cred/munge\n\
             StateSaveLocation={folder}/state\n\
             SlurmdSpoolDir={folder}/spool\n\
             SlurmctldPidFile={folder}/slurmctld.pid\n\
             SlurmdPidFile={folder}/slurmd.pid\n\
             ProctrackType=proctrack/cgroup\n\
             TaskPlugin=task/none\n\
             JobAcctGatherType=jobacct_gather/cgroup\n\
             JobAcctGatherFrequency=0\n\
             MpiDefault=none\n\
             SelectType=select/cons_tres\n\
             SelectTypeParameters=CR_CPU\n\
             SchedulerType=sched/builtin\n\
             SchedulerParameters=batch_sched_delay=0\n\
             KillWait=2\n\
             Prolog={folder}/prolog\n\
             Epilog={folder}/epilog\n\
             SlurmdParameters=config_overrides\n\
             NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={daemon} CPUs=8\n\
             PartitionName=main Nodes=ALL Default=YES\n"
        )
    }

    fn launch(&mut self) -> Result<(), String> {
        let munge = ["socket=munge.socket", "key-file=key", "log-file=munge.log", "pid-file=munge.pid"];
        let mut flags = vec!["--foreground".to_owned(), format!("--seed-file={}", self.path("seed"))];
        flags.extend(
            munge
                .iter()
                .filter_map(|flag| flag.split_once('='))
                .map(|(flag, name)| format!("--{flag}={}", self.path(name))),
        );
        self.daemon("munged", &flags);
        self.wait("munged listens", |slurm| Path::new(&slurm.path("munge.socket")).exists())?;
        self.daemon("slurmctld", &["-D", "-c", "-i"].map(str::to_owned));
        let node = self.node.clone();
        self.daemon("slurmd", &["-D".to_owned(), "-N".to_owned(), node]);
        self.wait("the node is idle", |slurm| {
            slurm.ask("sinfo", &["--noheader", "--format=%t"]).is_ok_and(|state| state.trim() == "idle")
        })
    }

    fn daemon(&mut self, name: &str, flags: &[String]) {
        let log = File::create(self.path(&format!("{name}.out"))).expect("a log");
        let mut command = self.command(name);
        command.args(flags).stdout(log.try_clone().expect("a log")).stderr(log);
        self.daemons.push(command.spawn().unwrap_or_else(|error| panic!("{name}: {error}")));
    }

    fn wait(&mut self, what: &str, good: impl Fn(&Self) -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !good(self) {
            let ended = self.daemons.iter_mut().any(|daemon| !matches!(daemon.try_wait(), Ok(None)));
            if ended || begun.elapsed() > PATIENCE {
                return Err(format!("waited in vain until {what}; {}", self.said()));
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// What the daemons have said.
    fn said(&self) -> String {
        let said = ["munged", "slurmctld", "slurmd"].map(|name| {
            format!(
                "{name} said: {}",
                fs::read_to_string(self.path(&format!("{name}.out"))).unwrap_or_default()
            )
        });
        said.join("\n")
    }

    /// What a client says; an error where it fails or hangs.
    fn ask(&self, client: &str, arguments: &[&str]) -> Result<String, String> {
        let output = self.command("timeout").args(["30", client]).args(arguments).output();
        let output = output.map_err(|error| format!("{client}: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("{client}: {}: {}\n{}", output.status, text(&output.stderr), self.said()))
    }

    /// A command that knows this cluster, and no other that may be around.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        for (variable, _) in env::vars_os() {
            if variable
                .to_str()
                .is_some_and(|name| ["SLURM", "SBATCH", "SRUN"].iter().any(|p| name.starts_with(p)))
            {
                command.env_remove(variable);
            }
        }
        command.env("SLURM_CONF", self.path("slurm.conf")).stdin(Stdio::null());
        command
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        if self.daemons.len() == 3 {
            let jobs = |slurm: &Self| slurm.ask("squeue", &["--noheader"]).unwrap_or_default();
            let begun = Instant::now();
            while !jobs(self).is_empty() && begun.elapsed() < Duration::from_secs(10) {
                let _ = self.ask("scancel", &["--user=root"]);
                sleep(Duration::from_millis(100));
            }
        }
        while let Some(mut daemon) = self.daemons.pop() {
            end(&mut daemon);
        }
        for client in &mut self.clients {
            end(client);
        }
        clear(&self.cgroup());
    }
}

/// Asks a process to end, and makes it.
fn end(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let begun = Instant::now();
    let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
