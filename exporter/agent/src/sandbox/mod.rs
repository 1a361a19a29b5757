//! What the process gives up after its start: capabilities, new privileges, files, listeners.
//!
//! Whoever takes the exporter over by a fault in it gets no more than it needs. See `docs/security.md`.

mod capabilities;
mod driver;
mod files;
mod needs;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::thread::CapabilitySet;

pub use capabilities::{Capabilities, names};
pub use files::Confined;
use needs::Needs;

use noether_sources::nvml::Early;

use crate::aside::Aside;
use crate::settings::{Command, Settings, Switch};

/// How long it may take to find out what is on this machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which threads may only use the files that they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of them.
    All,
    /// Those that serve; the others look into other processes, which no confined thread may do.
    Serving(
        /// Why they do.
        &'static str,
    ),
}

/// What was given up.
#[derive(Debug)]
pub enum Sandbox {
    /// Nothing: `--security.sandbox=off`.
    Off,
    /// As much as is not needed.
    On {
        /// The capabilities.
        capabilities: Capabilities,
        /// Which threads are confined to their files.
        reach: Reach,
        /// Files and listeners; `None` until the threads of [`Reach`] are.
        confined: Option<Confined>,
        /// What there is to be used.
        needs: Needs,
        /// Whether all of it has to be.
        insists: bool,
    },
}

impl Sandbox {
    /// Gives up what no thread needs, before there is a second one that stays: what is given up later is that thread's
    /// own. A GPU's driver is opened first, since only it knows what it needs. `files` are those that the web configuration names. An error is a sentence that begins with the flag.
    pub fn begin(settings: &Settings, command: Command, files: &[PathBuf]) -> Result<Self, String> {
        let insists = match settings.sandbox {
            Switch::Off => return Ok(Self::Off),
            Switch::On => true,
            Switch::Auto => false,
        };
        let early = driver::open(settings, command);
        let looks = looks(settings, command, early.found);
        let needs = Needs::of(settings, command, files, insists.then_some(&early));
        let reach = match looks {
            Some(why) if !insists => Reach::Serving(why),
            _ => Reach::All,
        };
        let looked = matches!(reach, Reach::Serving(_));
        let capabilities = match Capabilities::keep(needs.capabilities(looked)) {
            Ok(capabilities) => capabilities,
            Err(error) if insists => return Err(wrong(&format!("capabilities cannot be given up: {error}"))),
            // A seccomp filter may forbid even that. The energy is worth more than the sandbox.
            Err(_) => Capabilities::held(),
        };
        let mut sandbox = Self::On { capabilities, reach, confined: None, needs, insists };
        if matches!(sandbox, Self::On { reach: Reach::All, .. }) {
            sandbox.confine()?;
        }
        Ok(sandbox)
    }

    /// Confines the thread that serves, once those that do not have been started, and says what was given up.
    pub fn complete(&mut self) -> Result<(), String> {
        if matches!(self, Self::On { confined: None, .. }) {
            self.confine()?;
        }
        tracing::info!("sandbox: {self}");
        Ok(())
    }

    fn confine(&mut self) -> Result<(), String> {
        let Self::On { confined, needs, insists, .. } = self else { return Ok(()) };
        let done = files::confine(needs).unwrap_or_else(|error| Confined::Not(error.to_string().into()));
        if let (Confined::Not(why), true) = (&done, *insists) {
            return Err(wrong(&format!(
                "files cannot be given up: {why}; --security.sandbox=auto does without"
            )));
        }
        *confined = Some(done);
        Ok(())
    }
}

/// Why other processes are looked into. It is asked on another thread, which ends with that, since files may hang; what is
/// not known for certain counts as a reason.
/// `found` says whether a driver of NVIDIA was.
fn looks(settings: &Settings, command: Command, found: bool) -> Option<&'static str> {
    let settings = settings.clone();
    let mut thread = Aside::new("sandbox", move || {
        let settings = settings.clone();
        Box::new(move |(): ()| needs::looks(&settings, command, &Early { found, ..Early::default() }))
    });
    let (answer, hangs) = thread.insist(|| (), PATIENCE);
    hangs.iter().for_each(|hang| tracing::warn!("{hang}"));
    answer.unwrap_or(Some("whether there is an accelerator cannot be told"))
}

fn wrong(complaint: &str) -> String {
    format!("--security.sandbox: {complaint}")
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::On { capabilities, reach, confined, .. } = self else {
            return f.write_str("off: nothing is given up");
        };
        write!(f, "{capabilities}; no new privileges; ")?;
        match (confined, reach) {
            (Some(Confined::Not(why)), _) => write!(f, "any file, since {why}"),
            (Some(done), Reach::All) => write!(f, "all threads {done}"),
            (Some(done), Reach::Serving(why)) => write!(f, "those that serve {done}, the others not: {why}"),
            (None, _) => f.write_str("any file"),
        }
    }
}

/// The capability by which files are read that belong to others.
const READ: CapabilitySet = CapabilitySet::DAC_READ_SEARCH;
/// The capability by which other users' processes are looked into.
const LOOK: CapabilitySet = CapabilitySet::SYS_PTRACE;
