//! The settings: one flag table, three ways to say them, one meaning.
//!
//! In two stages: what was typed, with where it stood (`command_line`, `environment`, `file` → `given`), then what it
//! means (`meaning`). So each complaint, of whatever stage, can name the place that has to be mended.

mod budget;
mod choice;
mod command_line;
mod duration;
mod environment;
mod file;
mod flags;
mod given;
mod grid;
mod listen_address;
mod meaning;
mod misuse;
mod reference;
pub(crate) mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use choice::{Bases, Format, IdlePolicy, LogLevel, NameSource, Switch};
pub use flags::{FLAGS, Flag, Kind, Preset};
pub use grid::{GridProvider, GridSettings, GridZone};
pub use listen_address::ListenAddress;
pub use meaning::{Kubernetes, Settings};
pub use misuse::Misuse;
pub use reference::reference;

use std::ffi::OsString;
use std::io;
use std::path::Path;

use given::{Layer, Layers};

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The node exporter.
    Node,
    /// The exporter of carbon intensity, one per cluster.
    Grid,
    /// What measures on this machine, what does not, and why.
    Doctor,
    /// The shipped carbon intensities.
    Zones,
}

/// What the command line orders, besides settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The command.
    pub command: Command,
    /// Its words, of those that take any.
    pub words: Vec<String>,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Node, Self::Grid, Self::Doctor, Self::Zones];

    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Grid => "grid",
            Self::Doctor => "doctor",
            Self::Zones => "zones",
        }
    }

    /// What it does, in one sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Node => "Measures this node and serves what each workload used",
            Self::Grid => {
                "Serves the carbon intensity of grid zones, prices and budgets: one for a whole cluster"
            }
            Self::Zones => "Searches the shipped carbon intensities by zone, place or cloud region",
            Self::Doctor => {
                "Lists every meter, workload source and permission: found or not, why, and the mend"
            }
        }
    }

    /// What its words are, where it takes any.
    const fn words(self) -> Option<&'static str> {
        match self {
            Self::Zones => Some("What to look for; all words have to match. Without any: everything"),
            _ => None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }
}

/// Reads the settings: `arguments` with the program's name first, `environment` whole, and with `read_file` the file
/// that one of them names.
pub fn parse(
    arguments: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    read_file: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<(Order, Settings), Misuse> {
    let (order, typed) = command_line::read(arguments)?;
    let above_file = Layers::above_defaults(vec![typed, environment::read(environment)?]);
    let file = file(&above_file, read_file)?;
    let settings = Settings::from_layers(&above_file.with_file(file), order.command)?;
    Ok((order, settings))
}

/// What the file says, where one is named.
fn file(layers: &Layers, read_file: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Layer, Misuse> {
    let name = "config.file";
    let Some(path) = layers.optional(name, value::path)? else { return Ok(Layer::new()) };
    let content = read_file(&path).map_err(|error| {
        let complaint = format!("{:?} cannot be read: {error}", path.display().to_string());
        Misuse::at(&layers.origin(name), name, &complaint)
    })?;
    file::read(&path, &content)
}
