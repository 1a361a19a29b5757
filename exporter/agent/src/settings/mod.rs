//! The settings: one flag table, three ways to say them, one meaning.
//!
//! In two stages: what was typed, with where it stood (`command_line`, `environment`, `file` → `given`), then what it
//! means (`meaning`). So each complaint, of whatever stage, can name the place that has to be mended.

mod choice;
mod command_line;
mod duration;
mod environment;
mod file;
mod flags;
mod given;
mod listen_address;
mod meaning;
mod misuse;
mod reference;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use choice::{Format, IdlePolicy, LogLevel, NameSource, Switch};
pub use flags::{FLAGS, Flag, Kind, Preset};
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
    /// What measures on this machine, what does not, and why.
    Doctor,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Node, Self::Doctor];

    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Doctor => "doctor",
        }
    }

    /// What it does, in one sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Node => "Measures this node and serves what each workload used",
            Self::Doctor => {
                "Lists every meter, workload source and permission: found or not, why, and the mend"
            }
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
) -> Result<(Command, Settings), Misuse> {
    let (command, typed) = command_line::read(arguments)?;
    let above_file = Layers::above_defaults(vec![typed, environment::read(environment)?]);
    let file = file(&above_file, read_file)?;
    Ok((command, Settings::from_layers(&above_file.with_file(file))?))
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
